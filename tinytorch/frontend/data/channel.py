"""Messages between a loader and its workers: pickles over a pair of sockets.

The bytes of arrays go another way where the system has one. A worker writes them into memory without a name
(`memfd_create`) and sends its descriptor; the loader copies them out and closes it. Such memory is gone with the last
process that has it open, so nothing is left behind however processes end, and no limit of /dev/shm counts.
"""

from __future__ import annotations

import array
import contextlib
import errno
import os
import pickle
import selectors
import socket
import struct
import weakref
from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

HAS_MEMORY_FILES = hasattr(os, "memfd_create") and hasattr(socket, "SCM_RIGHTS")
INLINE_BYTES = 32 << 10  # up to here, a message holds the bytes itself: the system's buffers take several of them
_READ_BYTES = 1 << 18
_LENGTH = struct.Struct("!Q")
_DESCRIPTORS = array.array("i", range(4)).itemsize * 4  # bytes: each message has one descriptor at most

_open_ends: weakref.WeakSet[socket.socket] = weakref.WeakSet()  # of loaders of this process


def close_inherited_ends() -> None:
    """In a worker: the ends of loaders that a fork copied. As long as they are open, other workers hear of no end."""
    for end in tuple(_open_ends):
        end.close()


@dataclass(frozen=True)
class Parcel:
    """A pickled object. `sizes` are those of its bytes and of the buffers beside them, which are `inline` or in the
    memory whose descriptor comes with the message."""

    sizes: tuple[int, ...]
    inline: tuple[bytes, ...] | None


class Link:
    """A worker's end, which waits for messages and for room to send them."""

    def __init__(self, end: socket.socket) -> None:
        self._end = end

    def send(self, head: Any, pieces: Sequence[Any]) -> None:
        """Send (head, parcel) of what `pack` gave."""
        sizes = tuple(len(piece) for piece in pieces)
        if sum(sizes) <= INLINE_BYTES or not HAS_MEMORY_FILES:
            self._end.sendall(_framed((head, Parcel(sizes, tuple(map(bytes, pieces))))))
            return
        file = os.memfd_create("tinytorch-batch")
        try:
            _write_all(file, pieces)
            message = _framed((head, Parcel(sizes, None)))
            descriptor = array.array("i", [file]).tobytes()
            sent = self._end.sendmsg([message], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, descriptor)])
            self._end.sendall(message[sent:])
        finally:
            os.close(file)

    def receive(self, patience: float) -> Any:
        """The next message; TimeoutError if none begins within `patience` seconds, EOFError if none can come."""
        self._end.settimeout(patience)
        try:
            first = self._end.recv(1)
        finally:
            self._end.settimeout(None)
        if not first:
            raise EOFError
        length = _LENGTH.unpack(first + self._exactly(_LENGTH.size - 1))[0]
        return pickle.loads(self._exactly(length))

    def _exactly(self, count: int) -> bytes:
        pieces: list[bytes] = []
        while count:
            piece = self._end.recv(min(count, _READ_BYTES))
            if not piece:
                raise EOFError
            pieces.append(piece)
            count -= len(piece)
        return b"".join(pieces)


class LoaderLink:
    """A loader's end, which never waits: what cannot be sent at once is kept until `exchange` can."""

    def __init__(self, end: socket.socket) -> None:
        end.setblocking(False)
        _open_ends.add(end)
        self.end = end
        self.ended = False  # the worker's end is closed
        self._outgoing = bytearray()
        self._incoming = bytearray()
        self._files: deque[int] = deque()

    def send(self, message: Any) -> None:
        self._outgoing += _framed(message)
        self._flush()

    @property
    def waits_to_send(self) -> bool:
        return bool(self._outgoing) and not self.ended

    def progress(self) -> list[tuple[Any, Parcel, int | None]]:
        """Send and receive what is possible now: (head, parcel, descriptor) of each message that is complete."""
        self._flush()
        while not self.ended and self._read():
            pass
        messages: list[tuple[Any, Parcel, int | None]] = []
        while len(self._incoming) >= _LENGTH.size:
            end = _LENGTH.size + _LENGTH.unpack_from(self._incoming)[0]
            if len(self._incoming) < end:
                break
            head, parcel = pickle.loads(memoryview(self._incoming)[_LENGTH.size : end].tobytes())
            del self._incoming[:end]
            messages.append((head, parcel, self._file() if parcel.inline is None else None))
        return messages

    def _file(self) -> int:
        if not self._files:  # the system leaves descriptors out that this process may not have
            raise OSError(errno.EMFILE, f"{os.strerror(errno.EMFILE)}: a batch of a worker could not be received")
        return self._files.popleft()

    def close(self) -> None:
        with contextlib.suppress(OSError):
            self.end.shutdown(socket.SHUT_RDWR)  # also where a forked process has a copy of this end
        self.end.close()
        while self._files:
            os.close(self._files.pop())

    def _flush(self) -> None:
        while self.waits_to_send:
            try:
                del self._outgoing[: self.end.send(self._outgoing)]
            except BlockingIOError:
                return
            except OSError:
                self._outgoing.clear()  # the worker is gone: what it has sent before can still be read

    def _read(self) -> bool:
        """Whether something was read."""
        try:
            if HAS_MEMORY_FILES:
                data, beside, _, _ = self.end.recvmsg(
                    _READ_BYTES, socket.CMSG_SPACE(_DESCRIPTORS), socket.MSG_CMSG_CLOEXEC
                )
                for _, _, files in beside:
                    self._files.extend(array.array("i", files))
            else:
                data = self.end.recv(_READ_BYTES)
        except BlockingIOError:
            return False
        except OSError:
            data = b""
        self.ended = not data
        self._incoming += data
        return bool(data)


def exchange(links: Iterable[LoaderLink], seconds: float) -> None:
    """Wait until one of the links can go on, for at most so long."""
    with getattr(selectors, "PollSelector", selectors.SelectSelector)() as selector:
        for link in links:
            if not link.ended:
                wanted = selectors.EVENT_READ | (selectors.EVENT_WRITE if link.waits_to_send else 0)
                selector.register(link.end, wanted)
        selector.select(seconds)


def pack(content: Any) -> list[Any]:
    """The bytes of an object, then the buffers of its arrays. What pickle cannot write raises its error here."""
    buffers: list[memoryview] = []
    data = pickle.dumps(content, protocol=5, buffer_callback=lambda buffer: buffers.append(buffer.raw()))
    return [data, *buffers]


def unpack(parcel: Parcel, file: int | None) -> Any:
    """The object in a parcel; its descriptor is closed."""
    if parcel.inline is not None:
        data, *buffers = parcel.inline
        return pickle.loads(data, buffers=map(bytearray, buffers))
    assert file is not None
    try:
        arrays = [np.empty(size, np.uint8) for size in parcel.sizes]
        _read_all(file, arrays)
    finally:
        os.close(file)
    return pickle.loads(arrays[0].data, buffers=arrays[1:])


def _framed(message: Any) -> bytes:
    data = pickle.dumps(message, protocol=5)
    return _LENGTH.pack(len(data)) + data


def _write_all(file: int, pieces: Sequence[Any]) -> None:
    for piece in pieces:
        rest = memoryview(piece).cast("B")
        while rest:
            rest = rest[os.write(file, rest) :]


def _read_all(file: int, arrays: Sequence[np.ndarray[Any, Any]]) -> None:
    at = 0
    for target in arrays:
        rest = target.data
        while rest:
            count = os.preadv(file, [rest], at)
            if not count:
                raise EOFError("a batch ends in the midst of an array")
            rest, at = rest[count:], at + count
