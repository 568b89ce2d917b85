"""Vector code: ops' definitions as instructions over the lanes of a vector.

Read `emit` (an op's `scalar` becomes vector instructions), `node` (one node of a body), then `narrow_floats` (16-bit
floats) and `transpose` (squares of a matrix).
"""
