"""Functions of the Array API standard, 2024.12, beside `array-api-strict`: `python -m benchmarks.array_api`.

In this order: `case` (what both libraries are asked, and numbers for it), `elementwise`, `shapes` (creation, dtypes,
manipulation, products, the array itself), `values` (reductions, searching, sorting, sets, indexing), `judge`.
"""
