"""Recurrent layers.

To read, in this order: `padded` (sequences of different lengths in one tensor), `packed` (the same under PyTorch's
names), `sequences` (what layers and cells share), `recurrent` (RNN, LSTM and GRU), `cells` (one step of them).
"""

from tinytorch.frontend.recurrent import cells as _cells
from tinytorch.frontend.recurrent import recurrent as _recurrent
from tinytorch.frontend.recurrent.cells import *
from tinytorch.frontend.recurrent.recurrent import *

__all__: list[str] = []
__all__ += _recurrent.__all__
__all__ += _cells.__all__
