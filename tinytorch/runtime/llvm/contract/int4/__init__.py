"""Products with weights of four bits, which are taken apart in registers.

Read `product` (sizes, and how products are computed), `rows` (rows of x, copied in the order in which they are read),
`tile` (sums of a tile, held in registers) and `kernel` (items of work, and the loops around tiles).
"""
