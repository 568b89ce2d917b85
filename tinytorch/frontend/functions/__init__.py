"""Functions of tensors that are entered into the table of names, by what they do.

`methods` (what tensors can do by themselves) and `elementwise` (ops whose record says how they are called).
"""

from tinytorch.frontend.functions import elementwise as elementwise
from tinytorch.frontend.functions import methods as methods
