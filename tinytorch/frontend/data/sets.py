"""Data sets: samples by number, rows of arrays, parts of other data sets."""

from __future__ import annotations

from abc import ABC, abstractmethod
from bisect import bisect_right
from collections.abc import Iterable, Iterator, Mapping, Sequence
from numbers import Real
from typing import Any, Generic, TypeAlias, TypeVar, cast

import numpy as np
from numpy.typing import NDArray

from tinytorch.frontend import arguments
from tinytorch.frontend.arguments import ArgumentTypeError, ArgumentValueError
from tinytorch.frontend.binding import clear
from tinytorch.frontend.constructors import clear_subclass
from tinytorch.frontend.functions.random import Generator, randperm
from tinytorch.frontend.tensor import Tensor, from_numpy
from tinytorch.frontend.tree import flatten, unflatten
from tinytorch.ir.errors import RangeError, ShapeError
from tinytorch.ir.loc import user_loc
from tinytorch.ir.operators.promotion import joined
from tinytorch.ir.types import dtype_of

T_co = TypeVar("T_co", covariant=True)
Array: TypeAlias = NDArray[Any]
Indices: TypeAlias = NDArray[np.int64]
Batch: TypeAlias = Any  # an array, or tuples and dicts of batches


class Dataset(ABC, Generic[T_co]):
    """Samples by number: a sample is a Tensor, an array, a number, a string, or a tuple or dict of those."""

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        clear_subclass(cls)

    @abstractmethod
    def __len__(self) -> int: ...

    @abstractmethod
    def __getitem__(self, index: int) -> Any: ...

    def __add__(self, other: Dataset[Any]) -> ConcatDataset:
        return ConcatDataset([self, other])

    def __getitems__(self, indices: Indices) -> Batch:
        """The samples at `indices` as one batch of arrays, as they are stored; here: item by item, collated. A list is
        taken for samples, which are collated, too, as in PyTorch."""
        return collate([sample_at(self, int(index)) for index in indices])

    def decode(self, batch: Batch) -> Batch:
        """What a stored batch becomes before the model sees it; here: itself."""
        return batch


class ArrayDataset(Dataset[Any]):
    """Samples that are the rows of arrays of the same length; a batch is gathered in one go, not row by row."""

    def __init__(self, *arrays: Array) -> None:
        if not arrays:
            raise ArgumentValueError(f"{type(self).__name__}: needs at least one array", user_loc())
        for position, array in enumerate(arrays):
            if array.ndim == 0:
                raise ShapeError(f"{type(self).__name__}: array {position} has no axis of samples", user_loc())
            if len(array) != len(arrays[0]):
                raise ShapeError(
                    f"{type(self).__name__}: array {position} has {len(array)} samples, array 0 has {len(arrays[0])}",
                    user_loc(),
                )
        # Gathering rows copies blocks of memory if they are contiguous, and the whole array first if they are not.
        self.arrays: tuple[Array, ...] = tuple(np.ascontiguousarray(array) for array in arrays)

    def __len__(self) -> int:
        return len(self.arrays[0])

    def __getitem__(self, index: Any) -> tuple[Tensor, ...]:
        """The sample at an int, or a batch for a slice or an array of ints."""
        if isinstance(index, slice):
            index = np.arange(len(self))[index]
        selected = np.asarray(index)
        if selected.dtype == np.bool_:
            selected = np.flatnonzero(selected)
        batch = self.decode(self.__getitems__(np.atleast_1d(selected)))
        return tuple(from_numpy(array if selected.ndim else array[0, ...]) for array in batch)

    def __getitems__(self, indices: Indices) -> tuple[Array, ...]:
        return tuple(np.take(array, indices, axis=0) for array in self.arrays)

    @property
    def tensors(self) -> tuple[Tensor, ...]:
        """The arrays as tensors over the same memory."""
        return tuple(map(from_numpy, self.arrays))


class TensorDataset(ArrayDataset):
    """Rows of tensors (or arrays) of the same length; sample i is the tuple of rows i."""

    def __init__(self, *tensors: Tensor | Array) -> None:
        super().__init__(*(t.numpy() if isinstance(t, Tensor) else np.asarray(t) for t in tensors))


