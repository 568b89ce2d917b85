"""Loaders: batches of tensors, shuffled from a seed, prepared in the background.

| what | memory | time |
| --- | --- | --- |
| images in RAM as uint8: MNIST, CIFAR-10 | n bytes for n pixels, in every process | one gather per batch |
| arrays of your own, memory-mapped | the pages that are touched, shared between processes | the same |
| images in RAM as float32 | 4 n bytes | no conversion per batch |

Images stay uint8 in storage and become float32 a batch at a time, in the thread that works ahead of the training
step: a fourth of the memory for a conversion that the step hides.

Threads or processes? Gathering, augmenting and decoding arrays are numpy's work, which lets go of Python's global lock:
one thread ahead of the loop (`prefetch`) hides it, and nothing is copied. Data sets that run Python for each sample
(decoding files, transforms one by one) hold that lock, so only processes (`num_workers`) make them faster; and such
data sets are written for processes, with files and generators of their own that threads would share. Batches come back
through memory that has no name, in one copy on either side.
"""

from __future__ import annotations

import operator
import weakref
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence, Sized
from itertools import chain, islice, repeat
from typing import Any, cast

import numpy as np

from tinytorch.frontend import arguments
from tinytorch.frontend.constructors import clearly_made
from tinytorch.frontend.data.augment import Transform
from tinytorch.frontend.data.making import Maker, Task
from tinytorch.frontend.data.pool import Pool, Staff, context_of, default_context
from tinytorch.frontend.data.prefetch import prefetched
from tinytorch.frontend.data.samplers import BatchSampler
from tinytorch.frontend.data.sets import Batch, Indices, IterableDataset, like
from tinytorch.frontend.data.worker import WorkerError
from tinytorch.frontend.functions.random import Generator as RandomGenerator
from tinytorch.frontend.functions.random import randperm
from tinytorch.frontend.tensor import Tensor, from_numpy
from tinytorch.ir.errors import TinyTorchError
from tinytorch.ir.loc import user_loc, warn

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

    num_workers: processes that make the batches, `prefetch_factor` (2) ahead each; then `prefetch` is not used. They
        are forks where that is safe, so that nothing need be pickled but batches that a `collate_fn` makes; elsewhere,
        or with `multiprocessing_context="spawn"`, data set and functions must be. Batches come in order and are the
        same for any number of workers: `random`, `np.random` and the default generator are seeded for each batch,
        unless `worker_init_fn` seeds them. (With 0 workers, such draws are those of the program.) A worker compiles
        and computes on one thread.
    worker_init_fn: `worker_init_fn(number)` is called in each worker before it makes batches.
    timeout: seconds that the loop waits for a batch of a worker; 0 waits as long as it takes.
    persistent_workers: the same workers, with the data set as it was, for all epochs.
    in_order: batches always come in order.
    pin_memory is read as False, with a warning: there is no device to copy to.

    In a worker, `get_worker_info()` says which one it is. Each has a copy of an iterable data set, whose `__iter__`
    should give the samples of its worker; batches come from the workers in turns. What a worker raises is raised in the
    loop, with its traceback and, where samples are taken one by one, the index of the sample. WorkerError if a worker
    is killed or takes longer than `timeout`. All workers have ended when the loop has.
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
        self._take_workers(num_workers, prefetch_factor, persistent_workers, timeout, multiprocessing_context)
        arguments.function(NAME, "worker_init_fn", worker_init_fn, optional=True)
        self.worker_init_fn = worker_init_fn
        self.in_order = arguments.flag(NAME, "in_order", in_order)
        arguments.instance(NAME, "pin_memory_device", pin_memory_device, str)
        self.pin_memory = False
        if arguments.flag(NAME, "pin_memory", pin_memory):
            warn("DataLoader: pin_memory=True is read as False: there is no device to copy to")
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
        self._gathers = not by_samples and self.collate_fn is None
        self._grouped = self.batch_size is not None or batch_sampler is not None

    def _take_workers(self, number: Any, lead: Any, persistent: Any, timeout: Any, context: Any) -> None:
        """Check and keep what is about processes."""
        self.num_workers = arguments.integer(NAME, "num_workers", number, 0)
        self.prefetch_factor = None if lead is None else arguments.integer(NAME, "prefetch_factor", lead, 1)
        self.persistent_workers = arguments.flag(NAME, "persistent_workers", persistent)
        self.timeout = arguments.not_negative(NAME, "timeout", timeout)
        self.multiprocessing_context = context_of(context)
        self._kept: Pool | None = None  # workers that stay for the next epoch
        if self.num_workers:
            return
        for name, given in (
            ("prefetch_factor", lead is not None),
            ("persistent_workers", self.persistent_workers),
            ("multiprocessing_context", context is not None),
        ):
            if given:
                raise arguments.ArgumentValueError(
                    f"{NAME}: {name} is about workers: give num_workers, too", user_loc()
                )

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
        return self._run(self._current, self._epoch, self._position)

    def _run(self, me: object, epoch: int, position: int) -> Generator[Any]:
        batches = self._batches(epoch, position)
        try:
            for number, batch in enumerate(batches, position):
                if self._current is me:
                    self._position = number + 1
                yield _to_tensors(batch) if self.collate_fn is None and self._grouped else batch
        finally:
            batches.close()
        if self._current is me:
            self._epoch, self._position = epoch + 1, 0

    def _batches(self, epoch: int, position: int) -> Generator[Any]:
        """The batches of an epoch from `position` on, made where the arguments say."""
        maker = self._maker()
        if self.num_workers:
            yield from self._from_workers(maker, epoch, position)
        elif self._iterates:
            yield from islice(maker.stream(), position, None)
        elif self._gathers:
            tasks = list(self._tasks(epoch))
            yield from prefetched(lambda n: maker.make(tasks[n]), range(position, len(tasks)), self.prefetch)
        else:
            tasks = islice(self._tasks(epoch), position, None)
            yield from (maker.make(task) for task in tasks)  # a StopIteration in there is an error, no end

    def _maker(self) -> Maker:
        grouped = self._grouped
        return Maker(
            self.dataset,
            self.batch_size if grouped else None,
            self.drop_last,
            self.collate_fn,
            self.transform,
            iterates=self._iterates,
            gathers=self._gathers,
        )

    def _from_workers(self, maker: Maker, epoch: int, position: int) -> Generator[Any]:
        tasks = self._tasks(epoch)
        first = next(tasks, None)
        if first is None:
            return
        skipped = position if self._iterates else 0  # what is skipped of a stream must be made all the same
        pool, own = self._pool(maker, first)
        batches = pool.run(islice(chain((first,), tasks), position - skipped, None))
        try:
            yield from islice(batches, skipped, None)
        except (WorkerError, KeyboardInterrupt):
            own = True  # the others may wait for ever, too, or a message was cut off
            raise
        finally:
            batches.close()
            if own or not pool.is_whole():
                pool.close()

    def _pool(self, maker: Maker, first: Task) -> tuple[Pool, bool]:
        """Workers for a loop, and whether they are for that alone."""
        if self._kept is not None and self._kept.is_whole():
            if not self._kept.busy:
                return self._kept, False
            own = True
        else:
            own = not self.persistent_workers
        staff = Staff(
            maker,
            self.num_workers,
            self.prefetch_factor or 2,
            self.timeout,
            self.worker_init_fn,
            self.multiprocessing_context or default_context(),
        )
        pool = Pool(staff, first)
        if not own:
            self._kept = pool
            weakref.finalize(self, pool.close)
        return pool, own

    def _tasks(self, epoch: int) -> Iterator[Task]:
        """What makes each of the batches of an epoch; without end for an iterable data set."""
        state = [] if self.generator is None else self.generator.get_state().tolist()
        entropy = (self.seed, *(int(number) % 2**64 for number in state))
        return (Task(entropy, epoch, number, samples) for number, samples in enumerate(self._groups(epoch)))

    def _groups(self, epoch: int) -> Iterable[Any]:
        """The samples of each batch: indices, or one index."""
        if self._iterates:
            return repeat(None)
        size = self.batch_size or 1
        if self._gathers:
            order = self._order(epoch)
            return (order[number * size : (number + 1) * size] for number in range(len(self)))
        if self.batch_sampler is not None:
            return map(_listed, self.batch_sampler)
        samples = self._order(epoch).tolist() if self.sampler is None else self.sampler
        return BatchSampler(samples, size, self.drop_last) if self._grouped else samples

    def _order(self, epoch: int) -> Indices:
        count = len(self.dataset)
        if not self.shuffle:
            return np.arange(count)
        if self.generator is not None:
            return randperm(count, generator=self.generator).numpy()
        draws = np.random.SeedSequence(self.seed, spawn_key=(epoch, 0))
        return np.random.default_rng(draws).permutation(count)

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
                raise arguments.ArgumentValueError(
                    f"DataLoader: the state is from batch {position} of an epoch with {name} {state[name]}, "
                    f"this loader has {name} {mine}: it cannot go on from there",
                    user_loc(),
                )
        if self.generator is not None and "generator" in state:
            self.generator.set_state(state["generator"])
        self.seed = int(state["seed"])
        self._epoch, self._position = int(state["epoch"]), position
        self._resumed = True
        self._current = object()


