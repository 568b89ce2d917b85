"""Functions of tensors that are entered into the table of names, by what they do.

`methods` (what tensors can do by themselves), `operands` (of functions of two tensors), `elementwise` (ops whose record
says how they are called), `arithmetic`, `comparisons`, `bitwise`, `mathematics`, `special`, `indexed` (elements read,
replaced and joined at places), `shapes` (views and other shapes), `joining` (tensors joined and taken apart),
`sorting`, `scans`, `reducing`, `counting`, `covariance`, `diagonals`, `products`, `copies`, `facts`, `fft`, `filling`,
`masked` and `polynomials`.
"""

from tinytorch.frontend.functions import arithmetic as arithmetic
from tinytorch.frontend.functions import bitwise as bitwise
from tinytorch.frontend.functions import comparisons as comparisons
from tinytorch.frontend.functions import copies as copies
from tinytorch.frontend.functions import counting as counting
from tinytorch.frontend.functions import covariance as covariance
from tinytorch.frontend.functions import diagonals as diagonals
from tinytorch.frontend.functions import elementwise as elementwise
from tinytorch.frontend.functions import facts as facts
from tinytorch.frontend.functions import fft as fft
from tinytorch.frontend.functions import filling as filling
from tinytorch.frontend.functions import indexed as indexed
from tinytorch.frontend.functions import joining as joining
from tinytorch.frontend.functions import masked as masked
from tinytorch.frontend.functions import mathematics as mathematics
from tinytorch.frontend.functions import methods as methods
from tinytorch.frontend.functions import operands as operands
from tinytorch.frontend.functions import polynomials as polynomials
from tinytorch.frontend.functions import products as products
from tinytorch.frontend.functions import reducing as reducing
from tinytorch.frontend.functions import scans as scans
from tinytorch.frontend.functions import shapes as shapes
from tinytorch.frontend.functions import sorting as sorting
from tinytorch.frontend.functions import special as special