class Subset(Dataset[Any]):
    """The samples of `dataset` at `indices`, in that order."""

    def __init__(self, dataset: Dataset[Any], indices: Sequence[int] | Indices) -> None:
        chosen = np.asarray(indices, dtype=np.int64 if len(indices) == 0 else None)
        if chosen.ndim != 1 or chosen.dtype.kind not in "iu":
            raise ArgumentTypeError(
                f"Subset: indices must be a sequence of ints, got {chosen.dtype} of shape {chosen.shape}", user_loc()
            )
        if chosen.size and (int(chosen.min()) < 0 or int(chosen.max()) >= len(dataset)):
            raise RangeError(
                f"Subset: indices go from {chosen.min()} to {chosen.max()}, samples from 0 to {len(dataset) - 1}",
                user_loc(),
            )
        self.dataset = dataset
        self.indices: Indices = chosen.astype(np.int64)

    def __len__(self) -> int:
        return len(self.indices)

    def __getitem__(self, index: int) -> Any:
        return self.dataset[int(self.indices[index])]

    def __getitems__(self, indices: Indices) -> Batch:
        return gather(self.dataset, self.indices[indices])

    def decode(self, batch: Batch) -> Batch:
        return decode(self.dataset, batch)


class ConcatDataset(Dataset[Any]):
    """The samples of several data sets, one after the other. IndexError behind the last."""

    def __init__(self, datasets: Iterable[Any]) -> None:
        self.datasets = list(datasets)
        if not self.datasets:
            raise ArgumentValueError("ConcatDataset: there are no data sets", user_loc())
        for dataset in self.datasets:
            if not hasattr(dataset, "__len__") or not hasattr(dataset, "__getitem__"):
                raise ArgumentTypeError(f"ConcatDataset: {type(dataset).__name__} has no samples by number", user_loc())
        self.cumulative_sizes = np.cumsum([len(dataset) for dataset in self.datasets]).tolist()

    def __len__(self) -> int:
        return self.cumulative_sizes[-1]

    def __getitem__(self, index: int) -> Any:
        place = index + len(self) if index < 0 else index
        if not 0 <= place < len(self):
            raise RangeError(f"sample {index} of {len(self)}", user_loc())
        which = bisect_right(self.cumulative_sizes, place)
        return self.datasets[which][place - (self.cumulative_sizes[which - 1] if which else 0)]


class IterableDataset(ABC, Generic[T_co]):
    """Samples one after the other, of which nobody needs to know how many there are: `__iter__` gives them."""

    @abstractmethod
    def __iter__(self) -> Iterator[Any]: ...


class ChainDataset(IterableDataset[Any]):
    """The samples of several iterable data sets, one set after the other."""

    def __init__(self, datasets: Iterable[Any]) -> None:
        self.datasets = list(datasets)

    def __iter__(self) -> Iterator[Any]:
        for dataset in self.datasets:
            yield from dataset


@clear
def random_split(
    dataset: Any, lengths: Sequence[int | float], generator: Generator | None = None, *, seed: int = 0
) -> list[Subset]:
    """Disjoint random subsets of the given lengths, or fractions that add up to 1 (the first ones take the rest). The
    order is drawn from `generator`, or by `seed`."""
    arguments.instance("random_split", "generator", generator, Generator, optional=True)
    total = len(dataset)
    if any(isinstance(length, bool) or not isinstance(cast(object, length), Real) for length in lengths):
        raise ArgumentTypeError(f"random_split: lengths are ints or fractions, got {list(lengths)}", user_loc())
    if not all(length >= 0 for length in lengths):
        raise ArgumentValueError(f"random_split: negative length in {list(lengths)}", user_loc())
    if any(isinstance(length, float) for length in lengths):
        if abs(sum(lengths) - 1) > 1e-6:
            raise ArgumentValueError(
                f"random_split: fractions {list(lengths)} add up to {sum(lengths)}, not to 1", user_loc()
            )
        sizes = [int(total * fraction) for fraction in lengths]
        for position in range(total - sum(sizes)):
            sizes[position % len(sizes)] += 1
    else:
        sizes = [int(length) for length in lengths]
        if sum(sizes) != total:
            raise ArgumentValueError(
                f"random_split: lengths {sizes} add up to {sum(sizes)}, the data set has {total} samples", user_loc()
            )
    if generator is None:
        order = np.random.default_rng(seed).permutation(total)
    else:
        order = randperm(total, generator=generator).numpy()
    return [Subset(dataset, part) for part in np.split(order, np.cumsum(sizes)[:-1])]


