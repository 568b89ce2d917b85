"""The commands of `tinytorch`."""

from __future__ import annotations

import os
import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, cast

import typer

from tinytorch.cli.errors import fail, told
from tinytorch.cli.program import Commands

if TYPE_CHECKING:
    from rich.console import Console

app = Commands(
    "tinytorch",
    no_args_is_help=True,
    help="Neural networks as graphs, compiled for this machine.",
)
_FORWARDED = {"allow_extra_args": True, "ignore_unknown_options": True, "help_option_names": []}
_OWN = re.compile(r"[\w.]+:[\w.]+")  # module:callable
_FILE_WIDTH = 140  # of tables, where the output is not a terminal


def _console() -> Console:
    from rich.console import Console

    return Console(width=None if sys.stdout.isatty() else _FILE_WIDTH)


@app.command()
def demo(
    folder: Annotated[
        Path, typer.Option(help="Where mlp.svg is written.", exists=True, file_okay=False, writable=True)
    ] = Path("."),
) -> None:
    """Trace, compile and train a small MLP; compare with eager execution and the interpreter."""
    from tinytorch.cli.demo import demo as run

    if not run(_console(), folder):
        raise typer.Exit(1)


@app.command()
def graph(
    target: Annotated[
        str,
        typer.Argument(help="mlp, mlp-forward, perceptron, or module:callable: a function, a model, or what makes it."),
    ],
    svg: Annotated[Path | None, typer.Option(help="Draw the graph after the passes to this file.")] = None,
    dot: Annotated[Path | None, typer.Option(help="Write the same picture for Graphviz to this file.")] = None,
    depth: Annotated[
        str, typer.Option(help="What a box of the drawing is: kernels, ops, or a number: modules at that depth.")
    ] = "kernels",
    color: Annotated[str, typer.Option(help="What its colours say: phase or time.")] = "phase",
    inputs: Annotated[
        list[str] | None, typer.Option("--input", help="Type of an argument, such as f32[64,784]; once for each.")
    ] = None,
    explain: Annotated[bool, typer.Option(help="Also say what each pass did and what each kernel costs.")] = False,
    measure: Annotated[bool, typer.Option(help="The same, with each kernel's measured time.")] = False,
) -> None:
    """Trace and compile something, and print its graph before and after the passes."""
    from tinytorch.cli.targets import compiled_target
    from tinytorch.ir.text.printer import print_graph

    with told():
        compiled = compiled_target(target, inputs or [])
    for title, shown in (("as traced", compiled.traced_graph), ("after the passes", compiled.graph)):
        typer.echo(f"# {title}\n{print_graph(shown, elide=True)}\n")
    if explain or measure:
        _console().print(compiled.explain(measure=measure))
    level: Any = int(depth) if depth.isdecimal() else depth
    with told():
        if svg is not None:
            compiled.save_svg(svg, level, cast("Any", color), measure)
            typer.echo(f"drawn in {svg}")
        if dot is not None:
            compiled.save_dot(dot, level, measure)
            typer.echo(f"written to {dot}")


@app.command()
def report(
    target: Annotated[
        str, typer.Argument(help="mlp, mlp-forward, perceptron, or module:callable (a function, model or model class).")
    ],
    inputs: Annotated[
        list[str] | None, typer.Option("--input", help="Type of an argument, such as f32[64,784]; once for each.")
    ] = None,
    out: Annotated[Path, typer.Option(help="Where the page is written.")] = Path("report.html"),
    measure: Annotated[bool, typer.Option(help="Also time the kernels of a call.")] = True,
) -> None:
    """Trace and compile something, and write all about it as a page for the browser."""
    from tinytorch.cli.targets import compiled_target

    with told():
        compiled_target(target, inputs or []).report(out, measure=measure)
    typer.echo(f"the report is in {out}")


@app.command(context_settings=_FORWARDED)
def bench(context: typer.Context) -> None:
    """Time workloads against other frameworks (names or patterns, and the options of `python -m benchmarks`), or your
    own module:callable (with --input for each argument) eager, on the interpreter and compiled."""
    if any(_OWN.fullmatch(argument) for argument in context.args):
        from tinytorch.cli.bench import app as own

        own(args=context.args, prog_name="tinytorch bench")
    from benchmarks.__main__ import app as benchmarks

    names = _leading_names(context.args)
    options = context.args[len(names) :]
    only = ["--only", ",".join(names)] if names else []
    benchmarks(args=[*only, *options], prog_name="tinytorch bench")


def _leading_names(arguments: list[str]) -> list[str]:
    first = next((i for i, argument in enumerate(arguments) if argument.startswith("-")), len(arguments))
    return arguments[:first]


@app.command()
def doctor() -> None:
    """What TinyTorch finds on this machine: CPU, threads, cache, versions, and what it can do at best."""
    from tinytorch.cli.doctor import findings

    with told():
        complete = findings(_console())
    if not complete:
        raise typer.Exit(1)


@app.command()
def analyze(
    modules: Annotated[list[str], typer.Argument(help="Numbers or names of modules (02, activations), or all.")],
    out: Annotated[
        Path | None,
        typer.Option(help="The folder of the pages; docs/analysis in a checkout, else here.", file_okay=False),
    ] = None,
    quick: Annotated[bool, typer.Option(help="Smaller sizes, a second or two for each.")] = False,
) -> None:
    """Measure what a module of the course costs: print it, and write its page with its pictures."""
    from analyses import running
    from tito.errors import CourseError

    folder = out or running.default_folder()
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise fail(f"cannot write to {folder}: {error.strerror}") from None
    try:
        for module in running.chosen(modules):
            analysis = running.analyze(module, quick)
            analysis.show()
            with told():
                page = analysis.write(folder, module.folder)
            typer.echo(f"\nwritten to {page}\n")
    except CourseError as error:
        raise fail(str(error)) from None


MILESTONES = {"1": "perceptron", "2": "mlp", "3": "cnn", "4": "tinygpt", "5": "capstone"}


@app.command(context_settings=_FORWARDED)
def milestone(
    context: typer.Context,
    number: Annotated[
        str, typer.Argument(help="1: perceptron, 2: MLP, 3: CNN, 4: GPT, 5: both made faster.", show_default=False)
    ],
) -> None:
    """Run a milestone: a model of history, trained to its criterion. Its options follow, and `tinytorch milestone 2
    --help` lists them."""
    import runpy

    if number == "--help":  # without a number it is for this command
        typer.echo(context.get_help())
        return
    if number not in MILESTONES:
        raise typer.BadParameter(f"{number!r} is not one of {', '.join(MILESTONES)}", param_hint="number")
    name = f"milestones.{MILESTONES[number]}"
    sys.path.insert(0, os.getcwd())
    sys.argv = [name, *context.args]
    runpy.run_module(name, run_name="__main__", alter_sys=True)
