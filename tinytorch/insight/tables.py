"""The tables of `explain`: what is long is cut, with a count and the way to see all."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from rich.table import Table

from tinytorch.compiled.compilations import Compilation
from tinytorch.insight.record import KernelRecord, LineCost, Refusal
from tinytorch.insight.text import WIDTH, add, more, place, shortened, table
from tinytorch.ir.loc import Loc
from tinytorch.ir.text.units import count, duration, size
from tinytorch.passes.pipeline import PassRecord
from tinytorch.passes.products.sparsity import Choice

_KERNELS, _LINES, _MODULES, _REFUSALS, _COMPILATIONS = 40, 15, 15, 8, 8  # rows
_TITLE, _RESULT, _SOURCE = 40, 20, 50  # characters
_NARROW = {"kernel": 28, "result": 12}  # of what may go on in a second line
_ALL = "report(path) shows all"


def passes_table(passes: Sequence[PassRecord]) -> Table:
    """The runs of passes that changed the number of nodes, one row each; all others in the last row."""
    found = table("Passes", ["pass"], ["nodes before", "after", "time"])
    kept = [record for record in passes if record.nodes_before != record.nodes_after]
    for record in kept:
        add(found, record.name, str(record.nodes_before), str(record.nodes_after), duration(record.seconds))
    rest = sum(record.seconds for record in passes if record not in kept)
    add(found, f"{len(passes) - len(kept)} runs that kept the number", "", "", duration(rest), style="dim")
    return found


def kernels_table(kernels: Sequence[KernelRecord], width: int = WIDTH) -> Table:
    """One row for each kernel, in the order of the schedule; where they are many, the dearest ones. Columns that are
    needed least are left out where there is no room for them."""
    dearest = {kernel.id for kernel in sorted(kernels, key=_seconds, reverse=True)[:_KERNELS]}
    shown = [kernel for kernel in kernels if kernel.id in dearest]
    columns = {name: [cell(kernel) for kernel in shown] for name, cell in _COLUMNS.items()}
    columns = {name: cells for name, cells in columns.items() if any(cells)}
    wide = {name: min(max(map(len, (name, *cells))), _NARROW.get(name, width)) for name, cells in columns.items()}
    for name in _LEAST:
        if sum(wide.values()) + 2 * len(wide) + 2 > width:
            wide.pop(name, None)
    found = table("Kernels", [x for x in wide if x in _WORDS], [x for x in wide if x not in _WORDS])
    for row in zip(*(columns[name] for name in wide), strict=True):
        add(found, *row)
    left = [_seconds(kernel) for kernel in kernels if kernel.id not in dearest]
    if left:
        more(found, f"{len(left)} shorter ones take {duration(sum(left))}; {_ALL}")
    return found


def _seconds(kernel: KernelRecord) -> float:
    return (kernel.predicted or 0.0) if kernel.measured is None else kernel.measured


def _share(kernel: KernelRecord) -> str:
    return f"{(kernel.predicted or 0.0) / kernel.measured:.0%}" if kernel.measured else ""


_COLUMNS: dict[str, Callable[[KernelRecord], str]] = {
    "wave": lambda k: str(k.wave),
    "kernel": lambda k: shortened(k.title, _TITLE),
    "phase": lambda k: k.phase,
    "family": lambda k: k.family,
    "result": lambda k: shortened(k.result, _RESULT),
    "FLOPs": lambda k: count(k.flops),
    "bytes": lambda k: size(k.bytes_read + k.bytes_written),
    "FLOP/B": lambda k: f"{k.intensity:.2f}",
    "roofline": lambda k: duration(k.predicted or 0.0),
    "measured": lambda k: "" if k.measured is None else duration(k.measured),
    "of it": _share,
}
_WORDS = ("wave", "kernel", "phase", "family", "result")  # the other columns are numbers
_LEAST = ("family", "FLOP/B", "wave", "result", "phase", "bytes")  # the first to go


def modules_table(kernels: Sequence[KernelRecord]) -> Table:
    """What the modules cost, as deep as they are few."""
    paths = [kernel.module.split(".") if kernel.module else [] for kernel in kernels]
    depth = max(map(len, paths), default=0)
    while depth > 1 and len({tuple(path[:depth]) for path in paths}) > _MODULES:
        depth -= 1
    sums: dict[str, list[KernelRecord]] = {}
    for kernel, path in zip(kernels, paths, strict=True):
        sums.setdefault(".".join(path[:depth]) or "(no module)", []).append(kernel)
    found = table("Time per module", ["module"], ["FLOPs", "bytes", "kernels", "time", "share"])
    total = sum(map(_seconds, kernels))
    ordered = sorted(sums.items(), key=lambda item: -sum(map(_seconds, item[1])))
    for name, inside in ordered[:_MODULES]:
        moved, seconds = sum(k.bytes_read + k.bytes_written for k in inside), sum(map(_seconds, inside))
        cells = [count(sum(k.flops for k in inside)), size(moved), str(len(inside)), duration(seconds)]
        add(found, name, *cells, f"{seconds / total:.0%}" if total else "")
    left = [kernel for _, inside in ordered[_MODULES:] for kernel in inside]
    if left:
        more(found, f"{len(ordered) - _MODULES} further ones take {duration(sum(map(_seconds, left)))}; {_ALL}")
    return found


def lines_table(lines: Sequence[LineCost]) -> Table:
    """The lines of the program that cost most."""
    found = table("Time per line", ["line", "source"], ["FLOPs", "bytes", "kernels", "time", "share"])
    total = sum(line.seconds or 0.0 for line in lines)
    for line in lines[:_LINES]:
        where = f"{place(line.file)}:{line.line}" if line.file else "(no line)"
        text = shortened(Loc(line.file, line.line).source, _SOURCE) if line.file else ""
        cells = [count(line.flops), size(line.bytes), str(len(line.kernels))]
        if line.seconds is not None:
            cells += [duration(line.seconds), f"{line.seconds / total:.0%}" if total else ""]
        add(found, where, text, *cells)
    left = lines[_LINES:]
    if left:
        more(found, f"{len(left)} further lines take {duration(sum(x.seconds or 0.0 for x in left))}; {_ALL}")
    return found


def refusals_table(refusals: Sequence[Refusal]) -> Table:
    """Why nodes that read each other's results are in two kernels: what most bytes go through memory for."""
    found = table("Not fused", ["result of", "read by", "line", "because"], ["times", "bytes"])
    for each in refusals[:_REFUSALS]:
        words = shortened(each.producer, _TITLE), shortened(each.consumer, _TITLE), place(each.loc), each.reason
        add(found, *words, str(each.times), size(each.bytes))
    left = refusals[_REFUSALS:]
    if left:
        more(found, f"{len(left)} further ones, {size(sum(each.bytes for each in left))}; {_ALL}")
    return found


