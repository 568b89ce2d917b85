"""Runs a notebook, cell by cell: `python -m tito.cells NOTEBOOK RESULTS`, a process of its own.

It writes a line of JSON for each cell to the file RESULTS: {"id", "first", "seconds", "error", "line", "missing"}; and
{"id", "began": true} before it, so that who reads it knows where it stopped. A cell that fails does not stop those
behind it. What cells print goes where prints go.
"""

from __future__ import annotations

import ast
import json
import linecache
import sys
import time
import traceback
from pathlib import Path
from types import CodeType, ModuleType
from typing import Any, TextIO

from tito.pieces import lines_of

_LONGEST = 2000  # characters of an error


def main() -> None:
    notebook, results = sys.argv[1:3]
    import matplotlib

    matplotlib.use("agg")
    cells = json.loads(Path(notebook).read_text(encoding="utf-8"))["cells"]
    main = sys.modules["__main__"] = ModuleType("__main__")  # where pickle looks for the classes of cells
    with open(results, "w", encoding="utf-8") as out:
        for cell in cells:
            if cell["cell_type"] == "code":
                _run(cell, vars(main), out)


def _run(cell: dict[str, Any], names: dict[str, Any], out: TextIO) -> None:
    source = cell["source"] if isinstance(cell["source"], str) else "".join(cell["source"])
    id = cell["metadata"].get("nbgrader", {}).get("grade_id", cell.get("id", ""))
    _say(out, {"id": id, "began": True})
    start = time.perf_counter()
    error = line = None
    missing = False
    try:
        _evaluate(source, f"<cell {id}>", names)
    except BaseException as raised:  # also sys.exit() and the recursion that has no end
        missing = isinstance(raised, NotImplementedError)
        error = "".join(traceback.format_exception_only(raised)).strip()[:_LONGEST]
        line = _line(raised, f"<cell {id}>", error)
    seconds = time.perf_counter() - start
    first = next((line for line in source.splitlines() if line.strip()), "")
    _say(out, {"id": id, "first": first, "seconds": seconds, "error": error, "line": line, "missing": missing})


def _evaluate(source: str, name: str, names: dict[str, Any]) -> None:
    """Run the code; what the last line gives is made as text, as a notebook would."""
    linecache.cache[name] = (len(source), None, [f"{line}\n" for line in lines_of(source)], name)
    tree = ast.parse(source, name)
    last = tree.body.pop() if tree.body and isinstance(tree.body[-1], ast.Expr) else None
    exec(compile(tree, name, "exec"), names)
    if isinstance(last, ast.Expr):
        code: CodeType = compile(ast.Expression(last.value), name, "eval")
        repr(eval(code, names))


def _line(raised: BaseException, name: str, told: str) -> str | None:
    """The innermost line of a cell on the way to the error, unless the error told it."""
    if isinstance(raised, SyntaxError):
        return f"line {raised.lineno}: {(raised.text or '').strip()}"
    frames = [f for f in traceback.extract_tb(raised.__traceback__) if f.filename.startswith("<cell ")]
    if not frames or f"{frames[-1].filename}:{frames[-1].lineno}:" in told:
        return None
    where = "" if frames[-1].filename == name else f"{frames[-1].filename[1:-1]}, "
    return f"{where}line {frames[-1].lineno}: {frames[-1].line}"


def _say(out: TextIO, what: dict[str, Any]) -> None:
    out.write(json.dumps(what) + "\n")
    out.flush()


if __name__ == "__main__":
    main()
