"""`python -m benchmarks`: run, print, save."""

from __future__ import annotations

import fnmatch
import importlib.util
import os
import sys
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from benchmarks import accuracy, compile_time, eager, harness, machine, memory, peak_memory, report, startup, workloads
from benchmarks.options import numbers, output_file
from benchmarks.registry import FRAMEWORKS, OURS, WORKLOADS, Workload
from tinytorch.cli.program import Commands
from tinytorch.ir.system.files import write_text

app = Commands("benchmarks")
WITHOUT_WORKLOADS = ("compile", "accuracy", "memory")  # suites that measure something else


def chosen(suite: str, only: list[str]) -> list[Workload]:
    """The workloads of a suite, or those whose names match one of the patterns."""
    workloads.load()
    if only:
        patterns = [pattern for names in only for pattern in names.split(",")]
        return [w for w in WORKLOADS.values() if any(fnmatch.fnmatch(w.name, pattern) for pattern in patterns)]
    return [w for w in WORKLOADS.values() if suite in w.suites]


def contestants_of(peers: str, console: Console) -> list[str]:
    """Ours first, then those of the frameworks that are asked for and installed; a line for each that is not."""
    names = list(FRAMEWORKS[OURS])
    for framework in filter(None, peers.split(",")):
        if framework not in FRAMEWORKS:
            raise typer.BadParameter(f"{framework} is not one of {', '.join(FRAMEWORKS)}", param_hint="--peers")
        module = "tinytorch" if framework == "eager" else framework
        if importlib.util.find_spec(module) is None:
            console.print(f"[yellow]skipped {framework}: not installed")
        else:
            names += [name for name in FRAMEWORKS[framework] if name not in names]
    return names


@app.command()
def main(
    suite: Annotated[
        str,
        typer.Option(
            help="Which workloads: core, products, vision, language, compression; compile: compiling, and eager mode; "
            "accuracy: errors; memory: of training steps, against the depth, and of networks against other frameworks."
        ),
    ] = "core",
    peers: Annotated[
        str, typer.Option(help="torch, jax, numpy, onnxruntime, openvino, eager (ours, not compiled).")
    ] = ("torch,jax,numpy,onnxruntime,openvino"),
    threads: Annotated[str, typer.Option(help="Numbers of threads, one table each.")] = "1,2",
    only: Annotated[
        list[str] | None, typer.Option(help="Names or patterns (mlp_*,perceptron_train), instead of a suite.")
    ] = None,
    rounds: Annotated[int, typer.Option(min=1, help="Turns of each contestant per workload.")] = 15,
    seconds: Annotated[float, typer.Option(min=1e-4, help="Length of a turn.")] = 0.05,
    new_processes: Annotated[int, typer.Option(min=0, help="Rounds of the import and compile times; 0: none.")] = 3,
    nodes: Annotated[str, typer.Option(help="Sizes of the functions of --suite compile.")] = "100,1000,10000,50000",
    depths: Annotated[str, typer.Option(help="Numbers of layers of --suite memory.")] = "2,4,8,16,32",
    target: Annotated[
        str, typer.Option(help="host, or avx2: all keep to those instructions, as on a machine that has no others.")
    ] = "host",
    json: Annotated[
        Path | None, typer.Option(callback=output_file, help="Write everything measured to this file.")
    ] = None,
    md: Annotated[
        Path | None,
        typer.Option(callback=output_file, help="Write the tables of workloads to this file, in Markdown."),
    ] = None,
) -> None:
    """Time TinyTorch and its peers on the same work, in interleaved rounds, in a process each."""
    console = Console(width=None if sys.stdout.isatty() else 240)
    workloads.load()
    known = list(dict.fromkeys([name for w in WORKLOADS.values() for name in w.suites])) + list(WITHOUT_WORKLOADS)
    if suite not in known:
        raise typer.BadParameter(f"{suite} is not one of {', '.join(known)}", param_hint="--suite")
    if md is not None and suite in WITHOUT_WORKLOADS:
        raise typer.BadParameter(f"there is no table of workloads in the suite {suite}", param_hint="--md")
    if suite == "compile":
        _compile_time(console, numbers(nodes, "--nodes"), only or [], rounds, json)
        return
    if suite == "accuracy":
        found = accuracy.run(console)
        _save(console, json, {"machine": machine.describe(), "accuracy": found})
        return
    if suite == "memory":
        _memory(console, numbers(depths, "--depths"), peers, json)
        return
    if target not in ("host", *harness.NARROWER):
        raise typer.BadParameter(f"{target} is not host or {', '.join(harness.NARROWER)}", param_hint="--target")
    if target != "host":
        os.environ[harness.TARGET] = target
    picked = chosen(suite, only or [])
    if not picked:
        raise typer.BadParameter(f"no workload matches; there are {', '.join(WORKLOADS)}", param_hint="--only")
    counts = numbers(threads, "--threads")
    contestants = contestants_of(peers, console)
    description = _machine(console)
    console.print(f"unset for all workers, so that numpy takes its best kernels: {', '.join(harness.UNSET)}")
    rows: list[harness.Row] = []
    tables: list[Table] = []
    for count in counts:
        measured, _ = harness.run(picked, contestants, count, rounds, seconds, console)
        tables.append(report.table(measured, contestants, count))
        console.print(tables[-1])
        rows += measured
    report.print_peaks(console, rows)
    startups: list[startup.Startup] = []
    if new_processes and not only and suite in startup.STEPS:
        startups = _startups(console, startup.STEPS[suite], contestants, max(counts), new_processes)
        tables.append(report.startup_table(startups, startup.STEPS[suite]))
        console.print(tables[-1])
    if md is not None:
        write_text(md, "\n".join(map(report.as_markdown, tables)))
        console.print(f"written to {md}")
    options = {
        "suite": suite,
        "only": only,
        "target": target,
        "rounds": rounds,
        "seconds": seconds,
        "unset": harness.UNSET,
    }
    _save(console, json, report.as_json(description, options, rows, startups))


