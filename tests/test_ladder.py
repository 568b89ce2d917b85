"""The steps of the ladder compute products on every target that this machine runs. No times are tested."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from benchmarks.ladder import measure, rungs
from benchmarks.ladder.__main__ import app
from tinytorch.runtime.llvm.text import jit
from tinytorch.runtime.llvm.text.builder import Module
from tinytorch.runtime.llvm.text.target import Target
from tinytorch.runtime.llvm.threads.pool import shared_pool


@pytest.mark.parametrize("name", ["sse2", "avx2", "host"])
@pytest.mark.parametrize(("n", "chunks"), [(48, 1), (144, 3), (288, 2)])
def test_every_rung_is_a_product(name: str, n: int, chunks: int) -> None:
    target = Target.host() if name == "host" else Target.named(name)
    if name != "host" and Target.host().name not in ("avx2", "avx512"):
        pytest.skip("needs AVX2")
    module, sizes = Module(target.attributes), rungs.Sizes.of(n, chunks, target)
    whole = rungs.Sizes.of(n, 1, target)
    used = {rung: sizes if rung == "threaded" else whole for rung in rungs.RUNGS}
    for rung, write in rungs.RUNGS.items():
        rungs.write(module, rung.replace("-", "_"), write, used[rung])
    code = jit.load_object(jit.compile_object(module.text(), target))
    a, b = (np.random.default_rng(i).standard_normal((n, n), np.float32) for i in range(2))
    for rung, size in used.items():
        out = np.full((n, n), np.nan, np.float32)
        frame = np.array([x.ctypes.data for x in (a, b, out)], np.uint64)
        shared_pool().run(code.address(rung.replace("-", "_")), frame.ctypes.data, n // size.rows)
        np.testing.assert_allclose(out, a @ b, rtol=1e-4, atol=1e-4, err_msg=rung)


def test_each_rung_is_what_its_name_says() -> None:
    """By the instructions: scalars, then vectors, then a tile of sums that no store interrupts."""
    target = Target.host()
    texts: dict[str, str] = {}
    for name, write in rungs.RUNGS.items():
        module = Module(target.attributes)
        rungs.write(module, "f", write, rungs.Sizes.of(96, 1, target))
        texts[name] = module.text()
    vector = f"<{target.lanes(rungs.f32)} x float>"
    assert not any(f"fma.v{target.lanes(rungs.f32)}" in texts[name] for name in ("naive", "blocked"))
    assert vector in texts["vectorised"] and vector in texts["register-tiled"]
    sizes = rungs.Sizes.of(96, 1, target)
    assert texts["register-tiled"].count(f"phi {vector}") == sizes.tile * rungs.VECTORS
    assert rungs.Sizes.of(768, 6, target).rows == 128 and 768 % rungs.Sizes.of(768, 7, target).rows == 0


def test_a_run_from_the_command_line(tmp_path: Path) -> None:
    picture, figures = tmp_path / "ladder.svg", tmp_path / "ladder.json"
    options = ["--size", "48", "--rounds", "1", "--threads", "2", "--draw", str(picture), "--json", str(figures)]
    done = CliRunner().invoke(app, options)
    assert done.exit_code == 0, done.output
    assert all(name in done.output for name in (*rungs.RUNGS, measure.OWN))
    assert "<svg" in picture.read_text() and '"share"' in figures.read_text()
    assert CliRunner().invoke(app, ["--size", "50"]).exit_code == 2


def test_a_wrong_product_is_not_timed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(rungs.RUNGS, "blocked", lambda f, s, x: None)
    with pytest.raises(AssertionError, match="blocked: the product is wrong"):
        measure.measure(48, 1, 1)
