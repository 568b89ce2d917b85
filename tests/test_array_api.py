"""The Array API standard over tensors, beside `array-api-strict`."""

from __future__ import annotations

import pytest

import tinytorch as tt
from benchmarks.array_api.judge import SECTIONS, judge
from tinytorch import array_api

KNOWN = {"conj": "complex", "imag": "missing", "real": "complex", "size": "size"}  # and a word of the reason


@pytest.mark.parametrize("section", SECTIONS)
def test_functions_give_what_the_standard_says(section: str) -> None:
    strict = pytest.importorskip("array_api_strict")
    strict.set_array_api_strict_flags(api_version=array_api.__array_api_version__)
    results = [judge(section, name, asked, strict) for name, asked in SECTIONS[section]().items()]
    failed = {r.name: r.failure for r in results if r.failure}
    assert failed.keys() <= KNOWN.keys(), failed
    assert all(KNOWN[name] in why for name, why in failed.items()), failed


def test_every_function_of_the_standard_is_asked_about() -> None:
    asked = {name for functions in SECTIONS.values() for name in functions()}
    assert set(array_api.FUNCTIONS) - asked <= {"__array_namespace_info__", "broadcast_shapes", "isin"}


def test_the_namespace_of_a_tensor() -> None:
    x = tt.tensor([[1.0, 2.0], [3.0, 4.0]], requires_grad=True)
    xp = x.__array_namespace__(api_version="2024.12")
    assert xp is array_api and xp.__array_api_version__ == "2024.12"
    xp.sum(xp.square(x), axis=0).sum().backward()
    assert x.grad is not None and x.grad.tolist() == [[2.0, 4.0], [6.0, 8.0]]
    info = xp.__array_namespace_info__()
    assert info.dtypes(kind="real floating") == {"float32": tt.float32, "float64": tt.float64}
    assert info.default_dtypes()["integral"] is tt.int64 and info.default_device() == x.device
    with pytest.raises(tt.TinyTorchError, match=r"2030\.12"):
        x.__array_namespace__(api_version="2030.12")


def test_functions_of_the_standard_compile_and_refuse_what_they_do_not_know() -> None:
    xp, x = array_api, tt.tensor([[1.0, 2.0], [3.0, 4.0]])
    compiled = tt.compile(lambda x: xp.matmul(xp.permute_dims(x, (1, 0)), xp.expand_dims(x[0], axis=-1)))
    assert compiled(x).tolist() == [[7.0], [10.0]]
    with pytest.raises(tt.TinyTorchError, match="sum: too many positional arguments"):
        xp.sum(x, 0)
    with pytest.raises(tt.TraceError):
        tt.compile(lambda x: xp.unique_values(x))(x)
