"""Files that nobody but this user (or root) can have written: compiled code, which is run, and kept arrays.

Who may write a folder above can put another folder in its place, so the whole way to it is looked at. Then the
folder is opened, and the file in it, and owner and mode are read from the open descriptors, so that nothing can be
exchanged in between. On systems without owners of files (Windows) only the kind of a file is checked.
"""

from __future__ import annotations

import errno
import os
import secrets
import stat
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from tinytorch.ir.system import locks

_MOST_LINKS = 40  # on the way to a folder, as in the kernel
_OTHERS_WRITE = stat.S_IWGRP | stat.S_IWOTH


class ExposedError(PermissionError):
    """Somebody else could write into a folder, or exchange it."""


@dataclass(frozen=True)
class PrivateFolder:
    """A folder of this user's own. Every method may raise OSError: ExposedError where others can write into it."""

    path: Path

    def make(self) -> None:
        """Create the folder, for this user alone, and the ones above it."""
        self.path.mkdir(mode=0o700, parents=True, exist_ok=True)

    def open(self, name: str) -> IO[bytes]:
        """The file `name` for reading: a regular file, no link, of this user or root, that no one else can write."""
        with_folder = os.open in os.supports_dir_fd and hasattr(os, "O_DIRECTORY")
        folder = _open(self.path, os.O_DIRECTORY) if with_folder else None
        try:
            _check(self.path, os.lstat(self.path) if folder is None else os.fstat(folder), stat.S_ISDIR)
            file = _open(name if with_folder else self.path / name, folder=folder)
        finally:
            if folder is not None:
                os.close(folder)
        try:
            _check(self.path / name, os.fstat(file), stat.S_ISREG)
        except OSError:
            os.close(file)
            raise
        return open(file, "rb")

    def replace(self, name: str, temporary: str, *content: bytes | memoryview) -> None:
        """Make `content` the file `name`, in one step, by way of the file `temporary`, which must not be there."""
        _check(self.path, os.lstat(self.path), stat.S_ISDIR)
        part = self.path / temporary
        handle = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL | _flags(), 0o600)
        try:
            with open(handle, "wb") as file:
                for piece in content:
                    file.write(piece)
            os.replace(part, self.path / name)
        except BaseException:
            part.unlink(missing_ok=True)
            raise

    def files(self) -> Iterator[tuple[str, os.stat_result]]:
        """The regular files in it, no links."""
        with os.scandir(self.path) as listing:
            for item in listing:
                with suppress(FileNotFoundError):  # another process has just removed it
                    if item.is_file(follow_symlinks=False):
                        yield item.name, item.stat(follow_symlinks=False)


def cache_folder() -> Path:
    """Where files are kept: TT_CACHE_DIR, else `tinytorch` in the user's cache folder of this system. It need not be
    there, or be one that can be used."""
    chosen = os.environ.get("TT_CACHE_DIR")
    if chosen:
        path = os.path.expanduser(chosen)
        with suppress(FileNotFoundError):  # the current folder was removed
            path = os.path.abspath(path)
        return Path(path)
    home = Path(os.path.expanduser("~"))
    if not home.is_absolute():  # a user without a home
        with suppress(FileNotFoundError):
            return Path(tempfile.gettempdir()) / "tinytorch-cache"
        return Path(os.devnull) / "tinytorch-cache"  # nowhere
    if sys.platform == "win32":
        return Path(os.environ.get("LOCALAPPDATA") or home / "AppData" / "Local") / "tinytorch" / "Cache"
    if sys.platform == "darwin":
        return home / "Library" / "Caches" / "tinytorch"
    base = os.environ.get("XDG_CACHE_HOME", "")
    return (Path(base) if os.path.isabs(base) else home / ".cache") / "tinytorch"