def compilations_table(compilations: Sequence[Compilation]) -> Table:
    """Why something was compiled, the last times."""
    found = table("Compilations", ["", "arguments", "because", "from disk"], ["time"])
    for each in compilations[-_COMPILATIONS:]:
        words = str(each.number), shortened(each.signature, _SOURCE), each.reason, "yes" if each.from_cache else ""
        add(found, *words, duration(each.seconds))
    left = len(compilations) - _COMPILATIONS
    if left > 0:
        more(found, f"{left} earlier ones; {_ALL}")
    return found


def sparsity_table(choices: Sequence[Choice]) -> Table:
    """One row for each product by a constant weight with many zeros: the fastest form that leaves them out, what it
    takes of the time of the dense product, by the model of `passes/products/sparsity.py`, and which one was chosen."""
    found = table("Weights with zeros", ["weight", "fastest sparse form", "chosen"], ["rows", "zeros", "of dense time"])
    for choice in choices:
        weight = f"[{choice.depth},{choice.columns}]"
        dense = "dense: that is faster" if choice.ratio >= 1 else "dense: sparse gains too little"
        chosen = "sparse" if choice.form is not None else dense
        add(found, weight, str(choice.best), chosen, str(choice.rows), f"{choice.zeros:.0%}", f"{choice.ratio:.0%}")
    return found
