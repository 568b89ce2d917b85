"""What stands in the bytecode of a function: the names that it reads, and who consumes a value."""

from __future__ import annotations

import bisect
import dis
import itertools
import types
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache

_GLOBAL = frozenset({"LOAD_GLOBAL", "LOAD_NAME"})
_ATTRIBUTE = frozenset({"LOAD_ATTR", "LOAD_METHOD", "LOAD_SUPER_ATTR", "IMPORT_FROM"})
_ASSIGNED = frozenset({"STORE_GLOBAL", "DELETE_GLOBAL"})
_CHANGES = frozenset({"STORE_ATTR", "DELETE_ATTR", "STORE_DEREF", "DELETE_DEREF", *_ASSIGNED})
_CLOSURE = frozenset({"LOAD_DEREF", "LOAD_CLASSDEREF", "LOAD_FROM_DICT_OR_DEREF"})
_COMPUTED = frozenset(
    {"getattr", "hasattr", "vars", "globals", "eval", "exec", "attrgetter", "__dict__", "__getattribute__", "dir"}
)
_TAKEN = {
    **dict.fromkeys(("LOAD_GLOBAL", "LOAD_NAME", "LOAD_CONST", "LOAD_SMALL_INT", "LOAD_DEREF", "PUSH_NULL"), 0),
    **dict.fromkeys(("PRECALL", "KW_NAMES", "NOP", "EXTENDED_ARG"), 0),
    **dict.fromkeys(("LOAD_ATTR", "LOAD_METHOD", "UNARY_NEGATIVE", "UNARY_INVERT"), 1),
    **dict.fromkeys(("BINARY_OP", "BINARY_SUBSCR", "COMPARE_OP"), 2),
}  # how many values instructions take from the stack


@dataclass(frozen=True)
class Names:
    """Globals and attributes that code reads. `computed`: it may read attributes under names that it does not spell."""

    variables: frozenset[str]
    attributes: frozenset[str]
    computed: bool = False

    def __or__(self, other: Names) -> Names:
        return Names(
            self.variables | other.variables, self.attributes | other.attributes, self.computed or other.computed
        )


NO_NAMES = Names(frozenset(), frozenset())


def codes_in(code: types.CodeType) -> Iterator[types.CodeType]:
    """The code of a function, and of the functions in it."""
    yield code
    for part in code.co_consts:
        if isinstance(part, types.CodeType):
            yield from codes_in(part)


@lru_cache(4096)
def names_in(code: types.CodeType) -> Names:
    """The names in a piece of code and in the functions in it. A string that could be a name counts as one, since
    it may be given to getattr()."""
    variables: set[str] = set()
    attributes: set[str] = set()
    strings: set[str] = set()
    for part in codes_in(code):
        for step in dis.get_instructions(part):
            if step.opname in _GLOBAL | _ASSIGNED:
                variables.add(step.argval)
            elif step.opname in _ATTRIBUTE:
                attributes.add(step.argval)
        strings.update(c for c in part.co_consts if isinstance(c, str) and c.isidentifier())
    computed = not _COMPUTED.isdisjoint(variables | attributes)
    named = attributes | strings if computed else attributes
    return Names(frozenset(variables | strings if computed else variables), frozenset(named), computed)


def uses_global(code: types.CodeType, name: str) -> bool:
    """Whether code reads or assigns a global variable, rather than just hold a string that could be its name."""
    wanted = _GLOBAL | _ASSIGNED
    steps = (step for part in codes_in(code) for step in dis.get_instructions(part))
    return any(step.opname in wanted and step.argval == name for step in steps)


@lru_cache(4096)
def imports_in(code: types.CodeType) -> frozenset[tuple[int, str]]:
    """The modules that code imports, as written: how many dots stand before the name, and the name."""
    found: set[tuple[int, str]] = set()
    for part in codes_in(code):
        steps = list(dis.get_instructions(part))
        for level, _, step in zip(steps, steps[1:], steps[2:], strict=False):
            if step.opname == "IMPORT_NAME":
                found.add((level.argval, step.argval))
    return frozenset(found)


@lru_cache(4096)
def asks_type(code: types.CodeType) -> bool:
    """Whether code calls type() on something that could be a number: not on `self`."""
    for part in codes_in(code):
        steps = [step for step in dis.get_instructions(part) if step.opname not in ("PUSH_NULL", "CACHE")]
        for step, after in itertools.pairwise(steps):
            if step.opname in _GLOBAL and step.argval == "type" and after.argval not in ("self", "cls"):
                return True
    return False


def change_of(code: types.CodeType, name: str) -> int | None:
    """The line where code assigns or deletes a variable or an attribute or, if it never does, first reads it, as to
    append to a list. Functions in it count."""
    read: int | None = None
    for part in codes_in(code):
        line = part.co_firstlineno
        for step in dis.get_instructions(part):
            line = (step.positions and step.positions.lineno) or line
            if step.argval == name and step.opname in _CHANGES:
                return line
            if step.argval == name and step.opname in _ATTRIBUTE | _GLOBAL | _CLOSURE:
                read = read or line
    return read


def loads_of(code: types.CodeType, name: str, local: bool) -> list[int]:
    """Where the value of a variable of the closure (or else a global one) is pushed, in this piece of code alone."""
    wanted = _CLOSURE if local else _GLOBAL
    return [step.offset for step in dis.get_instructions(code) if step.opname in wanted and step.argval == name]


@lru_cache(4096)
def _offsets(code: types.CodeType) -> list[int]:
    return [step.offset for step in dis.get_instructions(code)]


def instruction(code: types.CodeType, at: int) -> int:
    """The offset of the instruction that a frame is in, whose `f_lasti` may point into its cache."""
    offsets = _offsets(code)
    return offsets[max(bisect.bisect_right(offsets, at) - 1, 0)]


@lru_cache(4096)
def consumer(code: types.CodeType, offset: int) -> int | None:
    """The offset of the instruction that takes the value which the one at `offset` pushes; None where that is not
    plain: only arithmetic, comparison, indexing and calls in straight-line code are followed."""
    steps = iter(dis.get_instructions(code))
    for step in steps:
        if step.offset == offset:
            break
    height = 1  # of the stack, above what was there before the value
    for step in steps:
        taken = _taken(step)
        if taken is None:
            return None
        if taken >= height:
            return step.offset if taken else None
        height += 1 - taken if step.opname in ("CALL", "CALL_KW") else _effect(step)
    return None


def _effect(step: dis.Instruction) -> int:
    if step.opname == "PRECALL":  # counted as if the arguments were taken here already
        return 0
    return dis.stack_effect(step.opcode, step.arg if step.opcode >= dis.HAVE_ARGUMENT else None, jump=False)


def _taken(step: dis.Instruction) -> int | None:
    """How many values an instruction takes from the stack; None for those that are not followed."""
    name = step.opname
    if name in ("CALL", "CALL_KW"):
        return (step.arg or 0) + (3 if name == "CALL_KW" else 2)
    if name in ("BUILD_TUPLE", "BUILD_LIST", "BUILD_SLICE"):
        return step.arg or 0
    return 0 if name.startswith("LOAD_FAST") and "CLEAR" not in name else _TAKEN.get(name)
