"""All functions of the standard by its names, and tensors as its arrays."""

from __future__ import annotations

from tinytorch.frontend import names as names
from tinytorch.frontend.spelling import standard_names
from tinytorch.frontend.standard import creation as creation
from tinytorch.frontend.standard import data_types as data_types
from tinytorch.frontend.standard import elementwise as elementwise
from tinytorch.frontend.standard import manipulation as manipulation
from tinytorch.frontend.standard import products as products
from tinytorch.frontend.standard import searching as searching
from tinytorch.frontend.standard import statistics as statistics
from tinytorch.frontend.standard.shared import STANDARD

FUNCTIONS = {**standard_names(), **STANDARD}
