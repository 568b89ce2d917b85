"""Programs in places and with options that are not the usual ones; errors and warnings name the user's line all the
same."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

import tinytorch as tt
from tinytorch.cli.program import program
from tinytorch.frontend.data.files import cache_folder
from tinytorch.ir.errors import TinyTorchError
from tinytorch.runtime import cache

ROOT = Path(__file__).parent.parent
PROGRAM = """
import tinytorch as tt
layer = tt.Linear(2, 2)
step = tt.compile(lambda x: layer(x).relu())
step(tt.ones(3, 2))
try:
    tt.ones(2, 3) @ tt.ones(2, 3)
except tt.TinyTorchError as error:
    print(error)
"""

CLASSES = """
import tinytorch as tt

def helper(x):
    return x * 2.0

class Model(tt.Module):
    def forward(self, x):
        return helper(x) + 1.0
"""


def test_a_package_that_is_found_over_a_link(tmp_path: Path) -> None:
    """As in a home folder that is a link; its name has a space and letters beyond ASCII."""
    link = tmp_path / "at höme ☃"
    link.symlink_to(ROOT, target_is_directory=True)
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM], capture_output=True, text=True, cwd=tmp_path, check=False,
        env={**os.environ, "PYTHONPATH": f"{tmp_path}//{link.name}"},
    )  # fmt: skip
    assert done.stderr == "" and done.stdout == "matmul: lhs axis 1 is 3, rhs axis 0 is 2\n  <string>:7\n"


def test_lines_of_pythons_own_library_are_nobodys() -> None:
    @contextlib.contextmanager
    def block():
        yield tt.ones(2, 3) @ tt.ones(2, 3)

    with pytest.raises(TinyTorchError, match=r"test_places\.py"), block():
        pass
    with ThreadPoolExecutor(1) as threads, pytest.raises(TinyTorchError) as caught:
        threads.submit(tt.matmul, tt.ones(2, 3), tt.ones(2, 3)).result()
    assert caught.value.loc is None  # no line of the program stands above it


def _added_up() -> None:
    layer = tt.Linear(2, 2)
    optimizer = tt.SGD(layer.parameters(), lr=0.1)
    for _ in range(2):
        layer(tt.ones(1, 2)).sum().backward()
        optimizer.step()


WARNED: dict[str, Callable[[], Any]] = {
    "softmax": lambda: tt.nn.functional.softmax(tt.ones(2, 2)),
    "module": lambda: tt.nn.Softmax()(tt.ones(2, 2)),
    "rnn": lambda: tt.nn.GRU(2, 2, dropout=0.5),
    "loader": lambda: tt.DataLoader(tt.TensorDataset(tt.ones(2)), pin_memory=True),
    "optimizer": _added_up,
    "printed": lambda: tt.compile(lambda x: (str(x), x + 1.0)[1])(tt.ones(2)),
}


@pytest.mark.parametrize("what", WARNED)
def test_warnings_name_the_users_line(what: str) -> None:
    with pytest.warns() as caught:
        WARNED[what]()
    assert [warning.filename for warning in caught] == [__file__]


def test_a_cache_that_cannot_be_written_is_told_with_the_users_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("TT_CACHE_DIR", str(tmp_path / "file" / "cache"))
    with pytest.warns(RuntimeWarning, match="TT_CACHE_DIR") as caught:
        cached = tt.compile(lambda x: x * 3.25 + tt.exp(x))(tt.ones(7))
    assert cached.shape == (7,) and [warning.filename for warning in caught] == [__file__]
    assert cache.folder() == tmp_path / "file" / "cache"


def test_a_process_without_home_temporary_files_or_current_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def gone(*_: object) -> str:
        raise FileNotFoundError(2, "No such file or directory")

    monkeypatch.setenv("TT_CACHE_DIR", "relative")
    monkeypatch.setattr(os, "getcwd", gone)
    assert cache.folder() == Path("relative")
    monkeypatch.delenv("TT_CACHE_DIR")
    monkeypatch.setattr(os.path, "expanduser", lambda path: path)
    monkeypatch.setattr(tempfile, "gettempdir", gone)
    with pytest.warns(RuntimeWarning, match="every process compiles anew"):
        cache.store("0" * 64, cache.Entry({}, b""))
    assert cache.load("0" * 64) is None and cache_folder() == cache.folder() / "data"


def test_compiled_calls_that_do_not_fit_into_memory() -> None:
    """Results, and what lies between; what is changed in place stays."""
    seen = tt.zeros(3)

    def grown(x: Any, count: int) -> Any:
        seen.add_(1.0)
        return x[:, None].expand(-1, count).sum(1), (x[:, None] @ x[None]).cumsum(0).flip(0)

    compiled = tt.compile(grown)
    for _ in range(2):
        with pytest.raises(TinyTorchError, match=r"grown: a call takes 64 TiB[\s\S]*test_places\.py") as caught:
            compiled(tt.ones(1 << 22), 3)  # with what lies between, more than a process has addresses for
        assert isinstance(caught.value, MemoryError) and not seen.numpy().any()
    assert compiled(tt.ones(2), 3)[1].shape == (2, 2) and seen.numpy().all()


def test_a_process_without_outputs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdout", None)
    monkeypatch.setattr(sys, "stderr", None)
    model = tt.Linear(2, 1)
    trainer = tt.Trainer(model, tt.SGD(model.parameters(), lr=0.1), tt.MSELoss(), compile=False)
    trainer.fit(tt.DataLoader(tt.TensorDataset(tt.ones(4, 2), tt.ones(4, 1)), 2), epochs=1)
    assert trainer.step == 2 and "Linear" in str(tt.summary(model, (1, 2)))
    with program("it"):
        print("nowhere", file=sys.stderr)
        print("nowhere")


def test_classes_of_code_without_a_name_are_watched() -> None:
    """As those of a notebook or of `exec`, whose variables may say nothing of a module."""
    variables: dict[str, Any] = {}
    exec(CLASSES, variables)
    compiled = tt.compile(variables["Model"]())
    assert compiled(tt.ones(1)).tolist() == [3.0]
    exec("def helper(x): return x * 5.0", variables)
    assert compiled(tt.ones(1)).tolist() == [6.0]
    variables["Model"].forward = lambda self, x: x * 7.0
    assert compiled(tt.ones(1)).tolist() == [7.0]
