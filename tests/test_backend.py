"""The seam for backends, shown with a second one: what runs through it, and what it says to bad input."""

from __future__ import annotations

import copy
import functools
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import tinytorch as tt
from tests.numpy_backend import NumpyBackend
from tinytorch import backend_names, blame
from tinytorch.frontend.tensor.storage import version_of
from tinytorch.ir.errors import CompileError, TinyTorchError, VerifyError
from tinytorch.ir.kernels.costs import Costs
from tinytorch.runtime import cache
from tinytorch.runtime.backend import Backend
from tinytorch.runtime.executable import Executable
from tinytorch.runtime.interpreter import Interpreter
from tinytorch.runtime.llvm.backend import LlvmBackend
from tinytorch.runtime.llvm.text.target import Target
from tinytorch.runtime.schedule import Schedule


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A disk cache with nothing in it."""
    monkeypatch.setenv("TT_CACHE_DIR", str(tmp_path / "cache"))
    return tmp_path


@pytest.fixture
def backend() -> NumpyBackend:
    return NumpyBackend()


def near(a: Any, b: Any) -> None:
    np.testing.assert_allclose(np.asarray(a), np.asarray(b), rtol=1e-5, atol=1e-6)


# What runs.
class Net(tt.Module):
    """Something for many families of kernels."""

    def __init__(self) -> None:
        tt.manual_seed(0)
        self.conv = tt.Conv2d(3, 8, 3, padding=1)
        self.norm = tt.BatchNorm2d(8)
        self.head = tt.Linear(8 * 9, 5)

    def forward(self, x: tt.Tensor) -> tt.Tensor:
        return self.head(tt.MaxPool2d(2)(self.norm(self.conv(x)).relu()).flatten(1))


def images() -> tt.Tensor:
    return tt.Tensor(np.random.default_rng(0).standard_normal((4, 3, 6, 6)).astype(np.float32))


@pytest.mark.parametrize("freeze", [False, True])
def test_inference(backend: NumpyBackend, freeze: bool) -> None:
    model = Net().eval()
    compiled = tt.compile(model, backend=backend, freeze=freeze)
    near(compiled(images()).numpy(), model(images()).numpy())
    assert backend.lowered == backend.loaded == 1
    assert isinstance(compiled.executable, Executable) and compiled.executable.backend is backend


def test_training_keeps_state_where_it_lies(backend: NumpyBackend) -> None:
    labels = tt.Tensor(np.array([0, 3, 1, 4]))

    def made() -> tuple[Net, Any]:
        model = Net()
        optimizer = tt.SGD(model.parameters(), lr=0.1, momentum=0.9)

        def step(x: tt.Tensor, y: tt.Tensor) -> tt.Tensor:
            optimizer.zero_grad()
            loss = tt.CrossEntropyLoss()(model(x), y)
            loss.backward()
            optimizer.step()
            return loss

        return model, step

    (model, step), (twin, eager) = made(), made()
    arrays = [p.data for p in model.parameters()]
    compiled = tt.compile(step, backend=backend)
    for _ in range(4):
        near(compiled(images(), labels).item(), eager(images(), labels).item())
    for p, q, array in zip(model.parameters(), twin.parameters(), arrays, strict=True):
        assert p.data is array
        np.testing.assert_allclose(p.numpy(), q.numpy(), rtol=1e-3, atol=1e-4)
    near(model.norm.running_mean.numpy(), twin.norm.running_mean.numpy())
    assert backend.loaded == 1


def test_several_outputs_views_and_none(backend: NumpyBackend) -> None:
    @functools.partial(tt.compile, backend=backend)
    def several(x: tt.Tensor, y: tt.Tensor) -> dict[str, Any]:
        return {"sum": x + y, "parts": (x.amax(), (x @ y.T).T), "same": x, "x": [y.sum(0), None]}

    x, y = tt.Tensor(np.arange(6.0).reshape(2, 3)), tt.ones(2, 3, dtype=tt.f64)
    found = several(x, y)
    assert found["sum"].tolist() == [[1, 2, 3], [4, 5, 6]] and found["x"][1] is None
    assert found["parts"][0].item() == 5 and found["parts"][1].tolist() == [[3, 12], [3, 12]]
    assert found["same"] is x and found["x"][0].tolist() == [2, 2, 2]
    assert tt.compile(lambda: None, backend=backend)() is None


def test_gradients_outside(backend: NumpyBackend) -> None:
    x = tt.Tensor(np.array([0.5, -1.0], np.float32), requires_grad=True)
    tt.compile(lambda x: (x * x).exp().sum(), backend=backend)(x).backward()
    near(x.grad.numpy(), 2 * x.numpy() * np.exp(x.numpy() ** 2))
    assert backend.loaded == 2


def test_a_guard_fails_before_state_changes(backend: NumpyBackend) -> None:
    table, total = tt.Tensor(np.arange(8.0).reshape(4, 2)), tt.zeros(2, dtype=tt.f64)

    @functools.partial(tt.compile, backend=backend)
    def step(i: tt.Tensor) -> tt.Tensor:
        total.add_(1.0)
        table.mul_(2.0)
        return table[i].sum(0)

    assert step(tt.Tensor(np.array([1, 2]))).tolist() == [12, 16]
    before, versions = table.numpy().copy(), (version_of(table), version_of(total))
    for bad in ([1, 4], [-5, 0]):
        with pytest.raises(IndexError, match="out of range"):
            step(tt.Tensor(np.array(bad)))
    assert np.array_equal(table.numpy(), before) and total.tolist() == [1, 1]
    assert (version_of(table), version_of(total)) == versions
    assert step(tt.Tensor(np.array([0, 0]))).tolist() == [0, 8] and total.tolist() == [2, 2]
    assert version_of(total) != versions[1]


def test_memory_that_is_shared_read_only_or_not_in_order(backend: NumpyBackend) -> None:
    @functools.partial(tt.compile, backend=backend)
    def add(x: tt.Tensor, y: tt.Tensor) -> None:
        x.add_(y)

    x = tt.Tensor(np.arange(5.0))
    add(x[:4], x[1:])
    assert x.tolist() == [1, 3, 5, 7, 4]
    wide = tt.Tensor(np.arange(8.0).reshape(4, 2))
    add(wide[:, 0], tt.ones(4, dtype=tt.f64))
    assert wide.tolist() == [[1, 1], [3, 3], [5, 5], [7, 7]]
    array = np.zeros(4)
    fixed = tt.from_numpy(array)
    array.flags.writeable = False
    with pytest.raises(TinyTorchError, match="read-only"):
        add(fixed, tt.ones(4, dtype=tt.f64))


def test_nan_checks_are_the_interpreters(
    backend: NumpyBackend, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)  # the reproducer goes there
    monkeypatch.setenv("TT_NANS", "1")
    compiled = tt.compile(lambda x: x.log(), backend=backend)
    with pytest.raises(TinyTorchError, match="log made the first NaN"):
        compiled(-tt.ones(2))
    compiled(tt.ones(2))
    assert isinstance(compiled.executable, Interpreter) and not backend.lowered


# Looking inside.
def test_it_explains_and_measures(backend: NumpyBackend) -> None:
    compiled = tt.compile(lambda x, i: ((x @ x.T).relu().sum(), x[i] + 1.0), backend=backend)
    compiled(tt.ones(4, 4), tt.Tensor(np.array([0, 2])))
    report = compiled.explain(measure=True)
    assert report.backend == "numpy" and report.peaks == backend.peaks()
    assert {k.family for k in report.kernels} >= {"contract", "index"}
    assert all(k.measured and k.measured > 0 for k in report.kernels)
    assert report.arena_bytes == compiled.executable.schedule.arena_bytes
    assert "measured" in str(report)
    assert all(k.measured is None for k in compiled.explain().kernels)


def test_verify_takes_the_backend(backend: NumpyBackend, folder: Path) -> None:
    model = tt.compile(Net().eval(), backend=backend)
    report = tt.verify(model, images(), folder=str(folder / "right"))
    assert any(c.ways == "interpreter and numpy" for c in report.comparisons) and backend.lowered == 1
    wrong = WrongMaximum()
    with pytest.raises(VerifyError, match=r"interpreter and numpy: .*\nthe first node that differs is .* = maximum"):
        tt.verify(tt.compile(lambda x: (x * 3.0).relu().sum(), backend=wrong), images(), folder=str(folder / "wrong"))
    assert blame.reproduce(folder / "wrong").comparisons  # machine code is right
    with pytest.raises(VerifyError, match="interpreter and numpy"):
        blame.reproduce(folder / "wrong", backend=wrong)


class WrongMaximum(NumpyBackend):
    """Takes the smaller number."""

    def lower(self, schedule: Schedule) -> cache.Entry:
        code = super().lower(schedule)
        return cache.Entry(code.metadata, code.object_code.replace(b" = maximum(", b" = minimum("))


# The disk cache.
def entries() -> int:
    return sum(name.endswith(".ttc") for name, _ in cache.code_folder().files())


def test_code_is_kept_by_backend_and_key() -> None:
    def run(backend: NumpyBackend) -> int:
        """How often it had to generate code for the same function."""
        near(tt.compile(lambda x: (x + 1.0).exp(), backend=backend)(tt.zeros(3)).numpy(), [np.e] * 3)
        assert backend.loaded == 1
        return backend.lowered

    class Renamed(NumpyBackend):
        name = "renamed"

    # An entry for the graph after the passes, and one for its code.
    assert [run(NumpyBackend("a")), run(NumpyBackend("a"))] == [1, 0] and entries() == 2
    assert [run(NumpyBackend("b")), run(Renamed("a")), run(NumpyBackend("a"))] == [1, 1, 0] and entries() == 6
    near(tt.compile(lambda x: (x + 1.0).exp(), backend="llvm")(tt.zeros(3)).numpy(), [np.e] * 3)
    assert run(NumpyBackend("b")) == 0


def test_targets_of_one_backend_have_keys_of_their_own() -> None:
    names = ("avx512", "avx2", "sse2", "neon")
    made = [LlvmBackend(Target.named(name)) for name in names]
    assert len({b.key for b in made}) == len(names)
    assert [b.costs.vector_bytes for b in made] == [64, 32, 16, 16]
    assert LlvmBackend().costs.vector_bytes == Target.host().vector_bytes


# Choosing one.
def test_backends_follow_the_protocol() -> None:
    made: list[Any] = [NumpyBackend(), LlvmBackend(), Delegate(NumpyBackend())]
    assert all(backend_names.checked(backend) is backend for backend in made)
    assert backend_names.find("interpreter") is None
    assert isinstance(backend_names.find("llvm"), LlvmBackend)


class Delegate:
    """Has what another one has."""

    def __init__(self, inner: Backend) -> None:
        self.inner = inner

    def __getattr__(self, name: str) -> Any:
        return getattr(self.inner, name)


class Half:
    """Not all of a backend."""

    name, key, costs, interruptible = "half", "", Costs(), True

    def lower(self, schedule: Any) -> None: ...


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        ("cuda", "backend is one of llvm, interpreter, or an object .*, got 'cuda'"),
        ("", "got ''"),
        ("numpy", "got 'numpy'"),
        (NumpyBackend, "got the class NumpyBackend: make an object of it"),
        (Half(), "has no families, load, allocate, copy, peaks"),
        (3, "3 has no name, key, costs, interruptible, families, lower, load, allocate, copy, peaks"),
        (False, "False has no name"),
        (["llvm"], "has no name"),
    ],
)
def test_what_is_no_backend(bad: Any, message: str) -> None:
    with pytest.raises(CompileError, match=message):
        tt.compile(abs, backend=bad)


def test_the_environment_names_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TT_BACKEND", "interpreter")
    compiled = tt.compile(lambda x: x + 1.0)
    compiled(tt.ones(2))
    assert isinstance(compiled.executable, Interpreter)
    monkeypatch.setenv("TT_BACKEND", "numpy")
    with pytest.raises(CompileError, match="got 'numpy'"):
        tt.compile(abs)
    tt.compile(abs, backend=NumpyBackend())


def test_methods_and_copies_keep_the_backend(backend: NumpyBackend) -> None:
    class Scale:
        def __init__(self, by: float) -> None:
            self.by = by

        @functools.partial(tt.compile, backend=backend)
        def run(self, x: tt.Tensor) -> tt.Tensor:
            return x * self.by

    assert Scale(3.0).run(tt.ones(2)).tolist() == [3, 3] and backend.loaded == 1
    compiled = tt.compile(lambda x: x - 1.0, backend=backend)
    assert copy.copy(compiled)(tt.ones(2)).tolist() == [0, 0] and backend.loaded == 2


def test_only_what_runs_no_python_is_not_interrupted(backend: NumpyBackend, monkeypatch: pytest.MonkeyPatch) -> None:
    found = {name: tt.compile(abs, backend=name).interruptible for name in ("llvm", "interpreter")}
    assert found == {"llvm": False, "interpreter": True} and tt.compile(abs, backend=backend).interruptible
    monkeypatch.setenv("TT_NANS", "1")
    assert tt.compile(abs, backend="llvm").interruptible


@pytest.mark.parametrize("choice", ["'interpreter'", "NumpyBackend()"])
def test_other_backends_and_the_number_of_threads_load_no_llvm(choice: str) -> None:
    code = (
        "import sys, tinytorch as tt; from tests.numpy_backend import NumpyBackend; tt.set_num_threads(3); "
        f"print(tt.compile(lambda x: (x @ x).sum(), backend={choice})(tt.ones(2, 2)).item(), tt.get_num_threads()); "
        "print([m for m in sys.modules if 'llvm' in m])"
    )
    root = Path(__file__).parent.parent
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=root)
    assert done.stdout.split("\n")[:2] == ["8.0 3", "[]"]
