"""The tables of explain() and of memory: what is long is cut, with a count and the way to see all."""

from __future__ import annotations

from pathlib import Path

import pytest

from tinytorch.compiled.compilations import Compilation
from tinytorch.insight.memory import MemoryPlan, memory_summary, memory_table
from tinytorch.insight.record import KernelRecord, Lifetime, LineCost, Outside, Peak, Refusal
from tinytorch.insight.tables import compilations_table, kernels_table, lines_table, modules_table, refusals_table
from tinytorch.insight.text import as_text, shortened


def kernel(number: int, measured: float | None = None, module: str = "") -> KernelRecord:
    seconds = 1e-6 * (number + 1)
    work = {"flops": 10, "bytes_read": 3, "bytes_written": 2, "intensity": 2.0, "predicted": seconds}
    code = {"ir": "", "llvm": "", "assembly": "", "lines": {}, "alike": None, "locs": ()}
    names = {"node": f"%{number}", "title": f"title{number}", "family": "loop", "phase": "forward", "result": "f32[2]"}
    return KernelRecord(id=number, wave=number, module=module, measured=measured, **names, **work, **code)


def rows(text: str, word: str) -> int:
    return sum(word in line for line in text.split("\n"))


def test_many_kernels_are_the_dearest_in_order() -> None:
    text = as_text(kernels_table([kernel(i) for i in range(50)]))
    assert rows(text, "title") == 40 and "title9 " not in text
    assert text.index("title10 ") < text.index("title49 ")
    assert "10 shorter ones take 55 µs; report(path) shows all" in text
    assert "measured" not in text
    measured = as_text(kernels_table([kernel(1, 4e-6)]))
    assert "measured" in measured and "50%" in measured and "shorter" not in measured


def test_columns_that_are_needed_least_go_first() -> None:
    found = [kernel(i, 1e-5) for i in range(3)]
    wide, narrow = (as_text(kernels_table(found, width), width) for width in (120, 60))
    for name in ("wave", "kernel", "phase", "family", "result", "FLOPs", "FLOP/B", "roofline", "measured", "of it"):
        assert name in wide
    assert "family" not in narrow and "FLOP/B" not in narrow
    assert "measured" in narrow and "title2" in narrow and all(len(line) <= 60 for line in narrow.split("\n"))


def test_modules_are_as_deep_as_they_are_few() -> None:
    few = [kernel(i, module=f"net.blocks.{i}.norm") for i in range(3)] + [kernel(3)]
    text = as_text(modules_table(few))
    assert rows(text, "net.blocks.") == 3 and "net.blocks.2.norm" in text and "(no module)" in text
    many = [kernel(i, module=f"net.part{i % 4}.layer{i}") for i in range(40)]
    text = as_text(modules_table(many))
    assert rows(text, "net.part") == 4 and "layer" not in text and "27%" in text
    flat = as_text(modules_table([kernel(i, module=f"layer{i}") for i in range(20)]))
    assert rows(flat, "layer") == 15 and "5 further ones take 15 µs" in flat


def test_brackets_are_no_markup(tmp_path: Path) -> None:
    file = tmp_path / "model.py"
    file.write_text('h = layers[i](x, "[/INST]")\n')
    whole = as_text(lines_table([LineCost(str(file), 1, 1e-6, 1, 1, (0,))]))
    assert 'h = layers[i](x, "[/INST]")' in whole
    assert "%[/b]" in as_text(refusals_table([Refusal("%[/b]", "[bold]sum", "[i]", "a.py:1", 8, 1)]))
    assert "mode='[/x]'" in as_text(compilations_table([Compilation(1, "mode='[/x]'", "first call", 1.0, False)]))


def test_lines_say_their_source_and_share() -> None:
    here = __file__
    costs = [LineCost(here, 1, 3e-6, 30, 4, (0, 1)), LineCost("", 0, 1e-6, 0, 4, (2,))]
    text = as_text(lines_table(costs))
    assert "test_tables.py:1" in text and "The tables of explain()" in text and "75%" in text and "(no line)" in text
    many = as_text(lines_table([LineCost(here, i, 1e-6, 1, 1, ()) for i in range(1, 21)]))
    assert "5 further lines take 5 µs" in many


def test_refusals_and_compilations_are_cut() -> None:
    refused = [Refusal(f"op{i} f32[2]", "add", "the loops have other shapes", "model.py:3", 1024, 1) for i in range(11)]
    text = as_text(refusals_table(refused))
    assert rows(text, "model.py:3") == 8 and "3 further ones, 3 KiB; report(path) shows all" in text
    made = [Compilation(i, f"f32[{i}]", "the first call", 0.5, i == 10) for i in range(1, 11)]
    text = as_text(compilations_table(made))
    assert rows(text, "the first call") == 8 and "2 earlier ones" in text and rows(text, "yes") == 1


@pytest.mark.parametrize("instants", [1, 7, 500])
def test_memory_shows_the_first_the_fullest_and_the_last_instant(instants: int) -> None:
    fullest = instants // 3
    buffers = (
        Lifetime("kept", 0, 512, 0, instants - 1, "model.py:1", 0),
        Lifetime("large", 512, 1024, fullest, fullest, "model.py:9", fullest),
    )
    plan = MemoryPlan(buffers, 2048, Peak(fullest, 1536), Outside(state=100, scratch=64), instants)
    assert plan.in_use()[fullest] == 1536 and plan.alive(fullest) == (buffers[1], buffers[0])
    assert plan.allocated == 2112
    text = as_text(memory_table(plan))
    assert "model.py:9" in text and "1.5 KiB" in text
    shown = {int(words[0]) for line in text.split("\n") if (words := line.split()) and words[0].isdigit()}
    assert {0, fullest, instants - 1} <= shown and (len(shown) == instants or "further ones" in text)
    assert f"1.5 KiB are in use in instant {fullest}" in memory_summary(plan)
    assert "state 100 B" in memory_summary(plan) and "constants" not in memory_summary(plan)


def test_what_is_long_is_shortened() -> None:
    assert shortened("abcdef", 6) == "abcdef" and shortened("abcdefg", 6) == "abcde…"
