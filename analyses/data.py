"""Module 08: where samples should lie, what working ahead hides, and what augmentation costs."""

from __future__ import annotations

import math
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

import tinytorch as tt
from analyses.drawing import chart, charts, style
from analyses.measuring import medians, peak_bytes, torch_if_installed
from analyses.record import Analysis, Section, Table
from tinytorch.frontend.data import ArrayDataset as _ArrayDataset

_BACKGROUND = """
A loader turns stored samples into batches: it gathers b rows, changes them at random, converts them to f32. An epoch
of s steps takes s (t_load + t_step) if they take turns, and about s max(t_load, t_step) if the loader works ahead.

- Images of n pixels take n bytes as uint8 and 4n as f32, of storage and of every copy.
- A file that is mapped into memory is read page by page (4 KiB) when its bytes are first touched; the operating system
  keeps pages while there is room, and all processes share them.
- Threads run beside each other only where Python's global lock is not held, as in numpy's and compiled kernels; Python
  code for each sample needs processes.
"""
_QUESTIONS = (
    "A data set has 1.2 million images of 3 × 224 × 224. How large is it as uint8, and as f32? Which fits this "
    "machine?",
    "Loading takes 3 ms and a step 5 ms. What does one worker that works ahead gain, and what do two?",
    "When is a mapped file slower than an array in memory, even if all of it fits into memory?",
    "A crop is drawn by a generator that the loader shares among workers. Why would two workers see the same crops, "
    "and "
    "how does the loader here avoid that?",
    "Augment before or after the conversion to f32: what changes in bytes moved, and in what the network sees?",
)


def analyze(
    *,
    quick: bool = False,
    ArrayDataset: Any = _ArrayDataset,
    DataLoader: Any = tt.DataLoader,
    RandomHorizontalFlip: Any = tt.RandomHorizontalFlip,
) -> Analysis:
    """Measure these data sets, loaders and flips."""
    return Analysis(
        "Data: storage, working ahead, augmentation",
        _BACKGROUND,
        [
            _storage(ArrayDataset, quick),
            _ahead(ArrayDataset, quick),
            _workers(DataLoader, quick),
            _augmentation(RandomHorizontalFlip, quick),
        ],
        _QUESTIONS,
    )


def _storage(ArrayDataset: Any, quick: bool) -> Section:
    """An array in memory against the same file mapped: to open, one batch, a whole epoch, and what is held."""
    samples = 2_000 if quick else 20_000
    images = np.random.default_rng(0).integers(0, 256, (samples, 3, 32, 32), np.uint8)
    order = np.random.default_rng(1).permutation(samples)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "images.npy"
        np.save(path, images)
        ways: dict[str, Callable[[], Any]] = {
            "read into memory": lambda: np.load(path),
            "mapped": lambda: np.load(path, mmap_mode="r"),
        }
        rows: list[list[Any]] = []
        for name, load in ways.items():
            held = peak_bytes(load)
            start = time.perf_counter()
            data = ArrayDataset(load())
            opened = time.perf_counter()
            data.__getitems__(order[:128])
            first = time.perf_counter()
            for at in range(0, samples, 128):
                data.__getitems__(order[at : at + 128])
            done = time.perf_counter()
            rows.append([name, held, (opened - start) * 1e3, (first - opened) * 1e6, (done - first) * 1e3])
            del data
    figure, axes = chart("", "ms")
    for i, (column, label) in enumerate(((2, "open"), (4, "one shuffled epoch"))):
        axes.bar([j + 0.4 * i for j in range(2)], [row[column] for row in rows], 0.4, label=label)
    axes.set_xticks([0.2, 1.2], [str(row[0]) for row in rows])
    axes.legend(fontsize=8)
    ram, mapped = rows
    reading = (
        f"Of {images.nbytes:,} bytes of images, a mapped file holds {mapped[1]:,} in this process when it is opened, "
        f"in {mapped[2] / ram[2]:.2f} of the time that reading takes. A shuffled epoch of it takes "
        f"{mapped[4] / ram[4]:.2f} times as long as from memory (its pages are in the system's cache here); as f32 the "
        f"same images would take {4 * images.nbytes:,} bytes."
    )
    columns = ["images", "held by the process, bytes", "open, ms", "first batch, µs", "shuffled epoch, ms"]
    return Section("In memory, or mapped from a file?", reading, Table(columns, rows), figure)


