"""tt.utils.data: samplers, sets and loaders with PyTorch's arguments."""

from __future__ import annotations

import collections
import itertools
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

import tinytorch as tt
from tinytorch.ir.errors import TinyTorchError
from tinytorch.utils import data

Point = collections.namedtuple("Point", "x y")


class Record(dict):
    """A dict whose items are attributes."""

    __getattr__ = dict.__getitem__


class Words(data.Dataset[Any]):
    """Sequences of different lengths, which only a collate_fn can batch."""

    def __len__(self) -> int:
        return 7

    def __getitem__(self, index: int) -> tuple[tt.Tensor, int]:
        return tt.arange(index + 1), index


class Stream(data.IterableDataset[int]):
    def __iter__(self) -> Iterator[int]:
        return iter(range(7))


class Countdown(data.IterableDataset[int]):
    """Its own iterator, which `iter` begins anew."""

    def __iter__(self) -> Iterator[int]:
        self.left = 5
        return self

    def __next__(self) -> int:
        if not self.left:
            raise StopIteration
        self.left -= 1
        return self.left


def count_up(n: int = 10) -> data.TensorDataset:
    return data.TensorDataset(tt.arange(n * 2.0).reshape(n, 2), tt.arange(n))


def labels(loader: Any) -> list[list[int]]:
    return [batch[1].tolist() for batch in loader]


# Samplers.
def test_orders_of_samplers() -> None:
    assert list(data.SequentialSampler(range(4))) == [0, 1, 2, 3]
    random = data.RandomSampler(range(20), generator=tt.Generator(3))
    first, second = list(random), list(random)
    assert sorted(first) == sorted(second) == list(range(20)) and first != second and len(random) == 20
    assert first == list(data.RandomSampler(range(20), generator=tt.Generator(3)))
    twice = list(data.RandomSampler(range(4), num_samples=10))
    assert sorted(twice[:4]) == sorted(twice[4:8]) == [0, 1, 2, 3] and len(twice) == 10
    drawn = list(data.RandomSampler(range(3), replacement=True, num_samples=50))
    assert set(drawn) == {0, 1, 2} and len(drawn) == 50
    assert sorted(data.SubsetRandomSampler([5, 7, 9])) == [5, 7, 9]
    assert list(data.RandomSampler([])) == []


def test_a_sampler_follows_manual_seed() -> None:
    def order() -> list[int]:
        tt.manual_seed(4)
        return list(data.RandomSampler(range(30)))

    assert order() == order()


def test_weights_are_probabilities() -> None:
    sampler = data.WeightedRandomSampler([1.0, 0.0, 3.0], 8000, generator=tt.Generator(0))
    counts = collections.Counter(sampler)
    assert counts[1] == 0 and counts[2] / counts[0] == pytest.approx(3, rel=0.1)
    once = [list(data.WeightedRandomSampler(tt.tensor([1.0, 0.0, 9.0]), 2, replacement=False)) for _ in range(300)]
    assert all(sorted(o) == [0, 2] for o in once)
    assert sum(o[0] == 2 for o in once) / 300 == pytest.approx(0.9, abs=0.07)


@pytest.mark.parametrize(("drop_last", "wanted"), [(False, [[0, 1, 2], [3, 4]]), (True, [[0, 1, 2]])])
def test_batches_of_indices(drop_last: bool, wanted: list[list[int]]) -> None:
    sampler = data.BatchSampler(data.SequentialSampler(range(5)), 3, drop_last)
    assert list(sampler) == wanted and len(sampler) == len(wanted)


# Loaders.
def test_a_loader_with_samplers() -> None:
    order = [3, 1, 8, 0, 2]
    assert labels(data.DataLoader(count_up(), batch_size=2, sampler=order)) == [[3, 1], [8, 0], [2]]
    assert labels(data.DataLoader(count_up(), 2, sampler=order, drop_last=True)) == [[3, 1], [8, 0]]
    loader = data.DataLoader(count_up(), batch_sampler=[[1], [2, 3]])
    assert labels(loader) == [[1], [2, 3]] and len(loader) == 2
    assert len(data.DataLoader(count_up(), 2, sampler=order)) == 3


def test_a_loader_with_a_generator_shuffles_by_it() -> None:
    def epochs(seed: int) -> list[list[list[int]]]:
        loader = data.DataLoader(count_up(), 4, shuffle=True, generator=tt.Generator(seed))
        return [labels(loader) for _ in range(2)]

    assert epochs(1) == epochs(1) != epochs(2)
    assert epochs(1)[0] != epochs(1)[1]


def test_a_collate_fn_makes_the_batches() -> None:
    def collate(samples: list[Any]) -> Any:
        return tt.nn.utils.rnn.pad_sequence([x for x, _ in samples], batch_first=True), [n for _, n in samples]

    batches = list(data.DataLoader(Words(), batch_size=3, collate_fn=collate))
    assert [b[0].shape for b in batches] == [(3, 3), (3, 6), (1, 7)] and batches[1][1] == [3, 4, 5]
    with pytest.raises(tt.ShapeError, match="pad or crop"):
        list(data.DataLoader(Words(), batch_size=3))


