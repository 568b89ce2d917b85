"""The threads that run kernels, and what the machine can do at best.

Read `code` (the thread pool's machine code), `pool` (the pool as Python sees it) and `peaks` (rates, measured).
"""
