"""A graph as SVG, from what is known of it to the text of the file."""

from __future__ import annotations

from typing import Literal

from tinytorch.ir.body import Body
from tinytorch.ir.errors import TinyTorchError
from tinytorch.ir.loc import user_loc
from tinytorch.ir.pictures.boxes import Box, Cost, Facts, Picture, boxes, everything
from tinytorch.ir.pictures.dot import write_dot
from tinytorch.ir.pictures.folding import fold, fold_updates, fold_waves
from tinytorch.ir.pictures.grouping import group
from tinytorch.ir.pictures.svg import Head, Paint, write

Depth = int | Literal["kernels", "ops"] | None
_MOST = 1000  # boxes that are drawn
_FEWEST = 8  # that a picture by modules must have, to be shown for a larger one


def draw(graph: Body, depth: Depth = "kernels", color: Paint = "phase", facts: Facts | None = None) -> str:
    """The drawing as SVG; see `Compiled.save_svg`."""
    _check(depth, color)
    shown, head = _picture(graph, depth, facts or Facts())
    return write(shown, head, color)


def describe(graph: Body, depth: Depth = "kernels", facts: Facts | None = None) -> str:
    """The same picture in the language of Graphviz."""
    _check(depth, "phase")
    shown, head = _picture(graph, depth, facts or Facts())
    return write_dot(shown, head.name)


def _picture(graph: Body, depth: Depth, facts: Facts) -> tuple[Picture, Head]:
    picture = boxes(graph, facts)
    head = _head(graph, picture, facts.how)
    level = depth if isinstance(depth, int) else None
    shown = picture if level is None else group(picture, level)
    shown = fold_waves(fold_updates(fold(shown)))
    shown = _bounded(picture, shown, head, level)
    if depth in ("ops", None):
        _open(shown)
    return shown, head


def _bounded(picture: Picture, shown: Picture, head: Head, level: int | None) -> Picture:
    """What is shown, or by modules, at a depth with few enough boxes to be readable; its beginning if there is none."""
    while len(everything(shown)) > _MOST:
        level = max((box.module.count(".") for box in picture.boxes), default=0) if level is None else level - 1
        smaller = fold(group(picture, level)) if level >= 0 else None
        if smaller is None or len(smaller.boxes) < _FEWEST:
            return _first(shown)
        shown = smaller
        head.note = f"more than {_MOST:,} boxes: depth={level} shows {len(everything(shown)):,}"
    return shown


def _check(depth: object, color: object) -> None:
    if color not in ("phase", "time"):
        raise TinyTorchError(f"save_svg: color is 'phase' or 'time', got {color!r}", user_loc())
    if depth not in ("kernels", "ops", None) and not (isinstance(depth, int) and depth >= 0):
        raise TinyTorchError(f"save_svg: depth is 'kernels', 'ops' or a number of levels, got {depth!r}", user_loc())


def _head(graph: Body, picture: Picture, how: str) -> Head:
    """What the picture is of."""
    work = [box for box in picture.boxes if box.kind in ("kernel", "op")]
    nodes = sum(len(n.attrs["body"].nodes) if n.op.kind == "kernel" else 1 for n in graph.nodes)
    kernels = sum(box.kind == "kernel" for box in work)
    total = Cost()
    for box in work:
        total += box.cost
    return Head(graph.name, nodes, kernels, total, how)


def _first(picture: Picture) -> Picture:
    """The beginning of a picture that is too large in any form."""
    kept = set(picture.boxes[:_MOST])
    edges = [e for e in picture.edges if e.source in kept and e.target in kept]
    note = f"the first {_MOST:,} of {len(picture.boxes):,} boxes"
    return Picture([b for b in picture.boxes if b in kept], edges, note)


def _open(picture: Picture) -> None:
    """Show the ops of every kernel inside of it."""
    for box in picture.boxes:
        if box.inside is not None:
            _open(box.inside)
        elif box.kind == "kernel" and len(box.nodes) == 1:
            box.inside = _body(box)


def _body(kernel: Box) -> Picture:
    """The ops of a kernel."""
    found = boxes(kernel.nodes[0].attrs["body"], Facts(0))
    inner = [box for box in found.boxes if box.kind == "op"]
    for box in inner:
        box.module = "" if box.module == kernel.module else box.module
    kept = set(inner)
    return Picture(inner, [e for e in found.edges if e.source in kept and e.target in kept])
