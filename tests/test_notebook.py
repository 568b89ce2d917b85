"""The example notebook runs from top to bottom, and shows what it speaks of."""

from __future__ import annotations

import json
import os
import warnings
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parent.parent
NOTEBOOK = ROOT / "examples" / "see_inside.ipynb"


def cells(kind: str, notebook: Any) -> list[Any]:
    return [cell for cell in notebook["cells"] if cell["cell_type"] == kind]


def test_it_is_kept_without_outputs() -> None:
    notebook = json.loads(NOTEBOOK.read_text(encoding="utf-8"))
    for cell in cells("code", notebook):
        compile("".join(cell["source"]), str(NOTEBOOK), "exec")
        assert not cell["outputs"] and cell["execution_count"] is None


def test_it_runs_and_each_cell_shows_what_it_should(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    nbclient, nbformat = pytest.importorskip("nbclient"), pytest.importorskip("nbformat")
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")]))
    monkeypatch.setenv("IPYTHONDIR", str(tmp_path / "ipython"))
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of the client's event loop
        nbclient.NotebookClient(notebook, timeout=120, resources={"metadata": {"path": str(tmp_path)}}).execute()
    shown = {cell["source"].strip().splitlines()[-1]: output(cell) for cell in cells("code", notebook)}
    assert "f32[64,2] from " in shown["x"]["text/html"] and "<details" in shown["model"]["text/html"]
    assert shown["step"]["image/svg+xml"].lstrip().startswith("<")
    texts = "\n".join(each.get("text/plain", "") for each in shown.values())
    for words in ("loss ", "kernels", "parameters", "agree in", "log made the first NaN", "scores.log()", "frozen"):
        assert words in texts, words
    assert "<html" in (tmp_path / "report.html").read_text(encoding="utf-8")
    assert "<svg" in shown['bench.plot_results()["memory-throughput"]']["image/svg+xml"]


def output(cell: Any) -> dict[str, str]:
    """What a cell showed, by kind; what it printed is text."""
    found: dict[str, str] = {}
    for each in cell["outputs"]:
        assert each["output_type"] != "error"
        data = each.get("data") or {"text/plain": each["text"]}
        found |= {kind: found.get(kind, "") + "".join(text) for kind, text in data.items()}
    return found