def _machine(console: Console) -> dict[str, Any]:
    """What is measured on, told first."""
    description = machine.describe()
    console.print(f"{description['cpu']}, {description['usable_cores']} cores; load {description['load']}")
    return description


def _save(console: Console, path: Path | None, measured: dict[str, Any]) -> None:
    """Write what was measured, where a file is asked for."""
    if path is not None:
        report.write_json(path, measured)
        console.print(f"written to {path}")


def _startups(console: Console, first: str, contestants: list[str], threads: int, rounds: int) -> list[startup.Startup]:
    """The time of each contestant's first step in a new process; a line for each that cannot be timed."""
    found: list[startup.Startup] = []
    for result in startup.measure(first, contestants, threads, rounds):
        if isinstance(result, str):
            console.print(f"[yellow]not timed: {result}")
        else:
            found.append(result)
    return found


def _memory(console: Console, depths: list[int], peers: str, json: Path | None) -> None:
    """The memory of training steps against the depth, and of networks against other frameworks."""
    measured = memory.run(console, depths)
    measured["networks"] = peak_memory.run(console, contestants_of(peers, console)[1:], 2)
    _save(console, json, {"machine": machine.describe(), "memory": measured})


def _compile_time(console: Console, nodes: list[int], only: list[str], rounds: int, json: Path | None) -> None:
    """The time of compiling, against the number of nodes; and what does not compile: eager mode, `--only eager`."""
    description = _machine(console)
    families = [name for names in only for name in names.split(",")]
    measured = {} if families == ["eager"] else compile_time.run(console, nodes, families)
    in_eager_mode = eager.run(console, rounds) if not families or "eager" in families else {}
    _save(console, json, {"machine": description, "compile": measured, "eager": in_eager_mode})


if __name__ == "__main__":
    app()
