"""Batches of samples as PyTorch makes them, for `collate_fn` and for those who call it themselves."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, cast

import numpy as np

from tinytorch.frontend.arguments import ArgumentTypeError
from tinytorch.frontend.binding import clear
from tinytorch.frontend.data.sets import like, structure_of
from tinytorch.frontend.functions.basic import stack
from tinytorch.frontend.functions.creation import tensor
from tinytorch.frontend.tensor import Tensor, from_numpy
from tinytorch.ir.loc import user_loc
from tinytorch.ir.types import f64


@clear
def default_collate(batch: Sequence[Any]) -> Any:
    """A list of samples as one batch: tensors and arrays are stacked, floats become f64, integers i64, strings stay a
    list, and samples that are tuples, lists or mappings become such of batches (a tuple a list, as in PyTorch).

    `DataLoader` without a `collate_fn` makes floats f32 and keeps tuples.
    """
    kind = structure_of("default_collate", batch)
    first: Any = batch[0]
    if isinstance(first, Tensor):
        return stack(list(batch))
    if isinstance(first, np.ndarray):
        return stack([from_numpy(np.asarray(item)) for item in batch])
    if isinstance(first, (bool, np.bool_, int, np.integer)):
        return tensor(np.asarray(batch))
    if isinstance(first, (float, np.floating)):
        return tensor(np.asarray(batch), dtype=None if isinstance(first, np.generic) else f64)
    if kind is str:
        return list(batch)
    if kind is Mapping:
        rows = cast("Sequence[Mapping[Any, Any]]", batch)
        return like(first, {key: default_collate([row[key] for row in rows]) for key in rows[0]})
    if kind is tuple:
        fields = cast("Sequence[Sequence[Any]]", batch)
        return like(first, [default_collate(column) for column in zip(*fields, strict=True)])
    raise ArgumentTypeError(
        f"default_collate: samples are tensors, arrays, numbers, strings, or containers of these, got "
        f"{type(first).__name__}; give the DataLoader a collate_fn",
        user_loc(),
    )


def default_convert(data: Any) -> Any:
    """Arrays in a sample as tensors; all else as it is."""
    if isinstance(data, (np.ndarray, np.generic)):
        return from_numpy(np.asarray(data)) if data.dtype.kind in "fiub" else data
    if isinstance(data, Mapping):
        items = cast("Mapping[Any, Any]", data)
        return like(items, {key: default_convert(value) for key, value in items.items()})
    if isinstance(data, (tuple, list)):
        parts = cast("Sequence[Any]", data)
        return like(parts, [default_convert(part) for part in parts])
    return data
