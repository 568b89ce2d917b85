"""Compiled functions outside of the process that compiled them.

Read `record` (what a compiled function is without Python), `text` (as tensors and text, and back, with every check),
and `loaded` (what `tt.load` gives).
"""
