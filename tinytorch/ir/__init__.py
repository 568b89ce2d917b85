"""The language: ops, types, graphs, and what reads and writes them. Imports nothing of the other rooms."""

# Before all else here: composites are defined in arithmetic on operands, which applies the simpler ops. So whichever
# module is asked for first, the ops come in the order of their definitions.
from tinytorch.ir import ops as ops
