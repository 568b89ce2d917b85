"""One box a module: kernels of a module and phase become a box, unless others must run between them."""

from __future__ import annotations

from tinytorch.ir.order import Order, Vertex
from tinytorch.ir.pictures.boxes import Box, Cost, Picture, short_path


class _Part(Vertex):
    """The boxes that become one."""

    def __init__(self, box: Box) -> None:
        super().__init__()
        self.boxes = [box]


def group(picture: Picture, depth: int) -> Picture:
    """The picture with one box for each module at that depth below the outermost one, and for each phase of it;
    outside of modules, for each line of the user's. Where other work must run between two parts of a module, it has two
    boxes: no arrow runs upwards."""
    order = Order()
    parts: dict[Box, _Part] = {}
    last: dict[tuple[str, str], _Part] = {}  # of each module and phase
    for box in picture.boxes:
        part = parts[box] = _Part(box)
        order.enter(part, dict.fromkeys(parts[e.source].current() for e in picture.into.get(box, ())))
        if box.kind in ("kernel", "op"):
            key = (_name(box, depth), box.phase)
            known = last.get(key)
            if known is not None and order.merge(known, part):
                known.boxes += part.boxes
            else:
                last[key] = part
    return _merged(picture, [part for part in order if isinstance(part, _Part)], depth)


def level(module: str, depth: int) -> str:
    """The path of a module down to a depth; numbers of a list belong to its name: `GPT.blocks.3.norm` at depth 1 is
    `GPT.blocks.3`, and `Sequential.0.1` is `Sequential.0`."""
    root, *rest = module.split(".")
    parts: list[str] = []
    for part in rest:
        if part.isdigit() and parts and not parts[-1].rsplit(".", 1)[-1].isdigit():
            parts[-1] += f".{part}"
        else:
            parts.append(part)
    return ".".join([root, *parts[:depth]])


def _name(box: Box, depth: int) -> str:
    """The module of a box at that depth; outside of modules the optimizer, or the user's line."""
    if box.module:
        return level(box.module, depth)
    loc = box.nodes[0].loc
    if loc is None:
        return "outside of modules"
    return loc.part_of if box.phase == "update" and loc.part_of else str(loc)


def _merged(picture: Picture, parts: list[_Part], depth: int) -> Picture:
    new: dict[Box, Box] = {}
    for part in parts:
        first = part.boxes[0]
        whole = _whole(part.boxes, depth) if first.kind in ("kernel", "op") else first
        new.update(dict.fromkeys(part.boxes, whole))
    found = Picture(list(dict.fromkeys(new[part.boxes[0]] for part in parts)), note=picture.note)
    for edge in picture.edges:
        found.connect(new[edge.source], new[edge.target], edge.type)
    return found


def _whole(boxes: list[Box], depth: int) -> Box:
    """One box for several."""
    first = boxes[0]
    total = Cost()
    for box in boxes:
        total += box.cost
    name = _name(first, depth)
    return Box(
        short_path(name) if first.module else name,
        "group",
        first.phase,
        name if first.module else "",
        min(box.wave for box in boxes),
        total,
        nodes=[node for box in boxes for node in box.nodes],
        reads=list(dict.fromkeys(name for box in boxes for name in box.reads)),
        renews=list(dict.fromkeys(name for box in boxes for name in box.renews)),
    )
