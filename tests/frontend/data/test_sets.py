"""Data sets and their files: MNIST, CIFAR-10, Tiny Shakespeare, downloads."""

from __future__ import annotations

import hashlib
import io
import os
import tarfile
from pathlib import Path

import numpy as np
import pytest

from tests.frontend.data.sets import BATCHES, absent, digits, idx, own_folders, write_batches, write_mnist
from tinytorch.frontend.data import (
    CIFAR10,
    MNIST,
    DataError,
    TinyShakespeare,
    zoo,
)
from tinytorch.frontend.data.files import Remote

__all__ = ["own_folders"]  # a fixture of every test here

REAL_DATA = os.environ.get("TINYTORCH_DATA")
needs_data = pytest.mark.skipif(not REAL_DATA, reason="TINYTORCH_DATA is not set")


@pytest.mark.parametrize("zipped", [True, False])
@pytest.mark.parametrize("train", [True, False])
def test_mnist_reads_idx_files(tmp_path, zipped, train):
    images, labels = write_mnist(tmp_path, "train" if train else "t10k", zipped)
    data = MNIST(tmp_path, train)
    assert len(data) == 5
    image, label = data[3]
    assert image.numpy().dtype == np.float32 and label.numpy().dtype == np.int64 and label.numpy() == labels[3]
    np.testing.assert_array_equal(image.numpy(), (images[3] / 255).astype(np.float32)[None])
    flat, _ = MNIST(tmp_path, train, flatten=True)[3]
    np.testing.assert_array_equal(flat.numpy(), image.numpy().reshape(784))
    normal, _ = MNIST(tmp_path, train, normalize=True)[3]
    np.testing.assert_allclose(normal.numpy(), (image.numpy() - 0.1307) / 0.3081, rtol=1e-5, atol=1e-6)


def test_mnist_looks_in_the_environment_and_its_subfolder(tmp_path, monkeypatch):
    (tmp_path / "data" / "mnist").mkdir(parents=True)
    write_mnist(tmp_path / "data" / "mnist")
    monkeypatch.setenv("TINYTORCH_DATA", str(tmp_path / "data"))
    assert len(MNIST()) == 5


def damage_header(content: bytes) -> bytes:
    return b"\x1f\x00" + content[2:]


def flip_a_bit(content: bytes) -> bytes:
    middle = len(content) // 2
    return content[:middle] + bytes([content[middle] ^ 1]) + content[middle + 1 :]


def cut_short(content: bytes) -> bytes:
    return content[: len(content) * 2 // 3]


@pytest.mark.parametrize("harm", [damage_header, flip_a_bit, cut_short, lambda content: b""])
def test_damaged_gzip_is_an_error(tmp_path, harm):
    write_mnist(tmp_path)
    path = tmp_path / "train-images-idx3-ubyte.gz"
    path.write_bytes(harm(path.read_bytes()))
    with pytest.raises(DataError, match=r"train-images-idx3-ubyte\.gz"):
        MNIST(tmp_path)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "not an idx file"),
        (b"\0\0\x0d\x03" + bytes(40), "not an idx file"),
        (b"\0\0\x08\x03\0\0", "cut short within the header"),
        (idx(digits()[0])[:-1], "asks for"),
        (idx(digits()[0]) + b"\0", "asks for"),
        (idx(digits()[0][:, :20]), r"images are \[n, 28, 28\]"),
        (idx(digits(4)[0]), r"holds \[5\] labels"),
    ],
)
def test_idx_that_is_not_what_it_says(tmp_path, content, message):
    write_mnist(tmp_path, zipped=False)
    (tmp_path / "train-images-idx3-ubyte").write_bytes(content)
    with pytest.raises(DataError, match=message):
        MNIST(tmp_path)


def test_labels_out_of_range(tmp_path):
    write_mnist(tmp_path, zipped=False)
    (tmp_path / "train-labels-idx1-ubyte").write_bytes(idx(np.array([1, 2, 3, 4, 10], np.uint8)))
    with pytest.raises(DataError, match="label 10 where labels go from 0 to 9"):
        MNIST(tmp_path)


# ---- downloads ----------------------------------------------------------------------------------------------


