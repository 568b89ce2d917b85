"""Vector code: ops' definitions as instructions over the lanes of a vector.

Read `narrow_floats` (16-bit floats), `emit` (the definition of one lane becomes vector instructions), `node` (one node
of a body), `random_numbers` (random numbers side by side) and `transpose` (squares of a matrix).
"""
