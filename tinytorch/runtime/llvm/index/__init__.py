"""Kernels that move elements: gathers, scatters, updates of slices, pads, concatenations, running sums.

Read `kernels` (which op has which), `loops` and `runs` (loops over blocks, copies and fills), `region` (an operand
inside of a larger result), then the file of an op.
"""
