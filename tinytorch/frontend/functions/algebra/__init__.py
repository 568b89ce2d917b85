"""Products and what is written as one.

To read, in this order: `products`, `einsum`, `polynomials`, `fft` (Fourier transforms).
"""

from tinytorch.frontend.functions.algebra import einsum as einsum
from tinytorch.frontend.functions.algebra import fft as fft
from tinytorch.frontend.functions.algebra import polynomials as polynomials
from tinytorch.frontend.functions.algebra import products as products
