"""Modules as trees, with the parameters of each: printed, and in notebooks, where they open."""

# pyright: reportPrivateUsage=false
from __future__ import annotations

from html import escape
from typing import Any

from tinytorch.frontend.tensor import Tensor

_OPEN = 2  # levels that are open at first
_INDENT = "margin-left:1.2em"
_QUIET = "opacity:0.7"


def as_text(module: Any) -> str:
    """A module as lines, its children indented, with how many parameters each has."""
    name, extra = type(module).__name__, module.extra_repr()
    children = list(module.named_children())
    if not children:
        return f"{name}({extra})"
    lines = [f"{name}(  # {_count(module)}", *([extra] if extra else [])]
    for path, child in children:
        is_leaf = next(child.children(), None) is None
        note = f"  # {_count(child)}" if is_leaf and child.parameters() else ""
        lines.append(f"({path}): {child!r}{note}".replace("\n", "\n  "))
    return "\n  ".join(lines) + "\n)"


def as_html(module: Any, name: str = "", level: int = 0) -> str:
    """A module as a `<details>` of its parameters and its children."""
    extra = f"({escape(module.extra_repr())})" if module.extra_repr() else ""
    head = f"{f'<b>{escape(name)}</b> ' if name else ''}<code>{escape(type(module).__name__)}{extra}</code>"
    head += f' <span style="{_QUIET}">{_count(module)}</span>' if any(p.numel() for p in module.parameters()) else ""
    own = [_tensor(key, p) for key, p in module.named_parameters() if "." not in key]
    children = [as_html(child, path, level + 1) for path, child in module.named_children()]
    if not own and not children:
        return f'<div style="{_INDENT}">{head}</div>'
    opened = " open" if level < _OPEN and children else ""
    return f'<details{opened} style="{_INDENT}"><summary>{head}</summary>{"".join([*own, *children])}</details>'


def _count(module: Any) -> str:
    number = sum(p.numel() for p in module.parameters())
    return f"{number:,} parameter{'' if number == 1 else 's'}"


def _tensor(name: str, tensor: Tensor) -> str:
    frozen = "" if tensor.requires_grad else ", frozen"
    return f'<div style="{_INDENT}"><code>{escape(name)}: {escape(str(tensor.type))}{frozen}</code></div>'
