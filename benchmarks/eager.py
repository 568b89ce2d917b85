"""Eager mode against PyTorch's, on one thread each: forward, backward, a step of a network, and small ops.

`python -m benchmarks.eager ROUNDS` is the process that is measured; it prints one line of JSON.
"""

from __future__ import annotations

import importlib.util
import json
import os
import statistics
import subprocess
import sys
import time
import timeit
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table

from benchmarks.harness import UNSET, environment
from tinytorch.ir.text.units import duration

GOAL = 3.0  # times PyTorch's time
SMALL_GOAL = 10e-6  # seconds
FLOPS = 1e6  # from which on the goal holds
_TIMEOUT = 600.0
_WARM = 2  # rounds that do not count: kernels are compiled, memory is got
_CALLS = 1000  # of a small op


def run(console: Console, rounds: int) -> dict[str, Any]:
    """Measure, print the tables; everything measured, for JSON."""
    if importlib.util.find_spec("torch") is None:
        console.print("[yellow]eager mode is not compared: torch is not installed")
        return {}
    set_ = ", ".join(f"{name}={os.environ.get(name, 'not set')}" for name in UNSET)
    console.print(f"eager against PyTorch eager, one thread each, in one process; {set_} here, not set for it")
    with environment(1):
        command = [sys.executable, "-m", "benchmarks.eager", str(rounds)]
        done = subprocess.run(command, capture_output=True, text=True, timeout=_TIMEOUT)
    if done.returncode:
        console.print(f"[yellow]eager mode is not compared: {done.stderr.strip().splitlines()[-1]}")
        return {}
    measured = json.loads(done.stdout.splitlines()[-1])
    console.print(_table(measured["cases"]))
    console.print(_small_table(measured["small"]))
    return measured


# Tables.
def ratio(case: dict[str, Any], which: str) -> float:
    """The median over the rounds of our time divided by PyTorch's in the same round."""
    pairs = zip(case[which]["ours"], case[which]["torch"], strict=True)
    return statistics.median(ours / theirs for ours, theirs in pairs)


def must_keep_up(case: dict[str, Any]) -> bool:
    """Whether the goal holds for this case."""
    return case["aimed"] and case["flops"] >= FLOPS


def _table(cases: list[dict[str, Any]]) -> Table:
    title = f"CPU time, and how many times PyTorch's it is (aim: ≤ {GOAL:.0f} where ✓ or ✗ stands)"
    out = Table(title=title, title_justify="left")
    for name in ("case", "MFLOP", "forward", "× torch", "backward", "× torch"):
        out.add_column(name, justify="left" if name == "case" else "right", no_wrap=True)
    for case in cases:
        cells: list[str] = []
        for which in ("forward", "backward"):
            times = ratio(case, which)
            mark = ("[green]✓[/] " if times <= GOAL else "[red]✗[/] ") if must_keep_up(case) else ""
            cells += [duration(statistics.median(case[which]["ours"])), f"{mark}{times:.1f}"]
        out.add_row(case["name"], f"{case['flops'] / 1e6:.3g}", *cells)
    return out


def _small_table(small: dict[str, dict[str, float]]) -> Table:
    out = Table(title=f"one small op, 8×8 (aim: ≤ {duration(SMALL_GOAL)})", title_justify="left")
    for name in ("op", "time", "torch"):
        out.add_column(name, justify="left" if name == "op" else "right", no_wrap=True)
    for name, times in small.items():
        mark = "[green]✓[/]" if times["ours"] <= SMALL_GOAL else "[red]✗[/]"
        out.add_row(name, f"{mark} {duration(times['ours'])}", duration(times["torch"]))
    return out


