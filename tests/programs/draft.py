"""A program while it is drawn: its lines, and what is known of its variables."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any

from hypothesis import strategies as st

Shape = tuple[int, ...]
Draw = Callable[[st.SearchStrategy[Any]], Any]
NUMBERS = [1.0, 2.0, 0.5, -1.0, -0.5, 3.0]


@dataclass(eq=False)
class Storage:
    """Memory that some variables share."""

    outside: bool = False  # an argument's or a captured tensor's
    argument: bool = False


@dataclass(eq=False)
class Var:
    """A variable of the program. `exact` values are the same bits in every way to run it."""

    name: str
    shape: Shape
    dtype: str
    grad: bool = False  # whether it requires grad, as far as is known
    leaf: bool = False  # a leaf that requires grad, from outside
    exact: bool = True
    contiguous: bool = True
    view: bool = False
    detached: bool = False
    spread: bool = False  # some of its elements are one in memory
    itself: bool = False  # an argument or a captured tensor, or what is the same object
    storage: Storage = field(default_factory=Storage)

    @property
    def is_float(self) -> bool:
        return self.dtype in ("f32", "f64")

    @property
    def size(self) -> int:
        size = 1
        for d in self.shape:
            size *= d
        return size


def fits(small: Shape, large: Shape) -> bool:
    """Whether `small` broadcasts to `large`."""
    return len(small) <= len(large) and all(a in (1, b) for a, b in zip(small[::-1], large[::-1], strict=False))


@dataclass
class Draft:
    """The function being written. `on` are the features it may use."""

    draw: Draw
    on: frozenset[str]
    variables: list[Var] = field(default_factory=list)
    spent: list[Var] = field(default_factory=list)  # variables whose tape backward() has used up
    lines: list[str] = field(default_factory=list)
    indent: int = 1
    no_grad: bool = False
    went_backward: bool = False
    names: Iterator[int] = field(default_factory=itertools.count)

    # Drawing.
    def one(self, items: Sequence[Any]) -> Any:
        return self.draw(st.sampled_from(items))

    def maybe(self, feature: str = "") -> bool:
        """True half of the time, if the feature is on."""
        return (not feature or feature in self.on) and self.draw(st.booleans())

    def rarely(self, feature: str = "") -> bool:
        return (not feature or feature in self.on) and self.draw(
            st.integers(0, 9)
        ) == 7  # not an end of the range, which is drawn more often

    def number(self, dtype: str = "f32") -> str:
        value = self.one(NUMBERS)
        return repr(value) if dtype.startswith("f") else repr(int(value))

    # Variables.
    def some(self, keep: Callable[[Var], bool] = lambda v: True) -> Var | None:
        """One of the variables that `keep` takes, later ones first when shrinking."""
        found = [v for v in reversed(self.variables) if keep(v)]
        return self.one(found) if found else None

    def partner(self, x: Var) -> Var | None:
        """A variable of the dtype of `x` that broadcasts to its shape."""
        return self.some(lambda v: v.dtype == x.dtype and fits(v.shape, x.shape))

    # Writing.
    def line(self, text: str) -> None:
        self.lines.append("    " * self.indent + text)

    def new(self, text: str, like: Var, shape: Shape | None = None, **known: Any) -> Var:
        """`v3 = text`, a value of its own unless `known` says otherwise."""
        made = self._made(like, shape, **known)
        self.line(f"{made.name} = {text}")
        self.variables.append(made)
        return made

    def pair(self, text: str, like: Var, shape: Shape) -> None:
        """`v3, v4 = text`: floats as `like`, and integers, which are a variable where the program has such."""
        values, integers = (self._made(like, shape, **known) for known in ({}, {"dtype": "i64", "grad": False}))
        self.line(f"{values.name}, {integers.name} = {text}")
        self.variables += [values, integers] if "integers" in self.on else [values]

    def _made(self, like: Var, shape: Shape | None, **known: Any) -> Var:
        """A new variable."""
        known = {
            "leaf": False,
            "view": False,
            "detached": False,
            "itself": False,
            "contiguous": True,
            "storage": Storage(),
        } | known
        name = f"v{next(self.names)}"
        if "grad" not in known:
            known["grad"] = like.grad and not self.no_grad
        return replace(like, name=name, shape=like.shape if shape is None else shape, **known)

    def leaf_changed(self) -> None:
        """A leaf has been written to: what was computed of it before is not differentiated, unless that is on."""
        if "late_backward" not in self.on:
            self.variables = [v for v in self.variables if v.leaf or not v.grad]

    @contextmanager
    def block(self, head: str) -> Iterator[None]:
        self.line(head)
        self.indent += 1
        before = len(self.lines)
        yield
        if len(self.lines) == before:
            self.line("pass")
        self.indent -= 1

    @contextmanager
    def without_gradients(self) -> Iterator[None]:
        before, self.no_grad = self.no_grad, True
        with self.block("with tt.no_grad():"):
            yield
        self.no_grad = before
