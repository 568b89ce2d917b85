"""Graph to numbers.

Read `arena`, `joined` (operands that lie in what they are joined to) and `schedule` (kernels in waves, every value with
its place in memory), then `cache` (the disk cache), `memory` (what is kept between calls), `roofline` (peak rates),
`thread_count`, `backend` (the seam that backends stand behind), `ahead` (what object files for C take), `executable` (a
graph made ready to run), `measure` (its kernels, one by one), `python_call` (calls of programs that are Python
functions), `interpreter`, and the backend `llvm`.
"""
