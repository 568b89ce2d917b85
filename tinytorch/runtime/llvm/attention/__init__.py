"""Attention in tiles of queries and keys, without the matrix of all scores (Dao et al. 2022).

Read `heads` (sizes, operands, scratch memory), `decay` (an exponential), `scores` (what becomes of a row of products),
`dropout` (what it keeps), then `forward`, `backward`, and `kernel` (the entry). Products are the microkernels of the
family of matrix products.
"""
