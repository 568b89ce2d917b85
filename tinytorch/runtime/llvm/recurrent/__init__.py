"""Kernels of recurrent layers: all steps of some rows of the batch in one function.

In the order to read them: `product` (with packed weights), `cell` (a step, lane by lane), `kernel`.
"""
