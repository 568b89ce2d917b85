"""From nodes to kernels, the last of the passes.

`materialize` (a buffer for every value that needs one), `groups` (of nodes that become kernels) and `fuse`,
`write_permuted` (results in the order in which they are wanted), `share_literals` (of kernels that differ in numbers).
"""
