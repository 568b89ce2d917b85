"""Kernels that move elements: gathers, scatters, updates of slices, pads, concatenations, running sums.

Read `loops` and `runs` (loops over blocks, copies and fills), `moves` (what all these kernels share) and `region` (an
operand inside of a larger result), then the file of an op: `gather`, `scatter`, `update`, `pad`, `concat`, `scan`; and
`kernel` (which op has which).
"""
