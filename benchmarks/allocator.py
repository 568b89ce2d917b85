"""How a peer's process holds memory: large tensors made anew in each step cost page faults unless it is kept."""

from __future__ import annotations

import ctypes

_TRIM_THRESHOLD, _TOP_PAD, _MMAP_MAX = -1, -2, -4  # malloc.h
_KEPT = 1 << 30


def keep_freed_memory() -> None:
    """Let malloc reuse what was freed, however large, instead of asking the kernel again (glibc; elsewhere nothing)."""
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        for option, value in ((_MMAP_MAX, 0), (_TRIM_THRESHOLD, _KEPT), (_TOP_PAD, 1 << 26)):
            mallopt(option, value)
