"""The loops of a matrix product, around its microkernel.

Read `work` (what the loops do to a product's parts), the two orders, `columns_first` and `rows_first`, and `split_k`
(sums of parts of k, added up behind them).
"""
