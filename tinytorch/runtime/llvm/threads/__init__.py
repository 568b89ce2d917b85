"""The threads that run kernels, and what the machine can do at best.

Read `pool` (the pool as Python sees it), `code` (its machine code), `peaks` (rates, measured).
"""
