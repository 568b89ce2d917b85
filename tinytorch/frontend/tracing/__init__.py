"""Tracing, which turns a Python function into a graph.

To read, in this order: `arrays` and `numbers` (as operands), `traced` (what a trace leaves), `records` (what it keeps
of tensors), `trace` (the world in which the function runs), `opaque_results` (what it returns that is no tensor),
`closing` (the end of that world), `tracing` (all of it).
"""

from tinytorch.frontend.tracing.tracing import trace

__all__ = ["trace"]
