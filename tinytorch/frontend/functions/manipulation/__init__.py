"""Functions that put elements elsewhere.

To read, in this order: `shapes` (views and other shapes), `joining` (tensors joined and taken apart), `indexed`
(elements read, replaced and joined at places), `diagonals`, `copies`, `filling`.
"""

from tinytorch.frontend.functions.manipulation import copies as copies
from tinytorch.frontend.functions.manipulation import diagonals as diagonals
from tinytorch.frontend.functions.manipulation import filling as filling
from tinytorch.frontend.functions.manipulation import indexed as indexed
from tinytorch.frontend.functions.manipulation import joining as joining
from tinytorch.frontend.functions.manipulation import shapes as shapes
