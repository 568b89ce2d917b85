"""The contract family: matrix products with what follows them.

Read `grid` (where sums belong, what a kernel is called with), `layout` (what is asked), `parts` (sizes at the edges)
and `epilogue` (what follows); `sums` (long sums in blocks), `split_k` (sums of parts of k, added up behind them),
`shares` (work that threads end together) and `plan` (how a product is cut up); then what the loops call: `float_pairs`
(of bf16), `pack`, `byte_dots` (instructions that multiply bytes), `groups` (bytes in groups of k), `dots` (the same of
convolutions), `plan_bytes` (how those are cut up), `tile_key`, `dot_tile` and `tile` (the microkernels), `work` (all of
that for one product); then the loops, `columns_first` and `rows_first`; `int4` (weights of four bits, with loops of
their own); and `kernel`.
"""
