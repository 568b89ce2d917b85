"""Module 16: less work for the same result, and 16 bits where 32 are not needed.

To read, in this order: `products` (as machine code), `autocast` (which ops run in 16-bit floats), `scaler` (gradients
that would vanish in them), and `mixed_precision` (the trainer that uses both).
"""

from __future__ import annotations

from tinytorch.frontend.acceleration.products import vectorized_matmul

__all__ = ["vectorized_matmul"]
