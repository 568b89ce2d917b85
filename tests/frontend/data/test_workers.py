"""Loading in worker processes: equal batches for any number of them, and errors."""

from __future__ import annotations

import itertools
import multiprocessing
import os
import pickle
import random
import signal
import time
import traceback
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

import tinytorch as tt
from tests.frontend.data.items import PIXELS, Items, indices
from tinytorch.frontend.data import channel, pool
from tinytorch.frontend.data.worker import WorkerError
from tinytorch.ir.errors import ShapeError, TinyTorchError
from tinytorch.utils import data

pytestmark = [
    pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork"),
    pytest.mark.usefixtures("nothing_is_left"),
]


class Stream(data.IterableDataset[int]):
    """0 … n-1, shared out among the workers if `shares`."""

    def __init__(self, n: int, shares: bool = True) -> None:
        self.n, self.shares = n, shares

    def __iter__(self) -> Iterator[int]:
        info = data.get_worker_info()
        if info is None or not self.shares:
            return iter(range(self.n))
        assert info.dataset.n == self.n
        return iter(range(info.id, self.n, info.num_workers))


def plain(value: Any) -> Any:
    """A batch with its structure, dtypes and values."""
    if isinstance(value, (tuple, list)):
        return [type(value).__name__, *map(plain, value)]
    if isinstance(value, dict):
        return {key: plain(item) for key, item in value.items()}
    if isinstance(value, (tt.Tensor, np.ndarray)):
        array = np.asarray(value)
        return type(value).__name__, str(array.dtype), array.tolist()
    return value


def epochs(loader: Any, number: int = 2) -> list[Any]:
    return [[plain(batch) for batch in loader] for _ in range(number)]


# ---- the same batches ---------------------------------------------------------------------------------------------


def shifted(batch: Any, generator: np.random.Generator) -> Any:
    images, labels = batch
    return images + generator.integers(0, 9, images.shape).astype(images.dtype), labels


def in_a_list(samples: list[Any]) -> Any:
    return {"x": [tt.tensor(x) for x, *_ in samples], "count": len(samples)}


LOADERS: dict[str, Any] = {
    "gathered": lambda **k: data.DataLoader(
        data.TensorDataset(PIXELS, np.arange(12)), 5, shuffle=True, seed=3, transform=shifted, **k
    ),
    "by a generator": lambda **k: data.DataLoader(Items(), 3, shuffle=True, generator=tt.Generator(4), **k),
    "collated": lambda **k: data.DataLoader(Items(), 4, shuffle=True, collate_fn=in_a_list, drop_last=True, **k),
    "a sampler": lambda **k: data.DataLoader(Items(), 2, sampler=[3, 1, 8, 0, 2], **k),
    "batches": lambda **k: data.DataLoader(Items(), batch_sampler=[[1], [2, 3], [9, 9, 0]], **k),
    "single samples": lambda **k: data.DataLoader(Items(5), batch_size=None, shuffle=True, **k),
    "lists of indices": lambda **k: data.DataLoader(PIXELS[:, :3], batch_size=None, sampler=[[0, 1], [2]], **k),
    "no samples": lambda **k: data.DataLoader(Items(0), 2, **k),
    "small floats": lambda **k: data.DataLoader(Items(4, lambda i: tt.tensor([i], dtype=tt.bfloat16)), 2, **k),
}


@pytest.mark.parametrize("name", LOADERS)
def test_batches_are_the_same_for_any_number_of_workers(name: str) -> None:
    wanted = epochs(LOADERS[name]())
    assert epochs(LOADERS[name](num_workers=1)) == wanted
    assert epochs(LOADERS[name](num_workers=3, prefetch_factor=1, persistent_workers=True)) == wanted


def test_batches_of_indices_are_sent_as_lists() -> None:
    groups = [(i for i in [2, 3]), range(2)]
    assert indices(data.DataLoader(Items(), batch_sampler=groups, num_workers=1)) == [[2, 3], [0, 1]]


def test_without_memory_files_bytes_go_through_the_socket(monkeypatch: Any) -> None:
    monkeypatch.setattr(channel, "HAS_MEMORY_FILES", False)
    assert epochs(LOADERS["gathered"](num_workers=2)) == epochs(LOADERS["gathered"]())


def test_a_batch_is_memory_of_its_own() -> None:
    first, second = (batch[0] for batch in itertools.islice(LOADERS["gathered"](num_workers=1), 2))
    kept = second.numpy().copy()
    first.numpy()[...] = -1
    assert np.array_equal(second.numpy(), kept) and second.numpy().flags.writeable


def drawn(index: int) -> Any:
    return [random.random(), np.random.rand(), tt.rand(1).item()]