def _ahead(ArrayDataset: Any, quick: bool) -> Section:
    """Epochs whose batches are made in the loop and by a thread that works ahead."""
    samples, batch = (768, 64) if quick else (1536, 128)
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (samples, 3, 32, 32), np.uint8)
    data = _Images(ArrayDataset(images, rng.integers(0, 10, samples)))
    transform = tt.Compose([tt.RandomCrop(32, 4), tt.RandomHorizontalFlip()])
    weight = tt.Tensor((rng.standard_normal((3072, 64)) / 60).astype(np.float32))
    rows: list[list[Any]] = []
    for rounds in (1, 4) if quick else (1, 2, 4):
        step = tt.compile(lambda x, rounds=rounds: _work(x, weight, rounds))

        def epoch(prefetch: int, work: bool = True, step: Any = step) -> None:
            for x, _ in tt.DataLoader(data, batch, shuffle=True, prefetch=prefetch, transform=transform):
                if work:
                    step(x.reshape(x.shape[0], -1))

        some = tt.Tensor(np.zeros((batch, 3072), np.float32))
        calls: dict[str, Callable[[], Any]] = {
            "loading": lambda: epoch(0, False),
            "steps": lambda f=step, x=some: [f(x) for _ in range(samples // batch)],
            "in turns": lambda: epoch(0),
            "ahead": lambda: epoch(2),
        }
        times = medians(calls, 0.1 if quick else 0.6)
        rows.append([rounds, *(times[name] * 1e3 for name in calls)])
    figure, axes = chart("work of a step, in products", "ms per epoch")
    for i, (label, line) in enumerate(
        (("loading alone", ":"), ("steps alone", ":"), ("in turns", "o-"), ("ahead", "o-")), 1
    ):
        axes.plot([row[0] for row in rows], [row[i] for row in rows], line, label=label)
    axes.set_xticks([row[0] for row in rows])
    axes.set_ylim(0, None)
    axes.legend(fontsize=8)
    last = [float(cell) for cell in rows[-1][1:]]
    reading = (
        f"Where loading takes {last[0]:.0f} ms and the steps {last[1]:.0f} ms, an epoch in turns takes {last[2]:.0f} "
        "ms, "
        f"and {last[3]:.0f} ms with a thread that works ahead; the longer of the two parts is {max(last[:2]):.0f} ms. "
        "Both share the cores of this machine, and the step may use them all."
    )
    columns = ["products per step", "loading, ms", "steps, ms", "in turns, ms", "ahead, ms"]
    return Section("What does working ahead hide?", reading, Table(columns, rows), figure)


class _Images(tt.Dataset[Any]):
    """Stored bytes that become f32 in batches, as MNIST and CIFAR-10 are kept."""

    def __init__(self, stored: Any) -> None:
        self.stored = stored

    def __len__(self) -> int:
        return len(self.stored)

    def __getitem__(self, index: int) -> Any:
        return self.stored[index]

    def __getitems__(self, indices: Any) -> Any:
        return self.stored.__getitems__(indices)

    def decode(self, batch: Any) -> Any:
        return batch[0].astype(np.float32) / np.float32(255), batch[1]


def _work(x: tt.Tensor, weight: tt.Tensor, rounds: int) -> tt.Tensor:
    for _ in range(rounds):
        x = (x @ weight).relu() @ weight.T
    return x


class _Slow(tt.Dataset[Any]):
    """Samples that take Python code each, as text or decoded files do."""

    def __init__(self, count: int, work: int) -> None:
        self.count, self.work = count, work

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, index: int) -> float:
        total = 0.0
        for i in range(self.work):
            total += math.sin(index + i)
        return total


def _workers(DataLoader: Any, quick: bool) -> Section:
    """Processes for samples that are Python code."""
    count, work = (256, 2_000) if quick else (1024, 4_000)
    data = _Slow(count, work)
    numbers = (0, 1, 2) if quick else (0, 1, 2, 4)
    times: dict[int, float] = {}
    for number in numbers:
        options: dict[str, Any] = {"num_workers": number} if number else {"prefetch": 0}
        start = time.perf_counter()
        seen = sum(len(batch) for batch in DataLoader(data, 32, **options))
        times[number] = time.perf_counter() - start
        assert seen == count
    figure, axes = chart("worker processes", "samples per second")
    axes.plot(numbers, [count / times[n] for n in numbers], "o-")
    axes.set_xticks(numbers)
    axes.set_ylim(0, None)
    rows = [[n, times[n] * 1e3, count / times[n], times[0] / times[n]] for n in numbers]
    best = max(numbers, key=lambda n: count / times[n])
    gain = (
        f"with {best} worker{'s' * (best > 1)}: {times[0] / times[best]:.2f} times as many as without"
        if best
        else f"without workers; with {numbers[-1]} there are {times[0] / times[numbers[-1]]:.2f} times as many"
    )
    reading = (
        f"The most here is {count / times[best]:,.0f} samples a second, {gain}. Starting the processes and sending "
        "batches back is included."
    )
    columns = ["workers", "epoch, ms", "samples per second", "against none"]
    return Section("What do processes gain where samples are Python?", reading, Table(columns, rows), figure)


def _augmentation(RandomHorizontalFlip: Any, quick: bool) -> Section:
    """A batch as it is stored, decoded, and changed in each way."""
    batch = 64 if quick else 256
    images = np.random.default_rng(0).integers(0, 256, (batch, 3, 32, 32), np.uint8)
    ways: dict[str, Callable[[Any, Any], Any]] = {
        "flip": RandomHorizontalFlip(),
        "crop, padded by 4": tt.RandomCrop(32, 4),
        "cutout of 8": tt.Cutout(8),
        "all three": tt.Compose([tt.RandomCrop(32, 4), RandomHorizontalFlip(), tt.Cutout(8)]),
    }
    calls: dict[str, Callable[[], Any]] = {"to f32 alone": lambda: images.astype(np.float32)}
    rng = np.random.default_rng(1)
    for name, way in ways.items():
        calls[name] = lambda w=way: w(images, rng)
    floats = images.astype(np.float32)
    calls["all three, on f32"] = lambda: ways["all three"](floats, rng)
    torch = torch_if_installed()
    if torch:
        given = torch.from_numpy(images)
        calls["torch: flip all"] = lambda: torch.flip(given, (3,))
    times = medians(calls, 0.05 if quick else 0.3)
    rows = [[name, seconds * 1e6, seconds / images.nbytes * 1e9] for name, seconds in times.items()]
    figure, pair = charts(1, width=6.4)
    style(pair, "µs per batch", "")
    pair.barh(list(times)[::-1], [seconds * 1e6 for seconds in times.values()][::-1])
    reading = (
        f"All three take {times['all three'] * 1e6:.0f} µs for a batch of {batch}, "
        f"{times['all three'] / times['to f32 alone']:.1f} times the conversion to f32. On images that are f32 already "
        f"they take {times['all three, on f32'] / times['all three']:.1f} times as long; four bytes move where one did."
    )
    columns = ["change", "µs per batch", "ns per byte stored"]
    return Section(f"What does augmentation cost, for {batch} images?", reading, Table(columns, rows), figure)
