"""The quick look, written out as one Python function: hundreds of tests in the time of a few calls."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import lru_cache
from types import CodeType
from typing import Any

from tinytorch.frontend.guards.lookups import Lookup
from tinytorch.frontend.module.tracked import epoch


class _Known:
    """The epoch that was looked at last: a part of its own, so that what the look refers to does not refer to it."""

    def __init__(self) -> None:
        self.epoch = epoch.now


class QuickLook:
    """`look()` is True if the epoch has not moved and every lookup finds the very same object as before."""

    def __init__(self) -> None:
        self.known = _Known()
        self.look: Callable[[], bool] = lambda: False
        self._code: CodeType | None = None
        self._variables: dict[str, Any] = {}

    def remember(self, lookups: Iterable[Lookup]) -> None:
        """Compare with what is there now, from here on."""
        self.known.epoch = epoch.now
        names: dict[int, str] = {}
        objects: dict[str, Any] = {"epoch": epoch, "known": self.known}

        def name(item: Any) -> str:
            if item is None or item is True or item is False:
                return repr(item)
            if id(item) not in names:
                names[id(item)] = f"v{len(names)}"
                objects[names[id(item)]] = item
            return names[id(item)]

        tests = [test for lookup in lookups if (test := lookup.test(name)) != "True"]
        code = _compiled("\n and ".join(["epoch.now == known.epoch", *tests]))
        if code is not self._code:
            self._variables = {}
            exec(code, self._variables)
            self._code, self.look = code, self._variables.pop("look")
        self._variables.update(objects)


@lru_cache(256)
def _compiled(test: str) -> CodeType:
    """A function of no arguments; a variable that is gone makes it False."""
    gone = "(KeyError, IndexError, ValueError, AttributeError)"
    lines = ["def look():", " try:", f"  return ({test})", f" except {gone}:", "  return False"]
    return compile("\n".join(lines), "<guards>", "exec")
