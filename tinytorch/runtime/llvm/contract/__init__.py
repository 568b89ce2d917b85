"""The contract family: matrix products with what follows them.

Read `grid` (where sums belong, what a kernel is called with), `layout` (what is asked), `plan` (how it is cut up) and
`epilogue` (what follows); then what the loops call: `parts` (sizes at the edges), `pack`, `groups` (bytes in groups of
k), `sums` (long sums in blocks), `tile_key`, `dot_tile` and `tile` (the microkernels), `work` (all of that for one
product); then the loops, `columns_first` and `rows_first`; and `kernel`.
"""