def test_shared_generators_are_seeded_for_each_batch() -> None:
    def draws(workers: int, **more: Any) -> list[Any]:
        return epochs(data.DataLoader(Items(9, drawn), 2, num_workers=workers, **more))

    tt.manual_seed(0)
    one = draws(1)
    assert one == draws(3) == draws(2, persistent_workers=True)
    assert one != draws(2, seed=1)
    numbers = [value for epoch in one for batch in epoch for part in batch[3][1:] for value in part[2]]
    assert len(numbers) == 2 * 9 * 3 == len(set(numbers))  # no two draws are the same

    def seeds_numpy(worker: int) -> None:
        np.random.seed(100 + worker)

    own = [b for epoch in draws(2, worker_init_fn=seeds_numpy) for b in epoch]
    assert own[1][3][2][2] == pytest.approx(np.random.RandomState(101).rand(4)[:2], rel=1e-6)  # worker 1's first
    assert own[1][3][1][2] == one[0][1][3][1][2]  # Python's generator is as it was


def test_iterable_data_sets() -> None:
    def batches(workers: int, shares: bool, **more: Any) -> list[list[int]]:
        return [b.tolist() for b in data.DataLoader(Stream(7, shares), 2, num_workers=workers, **more)]

    assert batches(2, True) == [[0, 2], [1, 3], [4, 6], [5]]
    assert batches(2, True, drop_last=True) == [[0, 2], [1, 3], [4, 6]]
    assert batches(3, True, prefetch_factor=1) == [[0, 3], [1, 4], [2, 5], [6]]
    assert batches(2, False) == [b for b in [[0, 1], [2, 3], [4, 5], [6]] for _ in range(2)]
    assert batches(9, True) == [[i] for i in range(7)]
    loader = data.DataLoader(Stream(5), None, num_workers=2, persistent_workers=True)
    assert [list(loader) for _ in range(2)] == [[0, 1, 2, 3, 4]] * 2
    assert data.get_worker_info() is None


class Broken(data.IterableDataset[int]):
    """Worker 0 has nothing but an error."""

    def __iter__(self) -> Iterator[int]:
        info = data.get_worker_info()
        if info is None or info.id == 0:
            raise OSError("no file")
        return iter(range(20))


def test_kept_workers_begin_streams_anew_in_each_loop() -> None:
    loader = data.DataLoader(Stream(8), 2, num_workers=2, persistent_workers=True)
    whole = [[0, 2], [1, 3], [4, 6], [5, 7]]
    begun = iter(loader)
    next(begun)
    state = loader.state_dict()
    assert [b.tolist() for b in begun] == whole[1:]
    loader.load_state_dict(state)
    assert [b.tolist() for b in loader] == whole[1:]
    assert [b.tolist() for b in loader] == whole
    loader = data.DataLoader(Broken(), 2, num_workers=2, persistent_workers=True)
    for _ in range(2):
        with pytest.raises(OSError, match="no file"):
            list(loader)


@pytest.mark.parametrize("dataset", [Items(), Stream(20)], ids=["items", "stream"])
def test_a_resumed_loader_goes_on(dataset: Any) -> None:
    def loader(workers: int) -> data.DataLoader:
        return data.DataLoader(dataset, 3, num_workers=workers)

    begun, workers = loader(2), iter(loader(2))
    rest = iter(begun)
    for _ in range(2):
        assert plain(next(rest)) == plain(next(workers))
    again = loader(2)
    again.load_state_dict(begun.state_dict())
    assert epochs(again, 1)[0] == [plain(batch) for batch in workers]


# ---- errors -------------------------------------------------------------------------------------------------------


class Odd(Exception):
    """Can be pickled, but not read back."""

    def __init__(self, one: int, two: int) -> None:
        super().__init__("odd")
        self.parts = one, two


class Locked(Exception):
    """Cannot be pickled."""

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self.lock = multiprocessing.get_context("fork").Lock()


def fails(error: BaseException, at: int = 5) -> Any:
    def act(index: int) -> None:
        if index == at:
            raise error

    return act


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (ValueError("unreadable"), ValueError),
        (FileNotFoundError(2, "gone", "a.png"), FileNotFoundError),
        (ShapeError("no shape"), ShapeError),
        (Odd(1, 2), WorkerError),
        (Locked("locked"), WorkerError),
        (SystemExit(3), WorkerError),
    ],
    ids=repr,
)
def test_an_exception_is_raised_in_the_loop(error: BaseException, kind: type[BaseException]) -> None:
    seen: list[Any] = []
    with pytest.raises(kind) as caught:
        for batch in data.DataLoader(Items(10, fails(error)), 2, num_workers=2):
            seen.append(batch[1].tolist())
    assert seen == [[0, 1], [2, 3]]
    text = "".join(traceback.format_exception(caught.value))
    assert "in __getitem__" in text and "in act" in text and "worker 0 of a DataLoader, batch 2" in text
    assert isinstance(error, SystemExit) or "in sample 5 of Items" in text
    assert kind is WorkerError or str(caught.value) == str(error)
    assert kind is not FileNotFoundError or caught.value.filename == "a.png"