def _length(source: Any) -> int:
    if not isinstance(source, Sized):
        raise arguments.ArgumentTypeError(f"DataLoader: {type(source).__name__} has no length", user_loc())
    return len(source)


def _listed(batch: Any) -> list[Any]:
    """What a batch sampler gives, which workers can be sent."""
    if not isinstance(batch, Iterable):
        raise arguments.ArgumentTypeError(
            f"{NAME}: a batch_sampler gives lists of indices, got {batch!r:.60}; single indices are for sampler",
            user_loc(),
        )
    return list(cast("Iterable[Any]", batch))


def _to_tensors(batch: Batch) -> Any:
    if isinstance(batch, Mapping):
        items = cast(Mapping[Any, Any], batch)
        return like(items, {key: _to_tensors(value) for key, value in items.items()})
    if isinstance(batch, tuple):
        parts = cast(tuple[Any, ...], batch)
        return like(parts, tuple(map(_to_tensors, parts)))
    if isinstance(batch, list) and batch and isinstance(batch[0], (str, bytes)):
        return cast("list[Any]", batch)
    return batch if isinstance(batch, Tensor) else from_numpy(np.asarray(batch))


def _at_least(least: int, name: str, value: Any) -> int:
    if isinstance(value, bool) or not hasattr(value, "__index__"):
        raise arguments.ArgumentTypeError(f"DataLoader: {name} must be an int, got {value!r}", user_loc())
    number = operator.index(value)
    if number < least:
        raise arguments.ArgumentValueError(f"DataLoader: {name} must be at least {least}, got {number}", user_loc())
    return number
