"""Alike blocks drawn once: runs of sibling modules with the same kernels, and updates that differ in shape only."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import replace
from graphlib import CycleError, TopologicalSorter

from tinytorch.ir.pictures.boxes import Box, Cost, Edge, Picture
from tinytorch.ir.text.titles import kernel_title, main_node

_FEWEST_UPDATES = 4  # that are drawn as one
_FEWEST_ASIDE = 3
_Copies = dict[int, list[Box]]


def fold(picture: Picture) -> Picture:
    """`blocks.0 … blocks.5` as one frame with the kernels of one block in it, where all have the same ones. What leads
    from one block to the next is not drawn."""
    for parent, phase in _parents(picture):
        copies = _copies(picture, parent, phase)
        for run in _runs(copies, parent):
            blocks = [copies[i] for i in run]
            if (len(run) - 1) * len(blocks[0]) >= 2:
                frame = _frame(picture, parent, run, blocks)
                picture = _contracted(picture, {box: frame for block in blocks for box in block}) or picture
    return picture


def fold_updates(picture: Picture) -> Picture:
    """An optimizer's update of many parameters as one box."""
    alike: dict[tuple[str, bool], list[Box]] = {}
    updates = {box for box in picture.boxes if box.phase == "update" and not box.module and box.kind == "kernel"}
    clocks = {e.source for e in picture.edges if {e.source, e.target} <= updates}  # counts of steps and such
    for box in picture.boxes:
        if box in updates:
            alike.setdefault((box.title, box in clocks), []).append(box)
    for boxes in alike.values():
        if len(boxes) >= _FEWEST_UPDATES:
            whole = _together(boxes)
            picture = _contracted(picture, dict.fromkeys(boxes, whole)) or picture
    return picture


def fold_waves(picture: Picture) -> Picture:
    """Kernels of one wave that are called alike as one box, where they belong to one module; or where they stand at the
    beginning or end of the drawing and are no products: copies of weights, running statistics. Inside of frames, too.
    """
    sources = {edge.source for edge in picture.edges}
    alike: dict[Hashable, list[Box]] = {}
    for box in picture.boxes:
        if box.inside is not None:
            box.inside = fold_waves(box.inside)
        elif box.kind == "kernel" and box.count == 1:
            aside = not picture.into.get(box) or box not in sources
            place = "" if aside and not _is_product(box) else (box.module, box.types)
            alike.setdefault((box.title, box.phase, box.wave, place, bool(box.renews)), []).append(box)
    into: dict[Box, Box] = {}
    for boxes in alike.values():
        if len(boxes) >= (2 if len({box.module for box in boxes}) == 1 else _FEWEST_ASIDE):
            into.update(dict.fromkeys(boxes, _together(boxes)))
    return (_contracted(picture, into) or picture) if into else picture


def _is_product(box: Box) -> bool:
    return main_node(box.nodes[0].attrs["body"].nodes).op.kind == "contract"


def _parents(picture: Picture) -> list[tuple[str, str]]:
    """Modules with numbered ones in them, outer ones first, in each phase."""
    found: dict[tuple[str, str], None] = {}
    for box in picture.boxes:
        parts = box.module.split(".")
        for i, part in enumerate(parts):
            if i and part.isdigit():
                found[".".join(parts[:i]), box.phase] = None
    return sorted(found, key=lambda each: each[0].count("."))


def _copies(picture: Picture, parent: str, phase: str) -> _Copies:
    """The boxes of each numbered module in `parent`."""
    found: _Copies = {}
    for box in picture.boxes:
        number, _ = _place(box, parent)
        if number is not None and box.phase == phase:
            found.setdefault(number, []).append(box)
    return found


def _place(box: Box, parent: str) -> tuple[int | None, str]:
    """The number of the module in `parent` that a box belongs to, and the rest of its path."""
    if not box.module.startswith(f"{parent}."):
        return None, ""
    number, _, rest = box.module[len(parent) + 1 :].partition(".")
    return (int(number), rest) if number.isdigit() else (None, "")


def _described(box: Box, parent: str) -> tuple[str, ...]:
    """What must be the same for blocks to be alike. Boxes of whole modules have their kernels compared."""
    titles = sorted(map(kernel_title, box.nodes)) if box.kind == "group" else [box.title, *box.types]
    return (_place(box, parent)[1], str(box.cost.flops), *titles)


def _runs(copies: _Copies, parent: str) -> list[list[int]]:
    """Neighbours that have the same boxes."""
    runs: list[list[int]] = []
    before: list[tuple[str, ...]] | None = None
    for number in sorted(copies):
        own = sorted(_described(box, parent) for box in copies[number])
        if runs and own == before:
            runs[-1].append(number)
        else:
            runs.append([number])
        before = own
    return [run for run in runs if len(run) > 1]


def _frame(picture: Picture, parent: str, run: Sequence[int], blocks: Sequence[list[Box]]) -> Box:
    """The box of a run, with the first block that runs in it; what stands there are the costs of one block."""
    shown = min(blocks, key=lambda block: min(box.wave for box in block))
    total = Cost()
    for box in (box for block in blocks for box in block):
        total += box.cost
    inner: dict[Box, Box] = {}
    for box in shown:
        inner[box] = replace(box, module=_place(box, parent)[1])
    edges = [e for e in picture.edges if e.source in inner and e.target in inner]
    inside = Picture(list(inner.values()), [Edge(inner[e.source], inner[e.target], e.type) for e in edges])
    single = shown[0] if len(shown) == 1 else None  # which the frame itself stands for
    short = parent.partition(".")[2] or parent
    return Box(
        f"{short}.{run[0]} … {short}.{run[-1]}",
        "group",
        shown[0].phase,
        f"{parent}.{run[0]}",
        min(box.wave for box in shown),
        total,
        single.types if single is not None else (),
        [node for block in blocks for box in block for node in box.nodes],
        count=len(run),
        inside=inside if single is None else None,
    )


def _together(boxes: Sequence[Box]) -> Box:
    total = Cost()
    for box in boxes:
        total += box.cost
    first = boxes[0]
    types = first.types if all(box.types == first.types for box in boxes) else ()
    nodes = [node for box in boxes for node in box.nodes]
    wave = max(box.wave for box in boxes)
    return replace(
        first,
        module=first.module if all(box.module == first.module for box in boxes) else "",
        wave=wave,
        cost=total,
        types=types,
        nodes=nodes,
        reads=list(dict.fromkeys(name for box in boxes for name in box.reads)),
        renews=list(dict.fromkeys(name for box in boxes for name in box.renews)),
        count=len(boxes),
    )


def _contracted(picture: Picture, into: Mapping[Box, Box]) -> Picture | None:
    """The picture with boxes drawn into others; None where arrows would run in a circle."""
    order = TopologicalSorter({into.get(box, box): set[Box]() for box in picture.boxes})
    found = Picture(note=picture.note)
    for edge in picture.edges:
        source, target = into.get(edge.source, edge.source), into.get(edge.target, edge.target)
        if source is not target:
            order.add(target, source)
            found.connect(source, target, edge.type)
    try:
        order.prepare()
    except CycleError:
        return None
    found.boxes = list(dict.fromkeys(into.get(box, box) for box in picture.boxes))
    return found
