"""Compiled functions outside of the process that compiled them: in files, and as object files for programs in C.

Read `record` (what a compiled function is without Python), `text` (as tensors and text, and back, with every check),
`export` (object files), and `loaded` (what `tt.load` gives).
"""
