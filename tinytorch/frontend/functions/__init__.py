"""Functions of tensors, most of which are entered into the table of names.

To read, in this order: `random` and `creation` (new tensors), `basic` (joining, choosing, products: what much else is
written in), `custom_gradients` (of results whose gradients are computed by Python functions), `methods` (what tensors
can do by themselves), `facts` (about tensors), `windows` (of signals), then packages, as PyTorch's pages group them:
`pointwise`, `manipulation` (other shapes and places), `reductions`, `algebra`.
"""

from tinytorch.frontend.functions import algebra as algebra
from tinytorch.frontend.functions import facts as facts
from tinytorch.frontend.functions import manipulation as manipulation
from tinytorch.frontend.functions import methods as methods
from tinytorch.frontend.functions import pointwise as pointwise
from tinytorch.frontend.functions import reductions as reductions
from tinytorch.frontend.functions import windows as windows
