"""Module 11: embeddings.

To read, in this order: `embeddings` (tables of vectors, and positions), `modules` (as torch.nn has them).
"""

from tinytorch.frontend.embeddings import embeddings as _embeddings
from tinytorch.frontend.embeddings.embeddings import *

__all__: list[str] = []
__all__ += _embeddings.__all__
