"""Convolutions: their forward pass, their weight gradients, and the form with fewer multiplications.

Read `layout` (what is asked, and how images lie) and `plan` (how it is cut up), then `image` (padded copies), `pooled`
(pooled results), `forward` (a product with a virtual operand), `weight`, those in fewer multiplications (`transforms`
along an axis, `winograd_plan`, `winograd`, `winograd_weights`), and `kernel` (which op has which).
"""
