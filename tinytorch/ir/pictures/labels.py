"""What is written on boxes and in their tooltips, and how wide it is."""

from __future__ import annotations

from collections.abc import Sequence

from tinytorch.ir.pictures.boxes import Box, short_path
from tinytorch.ir.text.units import count, duration, size

_LONGEST = 56  # characters of a line
_MOST_NAMES = 3
_MOST_LINES = 8
_NARROW, _WIDE = frozenset("ijlftrI.,:;|'′()[]! ·"), frozenset("mwMW@%…→")


def text_width(text: str, points: float) -> float:
    """About how wide a text is, and rather too much, as fonts differ."""
    units = sum(0.34 if c in _NARROW else 0.92 if c in _WIDE else 0.70 if c.isupper() else 0.585 for c in text)
    return units * points


def shortened(text: str, most: int = _LONGEST) -> str:
    """The text, or its beginning and an ellipsis."""
    return text if len(text) <= most else f"{text[: most - 1]}…"


def captions(box: Box) -> list[str]:
    """The lines under the title."""
    if box.kind in ("input", "output"):
        return list(box.types)
    own = short_path(box.module)
    found = ["" if box.title.startswith(own) else own]
    if box.kind == "group":
        what = "kernel" if box.nodes[0].op.kind == "kernel" else "op"
        many = f"{len(box.nodes):,} {what}{'s' if len(box.nodes) > 1 else ''}"
        return [*found, f"{many} · {operations(box.cost.flops)} · {size(box.cost.bytes)}"]
    if box.renews:
        types = f": {box.types[0]}" if len(box.types) == 1 else ""
        return [*found, f"renews {_listed(box.renews)}{types}"]
    return [*found, _listed(box.reads)]


def operations(number: int) -> str:
    """`12.9 MFLOP`."""
    text = count(number)
    return f"{text}{'' if text[-1].isalpha() else ' '}FLOP"


def _listed(names: Sequence[str]) -> str:
    more = f" and {len(names) - _MOST_NAMES} more" if len(names) > _MOST_NAMES else ""
    return ", ".join(names[:_MOST_NAMES]) + more


def tooltip(box: Box) -> str:
    """Types, cost, phase, wave, module, what is read and renewed, and the lines of the user's."""
    cost = box.cost
    if box.kind in ("input", "output"):
        return f"{box.title}: {', '.join(box.types)}"
    lines = [box.title + (f" × {box.count}" if box.count > 1 else "")]
    lines.append(", ".join(box.types))
    time = f", {duration(cost.seconds)}" if cost.seconds is not None else ""
    lines.append(f"{count(cost.flops)} FLOPs, {size(cost.bytes)}{time}")
    lines.append(f"{box.phase}, wave {box.wave}" + (f", {box.module}" if box.module else ""))
    lines += [f"reads {', '.join(box.reads)}"] if box.reads else []
    lines += [f"renews {', '.join(box.renews)}"] if box.renews else []
    found = box.lines
    lines += found[:_MOST_LINES] + ([f"and {len(found) - _MOST_LINES} more lines"] if len(found) > _MOST_LINES else [])
    return "\n".join(line for line in lines if line)
