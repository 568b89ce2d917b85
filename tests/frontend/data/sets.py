"""Files of data sets, as small as they can be."""

from __future__ import annotations

import gzip
import lzma
import struct
from pathlib import Path

import numpy as np
import pytest

from tinytorch.frontend.data import (
    zoo,
)
from tinytorch.frontend.data.files import Remote


@pytest.fixture(autouse=True)
def own_folders(tmp_path, monkeypatch):
    """No test sees the user's cache, and none reaches the network."""
    monkeypatch.setenv("TT_CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.delenv("TINYTORCH_DATA", raising=False)
    for name in ("_TEXT", "_CIFAR10"):
        remote = getattr(zoo, name)
        monkeypatch.setattr(zoo, name, Remote(remote.name, remote.sha256, (absent(tmp_path),)))
    monkeypatch.setattr(zoo, "_MNIST_MIRRORS", (absent(tmp_path) + "/",))


def absent(folder: Path) -> str:
    return (folder / "no-such-mirror").as_uri()


def flat(lists: list[list[int]]) -> list[int]:
    return [number for numbers in lists for number in numbers]


# ---- MNIST --------------------------------------------------------------------------------------------------


def idx(array: np.ndarray) -> bytes:
    return bytes([0, 0, 8, array.ndim]) + struct.pack(f">{array.ndim}I", *array.shape) + array.tobytes()


def digits(n: int = 5) -> tuple[np.ndarray, np.ndarray]:
    images = np.random.default_rng(n).integers(0, 256, (n, 28, 28), dtype=np.uint8)
    return images, (np.arange(n) % 10).astype(np.uint8)


def write_mnist(folder: Path, prefix: str = "train", zipped: bool = True) -> tuple[np.ndarray, np.ndarray]:
    images, labels = digits()
    for name, array in ((f"{prefix}-images-idx3-ubyte", images), (f"{prefix}-labels-idx1-ubyte", labels)):
        if zipped:
            (folder / f"{name}.gz").write_bytes(gzip.compress(idx(array)))
        else:
            (folder / name).write_bytes(idx(array))
    return images, labels


# ---- CIFAR-10 -----------------------------------------------------------------------------------------------

BATCHES = [f"data_batch_{number}" for number in range(1, 6)]


def write_batches(folder: Path, contents: dict[str, bytes], names: list[str], suffix: str) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    pack = {".bin": bytes, ".bin.xz": lzma.compress, ".bin.gz": gzip.compress}[suffix]
    for name in names:
        (folder / (name + suffix)).write_bytes(pack(contents[name]))
