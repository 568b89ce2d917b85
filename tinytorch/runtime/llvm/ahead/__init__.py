"""Object files that programs in C link: a graph's code, its threads and its weights, with nothing of Python.

Read `memory` (where in the object's data and in a caller's buffers what begins), `interface` (the functions that C
calls, in machine code), `header` (the same in C), and `objects` (the backend that joins them).
"""
