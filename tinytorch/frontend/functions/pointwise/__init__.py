"""Functions of each element.

To read, in this order: `operands` (of functions of two tensors), `elementwise` (ops whose record says how they are
called), `arithmetic`, `comparisons`, `bitwise`, `mathematics`, `special`.
"""

from tinytorch.frontend.functions.pointwise import arithmetic as arithmetic
from tinytorch.frontend.functions.pointwise import bitwise as bitwise
from tinytorch.frontend.functions.pointwise import comparisons as comparisons
from tinytorch.frontend.functions.pointwise import elementwise as elementwise
from tinytorch.frontend.functions.pointwise import mathematics as mathematics
from tinytorch.frontend.functions.pointwise import operands as operands
from tinytorch.frontend.functions.pointwise import special as special