def private_folder(base: Path, name: str) -> PrivateFolder:
    """The folder `name` in `base`, which need not be there yet; in a `base` for everybody's temporary files, a folder
    of this user's own name. ExposedError where somebody else could put another folder in its place."""
    reason = _exposure(base)
    if reason:
        raise ExposedError(errno.EPERM, reason)
    if hasattr(os, "getuid"):
        with suppress(FileNotFoundError):
            if _writable(os.stat(base)):
                return PrivateFolder(base / f"tinytorch-{os.getuid()}-{name}")
    return PrivateFolder(base / name)


def random_name(start: str) -> str:
    """The name of a temporary file that no other process chooses: `start`, a dash, and eight hexadecimal digits."""
    return f"{start}-{secrets.token_hex(4)}"


def _exposure(path: Path) -> str:
    """How someone else could exchange the folder `path`, or nothing: who can write into a folder can rename what is
    in it, but in one with the sticky bit only what is his own."""
    if not hasattr(os, "getuid"):
        return ""
    trusted = {os.getuid(), 0, os.stat("/").st_uid}  # in a user namespace, root may look like somebody else
    links, at, *ahead = 0, *path.absolute().parts
    while True:
        try:
            status = os.lstat(at)
        except FileNotFoundError:
            return ""  # to be made, in a folder that is trusted
        if status.st_uid not in trusted:
            return f"{at} belongs to somebody else (user {status.st_uid})"
        if stat.S_ISLNK(status.st_mode):
            links += 1
            if links > _MOST_LINKS:
                raise OSError(errno.ELOOP, os.strerror(errno.ELOOP), str(path))
            target = Path(os.readlink(at))
            ahead = [*target.parts, *ahead]
            at = ahead.pop(0) if target.is_absolute() else os.path.dirname(at)
            continue
        if _writable(status) and not status.st_mode & stat.S_ISVTX:
            return f"others can write {at}; chmod go-w {at}"
        if not ahead:
            return ""
        at = os.path.join(at, ahead.pop(0))


def _writable(status: os.stat_result) -> bool:
    """Whether others can write; a group that is only the user's own is nobody else."""
    mode = status.st_mode & _OTHERS_WRITE
    return bool(mode) and not (mode == stat.S_IWGRP and _is_own_group(status.st_gid))


def _is_own_group(group: int) -> bool:
    """Whether a group has the name of the user, and no other members: many systems give each user such a group, and
    let it write what he makes."""
    if os.getuid() == 0:
        return False
    with locks.importing:
        import grp
        import pwd

    try:
        user, found = pwd.getpwuid(os.getuid()), grp.getgrgid(group)
    except KeyError:
        return False
    return user.pw_gid == group and found.gr_name == user.pw_name and set(found.gr_mem) <= {user.pw_name}


def _check(path: Path, status: os.stat_result, is_kind: Callable[[int], bool]) -> None:
    """`status` must be of a regular file or of a folder, which this user or root alone can write."""
    if not is_kind(status.st_mode):
        raise OSError(errno.EINVAL, "not a regular file or folder", str(path))
    if not hasattr(os, "getuid"):
        return
    error = ExposedError if is_kind is stat.S_ISDIR else PermissionError
    if status.st_uid not in (os.getuid(), 0):
        raise error(errno.EPERM, f"it belongs to somebody else (user {status.st_uid})", str(path))
    if _writable(status):
        raise error(errno.EPERM, "others can write it; chmod go-w", str(path))


def _flags() -> int:
    """No link is followed, and opening a FIFO or a device waits for nothing; where the system has such flags."""
    return sum(getattr(os, name, 0) for name in ("O_NOFOLLOW", "O_NONBLOCK", "O_BINARY"))


def _open(path: str | Path, more: int = 0, folder: int | None = None) -> int:
    if not hasattr(os, "O_NOFOLLOW"):
        status = os.stat(path, dir_fd=folder, follow_symlinks=False)
        if stat.S_ISLNK(status.st_mode):
            raise OSError(errno.ELOOP, os.strerror(errno.ELOOP), str(path))
    return os.open(path, os.O_RDONLY | more | _flags(), dir_fd=folder)
