"""The contract family: matrix products with what follows them.

Read `grid` (where sums belong, what a kernel is called with), `parts` (sizes at the edges) and `epilogue` (what
follows); `sums` (long sums in blocks) and `shares` (work that threads end together); then the packages: `operands`
(what is asked, how operands are read and packed), `plan` (how a product is cut up), `bytes` (products of bytes, in
groups of k), `microkernel` (a tile of sums in registers) and `orders` (the loops around it); `int4` (weights of four
bits, with loops of their own); and `kernel`.
"""
