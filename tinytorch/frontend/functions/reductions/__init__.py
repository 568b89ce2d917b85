"""Functions of many elements.

To read, in this order: `reducing` (to one number, or along axes), `scans` (running sums and the like), `sorting`,
`counting`, `covariance`, `masked` (of the elements that a mask leaves).
"""

from tinytorch.frontend.functions.reductions import counting as counting
from tinytorch.frontend.functions.reductions import covariance as covariance
from tinytorch.frontend.functions.reductions import masked as masked
from tinytorch.frontend.functions.reductions import reducing as reducing
from tinytorch.frontend.functions.reductions import scans as scans
from tinytorch.frontend.functions.reductions import sorting as sorting
