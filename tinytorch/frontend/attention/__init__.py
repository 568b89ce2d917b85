"""Module 12: attention. To read, in this order: `functions` (scaled dot-product attention), then `layers` (the
attention of several heads as a module, and what a cache of keys and values must offer to it).
"""

from __future__ import annotations

from tinytorch.frontend.attention.layers import MultiHeadAttention

__all__ = ["MultiHeadAttention"]
