"""Whole programs: a model, tensors, a function, and calls of it with what happens between them."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from hypothesis import strategies as st

from tests.programs import training, values, writes
from tests.programs.draft import Draft, Draw, Storage, Var
from tests.programs.features import FEATURES, MOODS, OFF

SHAPES = [(2, 3), (3,), (2, 3), (3, 2), (2, 2, 3), (1, 3), ()]
MAX_STEPS, MAX_CALLS = 8, 3

Step = tuple[str, int, Callable[[Draft], None]]
STEPS: list[Step] = [
    ("elementwise", 4, values.elementwise),
    ("views", 4, values.views),
    ("write", 6, writes.write),
    ("detach_write", 1, writes.detached_write),
    ("reduce", 1, values.reduce),
    ("pool", 1, values.pool),
    ("matmul", 1, values.matmul),
    ("gather", 1, values.gather),
    ("where", 1, values.where),
    ("join", 1, values.join),
    ("cast", 1, values.cast),
    ("module_call", 1, values.module_call),
    ("backward", 2, training.backward),
    ("grad_read", 1, training.read_gradient),
    ("optimizer", 1, training.step),
    ("optimizer", 2, training.train),
    ("lone_zero_grad", 1, training.zero_grad),
]

_MODULE = """\
class M(tt.Module):
    def __init__(self):
        super().__init__()
        self.w = tt.Parameter(tt.tensor([1.0, -2.0, 0.5]))
        self.register_buffer("b", tt.tensor([0.5, 1.0, -1.0]))
        self.scale = 2.0
"""
_FORWARD = """\
    def forward(self, x):
        if self.training:
            with tt.no_grad():
                self.b.{change}
        return x * self.w * self.scale + self.b
"""
_RECORD = """\
@dataclasses.dataclass
class Record:
    a: object
    b: object
