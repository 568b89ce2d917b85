"""The guards of a specialization, and how a trace makes them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import chain, repeat
from operator import is_
from typing import Any

from tinytorch.frontend.guards.code import change_of
from tinytorch.frontend.guards.freeze import ABSENT, CONTAINERS, PLAIN, freeze, parts_in
from tinytorch.frontend.guards.lookups import Code, Content, Elements, InDict, Lookup
from tinytorch.frontend.guards.places import is_foreign_file
from tinytorch.frontend.guards.proof import only_meets_tensors
from tinytorch.frontend.guards.quick import QuickLook
from tinytorch.frontend.guards.reach import attributes_in
from tinytorch.frontend.guards.record import Watch
from tinytorch.frontend.module.tracked import epoch
from tinytorch.frontend.tensor import Tensor
from tinytorch.frontend.tracing.arrays import Meeting
from tinytorch.frontend.tracing.traced import expr_of
from tinytorch.ir.errors import TraceError
from tinytorch.ir.loc import Loc


class Guards:
    """`unchanged()` is the quick look, by identity; `changed()` the slow one, by value, which names what differs.

    Making them raises TraceError if the trace itself changed what it had read: that would happen in no later call.
    `met` are the arrays that are inputs of the graph; `frozen`: their elements are in it nevertheless.
    """

    def __init__(self, watch: Watch, met: Sequence[Meeting], frozen: bool) -> None:
        self._lookups = watch.lookups
        self._attributes = [lookup for lookup in watch.counted.values() if isinstance(lookup, InDict)]
        self._others = [lookup for lookup in watch.counted.values() if not isinstance(lookup, InDict)]
        self._alive = watch.seen
        self._quick = QuickLook()
        self._found: tuple[Any, ...] = ((), (), ())
        self._roots = self._contents() - self._live()
        self.tensors = watch.tensors  # ids of the tensors that were found
        self.unchanged: Callable[[], bool] = lambda: False
        reason = next((f"{lookup.label} changed" for lookup in self._all() if lookup.changed()), None)
        if reason is not None:
            raise _changes_state(reason, watch)
        self.left = tuple(_left_behind(watch))
        self._add_arrays(watch, met, frozen)
        self._remember()

    def _add_arrays(self, watch: Watch, met: Sequence[Meeting], frozen: bool) -> None:
        """Watch the elements of arrays that Python code reads."""
        for elements, places in watch.arrays.values():
            if frozen or not only_meets_tensors(places, [m for m in met if m.array is elements.array]):
                if elements.changed():
                    raise _changes_state(f"{elements.label} changed", watch)
                self._lookups[id(elements.array), "elements"] = elements
        for meeting in met if frozen else ():
            self._lookups.setdefault((id(meeting.array), "elements"), Elements("an array", meeting.array))

    @property
    def bytes(self) -> int:
        """Of the copies of elements that are compared."""
        return sum(lookup.saved.nbytes for lookup in self._lookups.values() if isinstance(lookup, Elements))

    def changed(self) -> str | None:
        """Which attribute or variable has another value, or None; then the quick look knows what is there now."""
        if self._counted_same():
            self._quick.known.epoch = epoch.now
            if self.unchanged():
                return None
        moved: list[tuple[Any, Any]] = []
        for lookup in self._all():
            before = lookup.found
            if lookup.changed():
                return f"{lookup.label} changed"
            if lookup.found is not before:
                moved.append((before, lookup.found))
        for before, now in moved:
            self._follow(before, now)
        if moved:
            live = self._live() | self._roots
            for key in self._contents() - live:
                del self._lookups[key]
        self._remember()
        return None

    def _all(self) -> Iterator[Lookup]:
        return chain(self._attributes, self._others, self._lookups.values())

    def _counted_same(self) -> bool:
        return all(map(is_, map(dict.get, *self._found[:2], repeat(ABSENT)), self._found[2])) and all(
            other.same() for other in self._others
        )

    def _remember(self) -> None:
        found = [(a.variables, a.key, a.found) for a in self._attributes]
        self._found = tuple(zip(*found, strict=True)) or ((), (), ())
        self._quick.remember(self._lookups.values())
        self.unchanged = self._quick.look

    # Containers that were replaced by equal ones.
    def _follow(self, before: Any, now: Any) -> None:
        """Watch the container that is in the place of another one of the same content."""
        if not isinstance(now, CONTAINERS) or before is now:
            return
        content = self._lookups.get((id(before), "content"))
        if content is not None:
            self._lookups[id(now), "content"] = Content(content.label, now)
        for old, new in zip(parts_in(before), parts_in(now), strict=True):
            self._follow(old, new)

    def _contents(self) -> set[Any]:
        return {key for key, lookup in self._lookups.items() if isinstance(lookup, Content)}

    def _live(self) -> set[Any]:
        """The keys of the containers that lookups find."""
        live: set[Any] = set()
        lookups = chain(self._attributes, self._lookups.values())
        stack = [lookup.found for lookup in lookups if not isinstance(lookup, Content)]
        while stack:
            item = stack.pop()
            if isinstance(item, CONTAINERS) and (id(item), "content") not in live:
                live.add((id(item), "content"))
                stack += parts_in(item)
        return live


def _changes_state(reason: str, watch: Watch) -> TraceError:
    return TraceError(
        f"the function changes Python state while it is traced ({reason}); compiled, that happens once and not in "
        "every call. Return the new value from the function, or keep it in a tensor that it changes in place (add_, "
        "copy_)",
        _line_of(reason.removesuffix(" changed"), watch) or watch.loc,
    )


def _line_of(label: str, watch: Watch) -> Loc | None:
    """Where a function that the trace reached changes what `label` names."""
    name = label.rpartition(".")[2]
    codes = [lookup.function.__code__ for lookup in watch.lookups.values() if isinstance(lookup, Code)]
    for code in codes:
        line = None if is_foreign_file(code.co_filename) else change_of(code, name)
        if line is not None:
            return Loc(code.co_filename, line)
    return None


def _left_behind(watch: Watch) -> Iterator[tuple[Any, str, Any]]:
    """The plain values in attributes that the trace set without reading them first: every call sets them again.

    Tensors of the trace may stay in attributes, since using one outside of it is an error; nothing else may.
    """
    for owner, name, before in watch.written.values():
        now = (attributes_in(owner) or {}).get(name, ABSENT)
        if freeze(now) == freeze(before):
            continue
        if _is_plain(now):
            yield owner, name, now
        elif not _holds_traced(now):
            raise _changes_state(f"{type(owner).__name__}.{name} changed", watch)


def _is_plain(item: Any) -> bool:
    return isinstance(item, PLAIN) or (isinstance(item, tuple) and all(map(_is_plain, parts_in(item))))


def _holds_traced(item: Any) -> bool:
    if isinstance(item, CONTAINERS):
        return all(_is_plain(part) or _holds_traced(part) for part in parts_in(item)) and any(
            map(_holds_traced, parts_in(item))
        )
    return isinstance(item, Tensor) and expr_of(item) is not None
