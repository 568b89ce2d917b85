"""How many threads compiled graphs use; the pool itself is loaded when it is first needed."""

from __future__ import annotations

from tinytorch.ir import locks


def get_num_threads() -> int:
    """Threads that compiled graphs use, the caller included: TT_NUM_THREADS, or the CPUs this process may run on."""
    with locks.importing:
        from tinytorch.runtime.llvm.threads.pool import get_num_threads

    return get_num_threads()


def set_num_threads(num_threads: int) -> None:
    """Use this many threads from the next call of a compiled graph on. ValueError unless 1 to 1024."""
    with locks.importing:
        from tinytorch.runtime.llvm.threads.pool import set_num_threads

    set_num_threads(num_threads)
