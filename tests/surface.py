"""Files that are made from the table of names: stubs, for editors and pyright, and lists in the docs."""

from __future__ import annotations

import builtins
import collections.abc
import importlib
import inspect
import pkgutil
import re
import subprocess
import sys
import textwrap
import typing
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import tinytorch as tt
from tinytorch import array_api, frontend
from tinytorch.frontend import functional
from tinytorch.frontend.binding import signature_of
from tinytorch.frontend.spelling import TABLE, Spelling, names_in
from tinytorch.frontend.standard.names import FUNCTIONS
from tinytorch.frontend.tensor import Tensor
from tinytorch.frontend.tensor.table_methods import TableMethods

ROOT = Path(__file__).parent.parent
PACKAGE = "tinytorch/frontend/names.pyi"
METHODS = "tinytorch/frontend/tensor/table_methods.pyi"
STANDARD = "tinytorch/array_api.pyi"
HEADER = '"""{0}\n\nMade from the table of names by `pytest tests/frontend/test_names.py --bless`.\n"""\n\n'
WORD = re.compile(r"[A-Za-z_]\w*(?:\.\w+)*")
WIDTH = 100

for found in pkgutil.walk_packages(frontend.__path__, "tinytorch.frontend."):  # the table is full once all are loaded
    importlib.import_module(found.name)


def spaces() -> set[str]:
    """The namespaces that the table names."""
    return {name.rpartition(".")[0] for spelling in TABLE for name in spelling.names}


def first_sentence(function: object) -> str:
    """The first sentence of a docstring, in one line."""
    text = " ".join((inspect.getdoc(function) or "").split("\n\n")[0].split())
    found = re.match(r".*?[.;:](?= [A-Z`(]|$)", text)
    return (found[0] if found else text).rstrip(";:.")


# Signatures.
def _default(value: object) -> str:
    simple = value is None or isinstance(value, (bool, int, float, str))
    return repr(value) if simple and "inf" not in repr(value) and "nan" not in repr(value) else "..."


def _parameters(function: Callable[..., Any]) -> list[inspect.Parameter]:
    """What users may pass: where `dim` and `keepdim` have defaults, `axis` and `keepdims` as well."""
    found = list(signature_of(function).parameters.values())
    known = {p.name: p for p in found}
    extra = [
        known[own].replace(name=other, kind=inspect.Parameter.KEYWORD_ONLY)
        for own, other in (("dim", "axis"), ("keepdim", "keepdims"))
        if own in known and other not in known and known[own].default is not inspect.Parameter.empty
    ]
    at = len(found) - (bool(found) and found[-1].kind is inspect.Parameter.VAR_KEYWORD)
    return [*found[:at], *extra, *found[at:]]


def _annotation(annotation: object) -> str:
    text = annotation if isinstance(annotation, str) else getattr(annotation, "__name__", "Any")
    return "Any" if annotation is inspect.Parameter.empty else re.sub(r"\bSelf\b", "Tensor", text)


def _written(parameters: Iterable[inspect.Parameter]) -> str:
    parts: list[str] = []
    starred = False
    parameters = list(parameters)
    positional = [p for p in parameters if p.kind is p.POSITIONAL_ONLY]
    for p in parameters:
        mark = {p.VAR_POSITIONAL: "*", p.VAR_KEYWORD: "**"}.get(p.kind, "")
        if p.kind is p.KEYWORD_ONLY and not starred:
            parts.append("*")
        starred = starred or p.kind in (p.VAR_POSITIONAL, p.KEYWORD_ONLY)
        default = "" if p.default is p.empty else f" = {_default(p.default)}"
        parts.append(p.name if p.name == "self" else f"{mark}{p.name}: {_annotation(p.annotation)}{default}")
        if positional and p is positional[-1]:
            parts.append("/")
    return ", ".join(parts)


def brief(function: Callable[..., Any]) -> str:
    """The parameters without their annotations, as in `(input, dim=None)`."""
    signature = signature_of(function)
    bare = [p.replace(annotation=inspect.Parameter.empty) for p in signature.parameters.values()]
    return str(signature.replace(parameters=bare, return_annotation=inspect.Signature.empty))


