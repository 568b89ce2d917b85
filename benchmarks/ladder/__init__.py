"""A product of two square matrices, step by step from three loops to the machine's limit.

Read `rungs` (the code of each step, written with the compiler's own builder), then `measure` (their times, in turns,
and the share of the limit). `python -m benchmarks.ladder` prints and draws it.
"""
