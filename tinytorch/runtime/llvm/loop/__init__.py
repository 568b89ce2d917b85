"""The loop family: elementwise chains, reductions, and row kernels such as softmax.

Read `kernel` (the entry), `domain` (which loops there are), `stages` (what each run through them computes), `plan`
(vectors, order, chunks), then `point` (addresses and lanes), `reduce`, `sweep` (loops over one axis), `phase` (what
all kernels share), and the three forms `columns`, `rows` and `cross`.
"""
