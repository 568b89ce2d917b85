"""LLVM's library: imported when it is first needed, and whole in a forked child."""

from __future__ import annotations

import functools

from tinytorch.ir.system import locks


@functools.cache
def llvm():
    """The module `llvmlite.binding`, ready to compile."""
    with locks.importing:
        import llvmlite.binding as llvm

        lock = global_lock()
        if lock is not None:
            locks.hold_across_forks(lock)
        llvm.initialize_all_targets()
        llvm.initialize_all_asmprinters()
        llvm.initialize_native_asmparser()
        return llvm


@functools.cache
def version() -> str:
    """The version of llvmlite, and so of LLVM."""
    with locks.importing:
        import llvmlite

        return llvmlite.__version__


def global_lock() -> locks.Lock | None:
    """The lock that llvmlite takes for every call of LLVM: a child forked meanwhile would wait for it for ever.

    llvmlite has no public way to hold it; None where it is no longer under its present name.
    """
    from llvmlite.binding import ffi

    return getattr(getattr(ffi.lib, "_lock", None), "_lock", None)