def _definition(name: str, function: Callable[..., Any], indent: str, as_method: bool, in_place: bool = False) -> str:
    parameters = _parameters(function)
    if as_method:
        parameters[0] = parameters[0].replace(name="self", annotation=inspect.Parameter.empty)
    returned = "Tensor" if in_place else _annotation(signature_of(function).return_annotation)
    text = f"`{name[:-1]}`, written over this tensor" if in_place else first_sentence(function)
    lines = textwrap.wrap(f'"""{text}."""', WIDTH, break_long_words=False, break_on_hyphens=False)
    body = "\n".join(f"{indent}    {line}" for line in lines) if text else f"{indent}    ..."
    return f"{indent}def {name}({_written(parameters)}) -> {returned}:\n{body}\n"


def _imports(functions: Iterable[Callable[..., Any]]) -> str:
    """Where the words of the annotations come from."""
    homes = {"Tensor": "tinytorch.frontend.tensor.tensor"}
    for function in functions:
        written: Any = inspect.unwrap(function)
        signature = signature_of(function)
        texts = [_annotation(p.annotation) for p in signature.parameters.values()]
        plain = re.sub(r"['\"].*?['\"]", "", " ".join([*texts, _annotation(signature.return_annotation)]))
        for word in WORD.findall(plain):
            first = word.split(".")[0]
            if first not in homes and not hasattr(builtins, first):
                homes[first] = _home(first, written.__globals__)
    return "".join(f"from {module} import {word}\n" for word, module in sorted(homes.items()))


def _home(word: str, scope: dict[str, Any]) -> str:
    """The module that a word of an annotation is imported from."""
    found = scope.get(word)
    home = getattr(found, "__module__", "")
    if home.startswith("tinytorch.") and getattr(found, "__name__", "") == word:
        return home
    known = [m.__name__ for m in (collections.abc, typing) if hasattr(m, word)]
    return known[0] if known else scope["__name__"]


# Files.
def stubs() -> dict[str, str]:
    """The text of each stub by its path."""
    made = {
        PACKAGE if not space else f"tinytorch/{space.replace('.', '/')}.pyi": _module_stub(space) for space in spaces()
    }
    made |= {METHODS: _methods_stub(), STANDARD: _standard_stub()}
    return {path: _formatted(path, text) for path, text in made.items()}


def _module_stub(space: str) -> str:
    functions = names_in(space)
    gathered = functional.__all__ if space == "nn.functional" else ()
    functions = {name: f for name, f in sorted(functions.items()) if name not in gathered}
    text = HEADER.format(f"Functions of tensors, as they are called in {space or 'the package'}.")
    text += _imports(functions.values())
    if gathered:
        text += "from tinytorch.frontend import functional as _functional\n"
        text += "from tinytorch.frontend.functional import *\n"
    text += f"\n__all__: list[str] = [{', '.join(map(repr, functions))}]\n"
    if gathered:
        text += "__all__ += _functional.__all__\n"
    return text + "\n" + "\n".join(_definition(name, f, "", False) for name, f in functions.items())


def table_methods() -> list[tuple[str, Callable[..., Any], bool]]:
    """Methods that only the table gives: name, function, and whether it changes the tensor."""
    others = {name for kind in Tensor.__mro__ if kind is not TableMethods for name in vars(kind)}
    own = [
        (name + mark, spelling.function, bool(mark))
        for spelling in TABLE
        if spelling.method
        for name in spelling.names
        if "." not in name
        for mark in ("", "_")
        if not mark or spelling.in_place
    ]
    return sorted({name: (name, f, changes) for name, f, changes in own if name not in others}.values(), key=_name)


def _name(item: tuple[str, Callable[..., Any], bool]) -> str:
    return item[0]


def _methods_stub() -> str:
    found = table_methods()
    text = HEADER.format("The methods of tensors that come from the table of names.")
    text += _imports(f for _, f, _ in found) + "from types import ModuleType\n"
    text += "\nclass TableMethods:\n    __slots__ = ()\n\n"
    text += "    def __array_namespace__(self, /, *, api_version: str | None = None) -> ModuleType:\n"
    text += '        """The functions of the Array API standard."""\n\n'
    return text + "\n".join(_definition(name, f, "    ", True, changes) for name, f, changes in found)


