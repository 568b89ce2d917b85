"""Functions of the Array API standard that are called otherwise than PyTorch's, or mean something else.

The others come from the table of names, through the standard's name there. In this order: `shared`, then by the
standard's sections `elementwise`, `creation`, `data_types`, `manipulation`, `statistics` (sums, means, extremes, and
whether all or any), `searching` (positions, sorting, sets, indexing) and `products`; `names` gathers all functions, and
the module array_api of the package shows them.
"""
