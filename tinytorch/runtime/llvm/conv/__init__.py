"""Convolutions: their forward pass, their weight gradients, and the form with fewer multiplications.

Read `layout` and `plan`, `kernel` (the forward pass, as a product with a virtual operand), then `image` (padded
copies), `weight`, `pooled` (pooled results) and `winograd`.
"""
