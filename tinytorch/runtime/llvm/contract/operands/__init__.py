"""The operands of matrix products: how they lie, how they are read, how they are packed.

Read `layout` (a product and its simplest form), `float_pairs` (bf16 in pairs of k, and loads that widen) and `pack`
(copies in the order in which tiles read them).
"""
