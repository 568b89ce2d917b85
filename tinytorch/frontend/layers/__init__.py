"""Module 03: layers.

To read, in this order: `norms` and `distances` (functions of vectors), `functions` (dropout, normalisation, lookup and
products with weights), `embedding_bags` and `channel_functions` (of groups of channels), `resets` (what norms
have in common), `layers` (the layers of the course), `channel_modules`.
"""

from tinytorch.frontend.layers import layers as _layers
from tinytorch.frontend.layers.layers import *

__all__: list[str] = []
__all__ += _layers.__all__
