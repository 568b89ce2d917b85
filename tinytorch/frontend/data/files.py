"""Files of the public data sets: finding, downloading, decoding, and keeping the decoded arrays on disk."""

from __future__ import annotations

import gzip
import hashlib
import lzma
import math
import os
import secrets
import struct
import tarfile
import zlib
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO, cast

import numpy as np
from numpy.typing import NDArray

from tinytorch.ir.errors import TinyTorchError
from tinytorch.ir.loc import warn
from tinytorch.ir.system import private_files
from tinytorch.ir.system.private_files import ExposedError, PrivateFolder, private_folder, random_name

Bytes = NDArray[np.uint8]

_DECODER_VERSION = 2  # part of the key of cached arrays: raise it when a decoder changes
_TIMEOUT_SECONDS = 20.0
_CHUNK = 1 << 20
_SUM_BYTES = 32
_MOST_KEPT = 1 << 30  # bytes of a decoded array


class DataError(TinyTorchError, ValueError):
    """A data file is missing, damaged, or not what its name says."""


@dataclass(frozen=True)
class Remote:
    """A published file: its name, the SHA-256 of its bytes, and the addresses that serve it."""

    name: str
    sha256: str
    mirrors: tuple[str, ...]


# ---- finding ------------------------------------------------------------------------------------------------


def cache_folder() -> Path:
    """Where downloads and decoded arrays are kept: in the user's cache folder, or in TT_CACHE_DIR."""
    return private_files.cache_folder() / "data"


def search_folders(root: str | os.PathLike[str] | None, names: Sequence[str]) -> list[Path]:
    """Folders in which to look, in order: `root`, `TINYTORCH_DATA`, the cache; in each its `names`, then itself."""
    configured = os.environ.get("TINYTORCH_DATA")
    bases = [Path(root)] if root is not None else []
    bases += [Path(configured)] if configured else []
    bases.append(cache_folder())
    return [base / name for base in bases for name in (*names, ".")]


def first_file(folder: Path, names: Sequence[str]) -> Path | None:
    """The first of `names` that is a file in `folder`."""
    return next((folder / name for name in names if (folder / name).is_file()), None)


def missing(what: str, names: Sequence[str], folders: Sequence[Path], reasons: Sequence[str]) -> DataError:
    """The error for files that are neither on disk nor to be had from the network."""
    looked = "\n".join(f"    {folder}" for folder in dict.fromkeys(map(os.path.normpath, folders)))
    failed = "".join(f"\n    {reason}" for reason in reasons)
    return DataError(
        f"{what}: not found, and not downloaded\n"
        f"  needs: {', '.join(names)}\n  looked in:\n{looked}\n"
        f"  downloads:{failed or ' turned off'}\n"
        f"  what to do: put the files into one of these folders, or set TINYTORCH_DATA to the folder that has them"
    )


# ---- downloading --------------------------------------------------------------------------------------------


def download(remote: Remote, folder: Path) -> Path:
    """Fetch `remote` into `folder` from its first mirror that delivers the right bytes.

    The file appears whole or not at all: it is written beside its place, checked against its SHA-256, then renamed.
    DataError, one line per mirror, where none delivers.
    """
    reasons: list[str] = []
    for url in remote.mirrors:
        try:
            folder.mkdir(parents=True, exist_ok=True)
            return _fetch(url, remote, folder)
        except (OSError, DataError) as error:
            reasons.append(f"{url}: {error}")
    raise DataError("\n    ".join(reasons))


def _fetch(url: str, remote: Remote, folder: Path) -> Path:
    with replacing(folder / remote.name) as target:
        digest = _transfer(url, remote.name, target)
        if digest != remote.sha256:
            raise DataError(f"SHA-256 of what arrived is {digest}, expected {remote.sha256}")
    return folder / remote.name