def serve(folder: Path, monkeypatch, mirrors: list[str]) -> None:
    digests = {p.name.removesuffix(".gz"): hashlib.sha256(p.read_bytes()).hexdigest() for p in folder.glob("*.gz")}
    monkeypatch.setattr(zoo, "_MNIST_SHA256", digests)
    monkeypatch.setattr(zoo, "_MNIST_MIRRORS", tuple(mirrors))


def test_a_download_comes_from_the_first_mirror_that_works(tmp_path, monkeypatch):
    mirror = tmp_path / "mirror"
    mirror.mkdir()
    images, _ = write_mnist(mirror)
    serve(mirror, monkeypatch, [absent(tmp_path) + "/", mirror.as_uri() + "/"])
    np.testing.assert_array_equal(MNIST().images[:, 0], images)
    folder = tmp_path / "cache" / "data" / "mnist"
    assert sorted(p.name for p in folder.iterdir()) == ["train-images-idx3-ubyte.gz", "train-labels-idx1-ubyte.gz"]
    monkeypatch.setattr(zoo, "_MNIST_MIRRORS", (absent(tmp_path),))
    assert len(MNIST()) == 5


def test_a_download_with_the_wrong_checksum_leaves_nothing(tmp_path, monkeypatch):
    mirror = tmp_path / "mirror"
    mirror.mkdir()
    write_mnist(mirror)
    serve(mirror, monkeypatch, [mirror.as_uri() + "/"])
    path = mirror / "train-images-idx3-ubyte.gz"
    path.write_bytes(flip_a_bit(path.read_bytes()))
    with pytest.raises(DataError, match="SHA-256 of what arrived"):
        MNIST()
    assert list((tmp_path / "cache" / "data" / "mnist").iterdir()) == []


@pytest.mark.parametrize("load", [MNIST, CIFAR10, TinyShakespeare])
def test_missing_files_say_what_to_do(load, tmp_path):
    with pytest.raises(DataError) as caught:
        load(tmp_path / "nowhere")
    message = str(caught.value)
    for part in ("not found", "TINYTORCH_DATA", str(tmp_path / "nowhere"), "no-such-mirror"):
        assert part in message
    with pytest.raises(DataError, match="turned off"):
        load(download=False)


@pytest.fixture
def cifar(tmp_path, monkeypatch) -> dict[str, bytes]:
    """Three images per batch, batch i filled with labels i."""
    monkeypatch.setattr(CIFAR10, "images_per_file", 3)
    generator = np.random.default_rng(0)
    contents = {}
    for number, name in enumerate([*BATCHES, "test_batch"], 1):
        records = generator.integers(0, 256, (3, 3073), dtype=np.uint8)
        records[:, 0] = number
        contents[name] = records.tobytes()
    return contents


def labels_of(data: CIFAR10) -> list[int]:
    return data.labels.tolist()


@pytest.mark.parametrize("suffix", [".bin", ".bin.xz", ".bin.gz"])
def test_cifar10_without_test_batch_holds_out_the_fifth(tmp_path, cifar, suffix):
    write_batches(tmp_path / "cifar10", cifar, BATCHES, suffix)
    train, test = CIFAR10(tmp_path), CIFAR10(tmp_path, train=False)
    assert labels_of(train) == [n for n in (1, 2, 3, 4) for _ in range(3)] and labels_of(test) == [5] * 3
    for data in (train, test):
        assert "data_batch_5" in data.note and "held out" in data.note and data.note in repr(data)
    raw = np.frombuffer(cifar["data_batch_2"], np.uint8).reshape(3, 3073)[1, 1:].reshape(3, 32, 32)
    image, label = train[4]
    np.testing.assert_array_equal(image.numpy(), (raw / 255).astype(np.float32))
    assert label.numpy() == 2 and label.numpy().dtype == np.int64


def test_cifar10_uses_the_official_test_batch(tmp_path, cifar):
    write_batches(tmp_path, cifar, [*BATCHES, "test_batch"], ".bin")
    assert labels_of(CIFAR10(tmp_path)) == [n for n in (1, 2, 3, 4, 5) for _ in range(3)]
    test = CIFAR10(tmp_path, train=False)
    assert labels_of(test) == [6] * 3 and "official" in test.note


