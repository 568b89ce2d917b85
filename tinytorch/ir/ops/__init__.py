"""The ops, by family; importing this enters them all in the registry."""

from tinytorch.ir.ops import composite, contract, core, elementwise, index, random, reduce, view

__all__ = ["composite", "contract", "core", "elementwise", "index", "random", "reduce", "view"]
