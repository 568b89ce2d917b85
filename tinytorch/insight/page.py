"""Pages: what a record holds, as one HTML file that needs nothing else, neither a network nor a server.

A page is `web/page.html` with styles, scripts and data written into it. The data is JSON of exactly the names of the
record; a large one is compressed, and the browser unpacks it. Scripts are plain functions, put together in the order
in which they stand here; `web/` has one file for each section of the page. This file uses nothing of the package but
`ir`, so that whatever has something to show can write a page.
"""

from __future__ import annotations

import base64
import gzip
import html
import json
import math
import re
import zlib
from collections.abc import Mapping, Sequence
from importlib import resources
from os import PathLike
from pathlib import Path
from typing import Any, Protocol, TypeGuard

from tinytorch.ir.errors import TinyTorchError
from tinytorch.ir.loc import user_loc
from tinytorch.ir.system.files import write_text
from tinytorch.ir.text.titles import PHASE_COLORS

_SHARED = ("units", "dom", "list", "table", "diff")
_REPORT = (
    "model",
    "source",
    "head",
    "lines",
    "modules",
    "kernels",
    "kernel",
    "roofline",
    "plot",
    "timeline",
    "memory",
    "search",
    "graph",
    "passes",
    "refusals",
    "compilations",
    "report",
)
STYLES = ("parts.css", "page.css")  # the second has what a narrow window and paper change
SCRIPTS: Mapping[str, Sequence[str]] = {
    "report": (*_SHARED, *_REPORT, "main"),
    "comparison": (*_SHARED, "model", "head", "plot", "memory", "comparison", "main"),
    "profile": (*_SHARED, "head", "plot", "profile", "main"),
}
_DATA = re.compile(r'<script type="[a-z/]+" id="data"( data-packed="gzip")?>([^<]*)</script>')
_LARGE = 1 << 18  # bytes of JSON from which on the data is compressed


class Recorded(Protocol):
    """What has its data as a dict of JSON's types."""

    def as_dict(self) -> Mapping[str, Any]: ...


def write_page(record: Recorded | Mapping[str, Any], path: str | PathLike[str]) -> None:
    """Write the report of a compilation, a `Record`, to `path`. TinyTorchError if it cannot be written."""
    _write("report", record, path)


def write_comparison(comparison: Recorded | Mapping[str, Any], path: str | PathLike[str]) -> None:
    """Write a comparison of two records, side by side, to `path`."""
    _write("comparison", comparison, path)


def write_profile(profile: Recorded | Mapping[str, Any], path: str | PathLike[str]) -> None:
    """Write a model's profile, as `Profiler.profile` gives it, to `path`."""
    _write("profile", profile, path)


def _write(kind: str, shown: Recorded | Mapping[str, Any], path: str | PathLike[str]) -> None:
    data = shown if isinstance(shown, Mapping) else shown.as_dict()
    write_text(path, page_of(kind, data))


def read_page(path: str | PathLike[str]) -> dict[str, Any]:
    """The data of a page that was written here, as the dict that it was written from, but for NaN and infinities, which
    are None. TinyTorchError if the file cannot be read or is no such page."""
    try:
        found = _DATA.search(Path(path).read_text(encoding="utf-8"))
        if found is None:
            raise ValueError("there is no data in it")
        text = gzip.decompress(base64.b64decode(found[2])) if found[1] else found[2]
        return json.loads(text)
    except (OSError, ValueError, EOFError, zlib.error) as error:
        raise TinyTorchError(f"{path} is no page of TinyTorch: {error}", user_loc()) from None


def page_of(kind: str, data: Mapping[str, Any]) -> str:
    """The page as text: `kind` is a key of `SCRIPTS`."""
    parts = {
        "title": html.escape(str(data.get("title") or "TinyTorch")),
        "style": "\n".join([*map(_read, STYLES), _colors()]),
        "data": embedded(data),
        "script": "\n".join(_read(f"{name}.js") for name in SCRIPTS[kind]),
        "kind": kind,
    }
    first, *rest = _read("page.html").split("{{")
    filled = [parts[name] + text for name, text in (part.split("}}", 1) for part in rest)]
    return "".join([first, *filled])


def embedded(data: Any) -> str:
    """The data as an element of a page. No text in it can end the element: `<` is written as an escape."""
    text = _json(data)
    if len(text) < _LARGE:
        return f'<script type="application/json" id="data">{text}</script>'
    packed = base64.b64encode(gzip.compress(text.encode(), 6, mtime=0)).decode()
    return f'<script type="text/plain" id="data" data-packed="gzip">{packed}</script>'


def _json(data: Any) -> str:
    try:
        text = json.dumps(data, separators=(",", ":"), allow_nan=False)
    except ValueError:
        text = json.dumps(_without_nan(data), separators=(",", ":"), allow_nan=False)
    return text.replace("<", "\\u003c")


def _without_nan(data: Any) -> Any:
    """JSON has no NaN and no infinity; a page shows null as a dash."""
    if isinstance(data, Mapping):
        return {key: _without_nan(value) for key, value in data.items()}
    if _is_list(data):
        return [_without_nan(value) for value in data]
    return None if isinstance(data, float) and not math.isfinite(data) else data


def _is_list(data: Any) -> TypeGuard[Sequence[Any]]:
    return isinstance(data, list | tuple)


def _colors() -> str:
    """Variables of colours: those of phases, which pictures of graphs have too, and on dark ground also all others of
    `page.css`. That is where the system is dark, or where the reader chose it."""
    light, dark = (" ".join(f"--{name}: {both[i]};" for name, both in PHASE_COLORS.items()) for i in (0, 1))
    dark += _read("dark.css")
    system = f'@media (prefers-color-scheme: dark) {{ :root:not([data-theme="light"]) {{ {dark} }} }}'
    return f':root {{ {light} }}\n{system}\n:root[data-theme="dark"] {{ {dark} }}'


def _read(name: str) -> str:
    return resources.files("tinytorch.insight").joinpath("web", name).read_text(encoding="utf-8")  # also of an archive
