"""Files of tokenizers, and tables of JSON in them. What is wrong with one is a FormatError that names the field, and
then an error that names the file and the user's line."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from os import PathLike
from typing import Any, TypeVar, cast

from tinytorch.frontend.module.weights import open_regular
from tinytorch.ir.errors import TinyTorchError
from tinytorch.ir.loc import user_loc
from tinytorch.ir.system.files import write_atomically

Path = str | PathLike[str]
T = TypeVar("T")


class FormatError(Exception):
    """What a file of a tokenizer cannot say, or what is not supported."""


def read(path: Path, what: str, parse: Callable[[str], T]) -> T:
    """What `parse` makes of the content of a file in UTF-8; TinyTorchError if it cannot be read, or is no `what` that
    can be used."""
    try:
        with open_regular(path) as file:
            return parse(file.read().decode("utf-8"))
    except (OSError, MemoryError, UnicodeDecodeError) as error:
        raise TinyTorchError(f"cannot read {path}: {error or 'it does not fit into memory'}", user_loc()) from None
    except FormatError as error:
        raise TinyTorchError(f"{path} is no {what} that can be used: {error}", user_loc()) from None


def parse_json(text: str) -> dict[str, Any]:
    """The table that a JSON text is; FormatError if it is damaged, something else, or gives a key twice."""
    try:
        table = json.loads(text, object_pairs_hook=_table)
    except (ValueError, RecursionError) as error:
        raise FormatError(f"it is no JSON, or was cut short ({error})") from None
    return field({"the file": table}, "the file", dict)


def _table(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    table = dict(pairs)
    if len(table) < len(pairs):
        names = [name for name, _ in pairs]
        raise FormatError(f"the key {next(name for name in table if names.count(name) > 1)!r} stands twice in a table")
    return table


def write_json(path: Path, table: Mapping[str, Any]) -> None:
    """Replace the file `path` by a table, in one step; TinyTorchError if it cannot be written."""
    try:
        content = json.dumps(table, ensure_ascii=False, indent=2).encode()
    except UnicodeEncodeError:  # half of a surrogate pair, which JSON can only spell with a backslash
        content = json.dumps(table, indent=2).encode()
    write_atomically(path, content)


_KINDS = {dict: "a table", list: "a list", str: "a string", int: "an integer", bool: "true or false"}


def field(table: Mapping[str, Any], path: str, *kinds: type) -> Any:
    """The entry of a table under the last name of `path`, which must be of one of these kinds."""
    name = path.rpartition(".")[2]
    if name not in table:
        raise FormatError(f"{path} is missing")
    return checked(table[name], path, *kinds)


def checked(value: Any, path: str, *kinds: type) -> Any:
    if type(value) not in kinds:
        raise FormatError(f"{path} must be {' or '.join(_KINDS[kind] for kind in kinds)}, got {short(value)}")
    return value


def only(table: Mapping[str, Any], path: str, *accepted: Any) -> None:
    """A FormatError unless what a table has under the last name of `path` is one of those; the first of them is what
    a table means that has nothing there."""
    value = table.get(path.rpartition(".")[2], accepted[0])
    if not any(type(value) is type(one) and value == one for one in accepted):
        raise FormatError(f"{path} is {short(value)}, which is not supported: only {_listed(accepted)}")


def _listed(values: tuple[Any, ...]) -> str:
    return " or ".join(json.dumps(value) for value in values)


def short(value: Any) -> str:
    """A value as JSON, as far as a message can hold it."""
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 60 else f"{text[:57]}…"


def id_table(table: Mapping[str, Any], path: str) -> dict[str, int]:
    """Name -> id; FormatError unless the ids are 0, 1, 2 … in some order."""
    seen: dict[int, str] = {}
    for name, number in table.items():
        checked(number, f"{path}[{short(name)}]", int)
        if number in seen:
            raise FormatError(f"{path} gives the id {number} to both {short(seen[number])} and {short(name)}")
        if not 0 <= number < len(table):
            known = f"the ids of {len(table)} tokens are 0 to {len(table) - 1}"
            raise FormatError(f"{path} gives {short(name)} the id {short(number)}; {known}")
        seen[number] = name
    return cast("dict[str, int]", dict(table))
