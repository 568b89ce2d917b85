"""Kernels that move elements: one node of operands from outside."""

from __future__ import annotations

from functools import partial

from tinytorch.ir.graph import Graph, Node
from tinytorch.ir.kernels.family import Family, FormError
from tinytorch.ir.op import Op
from tinytorch.ir.ops.index import dynamic_slice, gather, scatter, scatter_add, scatter_reduce, update_slice
from tinytorch.ir.ops.scan import cummax, cummin, cumprod, cumsum, linear_scan, logcumsumexp
from tinytorch.ir.ops.view import concat, pad


def check_alone(kernel: Node, ops: frozenset[Op]) -> None:
    """One node of operands from outside of the kernel."""
    body: Graph = kernel.attrs["body"]
    node = body.nodes[0]
    if not (len(body.nodes) == 1 and node.op in ops and set(node.inputs) <= set(body.inputs)):
        raise FormError(f"a kernel of the family {kernel.attrs['family']!r} cannot have this body", kernel)


SCANS = frozenset({cumsum, cumprod, linear_scan, logcumsumexp, cummax, cummin})
_OPS = frozenset({dynamic_slice, gather, scatter, scatter_add, scatter_reduce, update_slice, pad, concat, *SCANS})
INDEX = Family("index", partial(check_alone, ops=_OPS), ops=_OPS)
