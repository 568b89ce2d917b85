"""Module 12: attention. To read, in this order: `functions` (scaled dot-product attention), then `layers` (the
attention of several heads as a module, and what a cache of keys and values must offer to it), then `pytorch` (the same
in PyTorch's layout).
"""

from __future__ import annotations

from tinytorch.frontend.attention.layers import MultiHeadAttention
from tinytorch.frontend.attention.pytorch import MultiheadAttention

__all__ = ["MultiHeadAttention", "MultiheadAttention"]
