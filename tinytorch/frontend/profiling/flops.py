"""Operations of a forward, from the records of the ops in its traced graph: nothing runs.

A multiply-add counts as two, as everywhere here; MACs, which others count, are half of the products' operations. For
a product [m, k] @ [k, n] that is 2 m n k; for a convolution 2 · results · window · channels / groups, whatever the
padding; for attention 2 (d + dv) + 5 for each query and key that it sees (half of them, where it is causal), 5 being
its softmax; for a sum its terms, for elementwise ops one for each result; looking up one for each index, whose range
is checked; reading and moving none.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any, NoReturn, Self

from tinytorch.frontend.module import Module
from tinytorch.frontend.profiling.inputs import Model, evaluating, name_of, plain
from tinytorch.frontend.profiling.tables import in_columns
from tinytorch.frontend.tensor import Tensor
from tinytorch.frontend.tensor.mode import TraceAgain
from tinytorch.frontend.tracing import trace
from tinytorch.ir.errors import TraceError
from tinytorch.ir.graph import Graph
from tinytorch.ir.loc import user_loc
from tinytorch.ir.text.units import count


class Flops(int):
    """The operations of a forward: a number, with those of each part beside it.

    `modules` has those of each module by its name in the model, what is below it included ("" is the model itself);
    `ops` those of each kind of op.
    """

    modules: Mapping[str, int]
    ops: Mapping[str, int]

    def __new__(cls, modules: Mapping[str, int], ops: Mapping[str, int]) -> Self:
        made = super().__new__(cls, sum(ops.values()))
        made.modules, made.ops = dict(modules), dict(ops)
        return made

    def __reduce__(self) -> tuple[Any, ...]:
        """For copies and pickles."""
        return type(self), (self.modules, self.ops)

    def table(self) -> str:
        """A row for each module."""
        rows = [(name or "(all)", f"{number:,}", _share(number, self)) for name, number in self.modules.items()]
        return in_columns(("module", "FLOPs", "share"), rows) + f"\n{count(self)} FLOPs"


def _share(part: int, whole: int) -> str:
    return f"{part / whole:.1%}" if whole else "–"


def count_flops(model: Model, inputs: tuple[Any, ...]) -> Flops:
    """Trace `model` in evaluation mode, and count."""
    scopes, ops = counted(_traced(model, inputs))
    found = plain(model)
    names = [name for name, _ in found.named_modules()] if isinstance(found, Module) else [""]
    paths = {name: f"{type(found).__name__}.{name}" for name in names if name}
    modules = {name: sum(n for scope, n in scopes.items() if _within(scope, path)) for name, path in paths.items()}
    return Flops({"": sum(ops.values()), **modules}, dict(ops.most_common()))


def counted(graph: Graph) -> tuple[Counter[str], Counter[str]]:
    """The operations of the nodes: by the scope in which each was made ("" where that is not known), and by the name
    of its op, of which those that cost nothing are left out."""
    scopes: Counter[str] = Counter()
    ops: Counter[str] = Counter()
    for node in graph.nodes:
        scopes[node.loc.scope if node.loc else ""] += node.flops
        if node.flops:
            ops[node.op.name] += node.flops
    return scopes, ops


def _within(scope: str, path: str) -> bool:
    return scope == path or scope.startswith(f"{path}.")


def _traced(model: Model, inputs: tuple[Any, ...]) -> Graph:
    tensors = list({id(x): x for x in inputs if isinstance(x, Tensor)}.values())
    names = [f"x{i}" for i in range(len(tensors))]
    while True:
        try:
            with evaluating(model):
                return trace(plain(model), inputs, {}, tensors, names, _no_gradients, name_of(model)).graph
        except TraceAgain:  # Python state that is there now
            continue


def _no_gradients(builder: Any, seeds: Any, wrt: Any) -> NoReturn:
    raise TraceError("count_flops counts a forward, but the model computes gradients in it", user_loc())