def test_a_sample_is_named_in_every_way_of_loading() -> None:
    for more in ({}, {"prefetch": 0}, {"collate_fn": in_a_list}, {"num_workers": 1}):
        with pytest.raises(KeyError) as caught:
            list(data.DataLoader(Items(8, fails(KeyError("x"))), 4, **more))
        assert "in sample 5 of Items" in caught.value.__notes__, more
    with pytest.raises(ShapeError, match="pad or crop"):
        list(data.DataLoader(Items(4, lambda i: np.zeros(i)), 4, num_workers=1))


def test_what_cannot_be_sent_is_an_error() -> None:
    with pytest.raises((pickle.PicklingError, AttributeError), match="lambda"):
        list(data.DataLoader(Items(3), 1, collate_fn=lambda samples: lambda: samples, num_workers=1))


def test_an_error_in_the_beginning_or_in_the_sampler() -> None:
    def init(worker: int) -> None:
        raise OSError(f"no disk for {worker}")

    with pytest.raises(OSError, match="no disk for 0"):
        list(data.DataLoader(Items(), 2, num_workers=2, worker_init_fn=init))

    def sampler() -> Iterator[int]:
        yield 1
        raise IndexError("no more")

    with pytest.raises(IndexError, match="no more"):
        list(data.DataLoader(Items(), 1, sampler=sampler(), num_workers=2))


def test_a_failed_batch_leaves_kept_workers_at_work() -> None:
    loader = data.DataLoader(Items(6, fails(ValueError("x"), 3)), 1, num_workers=2, persistent_workers=True)
    for _ in range(2):
        seen: list[int] = []
        with pytest.raises(ValueError, match="x"):
            for batch in loader:
                seen.append(int(batch[1]))
        assert seen == [0, 1, 2]


@pytest.mark.parametrize("how", ["kill", "leave"])
def test_a_worker_that_ends_is_an_error(how: str) -> None:
    def act(index: int) -> None:
        if index == 3:
            os.kill(os.getpid(), signal.SIGKILL) if how == "kill" else os._exit(7)

    seen: list[Any] = []
    message = {"kill": r"worker 1 \(process \d+\) was killed by SIGKILL", "leave": "ended with exit code 7"}[how]
    loader = data.DataLoader(Items(8, act), 2, num_workers=2, persistent_workers=True)
    with pytest.raises(WorkerError, match=message + ".*batch 1"):
        for batch in loader:
            seen.append(batch[1].tolist())
    assert seen == [[0, 1]]
    with pytest.raises(RuntimeError, match=message):  # the next loop has new workers
        list(loader)


def test_a_worker_that_takes_too_long_is_an_error(monkeypatch: Any) -> None:
    monkeypatch.setattr(pool, "_LEAVE_SECONDS", 0.1)
    began = time.monotonic()
    with pytest.raises(WorkerError, match=r"timed out after 0\.2 seconds: worker 0 has not made batch 0"):
        list(data.DataLoader(Items(4, lambda i: time.sleep(60)), 1, num_workers=1, timeout=0.2))
    assert time.monotonic() - began < 30


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"num_workers": -1}, "num_workers"),
        ({"num_workers": 1.5}, "num_workers"),
        ({"num_workers": 1, "prefetch_factor": 0}, "prefetch_factor"),
        ({"num_workers": 1, "timeout": -1}, "timeout"),
        ({"num_workers": 1, "worker_init_fn": 3}, "worker_init_fn"),
        ({"num_workers": 1, "multiprocessing_context": "threads"}, "multiprocessing_context"),
        ({"num_workers": 1, "multiprocessing_context": 3}, "multiprocessing_context"),
        ({"prefetch_factor": 2}, "prefetch_factor is about workers"),
        ({"persistent_workers": True}, "persistent_workers is about workers"),
        ({"multiprocessing_context": "fork"}, "multiprocessing_context is about workers"),
        ({"in_order": 1}, "in_order"),
    ],
)
def test_bad_arguments(options: dict[str, Any], message: str) -> None:
    with pytest.raises(TinyTorchError, match=message):
        data.DataLoader(Items(), 2, **options)
