"""What eager mode runs instead of `Op.eval` where that is slow: numpy as well, but arranged for its speed.

Each function takes what that takes and gives the same up to rounding, row-major; `Op.eval` stays the judge. `memory`:
how arrays lie. `sums`: sums by BLAS or by whole parts, and into rows that repeat. `convolution`: products over windows
by BLAS. `pooling`: the largest of windows without masked passes. What is large and needs more than that runs as
compiled kernels, see `tinytorch/eager.py`.
"""
