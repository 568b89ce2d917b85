"""Orders of samples: iterables of indices, or of lists of them, under the names of torch.utils.data."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence, Sized
from typing import Any, Generic, TypeVar, cast

import numpy as np

from tinytorch.frontend import arguments
from tinytorch.frontend.arguments import ArgumentTypeError
from tinytorch.frontend.constructors import clear_subclass
from tinytorch.frontend.functions.random import Generator, rand, randint, randperm
from tinytorch.frontend.tensor import Tensor
from tinytorch.ir.errors import TinyTorchError
from tinytorch.ir.loc import user_loc

T_co = TypeVar("T_co", covariant=True)


class Sampler(Generic[T_co]):
    """Base of samplers: `__iter__` gives the indices of one epoch, `__len__`, if there is one, how many these are."""

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        clear_subclass(cls)

    def __init__(self, data_source: Any = None) -> None:
        del data_source  # that samplers are given their data set is how they are called

    def __iter__(self) -> Iterator[T_co]:
        raise TinyTorchError(f"{type(self).__name__} has no __iter__()", user_loc())


class SequentialSampler(Sampler[int]):
    """0, 1, 2, …"""

    def __init__(self, data_source: Sized) -> None:
        self.data_source = data_source

    def __iter__(self) -> Iterator[int]:
        return iter(range(len(self.data_source)))

    def __len__(self) -> int:
        return len(self.data_source)


class RandomSampler(Sampler[int]):
    """`num_samples` indices (by default, as many as there are samples): with `replacement`, each is any; without, one
    random order of all after the other. They come from `generator`, by default the one of `manual_seed`."""

    def __init__(
        self,
        data_source: Sized,
        replacement: bool = False,
        num_samples: int | None = None,
        generator: Generator | None = None,
    ) -> None:
        self.data_source, self.generator = data_source, generator
        self.replacement = arguments.flag("RandomSampler", "replacement", replacement)
        if num_samples is not None:
            arguments.integer("RandomSampler", "num_samples", num_samples, 1)
        arguments.instance("RandomSampler", "generator", generator, Generator, optional=True)
        self._num_samples = num_samples

    @property
    def num_samples(self) -> int:
        return len(self.data_source) if self._num_samples is None else self._num_samples

    def __iter__(self) -> Iterator[int]:
        count = len(self.data_source)
        if not count:
            return
        if self.replacement:
            yield from randint(0, count, (self.num_samples,), generator=self.generator).tolist()
            return
        for start in range(0, self.num_samples, count):
            yield from randperm(count, generator=self.generator).tolist()[: self.num_samples - start]

    def __len__(self) -> int:
        return self.num_samples


class SubsetRandomSampler(Sampler[int]):
    """The given indices, each once, in random order."""

    def __init__(self, indices: Sequence[int], generator: Generator | None = None) -> None:
        self.indices, self.generator = indices, generator
        arguments.instance("SubsetRandomSampler", "generator", generator, Generator, optional=True)

    def __iter__(self) -> Iterator[int]:
        for place in randperm(len(self.indices), generator=self.generator).tolist():
            yield int(self.indices[place])

    def __len__(self) -> int:
        return len(self.indices)


class WeightedRandomSampler(Sampler[int]):
    """`num_samples` indices, each with a probability in the ratio of its weight; without `replacement` none comes
    twice (Efraimidis & Spirakis 2006: those with the largest u**(1 / weight), u uniform)."""

    def __init__(
        self, weights: Any, num_samples: int, replacement: bool = True, generator: Generator | None = None
    ) -> None:
        name = "WeightedRandomSampler"
        given = weights.tolist() if isinstance(weights, Tensor) else weights
        self.weights = np.asarray(given, np.float64)
        if self.weights.ndim != 1 or not (np.isfinite(self.weights).all() and (self.weights >= 0).all()):
            raise arguments.wrong_value(name, "weights", "a sequence of numbers that are not negative", weights)
        self.num_samples = arguments.integer(name, "num_samples", num_samples, 1)
        self.replacement = arguments.flag(name, "replacement", replacement)
        arguments.instance(name, "generator", generator, Generator, optional=True)
        self.generator = generator
        possible = int(np.count_nonzero(self.weights))
        if possible < (1 if replacement else num_samples):
            raise TinyTorchError(f"{name}: {num_samples} samples of {possible} with a weight above 0", user_loc())

    def __iter__(self) -> Iterator[int]:
        yield from (self._with_replacement() if self.replacement else self._without()).tolist()

    def _with_replacement(self) -> np.ndarray[Any, Any]:
        ends = np.cumsum(self.weights)
        return np.searchsorted(ends, self._uniform(self.num_samples) * ends[-1], side="right")

    def _without(self) -> np.ndarray[Any, Any]:
        waits = -np.log1p(-self._uniform(len(self.weights)))
        with np.errstate(divide="ignore"):
            waits = np.where(self.weights > 0, waits / self.weights, np.inf)
        return np.argsort(waits, kind="stable")[: self.num_samples]

    def _uniform(self, count: int) -> np.ndarray[Any, Any]:
        """Uniform on [0, 1), in steps of 2**-48."""
        high, low = rand(2, count, generator=self.generator).numpy().astype(np.float64)
        return high + low * 2.0**-24

    def __len__(self) -> int:
        return self.num_samples


class BatchSampler(Sampler[list[int]]):
    """Lists of `batch_size` indices of another sampler; `drop_last` leaves out a last one that is smaller."""

    def __init__(self, sampler: Iterable[int], batch_size: int, drop_last: bool) -> None:
        self.sampler = sampler
        self.batch_size = arguments.integer("BatchSampler", "batch_size", batch_size, 1)
        self.drop_last = arguments.flag("BatchSampler", "drop_last", drop_last)

    def __iter__(self) -> Iterator[list[int]]:
        batch: list[int] = []
        for index in self.sampler:
            batch.append(index)
            if len(batch) == self.batch_size:
                yield batch
                batch = []
        if batch and not self.drop_last:
            yield batch

    def __len__(self) -> int:
        if not isinstance(self.sampler, Sized):
            raise ArgumentTypeError(f"BatchSampler: {type(self.sampler).__name__} has no length", user_loc())
        count = len(cast(Sized, self.sampler))
        return count // self.batch_size if self.drop_last else -(-count // self.batch_size)
