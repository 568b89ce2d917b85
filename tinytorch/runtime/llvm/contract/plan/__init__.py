"""How a matrix product is cut up, from its shape, its layouts and the target.

Read `cut` (the records), `items` (how much work a chunk has, and what it is cut into), `tiles` (which tile fits the
registers), `packing` (which operands are packed, and blocks of k) and `product`, which chooses among the ways to cut.
"""