# The process that is measured.
def _child(rounds: int) -> dict[str, Any]:
    import torch

    from benchmarks.eager_cases import CASES, SMALL

    torch.set_num_threads(1)
    cases = [_case(case, rounds) for case in CASES] + [_network(max(2, rounds // 4))]
    return {"cases": cases, "small": {name: _small(function) for name, function in SMALL.items()}}


def _case(case: Any, rounds: int) -> dict[str, Any]:
    import torch
    import torch.nn.functional as functional

    import tinytorch as tt

    rng = np.random.default_rng(0)
    arrays = [rng.standard_normal(shape).astype(np.float32) for shape in case.shapes]
    ours = [tt.Tensor(a, requires_grad=True) for a in arrays]
    theirs = [torch.tensor(a, requires_grad=True) for a in arrays]
    out, expected = case.run(tt, *ours), case.run(functional, *theirs)
    weight = rng.standard_normal(tuple(expected.shape)).astype(np.float32)
    flops = _flops(out)
    out.backward(tt.Tensor(weight))
    expected.backward(torch.tensor(weight))
    _agree(case.name, out.numpy(), expected.detach().numpy())
    for a, b in zip(ours, theirs, strict=True):
        _agree(f"{case.name}: a gradient", a.grad.numpy(), b.grad.numpy())  # pyright: ignore[reportOptionalMemberAccess]
    times = _rounds(
        rounds,
        {
            "ours": (lambda: case.run(tt, *ours), tt.Tensor(weight), ours),
            "torch": (lambda: case.run(functional, *theirs), torch.tensor(weight), theirs),
        },
    )
    return {"name": case.name, "aimed": case.aimed, "flops": flops, **times}


def _network(rounds: int) -> dict[str, Any]:
    """A step of a residual network, whose optimizer's part is left out."""
    import torch

    import tinytorch as tt
    from benchmarks.eager_cases import residual

    x = np.random.default_rng(0).standard_normal((8, 3, 64, 64)).astype(np.float32)
    ours, theirs = residual(tt), residual(torch.nn)
    flops = _flops(ours(tt.Tensor(x)))
    times = _rounds(
        rounds,
        {
            "ours": (lambda: ours(tt.Tensor(x)), tt.ones(8, 10), list(ours.parameters())),
            "torch": (lambda: theirs(torch.tensor(x)), torch.ones(8, 10), list(theirs.parameters())),
        },
    )
    return {"name": "ResNet-18, 8 × 64²", "aimed": True, "flops": flops, **times}


def _rounds(rounds: int, contestants: dict[str, Any]) -> dict[str, dict[str, list[float]]]:
    """CPU seconds of forward and backward, in turns."""
    found = {which: {name: list[float]() for name in contestants} for which in ("forward", "backward")}
    for number in range(rounds + _WARM):
        for name, (forward, weight, leaves) in contestants.items():
            for leaf in leaves:
                leaf.grad = None
            start = time.process_time()
            out = forward()
            middle = time.process_time()
            out.backward(weight)
            end = time.process_time()
            if number >= _WARM:
                found["forward"][name].append(middle - start)
                found["backward"][name].append(end - middle)
    return found


def _flops(out: Any) -> int:
    """Operations of the forward pass, by the records of its ops."""
    from tinytorch.frontend.tensor.backward import tape_of
    from tinytorch.ir.op import unpacked

    found = 0
    for r in tape_of(out):
        types = [x.type for x in r.inputs]
        found += r.op.flops(types, unpacked(r.op.result_types(types, r.attrs)), r.attrs)
    return found


def _agree(what: str, found: Any, expected: Any) -> None:
    scale = max(1.0, float(np.abs(expected).max()))
    error = float(np.abs(found - expected).max())
    if error > 2e-3 * scale:
        raise SystemExit(f"{what} differs from PyTorch's by {error:.1e}")


def _small(function: Callable[..., Any]) -> dict[str, float]:
    import torch
    import torch.nn.functional as functional

    import tinytorch as tt

    arrays = [np.random.default_rng(0).standard_normal(shape).astype(np.float32) for shape in ((8, 8), (8, 8), (8,))]
    operands = {
        "ours": (tt, *map(tt.Tensor, arrays)),
        "torch": (functional, *map(torch.tensor, arrays)),
    }
    return {name: _seconds(partial(function, *given)) for name, given in operands.items()}


def _seconds(call: Callable[[], Any]) -> float:
    """Of one call, the best of several runs of many."""
    return min(timeit.repeat(call, number=_CALLS, repeat=7, timer=time.process_time)) / _CALLS


if __name__ == "__main__":
    print(json.dumps(_child(int(sys.argv[1]))))
