"""The loop family: elementwise chains, reductions, and row kernels such as softmax.

Read `domain` (which loops there are), `random_blocks`, `stages` (what each run through the loops computes) and `plan`
(vectors, order, chunks); then `point` (addresses and lanes), `reduce`, `sweep` (loops over one axis), `phase` (what all
kernels share), the three forms `columns`, `rows` and `cross`, and `kernel` (the entry).
"""