"""
# Kinds of results: the feature, the text, and the paths to its tensors.
_RESULTS: list[tuple[str, str, list[str]]] = [
    ("", "{0}", [""]),
    ("", "({0}, {1})", ["[0]", "[1]"]),
    ("containers", "[{0}, {1}]", ["[0]", "[1]"]),
    ("containers", '{{"a": {0}, "b": [{1}, 3]}}', ['["a"]', '["b"][0]']),
    ("containers", "({0}, [{1}, ({2},)], None)", ["[0]", "[1][0]", "[1][1][0]"]),
    ("named_tuples", "Pair({0}, {1})", [".a", ".b"]),
    ("ordered_dicts", "collections.OrderedDict(a={0}, b={1})", ['["a"]', '["b"]']),
    ("dataclasses", "Record({0}, {1})", [".a", ".b"]),
]


def _nothing(d: Draft) -> None:
    """What a step shrinks to."""


@dataclass(frozen=True)
class Segment:
    """A piece of the program between two looks at its state; `call` says whether the function is called in it."""

    text: str
    call: bool = False


@dataclass(frozen=True)
class Program:
    """`setup` makes everything, `run` in `segments` is the function `f` or what is compiled of it; `watched` are the
    names of the tensors that are looked at after each segment. `machine` asks for machine code."""

    setup: str
    segments: tuple[Segment, ...]
    watched: tuple[str, ...]
    machine: bool

    def source(self, run: str = "tt.compile(f)") -> str:
        """The program as a script."""
        body = "\n".join(segment.text for segment in self.segments)
        imports = [f"import {name}\n" for name in ("collections", "dataclasses") if f"{name}." in self.setup]
        return f"{''.join(imports)}import tinytorch as tt\n\n{self.setup}\nrun = {run}\n{body}\n"


def all_on() -> frozenset[str]:
    return frozenset(FEATURES.keys() - OFF.keys())


@st.composite
def programs(draw: Draw, on: frozenset[str] | None = None) -> Program:
    return _ProgramWriter(Draft(draw, all_on() if on is None else on)).program()


@dataclass
class _Pool:
    """Tensors of one type, from which calls take an argument."""

    names: list[str]
    shape: tuple[int, ...]
    dtype: str
    grad: bool


class _ProgramWriter:
    def __init__(self, draft: Draft) -> None:
        self.d = draft
        self.tensors: dict[str, str] = {}
        self.segments: list[Segment] = []
        self.rng = np.random.default_rng(draft.draw(st.integers(0, 7)))
        self.paths: list[tuple[str, Var]] = []

    def program(self) -> Program:
        d = self.d
        d.on -= d.one(MOODS)
        machine = d.draw(st.integers(0, 3)) > 0
        change, optimizer, closed = self._surroundings()
        pools = self._pools()
        function = self._function(pools)
        for i in range(d.draw(st.integers(1, MAX_CALLS))):
            self._call(pools, i)
        text = "\n".join([*function, *(segment.text for segment in self.segments)])
        parts = [
            (r"\bPair\(", 'Pair = collections.namedtuple("Pair", ["a", "b"])'),
            (r"\bRecord\(", _RECORD),
            (r"\bm\.|\bm\(|\bopt\.", _MODULE),
            (r"\bm\(", _FORWARD.replace("{change}", change)),
            (r"\bm\.|\bm\(|\bopt\.", "m = M()"),
            (r"\bopt\.", f"opt = tt.{optimizer}"),
            (r"\bc\b", f"c = {closed}"),
            *((rf"\b{name}\b", f"{name} = {value}") for name, value in self.tensors.items()),
        ]
        used = [part for pattern, part in parts if re.search(pattern, text)]
        watched = [name for name in (*self.tensors, "c") if re.search(rf"\b{name}\b", text)]
        watched += ["m.w", "m.b"] if "m = M()" in used else []
        return Program("\n".join([*used, *function]), tuple(self.segments), tuple(watched), machine)

    # What there is.
    def _surroundings(self) -> tuple[str, str, str]:
        """How the module changes its buffer, the optimizer, and the captured tensor."""
        d = self.d
        changes = ["mul_(0.5)", "add_(x.detach().reshape(-1, 3).sum(0))"] if "captured_write" in d.on else ["abs()"]
        optimizers = ["SGD([m.w], lr=0.5, momentum=0.0)", "SGD([m.w], lr=0.5, momentum=0.5)", "Adam([m.w], lr=0.5)"]
        grad = d.maybe()
        d.variables += [
            Var("m.b", (3,), "f32", itself=True, storage=Storage(outside=True)),
            Var("m.w", (3,), "f32", grad=True, leaf=True, itself=True, storage=Storage(outside=True)),
            Var("c", (3,), "f32", grad=grad, leaf=grad, itself=True, storage=Storage(outside=True)),
        ]
        return d.one(changes), d.one(optimizers), self._tensor((3,), "f32", grad)

    def _tensor(self, shape: tuple[int, ...], dtype: str, grad: bool) -> str:
        numbers = self.rng.integers(-4, 5, shape) / (1 if dtype == "i64" else 2)
        data = numbers.astype(int if dtype == "i64" else float).tolist()
        return f"tt.tensor({data}, dtype=tt.{dtype}{', requires_grad=True' if grad else ''})"

    def _pools(self) -> list[_Pool]:
        d = self.d
        first = self._pool("t", d.one(SHAPES), d.one(["f32", "f32", "f64"]), d.maybe())
        if d.maybe():
            return [first, first]
        dtype = d.one(["f32", "f32", "f64", "i64"] if "integers" in d.on else ["f32", "f64"])
        return [first, self._pool("u", d.one(SHAPES), dtype, dtype != "i64" and d.maybe())]

    def _pool(self, letter: str, shape: tuple[int, ...], dtype: str, grad: bool) -> _Pool:
        names = [f"{letter}{i}" for i in range(2)]
        self.tensors |= {name: self._tensor(shape, dtype, grad) for name in names}
        return _Pool(names, shape, dtype, grad)

    # The function.
    def _function(self, pools: list[_Pool]) -> list[str]:
        d = self.d
        for name, pool in zip("xy", pools, strict=True):
            storage = Storage(outside=True, argument=True)
            d.variables.append(Var(name, pool.shape, pool.dtype, pool.grad, pool.grad, itself=True, storage=storage))
        self.nested = d.maybe("containers")
        if self.nested:
            d.line('x, y = p["x"], p["y"][0]')
        steps = [_nothing, *(step for feature, weight, step in STEPS if feature in d.on for _ in range(weight))]
        for _ in range(d.draw(st.integers(1, MAX_STEPS))):
            if d.rarely():
                with d.without_gradients():
                    d.one(steps)(d)
            else:
                d.one(steps)(d)
        d.line(f"return {self._results()}")
        # Only calls with nothing but tensors take the fast path.
        self.numbered = any(re.search(r"\bk\b", line) for line in d.lines) or d.rarely()
        arguments = ["p"] if self.nested else ["x", "y"]
        head = f"def f({', '.join([*arguments, *(['k'] if self.numbered else [])])}):"
        return [head, *d.lines]

    def _results(self) -> str:
        d = self.d
        usable = [*d.spent, *d.variables]
        usable = [v for v in usable if "detached_result" in d.on or not v.detached]
        if d.went_backward and "spent_result" not in d.on:
            usable = [v for v in usable if v.leaf or not v.grad]
        usable = [v for v in usable if "argument_result" in d.on or not v.itself]
        usable = [v for v in usable if "alias_result" in d.on or not v.storage.outside or v.itself]
        if not usable:
            return "None"
        kinds = [(kind, paths) for feature, kind, paths in _RESULTS if feature in ("", *d.on)]
        kind, paths = d.one(kinds)
        found = [d.one(usable[::-1]) for _ in paths]
        if "alias_result" not in d.on and len({id(v.storage) for v in found}) < len(found):
            (kind, paths), found = kinds[0], found[:1]
        self.paths = list(zip(paths, found, strict=True))
        return kind.format(*(v.name for v in found))

    # Calls.
    def _say(self, *lines: str) -> None:
        self.segments.append(Segment("\n".join(lines)))

    def _call(self, pools: list[_Pool], number: int) -> None:
        d = self.d
        if number:
            self._between(pools)
        x, y = (self._argument(pool) for pool in pools)
        if x == y and "same_argument" not in d.on:
            y = next(name for name in pools[1].names if name != x)
        arguments = [f'{{"x": {x}, "y": [{y}]}}'] if self.nested else [x, y]
        if self.numbered:
            arguments.append(repr(d.one([2.0, 2.0, 0.5]) if "python_number" in d.on else 2.0))
        call = f"out = run({', '.join(arguments)})"
        aliased = any(v.storage.outside and not v.itself for _, v in self.paths)
        quiet = ("no_grad_alias" in d.on or not aliased) and d.rarely("no_grad_call")
        if quiet and self._may_drop_gradients():
            call = f"with tt.no_grad():\n    {call}"
        self.segments.append(Segment(call, call=True))
        self._after()

    def _argument(self, pool: _Pool) -> str:
        d = self.d
        name = d.one(pool.names)
        if pool.dtype == "f32" and pool.shape == (3,) and d.rarely("captured_argument"):
            hidden = d.went_backward and not pool.grad and "spent_result" not in d.on  # results would require grad, too
            return "m.b" if hidden else d.one(["m.b", "m.w", "c"])
        if d.rarely("view_argument"):
            views = [".detach()"] if not pool.grad or self._may_drop_gradients() else []
            views += ["[None][0]"] if not pool.grad or "history_argument" in d.on else []
            return name + d.one(views) if views else name
        return name

    def _may_drop_gradients(self) -> bool:
        """Whether a call may leave nothing to differentiate: rarely where that makes backward() an error."""
        return not self.d.went_backward or self.d.rarely()

    def _between(self, pools: list[_Pool]) -> None:
        d = self.d
        names = list(dict.fromkeys(name for pool in pools for name in pool.names if pool.dtype != "i64"))
        if "accumulate" not in d.on:
            text = "\n".join([*d.lines, *(segment.text for segment in self.segments)])
            used = [name for name in (*names, "m.w", "c") if re.search(rf"\b{name}\b|{name[:2]}\(", text)]
            if "backward" in text:
                self._say(f"for t in [{', '.join(used)}]:", "    t.grad = None")
        if d.rarely("module_number"):
            self._say(f"m.scale = {d.number()}")
        if d.rarely("mode"):
            self._say(f"m.train({d.one([False, True])})")
        if d.rarely("optimizer"):
            self._say('opt.param_groups[0]["lr"] = 0.25')
        if d.rarely("outside_write"):
            self._say(
                "with tt.no_grad():",
                f"    {d.one([*names, 'm.w', 'm.b', 'c'])}.{d.one(['mul_', 'add_'])}({d.number()})",
            )

    def _after(self) -> None:
        d = self.d
        for path, v in self.paths:
            if v.grad and v.is_float and not d.went_backward and d.maybe("backward_outside"):
                self._say(f"if out{path}.requires_grad:", f"    (out{path} * 2.0).sum().backward()")
                break
        if d.rarely("optimizer_outside"):
            self._say("opt.step()", "opt.zero_grad()")
        if self.paths and d.rarely("result_write"):
            path, v = d.one(self.paths)
            if v.dtype != "bool" and not v.spread:
                self._say("with tt.no_grad():", f"    out{path}.add_(1)")
