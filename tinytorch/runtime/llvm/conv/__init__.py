"""Convolutions: their forward pass, their weight gradients, and the form with fewer multiplications.

Read `layout` (what is asked, and how images lie) and `plan` (how it is cut up), then `image_copy`, `byte_image` and
`image` (padded copies), `packed_starts` (what sums of bytes begin with), `pooled` (pooled results), `forward` (a
product with a virtual operand), `depthwise` (of each channel by itself), `weight`, those in fewer multiplications
(`transforms` along an axis, `winograd_plan`, `winograd_tiles`, `winograd`, `winograd_weights`, `winograd_gradient`),
and `kernel` (which op has which).
"""
