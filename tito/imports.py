"""Loads modules of the framework as an overlay has them: `python -m tito.imports MODULE…`, a process of its own.

Where one cannot be loaded, the last line that is printed says why, and which line of the learner's it was.
"""

from __future__ import annotations

import importlib
import os
import sys
import traceback
from pathlib import Path
from types import TracebackType


def main() -> None:
    sys.excepthook = _tell
    for name in sys.argv[1:]:
        importlib.import_module(name)


def _tell(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    """The error in one line, behind the innermost line of the learner's."""
    from tinytorch.overlay import place

    folder = Path(os.environ["TT_OVERLAY"])
    said = " ".join("".join(traceback.format_exception_only(error)).split())
    for frame in reversed(traceback.extract_tb(trace)):
        file, line = place(folder, Path(frame.filename), frame.lineno or 0)
        if file.parent == folder:
            text = file.read_text(encoding="utf-8").split("\n")[line - 1].strip()
            said = f"{file.name}, line {line}: {text}: {said}"
            break
    print(said, file=sys.stderr)


if __name__ == "__main__":
    main()
