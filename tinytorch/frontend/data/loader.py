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
import warnings
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence, Sized
from functools import partial
from itertools import islice
from typing import Any, cast

import numpy as np

from tinytorch.frontend import arguments
from tinytorch.frontend.constructors import clearly_made
from tinytorch.frontend.data.augment import Transform
from tinytorch.frontend.data.collating import default_convert
from tinytorch.frontend.data.prefetch import prefetched
from tinytorch.frontend.data.samplers import BatchSampler
from tinytorch.frontend.data.sets import Batch, Indices, IterableDataset, collate, decode, gather
from tinytorch.frontend.functions.random import Generator as RandomGenerator
from tinytorch.frontend.functions.random import randperm
from tinytorch.frontend.tensor import Tensor, from_numpy
from tinytorch.ir.errors import TinyTorchError
from tinytorch.ir.loc import user_loc

NAME = "DataLoader"


@clearly_made
class DataLoader:
    """Batches of a data set, as Tensors (in the structure of a sample), for one epoch per loop.

    dataset: a Dataset, or anything with `__len__` and `__getitem__`; or an IterableDataset.
    batch_size: None gives the samples one by one, without an axis of samples.
    shuffle: a new order each epoch, which `generator`, or else `seed` and the number of the epoch determine.
    sampler, batch_sampler: give the order instead, as indices or as lists of them (see `samplers`).
    collate_fn: makes a batch of a list of samples; what it returns is handed out as it is.
    drop_last: leave out a last batch that is smaller than `batch_size`.
    prefetch: how many batches a background thread may be ahead; 0 works in the loop itself. Samplers, iterable data
        sets and `collate_fn` always do that.
    transform: `transform(batch, generator) -> batch`, for augmentation (see `augment`), on arrays as they are
        stored (images: uint8), before they are scaled. The generator depends on seed, epoch and batch alone, so that
        a resumed run sees the same crops and flips.

    The other arguments are those of torch.utils.data.DataLoader that say how processes load batches. There are none:
    `num_workers` above 0 and `pin_memory` are read as 0 and False, with a warning.
    """

    def __init__(
        self,
        dataset: Any,
        batch_size: int | None = 1,
        shuffle: bool | None = None,
        sampler: Iterable[int] | None = None,
        batch_sampler: Iterable[Sequence[int]] | None = None,
        num_workers: int = 0,
        collate_fn: Callable[[list[Any]], Any] | None = None,
        pin_memory: bool = False,
        drop_last: bool = False,
        timeout: float = 0,
        worker_init_fn: Callable[[int], None] | None = None,
        multiprocessing_context: Any = None,
        generator: RandomGenerator | None = None,
        *,
        seed: int = 0,
        prefetch: int = 2,
        transform: Transform | None = None,
        prefetch_factor: int | None = None,
        persistent_workers: bool = False,
        pin_memory_device: str = "",
        in_order: bool = True,
    ) -> None:
        self._iterates = isinstance(dataset, IterableDataset)
        if not self._iterates and not (hasattr(dataset, "__len__") and hasattr(dataset, "__getitem__")):
            raise arguments.ArgumentTypeError(
                f"DataLoader: {type(dataset).__name__} is no data set: needs __len__ and __getitem__", user_loc()
            )
        self.dataset = dataset
        self.batch_size = None if batch_size is None else _at_least(1, "batch_size", batch_size)
        self.shuffle = arguments.flag(NAME, "shuffle", False if shuffle is None else shuffle)
        self.seed = _at_least(0, "seed", seed)
        self.drop_last = arguments.flag(NAME, "drop_last", drop_last)
        self.prefetch = _at_least(0, "prefetch", prefetch)
        for name, function in (("transform", transform), ("collate_fn", collate_fn)):
            arguments.function(NAME, name, function, optional=True)
        self.transform, self.collate_fn = transform, collate_fn
        arguments.instance(NAME, "generator", generator, RandomGenerator, optional=True)
        self.generator = generator
        self._take_order(sampler, batch_sampler)
        _without_processes(num_workers, pin_memory, persistent_workers)
        self._epoch = 0
        self._position = 0  # batches of this epoch that have been handed out
        self._resumed = False
        self._drawn_from: Any = None  # the state of the generator before it drew the order of this epoch
        self._current = object()  # the loop whose progress counts: the one begun last

    def _take_order(self, sampler: Any, batch_sampler: Any) -> None:
        """Check and keep samplers, of which at most one kind is given, and nothing that they decide themselves."""
        for name, given in (("sampler", sampler), ("batch_sampler", batch_sampler)):
            if given is not None and not isinstance(given, Iterable):
                raise arguments.wrong_type(NAME, name, "an iterable of indices", given)
        if self._iterates and (sampler is not None or batch_sampler is not None or self.shuffle):
            raise TinyTorchError(f"{NAME}: an IterableDataset has its own order: no shuffle, no sampler", user_loc())
        if sampler is not None and self.shuffle:
            raise TinyTorchError(f"{NAME}: a sampler gives the order; leave out shuffle", user_loc())
        if batch_sampler is not None and (
            self.batch_size != 1 or self.shuffle or sampler is not None or self.drop_last
        ):
            raise TinyTorchError(
                f"{NAME}: a batch_sampler decides; leave out batch_size, shuffle, sampler and drop_last", user_loc()
            )
        if self.batch_size is None and self.drop_last:
            raise TinyTorchError(f"{NAME}: batch_size=None gives single samples: there is no last batch", user_loc())
        by_samples = sampler is not None or batch_sampler is not None or self._iterates or self.batch_size is None
        if self.transform is not None and (by_samples or self.collate_fn is not None):
            raise TinyTorchError(f"{NAME}: transform works on batches of arrays; use collate_fn here", user_loc())
        self.sampler, self.batch_sampler = sampler, batch_sampler
        self._by_samples = by_samples or self.collate_fn is not None

    def __len__(self) -> int:
        """Batches per epoch."""
        if self.batch_sampler is not None:
            return _length(self.batch_sampler)
        count = _length(self.dataset if self.sampler is None else self.sampler)
        if self.batch_size is None:
            return count
        return count // self.batch_size if self.drop_last else -(-count // self.batch_size)

    def __iter__(self) -> Iterator[Any]:
        if self._position and not self._resumed:  # the loop before was left early
            self._epoch, self._position = self._epoch + 1, 0
        self._resumed = False
        self._current = object()
        if self.generator is not None:
            self._drawn_from = self.generator.get_state().tolist()
        run = self._run_samples if self._by_samples else self._run_arrays
        return run(self._current, self._epoch, self._position)

    def _run_arrays(self, me: object, epoch: int, position: int) -> Generator[Any]:
        """Batches that are gathered as arrays, ahead of the loop."""
        produce, numbers = partial(self._batch, epoch, self._order(epoch)), range(position, len(self))
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

    def _run_samples(self, me: object, epoch: int, position: int) -> Generator[Any]:
        """Batches of samples that are taken one by one."""
        for number, batch in enumerate(islice(self._batches(epoch), position, None), position):
            made = batch()
            if self._current is me:
                self._position = number + 1
            yield made
        if self._current is me:
            self._epoch, self._position = epoch + 1, 0

    def _batches(self, epoch: int) -> Iterator[Callable[[], Any]]:
        """What makes each of the batches of an epoch."""
        if self._iterates:
            samples: Iterable[Any] = self.dataset
            take: Callable[[Any], Any] = _itself
        else:
            samples = self._order(epoch).tolist() if self.sampler is None else self.sampler
            take = self.dataset.__getitem__
        if self.batch_size is None and self.batch_sampler is None:
            convert = self.collate_fn or default_convert
            return (partial(lambda s: convert(take(s)), sample) for sample in samples)
        groups = self.batch_sampler
        if groups is None:
            groups = BatchSampler(samples, self.batch_size or 1, self.drop_last)
        return (partial(lambda g: self._collated([take(s) for s in g]), group) for group in groups)

    def _collated(self, samples: list[Any]) -> Any:
        return _to_tensors(collate(samples)) if self.collate_fn is None else self.collate_fn(samples)

    def _order(self, epoch: int) -> Indices:
        count = len(self.dataset)
        if not self.shuffle:
            return np.arange(count)
        if self.generator is not None:
            return randperm(count, generator=self.generator).numpy()
        return self._generator(epoch, 0).permutation(count)

    def _batch(self, epoch: int, order: Indices, number: int) -> Batch:
        size = self.batch_size or 1
        batch = gather(self.dataset, order[number * size : (number + 1) * size])
        if self.transform is not None:
            batch = self.transform(batch, self._generator(epoch, number + 1))
        return decode(self.dataset, batch)

    def _generator(self, epoch: int, stream: int) -> np.random.Generator:
        return np.random.default_rng(np.random.SeedSequence(self.seed, spawn_key=(epoch, stream)))

    def _sizes(self) -> dict[str, int]:
        """What must be the same for a position to mean the same."""
        samples = len(self.dataset) if isinstance(self.dataset, Sized) else 0
        return {"batch_size": self.batch_size or 0, "samples": samples}

    def state_dict(self) -> dict[str, Any]:
        """Where the loader is: after loading it, the next loop goes on with the batch after the last one handed out
        (of samplers that draw, if they draw the same again)."""
        state = {"epoch": self._epoch, "position": self._position, "seed": self.seed, **self._sizes()}
        return state if self.generator is None else {**state, "generator": self._state_of_generator()}

    def _state_of_generator(self) -> Any:
        assert self.generator is not None
        return self._drawn_from if self._position else self.generator.get_state().tolist()

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on where `state` was taken; ValueError if that was in the midst of an epoch of other batches."""
        position = int(state["position"])
        for name, mine in self._sizes().items():
            if position and int(state[name]) != mine:
                raise ValueError(
                    f"DataLoader: the state is from batch {position} of an epoch with {name} {state[name]}, "
                    f"this loader has {name} {mine}: it cannot go on from there"
                )
        if self.generator is not None and "generator" in state:
            self.generator.set_state(state["generator"])
        self.seed = int(state["seed"])
        self._epoch, self._position = int(state["epoch"]), position
        self._resumed = True
        self._current = object()


def _itself(sample: Any) -> Any:
    return sample


def _length(source: Any) -> int:
    if not isinstance(source, Sized):
        raise arguments.ArgumentTypeError(f"DataLoader: {type(source).__name__} has no length", user_loc())
    return len(source)


def _without_processes(num_workers: Any, pin_memory: Any, persistent_workers: Any) -> None:
    """Warn where processes or pinned memory are asked for."""
    if arguments.integer(NAME, "num_workers", num_workers, 0):
        warnings.warn(
            f"DataLoader: num_workers={num_workers} is read as 0: batches are made in this process, by a thread that "
            "works ahead (prefetch=)",
            stacklevel=3,
        )
    if arguments.flag(NAME, "pin_memory", pin_memory):
        warnings.warn("DataLoader: pin_memory=True is read as False: there is no device to copy to", stacklevel=3)
    arguments.flag(NAME, "persistent_workers", persistent_workers)


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
