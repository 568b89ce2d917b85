"""From nodes to kernels, the last of the passes.

`reduce_behind_permutes` and `repeat_behind_views` (larger kernels, and fewer values between them), `materialize` (a
buffer for every value that needs one), `groups` (of nodes that become kernels) and `fuse`, `write_permuted` (results in
the order in which they are wanted), `share_literals` (of kernels that differ in numbers).
"""
