"""numpy's functions of tensors: `np.exp(x)`, `np.add(array, x)`, `np.mean(x, axis=0)` give tensors, with gradients, and
can be traced. What is not here runs on the arrays, and is refused where a gradient would be lost.

To read, in this order: `ufuncs`, `functions`.
"""

from tinytorch.frontend.numpy_functions.functions import apply_function as apply_function
from tinytorch.frontend.numpy_functions.ufuncs import apply_ufunc as apply_ufunc
