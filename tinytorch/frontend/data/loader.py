"""Loaders: batches of tensors, shuffled from a seed, prepared in the background.

| what | memory | time |
| --- | --- | --- |
| images in RAM as uint8: MNIST, CIFAR-10 | n bytes for n pixels, in every process | one gather per batch |
| arrays of your own, memory-mapped | the pages that are touched, shared between processes | the same |
| images in RAM as float32 | 4 n bytes | no conversion per batch |

Images stay uint8 in storage and become float32 a batch at a time, in the thread that works ahead of the training
step: a fourth of the memory for a conversion that the step hides.
"""

from __future__ import annotations

import operator
from collections.abc import Generator, Iterator, Mapping
from functools import partial
from typing import Any, cast

import numpy as np

from tinytorch.frontend import arguments
from tinytorch.frontend.data.augment import Transform
from tinytorch.frontend.data.prefetch import prefetched
from tinytorch.frontend.data.sets import Batch, Indices, decode, gather
from tinytorch.frontend.tensor import Tensor, from_numpy
from tinytorch.ir.loc import user_loc


class DataLoader:
    """Batches of a data set, as Tensors (in the structure of a sample), for one epoch per loop.

    dataset: a Dataset, or anything with `__len__` and `__getitem__`.
    shuffle: a new order each epoch, which `seed` and the number of the epoch determine.
    drop_last: leave out a last batch that is smaller than `batch_size`.
    prefetch: how many batches a background thread may be ahead; 0 works in the loop itself.
    transform: `transform(batch, generator) -> batch`, for augmentation (see `augment`), on arrays as they are
        stored (images: uint8), before they are scaled. The generator depends on seed, epoch and batch alone, so that
        a resumed run sees the same crops and flips.
    """

    def __init__(
        self,
        dataset: Any,
        batch_size: int = 1,
        shuffle: bool = False,
        *,
        seed: int = 0,
        drop_last: bool = False,
        prefetch: int = 2,
        transform: Transform | None = None,
    ) -> None:
        if not hasattr(dataset, "__len__") or not hasattr(dataset, "__getitem__"):
            raise arguments.ArgumentTypeError(
                f"DataLoader: {type(dataset).__name__} is no data set: needs __len__ and __getitem__", user_loc()
            )
        self.dataset = dataset
        self.batch_size = _at_least(1, "batch_size", batch_size)
        self.shuffle = arguments.flag("DataLoader", "shuffle", shuffle)
        self.seed = _at_least(0, "seed", seed)
        self.drop_last = arguments.flag("DataLoader", "drop_last", drop_last)
        self.prefetch = _at_least(0, "prefetch", prefetch)
        arguments.function("DataLoader", "transform", transform, optional=True)
        self.transform = transform
        self._epoch = 0
        self._position = 0  # batches of this epoch that have been handed out
        self._resumed = False
        self._current = object()  # the loop whose progress counts: the one begun last

    def __len__(self) -> int:
        """Batches per epoch."""
        count = len(self.dataset)
        return count // self.batch_size if self.drop_last else -(-count // self.batch_size)

    def __iter__(self) -> Iterator[Any]:
        if self._position and not self._resumed:  # the loop before was left early
            self._epoch, self._position = self._epoch + 1, 0
        self._resumed = False
        self._current = object()
        return self._run(self._current, self._epoch, range(self._position, len(self)))

    def _run(self, me: object, epoch: int, numbers: range) -> Generator[Any]:
        produce = partial(self._batch, epoch, self._order(epoch))
        batches = prefetched(produce, numbers, self.prefetch)
        try:
            for number, batch in zip(numbers, batches, strict=True):
                if self._current is me:
                    self._position = number + 1
                yield _to_tensors(batch)
        finally:
            batches.close()
        if self._current is me:
            self._epoch, self._position = epoch + 1, 0

    def _order(self, epoch: int) -> Indices:
        count = len(self.dataset)
        return self._generator(epoch, 0).permutation(count) if self.shuffle else np.arange(count)

    def _batch(self, epoch: int, order: Indices, number: int) -> Batch:
        start = number * self.batch_size
        batch = gather(self.dataset, order[start : start + self.batch_size])
        if self.transform is not None:
            batch = self.transform(batch, self._generator(epoch, number + 1))
        return decode(self.dataset, batch)

    def _generator(self, epoch: int, stream: int) -> np.random.Generator:
        return np.random.default_rng(np.random.SeedSequence(self.seed, spawn_key=(epoch, stream)))

    def state_dict(self) -> dict[str, int]:
        """Where the loader is: after loading it, the next loop goes on with the batch after the last one handed out."""
        return {
            "epoch": self._epoch,
            "position": self._position,
            "seed": self.seed,
            "batch_size": self.batch_size,
            "samples": len(self.dataset),
        }

    def load_state_dict(self, state: Mapping[str, int]) -> None:
        """Go on where `state` was taken; ValueError if that was in the midst of an epoch of other batches."""
        position = int(state["position"])
        for name, mine in (("batch_size", self.batch_size), ("samples", len(self.dataset))):
            if position and int(state[name]) != mine:
                raise ValueError(
                    f"DataLoader: the state is from batch {position} of an epoch with {name} {state[name]}, "
                    f"this loader has {name} {mine}: it cannot go on from there"
                )
        self.seed = int(state["seed"])
        self._epoch, self._position = int(state["epoch"]), position
        self._resumed = True
        self._current = object()


def _to_tensors(batch: Batch) -> Any:
    if isinstance(batch, Mapping):
        return {key: _to_tensors(value) for key, value in cast(Mapping[Any, Any], batch).items()}
    if isinstance(batch, tuple):
        return tuple(_to_tensors(value) for value in cast(tuple[Any, ...], batch))
    return batch if isinstance(batch, Tensor) else from_numpy(np.asarray(batch))


def _at_least(least: int, name: str, value: Any) -> int:
    if isinstance(value, bool) or not hasattr(value, "__index__"):
        raise arguments.ArgumentTypeError(f"DataLoader: {name} must be an int, got {value!r}", user_loc())
    number = operator.index(value)
    if number < least:
        raise arguments.ArgumentValueError(f"DataLoader: {name} must be at least {least}, got {number}", user_loc())
    return number
