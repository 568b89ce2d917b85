"""The contract family: matrix products with what follows them.

Read `layout` (what is asked), `grid` (where sums belong, what a kernel is called with), `plan` (how it is cut up) and
`kernel` (the loops); then `tile` (the microkernels), `sums` (long sums in blocks), `groups` (bytes in groups of k),
`pack`, `epilogue` (what follows) and `parts`.
"""
