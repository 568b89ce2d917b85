"""Public data sets: MNIST, CIFAR-10, Tiny Shakespeare."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from tinytorch.frontend import arguments
from tinytorch.frontend.data import files as files
from tinytorch.frontend.data.files import Bytes, DataError, Remote
from tinytorch.frontend.data.sets import Array, ArrayDataset

Folder = str | os.PathLike[str]

_TEXT = Remote(
    "input.txt",
    "86c4e6aa9db7c042ec79f339dcb96d42b0075e16b8fc2e86bf0ca57e2dc565ed",
    ("https://raw.githubusercontent.com/karpathy/char-rnn/master/data/tinyshakespeare/input.txt",),
)
_TEXT_BYTES = 1_115_394
_MOST_UNPACKED = 1 << 28  # bytes of CIFAR-10's archive, which unpacks to 184 MB
_MOST_IMAGES = 1 << 18  # of sets in MNIST's format with ten classes: four times as many as it has
_CIFAR10 = Remote(
    "cifar-10-binary.tar.gz",
    "c4a38c50a1bc5f3a1c5537f2155ab9d68f9f25eb1ed8d9ddda3db29a59bca1dd",
    (
        "https://www.cs.toronto.edu/~kriz/cifar-10-binary.tar.gz",
        "https://storage.googleapis.com/s4tf-hosted-binaries/datasets/CIFAR10/cifar-10-binary.tar.gz",
    ),
)
_MNIST_MIRRORS = (
    "https://ossci-datasets.s3.amazonaws.com/mnist/",
    "https://storage.googleapis.com/cvdf-datasets/mnist/",
)
_MNIST_SHA256 = {
    "train-images-idx3-ubyte": "440fcabf73cc546fa21475e81ea370265605f56be210a4024d2ca8f203523609",
    "train-labels-idx1-ubyte": "3552534a0a558bbed6aed32b30c495cca23d567ec52cac8be1a0730e8010255c",
    "t10k-images-idx3-ubyte": "8d422c7b0a1c1c79245a5bcf07fe86e33eeafee792b84584aec276f5a2dbc4e6",
    "t10k-labels-idx1-ubyte": "f7ae60f92e00ec6debd23a6088c31dbd2371eca3ffa0defaefb259924204aec6",
}


class ImageDataset(ArrayDataset):
    """Images with a class each: uint8 [n, channels, height, width] in storage, float32 in batches.

    A pixel p becomes p / 255; with `normalize`, (p / 255 - mean) / std of its channel. Labels are int64.
    `images` and `labels` hold the stored arrays; `note` says which files and which split they are.
    """

    mean: ClassVar[tuple[float, ...]]
    std: ClassVar[tuple[float, ...]]
    classes: ClassVar[tuple[str, ...]]

    def __init__(self, images: Bytes, labels: Bytes, *, note: str, flatten: bool, normalize: bool) -> None:
        super().__init__(images, labels)
        self.images = images
        self.labels = labels
        self.note = note
        self.flatten = arguments.flag(type(self).__name__, "flatten", flatten)
        self.normalize = arguments.flag(type(self).__name__, "normalize", normalize)

    def decode(self, batch: tuple[Bytes, Bytes]) -> tuple[Array, Array]:
        images = batch[0].astype(np.float32)
        images /= np.float32(255)
        if self.normalize:
            images -= _per_channel(self.mean)
            images /= _per_channel(self.std)
        if self.flatten:
            images = images.reshape(len(images), -1)
        return images, batch[1].astype(np.int64)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({len(self)} images of {'x'.join(map(str, self.images.shape[1:]))}; {self.note})"


def _per_channel(values: tuple[float, ...]) -> NDArray[np.float32]:
    return np.asarray(values, np.float32).reshape(-1, 1, 1)


class MNIST(ImageDataset):
    """Handwritten digits (LeCun, Cortes, Burges): 60,000 for training, 10,000 for testing; image [1, 28, 28] or [784].

    Looks for the four idx files, gzipped or not, in `root`, `$TINYTORCH_DATA` and the cache folder, each also with a
    subfolder `mnist`; else downloads them into the cache folder. DataError, saying what to do, where that fails.
    """

    mean = (0.1307,)
    std = (0.3081,)
    classes = tuple("0123456789")

    def __init__(
        self,
        root: Folder | None = None,
        train: bool = True,
        *,
        flatten: bool = False,
        normalize: bool = False,
        download: bool = True,
    ) -> None:
        arguments.flag("MNIST", "download", download)
        prefix = "train" if arguments.flag("MNIST", "train", train) else "t10k"
        names = [f"{prefix}-images-idx3-ubyte", f"{prefix}-labels-idx1-ubyte"]
        sources = _find_mnist(root, names, download)
        images, labels = files.cached_arrays(
            sources, ("images", "labels"), lambda: _read_mnist(sources), lambda arrays: _check_mnist(arrays, sources)
        )
        note = f"the official {'training' if train else 'test'} set"
        super().__init__(images, labels, note=note, flatten=flatten, normalize=normalize)


def _find_mnist(root: Folder | None, names: Sequence[str], download: bool) -> list[Path]:
    folders = files.search_folders(root, ("mnist", "MNIST/raw"))
    for folder in folders:
        found = [files.first_file(folder, (name, f"{name}.gz")) for name in names]
        present = [path for path in found if path is not None]
        if len(present) == len(names):
            return present
    remotes = [
        Remote(f"{name}.gz", _MNIST_SHA256[name], tuple(f"{mirror}{name}.gz" for mirror in _MNIST_MIRRORS))
        for name in names
    ]
    return _download_all("MNIST", remotes, "mnist", folders, download)


def _download_all(
    what: str, remotes: Sequence[Remote], name: str, folders: Sequence[Path], allowed: bool
) -> list[Path]:
    needed = [remote.name for remote in remotes]
    if not allowed:
        raise files.missing(what, needed, folders, ())
    try:
        return [files.download(remote, files.cache_folder() / name) for remote in remotes]
    except DataError as error:
        raise files.missing(what, needed, folders, [str(error)]) from error


def _read_mnist(sources: Sequence[Path]) -> tuple[Bytes, ...]:
    images = files.read_idx(sources[0], _MOST_IMAGES * 784)
    if images.ndim != 3 or images.shape[1:] != (28, 28):
        raise DataError(f"{sources[0]}: holds {list(images.shape)} bytes, where images are [n, 28, 28]")
    return images[:, None], files.read_idx(sources[1], _MOST_IMAGES)


def _check_mnist(arrays: tuple[Bytes, ...], sources: Sequence[Path]) -> None:
    images, labels = arrays
    if images.ndim != 4 or images.shape[1:] != (1, 28, 28):
        raise DataError(f"{sources[0]}: decoded to {list(images.shape)} bytes, not to [n, 1, 28, 28]")
    if labels.shape != images.shape[:1]:
        raise DataError(f"{sources[1]}: holds {list(labels.shape)} labels, {sources[0].name} {len(images)} images")
    files.check_labels(labels, 10, sources[1])


class CIFAR10(ImageDataset):
    """Colour images of ten classes (Krizhevsky 2009), image [3, 32, 32]: 50,000 for training, 10,000 for testing.

    Looks for the "binary version" (`data_batch_1.bin` … `test_batch.bin`, each also as .bin.xz or .bin.gz, or all in
    `cifar-10-binary.tar.gz`) in `root`, `$TINYTORCH_DATA` and the cache folder, each also with a subfolder `cifar10`;
    else downloads the archive into the cache folder. DataError, saying what to do, where that fails.

    Where the test batch is absent, `data_batch_5` is held out in its place and training has batches 1 to 4; `note`
    and the repr say so.
    """

    mean = (0.4914, 0.4822, 0.4465)
    std = (0.2470, 0.2435, 0.2616)
    classes = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")
    images_per_file: ClassVar[int] = 10_000

    def __init__(
        self,
        root: Folder | None = None,
        train: bool = True,
        *,
        flatten: bool = False,
        normalize: bool = False,
        download: bool = True,
    ) -> None:
        arguments.flag("CIFAR10", "train", train)
        batches = _find_cifar10(root, arguments.flag("CIFAR10", "download", download))
        names, note = _split_cifar10("test_batch" in batches, train)
        sources = {name: batches[name] for name in names}
        read = partial(_read_cifar10, sources, self.images_per_file)
        # The names are part of the fields: both splits may come out of one archive.
        fields = [f"{'+'.join(names)}-{field}" for field in ("images", "labels")]
        check = partial(_check_cifar10, sources, self.images_per_file)
        images, labels = files.cached_arrays(sorted(set(sources.values())), fields, read, check)
        super().__init__(images, labels, note=note, flatten=flatten, normalize=normalize)


_TRAINING = tuple(f"data_batch_{number}" for number in range(1, 6))


def _split_cifar10(official: bool, train: bool) -> tuple[tuple[str, ...], str]:
    if official:
        return (_TRAINING, "the official training set") if train else (("test_batch",), "the official test batch")
    why = "no official test_batch was found"
    if train:
        return _TRAINING[:4], f"data_batch_1 to 4; data_batch_5 is held out for testing, {why}"
    return _TRAINING[4:], f"data_batch_5, held out from training, {why}"


def _find_cifar10(root: Folder | None, download: bool) -> dict[str, Path]:
    """Which file holds which batch; the archive stands for all six."""
    folders = files.search_folders(root, ("cifar10", "cifar-10-batches-bin", "cifar10/cifar-10-batches-bin"))
    for folder in folders:
        found = {
            name: path
            for name in (*_TRAINING, "test_batch")
            if (path := files.first_file(folder, (f"{name}.bin", f"{name}.bin.xz", f"{name}.bin.gz"))) is not None
        }
        if found.keys() >= set(_TRAINING):
            return found
        archive = files.first_file(folder, (_CIFAR10.name,))
        if archive is not None:
            return dict.fromkeys((*_TRAINING, "test_batch"), archive)
    (archive,) = _download_all("CIFAR10", [_CIFAR10], "cifar10", folders, download)
    return dict.fromkeys((*_TRAINING, "test_batch"), archive)


def _read_cifar10(sources: dict[str, Path], images_per_file: int) -> tuple[Bytes, ...]:
    """Images [n, 3, 32, 32] and labels [n]; a record is one label byte, then red, green and blue planes by rows."""
    paths = list(sources.values())
    size = images_per_file * 3073
    if paths[0].name.endswith(".tar.gz"):
        contents = files.read_members(paths[0], [f"{name}.bin" for name in sources], size, _MOST_UNPACKED)
    else:
        with ThreadPoolExecutor(os.cpu_count()) as pool:  # decompression runs without the interpreter lock
            contents = list(pool.map(partial(files.read_bytes, most=size), paths))
    records: list[Bytes] = []
    for path, content in zip(paths, contents, strict=True):
        if len(content) != size:
            raise DataError(f"{path}: a batch has {len(content)} bytes, not {images_per_file} records of 3073")
        records.append(np.frombuffer(content, np.uint8).reshape(images_per_file, 3073))
        files.check_labels(records[-1][:, 0], 10, path)
    images = np.concatenate([record[:, 1:] for record in records]).reshape(-1, 3, 32, 32)
    return images, np.concatenate([record[:, 0] for record in records])


def _check_cifar10(sources: dict[str, Path], images_per_file: int, arrays: tuple[Bytes, ...]) -> None:
    images, labels = arrays
    count, path = images_per_file * len(sources), next(iter(sources.values()))
    if images.shape != (count, 3, 32, 32) or labels.shape != (count,):
        raise DataError(f"{path}: decoded to {list(images.shape)} bytes and {list(labels.shape)} labels")
    files.check_labels(labels, 10, path)


class TinyShakespeare:
    """Shakespeare's plays in part (Karpathy 2015), 1,115,394 ASCII characters.

    `text` is all of it, `train` its first 90 %, `validation` the rest. Looks for `input.txt` in `root`,
    `$TINYTORCH_DATA` and the cache folder, each also with a subfolder `tinyshakespeare`; else downloads it into the
    cache folder. DataError where that fails, or where the file is another text: figures on it could not be compared.
    """

    def __init__(self, root: Folder | None = None, *, download: bool = True) -> None:
        arguments.flag("TinyShakespeare", "download", download)
        folders = files.search_folders(root, ("tinyshakespeare",))
        paths = [path for folder in folders if (path := files.first_file(folder, (_TEXT.name,))) is not None]
        path = paths[0] if paths else _download_all("TinyShakespeare", [_TEXT], "tinyshakespeare", folders, download)[0]
        content = files.read_bytes(path, 2 * _TEXT_BYTES)  # a wrong text is named by its size, if that is no larger
        if hashlib.sha256(content).hexdigest() != _TEXT.sha256:
            raise DataError(f"{path}: {len(content)} bytes that are not the Tiny Shakespeare text (by their SHA-256)")
        self.text = content.decode("ascii")
        boundary = len(self.text) * 9 // 10
        self.train = self.text[:boundary]
        self.validation = self.text[boundary:]

    def __repr__(self) -> str:
        return f"TinyShakespeare({len(self.train)} characters for training, {len(self.validation)} for validation)"
