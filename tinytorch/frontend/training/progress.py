"""Progress bars, on a terminal only: where output goes to a file or a log, there is nothing to draw."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager

INTERVAL = 0.1  # seconds between drawings

Advance = Callable[[int, float], None]  # batches done, mean loss


@contextmanager
def progress(what: str, total: int | None, shown: bool | None) -> Generator[Advance | None]:
    """A bar over `total` batches, or None where none is shown; `shown` None means: if stderr is a terminal."""
    is_terminal = sys.stderr is not None and sys.stderr.isatty()  # None: the process was started without one
    if not (is_terminal if shown is None else shown):
        yield None
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    console = Console(stderr=True, force_terminal=shown)
    with Progress(*columns, TextColumn("loss {task.fields[loss]:.4f}"), console=console, transient=True) as bar:
        task = bar.add_task(what, total=total, loss=0.0)
        last = -INTERVAL

        def advance(done: int, loss: float) -> None:
            nonlocal last
            now = time.monotonic()
            if now - last >= INTERVAL or done == total:
                last = now
                bar.update(task, completed=done, loss=loss)

        yield advance