def tar_of(contents: dict[str, bytes]) -> bytes:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w:gz") as archive:
        for name, content in contents.items():
            entry = tarfile.TarInfo(f"cifar-10-batches-bin/{name}.bin")
            entry.size = len(content)
            archive.addfile(entry, io.BytesIO(content))
    return stream.getvalue()


def test_cifar10_reads_the_archive(tmp_path, cifar):
    (tmp_path / "cifar-10-binary.tar.gz").write_bytes(tar_of(cifar))
    assert labels_of(CIFAR10(tmp_path)) == [n for n in (1, 2, 3, 4, 5) for _ in range(3)]
    assert labels_of(CIFAR10(tmp_path, train=False)) == [6] * 3
    assert labels_of(CIFAR10(tmp_path)) == [n for n in (1, 2, 3, 4, 5) for _ in range(3)]  # now from the cache


@pytest.mark.parametrize("harm", [flip_a_bit, cut_short])
def test_a_damaged_archive_is_an_error(tmp_path, cifar, harm):
    (tmp_path / "cifar-10-binary.tar.gz").write_bytes(harm(tar_of(cifar)))
    with pytest.raises(DataError, match="damaged or cut short"):
        CIFAR10(tmp_path)


def test_an_archive_without_a_batch_is_an_error(tmp_path, cifar):
    del cifar["data_batch_3"]
    (tmp_path / "cifar-10-binary.tar.gz").write_bytes(tar_of(cifar))
    with pytest.raises(DataError, match=r"has no data_batch_3\.bin"):
        CIFAR10(tmp_path)


@pytest.mark.parametrize("suffix", [".bin", ".bin.xz"])
def test_damaged_batches_are_errors(tmp_path, cifar, suffix):
    write_batches(tmp_path, cifar, BATCHES, suffix)
    path = tmp_path / f"data_batch_4{suffix}"
    path.write_bytes(cut_short(path.read_bytes()))
    with pytest.raises(DataError, match="data_batch_4"):
        CIFAR10(tmp_path)


def test_cifar10_labels_out_of_range(tmp_path, cifar):
    cifar["data_batch_1"] = b"\x0b" + cifar["data_batch_1"][1:]
    write_batches(tmp_path, cifar, BATCHES, ".bin")
    with pytest.raises(DataError, match="label 11"):
        CIFAR10(tmp_path)


# ---- Tiny Shakespeare ---------------------------------------------------------------------------------------


def test_tiny_shakespeare_is_split_and_nothing_else(tmp_path, monkeypatch):
    text = b"First Citizen:\nBefore we proceed any further, hear me speak.\n"
    remote = Remote("input.txt", hashlib.sha256(text).hexdigest(), ())
    monkeypatch.setattr(zoo, "_TEXT", remote)
    (tmp_path / "tinyshakespeare").mkdir()
    path = tmp_path / "tinyshakespeare" / "input.txt"
    path.write_bytes(text)
    data = TinyShakespeare(tmp_path)
    assert data.train + data.validation == data.text == text.decode()
    assert len(data.train) == len(text) * 9 // 10
    path.write_bytes(text[:-1])
    with pytest.raises(DataError, match="not the Tiny Shakespeare text"):
        TinyShakespeare(tmp_path)


# ---- the real files -----------------------------------------------------------------------------------------


@needs_data
def test_the_real_mnist():
    train, test = MNIST(REAL_DATA, download=False), MNIST(REAL_DATA, train=False, download=False)
    assert (len(train), len(test)) == (60_000, 10_000)
    assert train.labels[:10].tolist() == [5, 0, 4, 1, 9, 2, 1, 3, 1, 4]
    assert test.labels[:10].tolist() == [7, 2, 1, 0, 4, 1, 4, 9, 5, 9]
    assert round(float(train.images.mean()) / 255, 4) == 0.1307


@needs_data
def test_the_real_cifar10():
    held_out = CIFAR10(REAL_DATA, train=False, download=False)
    assert len(held_out) == 10_000
    counts = np.bincount(held_out.labels)
    assert len(counts) == 10 and counts.sum() == 10_000


@needs_data
def test_the_real_tiny_shakespeare():
    data = TinyShakespeare(REAL_DATA, download=False)
    assert len(data.text) == 1_115_394 and data.text.startswith("First Citizen")