def test_iterable_data_sets() -> None:
    assert [b.tolist() for b in data.DataLoader(Stream(), batch_size=3)] == [[0, 1, 2], [3, 4, 5], [6]]
    assert [b.tolist() for b in data.DataLoader(Stream(), 3, drop_last=True)] == [[0, 1, 2], [3, 4, 5]]
    assert list(data.DataLoader(data.ChainDataset([Stream(), Stream()]), None)) == [*range(7), *range(7)]
    with pytest.raises(TypeError, match="no length"):
        len(data.DataLoader(Stream(), 3))


def test_what_is_its_own_iterator_is_begun_once() -> None:
    batches = itertools.islice(data.DataLoader(Countdown(), 2), 9)
    assert [b.tolist() for b in batches] == [[4, 3], [2, 1], [0]]
    groups = itertools.islice(data.BatchSampler(Countdown(), 2, False), 9)
    assert list(groups) == [[4, 3], [2, 1], [0]]


def test_single_samples() -> None:
    samples = list(data.DataLoader(count_up(3), batch_size=None))
    assert [y.tolist() for _, y in samples] == [0, 1, 2] and samples[0][0].shape == (2,)


@pytest.mark.parametrize("stop", [0, 2, 3, 4, 6])
def test_a_loader_with_a_generator_goes_on_where_it_was(stop: int) -> None:
    def loader() -> data.DataLoader:
        collate = data.default_collate
        return data.DataLoader(count_up(), 3, shuffle=True, generator=tt.Generator(5), collate_fn=collate)

    def batches(source: data.DataLoader) -> Iterator[list[int]]:
        while True:
            yield from (y.tolist() for _, y in source)

    straight, first, resumed = loader(), loader(), loader()
    wanted, begun = batches(straight), batches(first)
    for _ in range(stop):
        assert next(wanted) == next(begun)
    resumed.load_state_dict(first.state_dict())
    rest = batches(resumed)
    for _ in range(8):
        assert next(rest) == next(wanted)


@pytest.mark.parametrize("more", [{}, {"prefetch": 0}, {"num_workers": 1}], ids=repr)
def test_named_tuples_kinds_of_dicts_and_strings_stay(more: dict[str, Any]) -> None:
    samples = [Point(Record(a=i, b=[i, 0.5]), f"{i}.png") for i in range(3)]
    for batch in (next(iter(data.DataLoader(samples, 3, **more))), data.default_collate(samples)):
        assert type(batch) is Point and type(batch.x) is Record
        assert batch.x.a.tolist() == [0, 1, 2] and batch.y == ["0.png", "1.png", "2.png"]
    single = next(iter(data.DataLoader([Point(Record(a=np.ones(2)), "x")], None, **more)))
    assert type(single) is Point and type(single.x) is Record and isinstance(single.x.a, tt.Tensor)


class Listed(data.Dataset[Any]):
    """Gives samples several at a time, as PyTorch asks for them."""

    def __len__(self) -> int:
        return 3

    def __getitem__(self, index: int) -> tuple[int, float]:
        return index, index / 2

    def __getitems__(self, indices: Any) -> list[tuple[int, float]]:
        return [self[int(i)] for i in indices]


def test_lists_that_getitems_gives_are_samples() -> None:
    (numbers, halves), _ = data.DataLoader(Listed(), 2)
    assert numbers.dtype == tt.int64 and numbers.tolist() == [0, 1] and halves.tolist() == [0, 0.5]


def stops(sample: int) -> Any:
    raise StopIteration


@pytest.mark.parametrize("workers", [0, 1])
@pytest.mark.parametrize(
    "options",
    [
        {"collate_fn": stops},
        {"collate_fn": stops, "batch_size": None},
        {"collate_fn": stops, "sampler": [2, 1]},
        {"collate_fn": stops, "batch_size": None, "dataset": Stream()},
    ],
    ids=["batches", "samples", "a sampler", "a stream"],
)
def test_a_stop_in_the_midst_of_a_sample_is_no_end(options: dict[str, Any], workers: int) -> None:
    with pytest.raises(RuntimeError, match="StopIteration"):
        list(data.DataLoader(**{"dataset": range(3), "num_workers": workers, **options}))


def test_pinned_memory_is_read_as_none_with_a_word() -> None:
    with pytest.warns(UserWarning, match="pin_memory"):
        data.DataLoader(count_up(), 4, pin_memory=True)


# Sets.
def test_sets_put_together() -> None:
    both = count_up(3) + count_up(2)
    assert isinstance(both, data.ConcatDataset) and len(both) == 5 and both.cumulative_sizes == [3, 5]
    assert [int(both[i][1]) for i in (0, 2, 3, -1, -5)] == [0, 2, 0, 1, 0]
    assert labels(data.DataLoader(both, 4)) == [[0, 1, 2, 0], [1]]
    with pytest.raises(IndexError, match="sample 5 of 5"):
        both[5]
    assert [t.shape for t in count_up(3).tensors] == [(3, 2), (3,)]


