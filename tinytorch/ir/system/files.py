"""Files that users ask for: whoever reads one finds the old file or the new one, also if the process ends in between.

The bytes go to a file beside the one that is asked for, which then takes its name. A file that was there keeps its
mode, and a symbolic link goes on pointing to the file that is written.
"""

from __future__ import annotations

import contextlib
import errno
import os
import stat
from collections.abc import Mapping, Sequence
from os import PathLike
from pathlib import Path

from tinytorch.ir.errors import TinyTorchError
from tinytorch.ir.loc import user_loc

AnyPath = str | PathLike[str]


# For people: drawings, pages, reports.
def write_text(path: AnyPath, text: str) -> None:
    """Write `text` to `path` as UTF-8, "?" for what is no character. TinyTorchError where that cannot be done."""
    write_bytes(path, text.encode("utf-8", "replace"))


def write_bytes(path: AnyPath, content: bytes) -> None:
    """Write `content` to `path`: in one step, or in place where no file can be put beside it (a terminal, a pipe, a
    folder that only others may write). TinyTorchError where that cannot be done."""
    try:
        in_place = _is_written_in_place(path)
        if in_place:
            Path(path).write_bytes(content)
    except OSError as error:
        raise _unwritten(path, error) from None
    if not in_place:
        _replace({path: [content]}, synced=False)


def write_texts(folder: AnyPath, texts: Mapping[str, str]) -> None:
    """Write texts by the names of their files into a folder, which is made if it is not there. TinyTorchError where
    that cannot be done."""
    try:
        Path(folder).mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise _unwritten(folder, error) from None
    for name, text in texts.items():
        write_text(Path(folder, name), text)


# For programs: weights, checkpoints, object files, which are on the disk before they take their name.
def write_atomically(path: AnyPath, *content: bytes | memoryview) -> None:
    """Replace the file `path` by `content` in one step; TinyTorchError if that fails, and the old file stays."""
    write_together({path: content})


def write_together(contents: Mapping[AnyPath, Sequence[bytes | memoryview]]) -> None:
    """Replace files by their contents: all are written before the first takes its name. TinyTorchError if that fails,
    and the old files stay."""
    _replace(contents, synced=True)


def _unwritten(path: AnyPath, error: OSError) -> TinyTorchError:
    return TinyTorchError(f"cannot write {path}: {error.strerror or error}", user_loc())


def _is_written_in_place(path: AnyPath) -> bool:
    old = _status(path)
    return old is not None and not (stat.S_ISREG(old.st_mode) and os.access(_target(path).parent, os.W_OK | os.X_OK))


def _replace(contents: Mapping[AnyPath, Sequence[bytes | memoryview]], synced: bool) -> None:
    """Replace files by their contents; `synced`: these are on the disk before the first takes its name."""
    written: list[tuple[Path, Path]] = []
    path: AnyPath = ""
    try:
        for path, content in contents.items():
            target = _target(path)
            temporary = target.with_name(f".tinytorch-{os.urandom(8).hex()}")
            written.append((temporary, target))
            _write_beside(path, temporary, content, synced)
        for temporary, target in written:
            path = target
            os.replace(temporary, target)
            if synced:
                _sync_folder(target.parent)
    except OSError as error:
        raise _unwritten(path, error) from None
    finally:
        for temporary, _ in written:
            temporary.unlink(missing_ok=True)


def _target(path: AnyPath) -> Path:
    """The file that a path leads to, by whatever links."""
    return Path(os.path.realpath(path))


def _write_beside(path: AnyPath, temporary: Path, content: Sequence[bytes | memoryview], synced: bool) -> None:
    """Write a new file that may take the place of `path`."""
    old = _status(path)
    if old is not None and not stat.S_ISREG(old.st_mode):
        raise OSError(errno.EINVAL, "it is there, and not a regular file")
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0)
    with open(os.open(temporary, flags, 0o600 if old else 0o666), "wb") as file:
        for piece in content:
            file.write(piece)
        if old is not None:
            _make_alike(temporary, old)
        if synced:
            file.flush()
            os.fsync(file.fileno())


def _status(path: AnyPath) -> os.stat_result | None:
    """Of the file that a path leads to; None where there is none yet."""
    try:
        return os.stat(path)
    except FileNotFoundError:
        return None


def _make_alike(path: Path, old: os.stat_result) -> None:
    """Give a new file the mode of the old one and, where that is allowed, its owner."""
    if hasattr(os, "chown") and (old.st_uid, old.st_gid) != (os.getuid(), os.getgid()):
        with contextlib.suppress(OSError):
            os.chown(path, old.st_uid, old.st_gid)
    os.chmod(path, stat.S_IMODE(old.st_mode))


def _sync_folder(folder: Path) -> None:
    """Have the new name of a file on the disk too, where the system can do that for folders."""
    with contextlib.suppress(OSError):
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
