"""Module 01: the tensor, and what it needs to be eager, on a tape, or traced.

To read, in this order:

- What holds in a thread, and what a tensor lies in: `mode`, `devices`, `dtypes`, `storage` (memory that tensors share).
- How values were made: `gradient_hooks`, `tape`, `results` (several of one op), `inplace` (changes in place).
- From and to Python: `conversions` (numpy and numbers), `printing`, `indexing`.
- `kernels` (what large ops run as), `table_methods` (methods that come from the table of names), `tensor`, and
  `gradients` (of one tensor by another, and whether they are recorded).
"""

from tinytorch.frontend.tensor.tensor import Tensor, from_dlpack, from_numpy

__all__ = ["Tensor", "from_dlpack", "from_numpy"]
