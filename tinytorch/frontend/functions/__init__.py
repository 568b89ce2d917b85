"""Functions of tensors that are entered into the table of names, by what they do.

`methods` (what tensors can do by themselves), `elementwise` (ops whose record says how they are called), `indexed`
(elements read, replaced and joined at places), `sorting`, `scans`, `reducing` and `counting`.
"""

from tinytorch.frontend.functions import counting as counting
from tinytorch.frontend.functions import elementwise as elementwise
from tinytorch.frontend.functions import indexed as indexed
from tinytorch.frontend.functions import methods as methods
from tinytorch.frontend.functions import reducing as reducing
from tinytorch.frontend.functions import scans as scans
from tinytorch.frontend.functions import sorting as sorting
