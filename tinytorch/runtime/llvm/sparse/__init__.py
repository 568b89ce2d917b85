"""Products by sparse weights, whose patterns are data: the code depends on their sizes alone.

In the order to read them: `items` (what threads claim, and how sums become results), `lines` (rows of x as the kernels
read them), `slabs` (the entries of a weight), `columns` (vectors along the columns, for few rows), `rows` (vectors
along the rows), `semi_structured`, `kernel`.
"""