def collate(samples: Sequence[Any]) -> Batch:
    """Samples of the same structure as one batch: arrays are stacked, numbers become int64, float32 or bool arrays,
    strings a list. Named tuples and kinds of dicts stay what they are."""
    kind = structure_of("collate", samples)
    if kind is Mapping:
        mappings = cast(Sequence[Mapping[Any, Any]], samples)
        return like(mappings[0], {key: collate([sample[key] for sample in mappings]) for key in mappings[0]})
    if kind is tuple:
        rows = cast(Sequence[Sequence[Any]], samples)
        return like(rows[0], tuple(collate(column) for column in zip(*rows, strict=True)))
    if kind is str:
        return list(samples)
    arrays = [array_in(position, sample) for position, sample in enumerate(samples)]
    for position, array in enumerate(arrays):
        if array.shape != arrays[0].shape:
            raise ShapeError(
                f"collate: sample {position} of the batch has shape {list(array.shape)}, sample 0 has "
                f"{list(arrays[0].shape)}; pad or crop them to one shape in __getitem__",
                user_loc(),
            )
    return stacked(arrays)


def stacked(arrays: Sequence[Array]) -> Array:
    """Arrays of one shape behind each other along a new first axis, in the dtype in which all of them meet."""
    found = {array.dtype for array in arrays}
    if len(found) == 1:
        return np.stack(arrays)
    return np.stack(arrays, dtype=joined(map(dtype_of, found)).numpy, casting="unsafe")


def like(sample: Any, batch: Any) -> Any:
    """`batch`, the items of a tuple or a dict, as the named tuple or the kind of dict that `sample` is."""
    if isinstance(sample, dict):
        items: Sequence[Any] = tuple(batch.values())
    elif hasattr(sample, "_fields"):
        items = batch
    else:
        return batch
    return unflatten(flatten(sample, [], lambda item: item is not sample), items)


def structure_of(what: str, samples: Sequence[Any]) -> type | None:
    """What the samples of a batch are: Mapping, tuple (lists, too), str (bytes, too), or None for values. They must be
    alike: of one kind, with the keys of the first, and of one length."""
    if not len(samples):
        raise ArgumentValueError(f"{what}: a batch has at least one sample, got none", user_loc())
    first, kind = samples[0], _kind_of(samples[0])
    for position, sample in enumerate(samples):
        if _kind_of(sample) is not kind:
            names = type(sample).__name__, type(first).__name__
            raise ArgumentTypeError(
                f"{what}: sample {position} of the batch is of type {names[0]}, sample 0 of type {names[1]}", user_loc()
            )
        if kind is Mapping and (missing := [key for key in first if key not in sample]):
            raise ArgumentValueError(
                f"{what}: sample {position} of the batch has no {missing[0]!r}, which sample 0 has", user_loc()
            )
    if kind is tuple and any(len(sample) != len(first) for sample in samples):
        raise ShapeError(f"{what}: samples have {sorted({len(s) for s in samples})} fields, not one number", user_loc())
    return kind


def _kind_of(sample: Any) -> type | None:
    if isinstance(sample, (str, bytes)):
        return str
    return Mapping if isinstance(sample, Mapping) else tuple if isinstance(sample, (tuple, list)) else None


def array_in(position: int, value: Any) -> Array:
    """A part of the sample at that place of a batch, as an array: of a tensor, its own memory; of a Python float, f32.
    ArgumentTypeError for anything that is neither an array nor a number of at most 64 bits."""
    if isinstance(value, Tensor):
        return value.numpy()
    if isinstance(value, float) and not isinstance(value, np.generic):
        return np.asarray(value, np.float32)
    array = np.asarray(value)
    if array.dtype.kind not in "fiubV" or (isinstance(value, int) and array.dtype == np.uint64):
        # V: the small floats of ml_dtypes
        what = "more than 64 bits hold" if isinstance(value, int) else "which is neither an array nor a number"
        raise ArgumentTypeError(
            f"collate: sample {position} of the batch holds {value!r:.60}, {what}; give the DataLoader a collate_fn",
            user_loc(),
        )
    return array


def gather(dataset: Any, indices: Indices) -> Batch:
    """The samples at `indices` as one batch of arrays, also of a data set that is not a Dataset."""
    if isinstance(dataset, Dataset):
        batch = cast(Dataset[Any], dataset).__getitems__(indices)
        return collate(cast("list[Any]", batch)) if isinstance(batch, list) else batch
    return collate([sample_at(dataset, int(index)) for index in indices])


def sample_at(dataset: Any, index: Any) -> Any:
    """`dataset[index]`; what that raises has a note that says which sample it was."""
    try:
        return dataset[index]
    except Exception as error:
        error.add_note(f"in sample {index} of {type(dataset).__name__}")
        raise


def decode(dataset: Any, batch: Batch) -> Batch:
    """`dataset.decode(batch)` where there is such a thing."""
    return cast(Dataset[Any], dataset).decode(batch) if isinstance(dataset, Dataset) else batch
