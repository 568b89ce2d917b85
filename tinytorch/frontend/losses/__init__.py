"""Module 04: losses.

To read, in this order: `functions`, `margins` (of pairs and triplets), `sequences` (CTC and losses of many classes),
then the modules that call them: `losses` (those of the course) and `modules` (under the other names of torch.nn).
"""

from tinytorch.frontend.losses import losses as _losses
from tinytorch.frontend.losses.losses import *

__all__: list[str] = []
__all__ += _losses.__all__
