"""Each kernel: what it computes and moves, its code, and which lines of that come from which line of the user's."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from tinytorch.insight.graphs import loc_text, module_of
from tinytorch.insight.record import KernelRecord
from tinytorch.insight.work import predicted, work_of
from tinytorch.ir.graph import Node
from tinytorch.ir.text.printer import print_graph
from tinytorch.ir.text.titles import kernel_title, phase_of
from tinytorch.runtime.backend import Listing, Listings
from tinytorch.runtime.roofline import Peaks
from tinytorch.runtime.schedule import Call


def kernels(
    calls: Sequence[tuple[int, Call]],
    peaks: Peaks | None,
    measured: Mapping[int, float],
    listings: Listings | None = None,
    names: Mapping[Node, str] | None = None,
) -> tuple[KernelRecord, ...]:
    """The kernels of a schedule, in its order. Without `listings`, kernels whose bodies print alike are alike. `names`
    are those of nodes in the last graph."""
    first: dict[object, int] = {}
    found: list[KernelRecord] = []
    for number, (wave, call) in enumerate(calls):
        key = (call.family, print_graph(call.body)) if listings is None else listings.code_of[number]
        alike = first.setdefault(key, number)
        name = (names or {}).get(call.node, "")
        code = None if listings is None or alike < number else listings.codes[listings.code_of[number]]
        found.append(_kernel(number, name, wave, call, peaks, code, measured.get(number), alike))
    return tuple(found)


def _kernel(
    number: int,
    name: str,
    wave: int,
    call: Call,
    peaks: Peaks | None,
    code: Listing | None,
    measured: float | None,
    alike: int,
) -> KernelRecord:
    node, work = call.node, work_of(call)
    own = alike == number
    return KernelRecord(
        id=number,
        node=name,
        title=kernel_title(node),
        family=call.family,
        wave=wave,
        phase=phase_of(node),
        module=module_of(node),
        result=", ".join(dict.fromkeys(str(v.type) for v in node.outputs)),
        locs=tuple(dict.fromkeys(loc_text(n.loc) for n in call.body.nodes if n.loc is not None)),
        flops=work.flops,
        bytes_read=work.bytes_read,
        bytes_written=work.bytes_written,
        intensity=work.intensity,
        predicted=None if peaks is None else predicted(call, work, peaks),
        measured=measured,
        ir=print_graph(call.body, elide=True) if own else "",
        llvm="" if code is None else code.text,
        assembly="" if code is None else code.assembly,
        lines=_lines(call.body.nodes),
        alike=None if own else alike,
    )


def _lines(nodes: Sequence[Node]) -> dict[str, tuple[int, ...]]:
    """Which lines of a body's text, which has a head, belong to each line of the user's."""
    found: dict[str, list[int]] = {}
    for number, node in enumerate(nodes, 2):
        if node.loc is not None:
            found.setdefault(loc_text(node.loc), []).append(number)
    return {loc: tuple(numbers) for loc, numbers in found.items()}
