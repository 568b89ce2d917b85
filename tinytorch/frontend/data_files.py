"""Files of the public data sets: finding, downloading, decoding, and keeping the decoded arrays on disk."""

from __future__ import annotations

import gzip
import hashlib
import lzma
import math
import os
import secrets
import tarfile
import zlib
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, cast

import numpy as np
from numpy.typing import NDArray

from tinytorch.ir.errors import TinyTorchError

Bytes = NDArray[np.uint8]

_DECODER_VERSION = 1  # part of the key of cached arrays: raise it when a decoder changes
_TIMEOUT_SECONDS = 20.0
_CHUNK = 1 << 20


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
    """Where downloads and decoded arrays are kept: `$TT_CACHE_DIR/data`, else `~/.cache/tinytorch/data`."""
    configured = os.environ.get("TT_CACHE_DIR")
    return (Path(configured) if configured else Path.home() / ".cache" / "tinytorch") / "data"


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


def read_bytes(path: Path) -> bytes:
    """The content of `path`, decompressed if its name ends in .gz or .xz; DataError if it is damaged."""
    try:
        with open_file(path) as file:
            return file.read()
    except (EOFError, zlib.error, lzma.LZMAError, gzip.BadGzipFile) as error:
        raise DataError(f"{path}: damaged or cut short ({error}); delete it or get it anew") from error
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error})") from error


def open_file(path: Path) -> IO[bytes]:
    """`path` opened for reading, through a decompressor if its name asks for one."""
    if path.suffix == ".gz":
        return cast(IO[bytes], gzip.open(path))
    if path.suffix == ".xz":
        return cast(IO[bytes], lzma.open(path))
    return path.open("rb")


def read_members(path: Path, names: Sequence[str]) -> list[bytes]:
    """The files called `names` of the gzipped tar archive at `path`, whatever folder they are in, in that order."""
    found: dict[str, bytes] = {}
    try:
        with open_file(path) as stream, tarfile.open(fileobj=stream, mode="r|") as archive:
            for member in archive:
                name = Path(member.name).name
                if member.isfile() and name in names:
                    found[name] = cast(IO[bytes], archive.extractfile(member)).read()
            while stream.read(_CHUNK):  # the checksum stands at the end of the stream
                pass
    except (EOFError, zlib.error, tarfile.TarError, OSError) as error:
        raise DataError(f"{path}: damaged or cut short ({error}); delete it or get it anew") from error
    for name in names:
        if name not in found:
            raise DataError(f"{path}: the archive has no {name}")
    return [found[name] for name in names]


def parse_idx(data: bytes, source: Path) -> Bytes:
    """The array in an idx file of unsigned bytes: magic 0, 0, 8, rank; big-endian sizes; then the values.

    Format: LeCun, Cortes and Burges, "The MNIST database of handwritten digits".
    """
    if len(data) < 4 or data[:3] != b"\0\0\x08":
        raise DataError(f"{source}: not an idx file of unsigned bytes (starts with {data[:4].hex(' ') or 'nothing'})")
    rank = data[3]
    start = 4 + 4 * rank
    if len(data) < start:
        raise DataError(f"{source}: cut short within the header: {len(data)} bytes, the header has {start}")
    shape = tuple(int.from_bytes(data[at : at + 4], "big") for at in range(4, start, 4))
    expected = start + math.prod(shape)
    if len(data) != expected:
        raise DataError(f"{source}: {len(data)} bytes, but its header {list(shape)} asks for {expected}")
    return np.frombuffer(data, np.uint8, offset=start).reshape(shape)


def check_labels(labels: Bytes, classes: int, source: Path) -> None:
    """DataError unless every label is below `classes`."""
    if labels.size and int(labels.max()) >= classes:
        raise DataError(f"{source}: label {int(labels.max())} where labels go from 0 to {classes - 1}")


# ---- decoded arrays on disk ---------------------------------------------------------------------------------


def cached_arrays(
    sources: Sequence[Path], fields: Sequence[str], decode: Callable[[], tuple[Bytes, ...]]
) -> tuple[Bytes, ...]:
    """`decode()`, or what it gave before for the same files: read-only arrays, memory-mapped from the cache folder.

    Files are the same when path, size and modification time are. A cache that cannot be written costs time only.
    """
    folder = cache_folder() / "decoded"
    key = _key(sources)
    paths = [folder / f"{key}-{field}.npy" for field in fields]
    stored = _load(paths)
    if stored is not None:
        return stored
    arrays = decode()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for path, array in zip(paths, arrays, strict=True):
            with replacing(path) as file:
                np.save(file, array)
    except OSError:
        return arrays
    return _load(paths) or arrays


def _key(sources: Sequence[Path]) -> str:
    digest = hashlib.sha256(str(_DECODER_VERSION).encode())
    for source in sources:
        status = source.stat()
        digest.update(f"\n{source.resolve()}\n{status.st_size} {status.st_mtime_ns}".encode())
    return digest.hexdigest()[:32]


def _load(paths: Sequence[Path]) -> tuple[Bytes, ...] | None:
    try:
        arrays = [cast(NDArray[Any], np.load(path, mmap_mode="r")) for path in paths]
    except (OSError, ValueError, EOFError):  # absent, or cut short by whatever happened to the disk
        return None
    intact = all(array.dtype == np.uint8 and len(array) == len(arrays[0]) for array in arrays)
    return tuple(arrays) if intact else None
