"""Module 16: products as machine code. To read: `products`."""

from __future__ import annotations

from tinytorch.frontend.acceleration.products import vectorized_matmul

__all__ = ["vectorized_matmul"]
