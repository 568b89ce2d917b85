"""A model as a table: each module with the shape of its result and how many parameters it has."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, cast

from tinytorch.frontend import arguments
from tinytorch.frontend.functions.creation import zeros
from tinytorch.frontend.module.module import Module
from tinytorch.frontend.tensor import Tensor
from tinytorch.frontend.tensor.gradients import grad_mode
from tinytorch.ir.characters import printable


@dataclass(frozen=True)
class Row:
    """A module: its name in the model ("" of the model itself), its class, the shapes of the tensors that it gave, and
    the number of elements in parameters of its own, those of modules below it left out."""

    name: str
    kind: str
    shapes: tuple[tuple[int, ...], ...]
    parameters: int

    @property
    def depth(self) -> int:
        return self.name.count(".") + 1 if self.name else 0


@dataclass(frozen=True)
class Summary:
    """The modules of a model in the order of its tree; printed, it is a table. `bytes` are those of the parameters."""

    rows: tuple[Row, ...]
    parameters: int
    trainable: int
    bytes: int

    def __str__(self) -> str:
        cells = [("module", "result", "parameters")]
        for row in self.rows:
            own = row.name.rpartition(".")[2]
            label = "  " * row.depth + (f"{row.kind}" if not own else f"({own}) {row.kind}")
            shapes = ", ".join(str(list(shape)) for shape in row.shapes) or "–"
            cells.append((label, shapes, f"{row.parameters:,}" if row.parameters else ""))
        widths = [max(len(line[i]) for line in cells) for i in range(3)]
        lines = [f"{a:<{widths[0]}}  {b:<{widths[1]}}  {c:>{widths[2]}}".rstrip() for a, b, c in cells]
        rule = "─" * (sum(widths) + 4)
        frozen = self.parameters - self.trainable
        total = f"{self.parameters:,} parameters" + (f", {frozen:,} of them frozen" if frozen else "")
        return printable("\n".join([lines[0], rule, *lines[1:], rule, f"{total}; {self.bytes / 2**20:,.2f} MiB"]))

    __repr__ = __str__


def summary(model: Module, *inputs: Any) -> Summary:
    """Run `model` once on `inputs`, without gradients and in evaluation mode, and list its modules.

    Each of `inputs` is a tensor, or a shape, which stands for zeros of f32. A module that is called several times is
    listed once, with the result of its last call; one that is not called has no result.
    """
    arguments.instance("summary", "model", model, Module)
    given = [_input(x) for x in inputs]
    results: dict[int, Any] = {}

    def keep(module: Module, args: Any, result: Any) -> None:
        results[id(module)] = result

    modules = dict(model.named_modules())
    modes = {name: module.training for name, module in modules.items()}
    handles = [module.register_forward_hook(keep) for module in modules.values()]
    try:
        model.eval()
        with grad_mode(False):
            model(*given)
    finally:
        for handle in handles:
            handle.remove()
        for name, module in modules.items():
            module.training = modes[name]
    seen: set[int] = set()
    rows = tuple(
        Row(name, type(module).__name__, tuple(_shapes(results.get(id(module)))), _count(module, seen))
        for name, module in modules.items()
    )
    parameters = model.parameters()
    trainable = sum(p.numel() for p in parameters if p.requires_grad)
    return Summary(
        rows, sum(p.numel() for p in parameters), trainable, sum(p.numel() * p.dtype.size for p in parameters)
    )


def _input(x: Any) -> Any:
    is_shape = isinstance(x, (tuple, list)) and bool(cast("Sequence[Any]", x)) and all(type(d) is int for d in x)  # pyright: ignore[reportUnknownVariableType]
    return zeros(*cast("Sequence[int]", x)) if is_shape else x


def _shapes(result: Any) -> list[tuple[int, ...]]:
    """Of the tensors in what a module gave."""
    if isinstance(result, Tensor):
        return [result.shape]
    parts: Any = result.values() if isinstance(result, dict) else result if isinstance(result, (tuple, list)) else ()  # pyright: ignore[reportUnknownVariableType]
    return [shape for part in parts for shape in _shapes(part)]


def _count(module: Module, seen: set[int]) -> int:
    """Elements of the parameters of the module itself that no module before it has."""
    own = [p for p in module.parameters(recurse=False) if id(p) not in seen]
    seen.update(map(id, own))
    return sum(p.numel() for p in own)
