"""Compiled code on disk, so that the next process starts without compiling.

One file per key: a fixed header (magic, the lengths of the two parts, a SHA-256 over key and parts), then the metadata
as JSON, then the object code. A file that is not exactly that is no entry, and the next `store` replaces it. Files
appear by an atomic rename, so processes share a folder without locks. An entry is run as machine code, so only files
count that nobody else can have written. Where the folder cannot be used, everything works, only slower: one warning
says so.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import json
import os
import re
import struct
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, cast

from tinytorch.ir.loc import warn
from tinytorch.ir.system.private_files import ExposedError, PrivateFolder, private_folder, random_name
from tinytorch.ir.system.private_files import cache_folder as folder

SIZE_LIMIT = 512 << 20  # bytes of entries that a folder may hold
_HEADER = struct.Struct("<8sQQ32s")
_MAGIC = b"TTCACHE1"
_SUFFIX, _TEMPORARY = ".ttc", ".tmp"
_NAMES = re.compile(r"[0-9a-f]{64}\.ttc|[0-9a-f]{16}-[0-9a-f]{8}\.tmp")  # that `store` gives to files
_ABANDONED = 3600.0  # seconds after which a temporary file belongs to a process that died
_RECOUNT = 64  # stores between two looks at what other processes have added


@dataclass(frozen=True)
class Entry:
    """What is kept: facts that JSON can hold, and an object file."""

    metadata: dict[str, Any]
    object_code: bytes


@dataclass
class _Usage:
    """What this process believes a folder holds, so that most stores need not list it."""

    bytes: int = 0
    stores: int = 0


_usage: dict[Path, _Usage] = {}
_warned: set[Path] = set()


def key(*parts: str | bytes) -> str:
    """A file name for these parts; different lists of parts give different names."""
    digest = hashlib.sha256()
    for part in parts:
        data = part.encode(errors="surrogatepass") if isinstance(part, str) else part  # a name may be any string
        digest.update(struct.pack("<?Q", isinstance(part, str), len(data)))
        digest.update(data)
    return digest.hexdigest()


@functools.cache
def source_digest() -> str:
    """Identifies the code that compiles: the sources of ir, passes and runtime, and the version of Python. Of what else
    a backend stands on, its own key tells."""
    package = Path(__file__).resolve().parents[1]
    digest = hashlib.sha256(f"python {sys.version}\n".encode())
    if not package.is_dir():  # in an archive, of which Python imports, or in a program that brings all it needs
        archive = next((path for path in package.parents if path.is_file()), Path(sys.executable))
        digest.update(archive.read_bytes())
    for room in ("ir", "passes", "runtime"):
        for path in sorted((package / room).rglob("*.py")):
            source = path.read_bytes()
            digest.update(f"{path.relative_to(package).as_posix()} {len(source)}\n".encode())
            digest.update(source)
    return digest.hexdigest()


def code_folder() -> PrivateFolder:
    """Where in `folder()` the entries are. ExposedError where somebody else could exchange it."""
    return private_folder(folder(), "code")


def load(key: str) -> Entry | None:
    """The entry of `key`; None where there is none, or where the file is damaged, not a regular file, or one that
    somebody else can have written."""
    try:
        code = code_folder()
        with code.open(key + _SUFFIX) as file:
            entry = _decode(key, file)
            if entry is not None:
                with contextlib.suppress(OSError):  # a folder that is only readable serves too
                    os.utime(code.path / (key + _SUFFIX))  # eviction goes by the time of the last use
            return entry
    except ExposedError as error:
        _warn_once(error)
    except OSError:
        pass
    return None


def store(key: str, entry: Entry) -> None:
    """Keep `entry` under `key`, replacing what is there. TypeError if JSON cannot hold the metadata."""
    data = _encode(key, entry)
    try:
        code = code_folder()
        code.make()
        code.replace(key + _SUFFIX, random_name(key[:16]) + _TEMPORARY, data)
        _bound(code, len(data))
    except OSError as error:
        _warn_once(error)


def fetch(key: str, make: Callable[[], Entry]) -> Entry:
    """The entry of `key`, made and stored on the first request."""
    entry = load(key)
    if entry is None:
        entry = make()
        store(key, entry)
    return entry


def _checksum(key: str, metadata: bytes, object_code: bytes) -> bytes:
    digest = hashlib.sha256(struct.pack("<QQQ", len(key), len(metadata), len(object_code)))
    for part in (key.encode(), metadata, object_code):
        digest.update(part)
    return digest.digest()


def _encode(key: str, entry: Entry) -> bytes:
    metadata = json.dumps(entry.metadata, separators=(",", ":")).encode()
    sum_ = _checksum(key, metadata, entry.object_code)
    return _HEADER.pack(_MAGIC, len(metadata), len(entry.object_code), sum_) + metadata + entry.object_code


def _decode(key: str, file: IO[bytes]) -> Entry | None:
    size = os.fstat(file.fileno()).st_size
    header = file.read(_HEADER.size)
    if len(header) < _HEADER.size:
        return None
    magic, metadata_bytes, object_bytes, checksum = _HEADER.unpack(header)
    total = metadata_bytes + object_bytes
    if magic != _MAGIC or size != _HEADER.size + total or size > SIZE_LIMIT:  # before anything of that size is read
        return None
    data = file.read(total)
    metadata, object_code = data[:metadata_bytes], data[metadata_bytes:]
    if len(data) != total or checksum != _checksum(key, metadata, object_code):
        return None
    return Entry(cast("dict[str, Any]", json.loads(metadata)), object_code)


def _bound(code: PrivateFolder, added: int) -> None:
    """Keep the folder under SIZE_LIMIT. It is listed on the first store, then rarely, and when it seems full."""
    usage = _usage.setdefault(code.path, _Usage())
    usage.bytes += added
    if usage.stores % _RECOUNT == 0 or usage.bytes > SIZE_LIMIT:
        usage.bytes = _evict(code)
    usage.stores += 1


def _evict(code: PrivateFolder) -> int:
    """Drop the least recently used entries beyond three quarters of a full folder, and temporary files of processes
    that died; the bytes that are left. What has not a name that `store` gives stays, whatever it is."""
    files = [(status.st_mtime, status.st_size, name) for name, status in code.files() if _NAMES.fullmatch(name)]
    total = sum(size for _, size, _ in files)
    goal = total if total <= SIZE_LIMIT else SIZE_LIMIT * 3 // 4
    for used, size, name in sorted(files):
        unwanted = total > goal if name.endswith(_SUFFIX) else used < time.time() - _ABANDONED
        if unwanted:
            with contextlib.suppress(OSError):
                os.unlink(code.path / name)
                total -= size
    return total


def _warn_once(error: OSError) -> None:
    directory = folder()
    if directory not in _warned:
        _warned.add(directory)
        warn(
            f"TinyTorch cannot keep compiled code in {directory} ({error}), so every process compiles anew; "
            "set TT_CACHE_DIR to a folder that you, and nobody else, can write",
            RuntimeWarning,
        )
