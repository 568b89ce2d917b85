"""How a batch is made of samples: the same in the loop, in the thread that works ahead, and in worker processes."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Any

import numpy as np

from tinytorch.frontend.data.augment import Transform
from tinytorch.frontend.data.collating import default_convert
from tinytorch.frontend.data.sets import Batch, collate, decode, gather, sample_at


@dataclass(frozen=True)
class Task:
    """Which batch is to be made: all that it depends on beside the data set.

    entropy: the loader's seed, then the state of its generator, if it has one.
    samples: indices; the index of a single sample; or None for what comes next of an iterable data set.
    """

    entropy: tuple[int, ...]
    epoch: int
    number: int
    samples: Any

    def draws(self, stream: int) -> np.random.SeedSequence:
        """The seeds of what is drawn for this batch; `stream` keeps different purposes apart."""
        return np.random.SeedSequence(self.entropy, spawn_key=(self.epoch, self.number + 1, stream))


@dataclass(frozen=True)
class Maker:
    """What a loader makes batches with.

    batch_size: None for single samples. iterates: the data set has samples one after the other, no indices.
    gathers: batches are gathered as arrays, in the data set's own way; else samples are taken one by one.
    """

    dataset: Any
    batch_size: int | None
    drop_last: bool
    collate_fn: Callable[[Any], Any] | None
    transform: Transform | None
    iterates: bool
    gathers: bool

    def make(self, task: Task) -> Any:
        """The batch of a task with indices: of arrays, unless a `collate_fn` says what it is."""
        if self.gathers:
            return self._gathered(task)
        if self.batch_size is None:
            return self._converted(sample_at(self.dataset, task.samples))
        return self._collated([sample_at(self.dataset, index) for index in task.samples])

    def stream(self) -> Iterator[Any]:
        """The batches of an iterable data set, from its beginning."""
        samples = (sample for sample in self.dataset)  # `islice` would begin anew what is its own iterator
        if self.batch_size is None:
            yield from (self._converted(sample) for sample in samples)  # a StopIteration in there is an error
            return
        while group := list(islice(samples, self.batch_size)):
            if self.drop_last and len(group) < self.batch_size:
                return
            yield self._collated(group)

    def _gathered(self, task: Task) -> Batch:
        batch = gather(self.dataset, np.asarray(task.samples))
        if self.transform is not None:
            # The seed alone: a loader with a generator and one without draw the same crops and flips.
            draws = np.random.SeedSequence(task.entropy[0], spawn_key=(task.epoch, task.number + 1))
            batch = self.transform(batch, np.random.default_rng(draws))
        return decode(self.dataset, batch)

    def _collated(self, samples: list[Any]) -> Any:
        return collate(samples) if self.collate_fn is None else self.collate_fn(samples)

    def _converted(self, sample: Any) -> Any:
        return (self.collate_fn or default_convert)(sample)
