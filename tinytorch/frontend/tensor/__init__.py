"""Module 01: the tensor, and what it needs to be eager, on a tape, or traced.

To read, in this order:

- What holds in a thread, and what a tensor lies in: `mode`, `autocasting` (mixed precision), `devices`, `dtypes`,
  `storage` (memory that tensors share).
- How values were made: `gradient_hooks`, `tape`, `results` (several of one op), `inplace` (changes in place).
- From and to Python: `conversions` (numpy and numbers), `printing`, `display` (in notebooks), `indexing`,
  `views`.
- Eager mode: `kernels` (what large ops run as), `evaluation`, `backward` (the tape read backwards).
- `table_methods` (methods that come from the table of names), `tensor`, `sharing` (the memory of
  arrays), and `gradients` (of one tensor by another; whether they are recorded).
"""

from tinytorch.frontend.tensor.sharing import from_dlpack, from_numpy, frombuffer
from tinytorch.frontend.tensor.tensor import Tensor

__all__ = ["Tensor", "from_dlpack", "from_numpy", "frombuffer"]
