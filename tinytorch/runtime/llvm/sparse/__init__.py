"""Products by sparse weights, whose patterns are data: the code depends on their sizes alone.

In the order to read them: `lines` (rows of x as the kernels read them), `items` (what threads claim), `slabs` (blocks
of k), `table` (x in registers), `columns` (vectors along the columns, for few rows), `rows` (vectors along the rows),
`semi_structured`, `kernel`.
"""