def _standard_stub() -> str:
    functions = {name: f for name, f in sorted(FUNCTIONS.items()) if not inspect.isclass(f)}
    classes = {name: f for name, f in sorted(FUNCTIONS.items()) if inspect.isclass(f)}
    others = [name for name in array_api.__all__ if name not in FUNCTIONS]
    text = HEADER.format(first_sentence(array_api))
    text += "import builtins\n" + _imports(functions.values()) + "from tinytorch.ir.types import DType\n"
    text += "from tinytorch.frontend.tensor.devices import device as Device\n"
    text += "".join(f"from {kind.__module__} import {name}\n" for name, kind in classes.items())
    text += f"\n__all__: list[str] = [{', '.join(map(repr, (*others, *classes, *functions)))}]\n\n"
    for name in others:
        if not inspect.isclass(found := getattr(array_api, name)):
            text += f"{name}: {'None' if found is None else type(found).__name__}\n"
    text += "__array_api_version__: str\n\n"
    defined = "\n".join(_definition(name, f, "", False) for name, f in functions.items())
    signatures = re.compile(r"^def .*$", re.MULTILINE)  # in which `bool` is Python's
    return text + signatures.sub(lambda line: re.sub(r"\bbool\b", "builtins.bool", line[0]), defined)


def _formatted(path: str, text: str) -> str:
    tidy = ["check", "--select", "I,F401,RUF022", "--fix", "--quiet"]
    for words in (tidy, ["format"]):
        command = [sys.executable, "-m", "ruff", *words, "--stdin-filename", str(ROOT / path), "-"]
        text = subprocess.run(command, input=text, capture_output=True, text=True, check=True).stdout
    return text


# Lists in the docs.
def entries(space: str) -> list[tuple[str, Spelling]]:
    """The functions of a namespace, each under the first of its names there."""
    found: dict[int, tuple[str, Spelling]] = {}
    for spelling in TABLE:
        inside = [n.rpartition(".")[2] for n in spelling.names if n.rpartition(".")[0] == space]
        if inside:
            found[id(spelling)] = inside[0], spelling
    return sorted(found.values(), key=lambda item: item[0])


def reference() -> str:
    """The page of all functions of the table, by namespace."""
    count = sum(len(entries(space)) for space in spaces())
    text = (
        "# Reference\n"
        f"All {count} functions of the table of names, made by `pytest tests/frontend/test_names.py --bless`. Layers, "
        "losses, optimizers and functions that make tensors are listed in `__all__` of the files that define them.\n\n"
        "Every function of `tt` that is marked as a method is one of tensors as well; one marked `_` has a variant "
        "with an underscore behind its name, which changes the tensor. Where a parameter is called `dim` or `keepdim`, "
        "`axis` and `keepdims` may be written.\n"
    )
    for space in sorted(spaces()):
        title = f"tt.{space}" if space else "tt"
        text += f"\n## {title}\n| function | also | method | what it gives |\n| --- | --- | --- | --- |\n"
        for name, spelling in entries(space):
            others = [n for n in spelling.names if n.rpartition(".")[2] != name or n.rpartition(".")[0] != space]
            method = "" if not spelling.method else "yes, and `_`" if spelling.in_place else "yes"
            also = ", ".join(f"`{n}`" for n in others)
            what = first_sentence(spelling.function).replace("|", "\\|")
            text += f"| `{name}{brief(spelling.function)}` | {also} | {method} | {what} |\n".replace("|  |", "| |")
    return text


def found_in_tinytorch(name: str) -> bool:
    """Whether a name of PyTorch's op database is here, as a function or as a method of tensors."""
    home: object = tt
    for part in name.split("."):
        home = getattr(home, part, None)
    return home is not None or hasattr(Tensor, name)


def missing(names: Iterable[str]) -> str:
    """Names of PyTorch's op database that are not here, by namespace, as Markdown."""
    by_space: dict[str, list[str]] = {}
    for name in sorted({name for name in names if not found_in_tinytorch(name)}):
        space, _, last = name.rpartition(".")
        if not space.startswith("torch.") and (not last.startswith("_") or last.startswith("__")):
            by_space.setdefault(space, []).append(f"`{last}`")
    return "".join(f"- {f'`{space}`' if space else 'the package'}: {', '.join(n)}\n" for space, n in by_space.items())


def replaced(page: str, mark: str, text: str) -> str:
    """A page with `text` between its marks `<!-- mark: begin -->` and `<!-- mark: end -->`."""
    begin, end = (f"<!-- {mark}: {edge} -->\n" for edge in ("begin", "end"))
    before, rest = page.split(begin)
    return f"{before}{begin}{text}{end}{rest.split(end)[1]}"
