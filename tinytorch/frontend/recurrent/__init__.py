"""Recurrent layers.

To read, in this order: `padded` (sequences of different lengths in one tensor), `sequences` (a layer over all steps),
`recurrent` (RNN, LSTM, GRU and their cells).
"""

from tinytorch.frontend.recurrent import recurrent as _recurrent
from tinytorch.frontend.recurrent.recurrent import *

__all__: list[str] = []
__all__ += _recurrent.__all__
