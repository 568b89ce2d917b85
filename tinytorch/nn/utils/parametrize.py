"""`from tinytorch.nn.utils import parametrize`: parameters that modules compute of others."""

from tinytorch.frontend.parametrizations.parametrize import *
from tinytorch.frontend.parametrizations.parametrize import __all__ as __all__