@contextmanager
def replacing(path: Path) -> Generator[IO[bytes]]:
    """A file to write that takes the place of `path` when the block ends well, and vanishes when it does not."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}-{secrets.token_hex(4)}")
    try:
        with temporary.open("xb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def _transfer(url: str, name: str, target: IO[bytes]) -> str:
    import urllib.request

    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TransferSpeedColumn

    digest = hashlib.sha256()
    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TransferSpeedColumn())
    with urllib.request.urlopen(url, timeout=_TIMEOUT_SECONDS) as source, Progress(*columns) as progress:
        length = source.headers.get("Content-Length")
        task = progress.add_task(name, total=int(length) if length else None)
        while chunk := source.read(_CHUNK):
            digest.update(chunk)
            target.write(chunk)
            progress.update(task, advance=len(chunk))
    return digest.hexdigest()


# ---- decoding -----------------------------------------------------------------------------------------------


def read_bytes(path: Path, most: int) -> bytearray:
    """The content of `path`, decompressed if its name ends in .gz or .xz; DataError if it is damaged, or larger than
    `most` bytes: a small compressed file could become more than any memory."""
    with _reading(path) as file:
        return _read(file, most, path)


def read_idx(path: Path, most: int) -> Bytes:
    """The array in an idx file of unsigned bytes, read as `read_bytes` does: magic 0, 0, 8, rank; big-endian sizes;
    then the values. The sizes say how much is read.

    Format: LeCun, Cortes and Burges, "The MNIST database of handwritten digits".
    """
    with _reading(path) as file:
        magic = file.read(4)
        if len(magic) < 4 or magic[:3] != b"\0\0\x08":
            raise DataError(f"{path}: not an idx file of unsigned bytes (starts with {magic.hex(' ') or 'nothing'})")
        sizes = file.read(4 * magic[3])
        if len(sizes) < 4 * magic[3]:
            raise DataError(f"{path}: cut short within the header: {4 + len(sizes)} bytes of {4 + 4 * magic[3]}")
        shape = tuple(int.from_bytes(sizes[at : at + 4], "big") for at in range(0, len(sizes), 4))
        count = math.prod(shape)
        if count > most:
            raise DataError(f"{path}: its header {list(shape)} asks for {count} bytes, at most {most} are expected")
        values = _up_to(file, count + 1)
        if len(values) != count:
            found = len(values) if len(values) < count else "more"
            raise DataError(f"{path}: {found} values, but its header {list(shape)} asks for {count}")
        return np.frombuffer(values, np.uint8).reshape(shape)


@contextmanager
def _reading(path: Path) -> Generator[IO[bytes]]:
    """`path` opened for reading, through a decompressor if its name asks for one; DataError where that fails."""
    try:
        with _open(path) as file:
            yield file
    except (EOFError, zlib.error, lzma.LZMAError, gzip.BadGzipFile, tarfile.TarError) as error:
        raise DataError(f"{path}: damaged or cut short ({error}); delete it or get it anew") from error
    except (OSError, MemoryError) as error:  # the latter where a decompressor is told to keep more than there is
        raise DataError(f"{path}: cannot be read ({error or 'too little memory'})") from error


def _open(path: Path) -> IO[bytes]:
    if path.suffix == ".gz":
        return cast(IO[bytes], gzip.open(path))
    if path.suffix == ".xz":
        return cast(IO[bytes], lzma.open(path))
    return path.open("rb")


def _read(file: IO[bytes], most: int, path: Path) -> bytearray:
    """The rest of a file; DataError if that is more than `most` bytes."""
    content = _up_to(file, most + 1)
    if len(content) > most:
        raise DataError(f"{path}: more than the {most} bytes that are expected")
    return content


def _up_to(file: IO[bytes], most: int) -> bytearray:
    """The next `most` bytes, or as many as there are; read in pieces, so that no more memory is asked for."""
    content = bytearray()
    while piece := file.read(min(_CHUNK, most - len(content))):
        content += piece
    return content


def read_members(path: Path, names: Sequence[str], most: int, most_in_all: int) -> list[bytearray]:
    """The files called `names` of the gzipped tar archive at `path`, whatever folder they are in, in that order; each
    of at most `most` bytes, in an archive that unpacks to at most `most_in_all`."""
    found: dict[str, bytearray] = {}
    with _reading(path) as stream:
        bounded = cast(IO[bytes], _Bounded(stream, most_in_all, path))
        with tarfile.open(fileobj=bounded, mode="r|") as archive:
            for member in archive:
                name = Path(member.name).name
                if member.isfile() and name in names:
                    found[name] = _read(cast(IO[bytes], archive.extractfile(member)), most, path)
        while bounded.read(_CHUNK):  # the checksum stands at the end of the stream
            pass
    for name in names:
        if name not in found:
            raise DataError(f"{path}: the archive has no {name}")
    return [found[name] for name in names]


class _Bounded:
    """A stream of which no more than `most` bytes are read."""

    def __init__(self, stream: IO[bytes], most: int, path: Path) -> None:
        self._stream, self._left, self._path = stream, most, path

    def read(self, size: int) -> bytes:
        content = self._stream.read(size)
        self._left -= len(content)
        if self._left < 0:
            raise DataError(f"{self._path}: unpacks to far more than the files that are expected in it")
        return content


def check_labels(labels: Bytes, classes: int, source: Path) -> None:
    """DataError unless every label is below `classes`."""
    if labels.size and int(labels.max()) >= classes:
        raise DataError(f"{source}: label {int(labels.max())} where labels go from 0 to {classes - 1}")


# ---- decoded arrays on disk ---------------------------------------------------------------------------------


def cached_arrays(
    sources: Sequence[Path],
    fields: Sequence[str],
    decode: Callable[[], tuple[Bytes, ...]],
    check: Callable[[tuple[Bytes, ...]], None],
) -> tuple[Bytes, ...]:
    """`decode()`, or what it gave before for the same files: read-only arrays of bytes, kept in the cache folder.

    Sources are the same when path, size and modification time are. What was kept counts only if nobody else can have
    written it, its checksum fits, and `check` (DataError where the arrays make no sense) passes. It is read, not
    mapped: a mapped file that is cut short kills the process which touches it. That costs memory of the arrays' size
    in each process (47 MB for MNIST, 154 MB for CIFAR-10), and for reading and the checksum a second for each 600 MB
    (0.08 s and 0.25 s, measured on one AVX2 core).
    A cache that cannot be used costs time only.
    """
    key = _key(sources)
    names = [f"{key}-{field}.array" for field in fields]
    try:
        folder = private_folder(cache_folder(), "decoded")
        stored = tuple(_load(folder, name) for name in names)
        check(stored)
        return stored
    except ExposedError as error:
        _warn_once(error)
    except (OSError, ValueError, struct.error):  # absent, no file of one's own, or damaged
        pass
    arrays = decode()
    check(arrays)
    for array in arrays:
        array.flags.writeable = False
    with suppress(OSError):
        folder = private_folder(cache_folder(), "decoded")
        folder.make()
        for name, array in zip(names, arrays, strict=True):
            _store(folder, name, array)
    return arrays


_warned: set[Path] = set()


def _warn_once(error: ExposedError) -> None:
    if cache_folder() not in _warned:
        _warned.add(cache_folder())
        warn(
            f"TinyTorch keeps no decoded data in {cache_folder()} ({error}), so they are decoded anew each time; set "
            "TT_CACHE_DIR to a folder that nobody else can write",
            RuntimeWarning,
        )


def _key(sources: Sequence[Path]) -> str:
    digest = hashlib.sha256(str(_DECODER_VERSION).encode())
    for source in sources:
        status = source.stat()
        digest.update(f"\n{source.resolve()}\n{status.st_size} {status.st_mtime_ns}".encode(errors="surrogateescape"))
    return digest.hexdigest()[:32]


def _store(folder: PrivateFolder, name: str, array: Bytes) -> None:
    """Write a checksum, then the header of an idx file, then the values."""
    values = np.ascontiguousarray(array).reshape(-1).data
    header = struct.pack(f">2xBB{array.ndim}I", 8, array.ndim, *array.shape)
    folder.replace(name, random_name(".part"), _sum(name, header, values), header, values)


def _load(folder: PrivateFolder, name: str) -> Bytes:
    """The inverse; DataError where the file is not exactly that."""
    with folder.open(name) as file:
        size = os.fstat(file.fileno()).st_size
        if not _SUM_BYTES + 4 <= size <= _MOST_KEPT:
            raise DataError(f"{name}: {size} bytes")
        sum_, content = file.read(_SUM_BYTES), memoryview(file.read(size - _SUM_BYTES))
    rank = content[3] if len(content) > 3 else 0
    header, values = content[: 4 + 4 * rank], content[4 + 4 * rank :]
    if sum_ != _sum(name, header, values):
        raise DataError(f"{name}: its checksum does not fit")
    return np.frombuffer(values, np.uint8).reshape(struct.unpack(f">{rank}I", header[4:]))


def _sum(name: str, *content: bytes | memoryview) -> bytes:
    """A digest over a file's name and content (BLAKE2b, the fastest one that every Python has)."""
    digest = hashlib.blake2b(name.encode(), digest_size=_SUM_BYTES)
    for piece in content:
        digest.update(piece)
    return digest.digest()
