"""What is compared: models under names, and the data on which they are."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Any, cast

import numpy as np

from tinytorch.frontend import arguments
from tinytorch.frontend.data import DataLoader, Dataset
from tinytorch.frontend.module import Module
from tinytorch.frontend.profiling.inputs import Model, is_compiled, name_of, plain, tensors_in
from tinytorch.frontend.profiling.memory import arena_of, bytes_of, peak_bytes
from tinytorch.frontend.tensor import Tensor
from tinytorch.ir.errors import ShapeError, TinyTorchError
from tinytorch.ir.loc import user_loc
from tinytorch.ir.op import Array
from tinytorch.ir.ops.core import constant

_WHAT = "compare_models"


@dataclass(frozen=True)
class Named:
    """Around what is done with one model: an error says which one it was."""

    name: str

    def __enter__(self) -> None:
        return None

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, where: TracebackType | None
    ) -> None:
        if error is not None:
            error.add_note(f"this was the model {self.name!r} of compare_models")


def named_models(models: Any) -> dict[str, Model]:
    """The models by name: those of a mapping, or of a list by their classes, numbered where these are alike."""
    if isinstance(models, Mapping):
        found = {str(name): model for name, model in cast("Mapping[Any, Any]", models).items()}
        if len(found) < len(cast("Mapping[Any, Any]", models)):
            raise arguments.wrong_value(_WHAT, "models", "a mapping of different names", list(found))
    elif isinstance(models, (list, tuple)):
        listed = list(cast("Sequence[Any]", models))
        names = [name_of(model) for model in listed]
        alike, seen = Counter(names), Counter[str]()
        found = dict[str, Any]()
        for name, model in zip(names, listed, strict=True):
            seen[name] += 1
            found[f"{name} {seen[name]}" if alike[name] > 1 else name] = model
    else:
        raise arguments.wrong_type(_WHAT, "models", "a mapping of names to models, or a list of models", models)
    if not found:
        raise arguments.wrong_value(_WHAT, "models", "at least one model", models)
    for name, model in found.items():
        arguments.function(_WHAT, f"model {name!r}", model)
    return found


# The data.
@dataclass(frozen=True)
class Batches:
    """Pairs (inputs, targets), again and again: of a loader, a data set, a list of pairs, one pair of tensors or arrays
    (in batches of `batch_size`), or tensors without targets, which are then None."""

    data: Any
    batch_size: int

    def __iter__(self) -> Iterator[tuple[tuple[Any, ...], Any]]:
        for inputs, targets in self._pairs():
            yield _several(inputs), targets

    def _pairs(self) -> Iterable[tuple[Any, Any]]:
        data = self.data
        if isinstance(data, (Tensor, np.ndarray)):
            return self._cut(data, None)
        if isinstance(data, (tuple, list)):
            items = list(cast("Sequence[Any]", data))
            if len(items) == 2 and all(isinstance(x, (Tensor, np.ndarray)) for x in items):
                return self._cut(items[0], items[1])
        return map(_pair, DataLoader(data, self.batch_size) if isinstance(data, Dataset) else data)

    def _cut(self, inputs: Any, targets: Any) -> Iterator[tuple[Any, Any]]:
        if targets is not None and len(targets) != len(inputs):
            raise ShapeError(f"Benchmark: {len(inputs)} inputs, but {len(targets)} targets", user_loc())
        for at in range(0, len(inputs), self.batch_size):
            until = at + self.batch_size
            yield inputs[at:until], None if targets is None else targets[at:until]

    def first(self) -> tuple[Any, ...]:
        """The inputs of the first batch."""
        for inputs, _ in self:
            return inputs
        raise TinyTorchError("Benchmark: the data has no batch", user_loc())


def batches_of(data: Any, batch_size: int) -> Batches:
    """The batches of what users call data; an error for what gives none, or gives them once."""
    if not isinstance(data, Dataset) and (isinstance(data, (str, bytes, Mapping)) or not hasattr(data, "__iter__")):
        raise arguments.wrong_type("Benchmark", "data", "batches, a data set, or tensors", data)
    if hasattr(data, "__next__"):
        raise arguments.wrong_type(
            "Benchmark", "data", "something that can be gone through again, such as a list", data
        )
    return Batches(data, batch_size)


def _pair(batch: Any) -> tuple[Any, Any]:
    if isinstance(batch, (tuple, list)) and len(cast("Sequence[Any]", batch)) == 2:
        return cast("tuple[Any, Any]", tuple(cast("Sequence[Any]", batch)))
    got = f"{len(cast('Sequence[Any]', batch))} things" if isinstance(batch, (tuple, list)) else type(batch).__name__
    raise TinyTorchError(f"Benchmark: the data gives pairs (inputs, targets), but a batch is {got}", user_loc())


def _several(inputs: Any) -> tuple[Any, ...]:
    listed = list(cast("Sequence[Any]", inputs)) if isinstance(inputs, (tuple, list)) else [inputs]
    return tuple(Tensor(x) if isinstance(x, np.ndarray) else x for x in listed)


# What can be said of a model.
def largest_scores(prediction: Any, targets: Any) -> Array:
    """Where the largest score is that of the target class, the default of `hits`: of scores [N, C, …] as losses take
    them, or [N, …, C] where only that fits; targets are integers [N, …]."""
    known = np.asarray(targets.numpy() if isinstance(targets, Tensor) else targets)
    scores = prediction.numpy() if isinstance(prediction, Tensor) else np.asarray(prediction)
    if known.dtype.kind not in "iu" or scores.ndim != known.ndim + 1 or not scores.size:
        raise _no_accuracy(scores, known)
    for axis in (min(1, scores.ndim - 1), scores.ndim - 1):
        if scores.shape[:axis] + scores.shape[axis + 1 :] == known.shape:
            return np.where(np.isnan(scores).any(axis), -1, scores.argmax(axis)) == known
    raise _no_accuracy(scores, known)


def _no_accuracy(scores: Array, known: Array) -> ShapeError:
    return ShapeError(
        f"Benchmark: there is no accuracy of results {scores.dtype}{list(scores.shape)} for targets {known.dtype}"
        f"{list(known.shape)}; scores are [N, C, …] or [N, …, C], targets integers [N, …]. Pass hits=, a function of "
        "both, or leave accuracy out of the metrics",
        user_loc(),
    )


def stored_bytes(model: Model) -> int | None:
    """The bytes of a module's parameters and buffers as they can be stored: of a tensor with many zeros, its other
    elements and one bit for each element. None for what is no module."""
    found = plain(model)
    if not isinstance(found, Module):
        return None
    return sum(_stored(t) for t in {id(t): t for t in (*found.parameters(), *found.buffers())}.values())


def _stored(tensor: Tensor) -> int:
    size, count = tensor.dtype.size, tensor.numel()
    return min(count * size, int(np.count_nonzero(tensor.numpy())) * size + -(-count // 8))


def memory_of_call(model: Model, inputs: tuple[Any, ...]) -> int:
    """The bytes of a call that has been made before. Compiled: all that its graph reads (weights, as kernels want them
    where they are frozen, inputs), its results, and the arena. Eager: parameters, buffers, inputs, and the most that
    numpy and Python hold meanwhile."""
    if is_compiled(model):
        model(*inputs)
        graph = cast("Any", model).graph
        constants = sum(node.attrs["value"].nbytes for node in graph.nodes if node.op is constant)
        renewed = {graph.outputs[index] for _, index in graph.state}  # in the memory of inputs
        moved = sum(v.type.bytes for v in {*graph.inputs, *graph.outputs}.difference(renewed))
        return constants + moved + arena_of(model)
    held = [*model.parameters(), *model.buffers()] if isinstance(model, Module) else []
    return bytes_of(held) + bytes_of(tensors_in(inputs)) + peak_bytes(lambda: model(*inputs))