def test_a_split_is_drawn_from_a_generator() -> None:
    first, second = (data.random_split(range(10), [0.5, 0.3, 0.2], generator=tt.Generator(42)) for _ in range(2))
    assert [len(p) for p in first] == [5, 3, 2]
    assert sorted(i for p in first for i in p) == list(range(10))
    assert [list(p.indices) for p in first] == [list(p.indices) for p in second]


# Batches as PyTorch makes them.
SAMPLES: list[list[Any]] = [
    [1, 2],
    [0.5, 1.5],
    [True, False],
    ["a", "b"],
    [np.float32(1), np.float32(2)],
    [np.zeros(2), np.ones(2)],
    [(1, 2.0), (3, 4.0)],
    [{"a": 1, "b": [1, 2]}, {"a": 2, "b": [3, 4]}],
    [Point(1, 2), Point(3, 4)],
    [collections.OrderedDict(b=1, a="x"), collections.OrderedDict(b=2, a="y")],
    [Record(a=1), Record(a=2)],
]


def plain(value: Any) -> Any:
    """A nested batch with (dtype, values) in place of tensors."""
    if isinstance(value, dict):
        return (type(value).__name__, {k: plain(v) for k, v in value.items()})
    if isinstance(value, (list, tuple)):
        return (type(value).__name__, [plain(v) for v in value])
    return (str(value.numpy().dtype), value.tolist()) if hasattr(value, "numpy") else value


@pytest.mark.parametrize("samples", SAMPLES, ids=repr)
def test_default_collate(samples: list[Any]) -> None:
    torch_data = pytest.importorskip("torch.utils.data")
    assert plain(data.default_collate(samples)) == plain(torch_data.default_collate(samples))


def test_default_collate_stacks_tensors() -> None:
    x, y = data.default_collate([(tt.zeros(2), 3), (tt.ones(2), 4)])
    assert x.tolist() == [[0, 0], [1, 1]] and y.dtype.name == "i64" and y.tolist() == [3, 4]
    assert data.default_collate([0.5]).dtype.name == "f64"


BAD = [
    (lambda: data.DataLoader(count_up(), 2, shuffle=True, sampler=[1]), "leave out shuffle"),
    (lambda: data.DataLoader(count_up(), 2, batch_sampler=[[1]]), "leave out batch_size"),
    (lambda: data.DataLoader(count_up(), None, drop_last=True), "last batch"),
    (lambda: data.DataLoader(Stream(), 2, shuffle=True), "its own order"),
    (lambda: data.DataLoader(count_up(), 2, sampler=3), "sampler is an iterable"),
    (lambda: data.DataLoader(count_up(), 2, collate_fn=3), "collate_fn"),
    (lambda: data.DataLoader(count_up(), 2, generator=3), "generator"),
    (lambda: data.DataLoader(count_up(), 2, num_workers=-1), "num_workers"),
    (lambda: data.DataLoader(count_up(), 2, sampler=[1], transform=lambda b, g: b), "collate_fn"),
    (lambda: list(data.DataLoader(count_up(), batch_sampler=[0, 1])), r"lists of indices, got 0.*\n.*test_torch_data"),
    (lambda: list(data.DataLoader(count_up(), batch_sampler=[[0], None], num_workers=1)), "lists of .*, got None"),
    (lambda: data.RandomSampler(range(3), num_samples=0), "num_samples"),
    (lambda: data.BatchSampler([1], 0, False), "batch_size"),
    (lambda: data.WeightedRandomSampler([-1.0], 1), "weights"),
    (lambda: data.WeightedRandomSampler([1.0, 0.0], 2, replacement=False), "2 samples of 1"),
    (lambda: data.ConcatDataset([]), "no data sets"),
    (lambda: data.random_split(range(3), [1, 2], generator=7), "generator"),
    (lambda: data.default_collate([object()]), "collate_fn"),
    (lambda: data.default_collate([(1, 2), (1,)]), "fields"),
    (lambda: data.default_collate([]), "at least one sample"),
    (lambda: data.default_collate([(1, 2), 3]), "is of type int, sample 0 of type tuple"),
    (lambda: data.default_collate([{"a": 1}, {"b": 1}]), "sample 1 of the batch has no 'a'"),
    (lambda: list(data.DataLoader(count_up(), batch_sampler=[[1], []])), "at least one sample"),
    (lambda: list(data.DataLoader([{"a": 1}, {"b": 1}], 2)), "sample 1 of the batch has no 'a'"),
    (lambda: list(data.DataLoader([3, (1, 2)], 2, prefetch=0)), "is of type tuple, sample 0 of type int"),
]


def test_errors_in_the_background_name_no_line_of_the_library() -> None:
    with pytest.raises(TinyTorchError, match="has no 'a'") as error:
        list(data.DataLoader([{"a": 1}, {"b": 1}], 2))
    assert ".py:" not in str(error.value)


@pytest.mark.parametrize(("make", "message"), BAD)
def test_bad_arguments(make: Any, message: str) -> None:
    with pytest.raises(TinyTorchError, match=message):
        make()
