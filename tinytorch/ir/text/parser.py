"""The text of graphs, read back. Types are inferred again; an error names the line that is rejected."""

from __future__ import annotations

import base64
import binascii
import re
import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NoReturn, TypeVar

import numpy as np

from tinytorch.ir.errors import VerifyError
from tinytorch.ir.graph import Graph, Node, Value
from tinytorch.ir.kernels.family import FormError
from tinytorch.ir.kernels.form import check_kernel
from tinytorch.ir.loc import Loc
from tinytorch.ir.op import OPS, Array
from tinytorch.ir.text.printer import array_of
from tinytorch.ir.types import DTYPES, MAX_BYTES, TensorType, bool_
from tinytorch.ir.verify import check_operands, inferred_types

_TOKEN = re.compile(
    r"""(?P<space>[ \t\r]+|\#[^\n]*|//[^\n]*)
    |(?P<newline>\n)
    |(?P<value>%[A-Za-z0-9_.]+)
    |(?P<number>-?(?:\d+\.?\d*(?:[eE][+-]?\d+)?|\.\d+|inf\b|nan\b))
    |(?P<word>[A-Za-z_][A-Za-z0-9_.]*)
    |(?P<string>'[^'\\\n]*(?:\\.[^'\\\n]*)*'|"[^"\\\n]*(?:\\.[^"\\\n]*)*")
    |(?P<mark>->|=>|\.\.\.|<\w+>|[@(){}\[\]:,=])""",
    re.VERBOSE | re.ASCII,
)
_ESCAPE = re.compile(r"\\(?:([\\'\"ntr])|x([0-9a-fA-F]{2})|u([0-9a-fA-F]{4})|U([0-9a-fA-F]{8})|(.))", re.DOTALL)
_PLAIN_ESCAPES = {"n": "\n", "t": "\t", "r": "\r"}
_MOST_DIGITS = 400  # of a number: more than any dtype has
_MOST_AXES = 64  # as numpy
_DEEPEST = 24  # literals and bodies inside each other
_WORDS: dict[str, Any] = {"None": None, "True": True, "False": False, **DTYPES}
_ELEMENTS = ("True", "False", "nan", "inf")
T = TypeVar("T")


def parse_graph(text: str) -> Graph:
    """The graph that `text` describes; VerifyError names the line it rejects.

    Attributes, types, and the bodies of kernels are checked; how the parts of the graph go together, `verify` checks.
    """
    parser = _Parser(text)
    graph = parser.graph()
    parser.expect("end", "")
    return graph


@dataclass(frozen=True)
class _Token:
    kind: str
    text: str
    line: int


def _tokens(text: str) -> list[_Token]:
    found: list[_Token] = []
    line, at = 1, 0
    while at < len(text):
        match = _TOKEN.match(text, at)
        if match is None:
            raise _error(text, line, f"unexpected character {text[at]!r}")
        kind = match.lastgroup or ""
        if kind == "newline":
            line += 1
        elif kind != "space":
            found.append(_Token(kind, match.group(), line))
        at = match.end()
    return [*found, _Token("end", "", line)]


def _error(text: str, line: int, message: str) -> VerifyError:
    lines = text.split("\n")
    return VerifyError(f"line {line}: {message}\n  {lines[line - 1].strip() if line <= len(lines) else ''}")


class _Parser:
    def __init__(self, text: str) -> None:
        self.text = text
        self.tokens = _tokens(text)
        self.at = 0
        self.depth = 0

    # Tokens.
    @property
    def token(self) -> _Token:
        return self.tokens[self.at]

    def fail(self, message: str, line: int | None = None) -> NoReturn:
        raise _error(self.text, self.token.line if line is None else line, message)

    def accept(self, text: str) -> bool:
        """Step over `text` if it comes next."""
        if self.token.text != text:
            return False
        self.at += 1
        return True

    def expect(self, kind: str, text: str | None = None) -> str:
        """The next token, which must be of `kind` and, if given, read `text`."""
        token = self.token
        if token.kind != kind or text not in (None, token.text):
            self.fail(f"expected {repr(text) if text else kind}, found {repr(token.text) if token.text else 'the end'}")
        self.at += 1
        return token.text

    def mark(self, text: str) -> None:
        self.expect("mark", text)

    def items(self, close: str, item: Callable[[], T]) -> list[T]:
        """`item`s between commas, up to and with `close`; one more comma may come before it."""
        found: list[T] = []
        while not self.accept(close):
            found.append(item())
            if not self.accept(","):
                self.mark(close)
                break
        return found

    # Graphs.
    def graph(self) -> Graph:
        self.expect("word", "graph")
        self.mark("@")
        name = self.string() if self.token.kind == "string" else self.expect("word")
        scope: dict[str, Value] = {}
        renewed: dict[str, int] = {}
        inputs: list[Value] = []

        def declare() -> None:
            line, label = self.token.line, self.expect("value")
            self.mark(":")
            inputs.append(self.define(scope, label, self.type(), line))
            if self.accept("="):
                self.expect("word", "state")
                renewed[label] = len(inputs) - 1

        self.mark("(")
        self.items(")", declare)
        self.mark("->")
        self.mark("(")
        outputs = self.items(")", self.output)
        self.mark("{")
        nodes: list[Node] = []
        while not self.accept("}"):
            nodes.append(self.node(scope))
        values = tuple(self.known(scope, label, line) for label, _, line in outputs)
        state = self.state(outputs, renewed)
        for i, o in state:
            if inputs[i].type != values[o].type:
                self.fail(f"state of {inputs[i].type} cannot become {values[o].type}", outputs[o][2])
        return Graph(name, tuple(inputs), tuple(nodes), values, state)

    def output(self) -> tuple[str, str | None, int]:
        """The name, the state input it renews if any, and the line."""
        line, label = self.token.line, self.expect("value")
        return label, self.expect("value") if self.accept("=>") else None, line

    def state(self, outputs: list[tuple[str, str | None, int]], renewed: dict[str, int]) -> tuple[tuple[int, int], ...]:
        pairs: list[tuple[int, int]] = []
        for index, (_, target, line) in enumerate(outputs):
            if target is None:
                continue
            if target not in renewed:
                self.fail(f"{target} is not declared `= state`, or renewed twice", line)
            pairs.append((renewed.pop(target), index))
        if renewed:
            self.fail(f"state {', '.join(renewed)} has no output that renews it", outputs[0][2] if outputs else 1)
        return tuple(pairs)

    def define(self, scope: dict[str, Value], label: str, type: TensorType, line: int) -> Value:
        if label in scope:
            self.fail(f"{label} is defined twice", line)
        hint = label[1:]
        scope[label] = Value(type, "" if hint.isdigit() else hint)
        return scope[label]

    def known(self, scope: dict[str, Value], label: str, line: int) -> Value:
        if label not in scope:
            self.fail(f"{label} is not defined", line)
        return scope[label]

    # Nodes.
    def node(self, scope: dict[str, Value]) -> Node:
        line = self.token.line
        labels = [self.expect("value")]
        while self.accept(","):
            labels.append(self.expect("value"))
        self.mark("=")
        name = self.expect("word")
        if name not in OPS:
            self.fail(f"there is no op {name!r}", line)
        self.mark("(")
        inputs = tuple(self.items(")", lambda: self.known(scope, self.expect("value"), line)))
        self.mark(":")
        types = [self.type()]
        while self.accept(","):
            types.append(self.type())
        attrs = self.attributes() if self.accept("{") else {}
        self.check(name, inputs, attrs, types, line)
        if len(labels) != len(types):
            self.fail(f"{name} has {len(types)} results, not {len(labels)}", line)
        outputs = tuple(self.define(scope, label, type, line) for label, type in zip(labels, types, strict=True))
        node = Node(OPS[name], inputs, attrs, outputs, self.loc())
        if node.op.kind == "kernel":
            self.check_kernel(node, line)
        return node

    def check_kernel(self, node: Node, line: int) -> None:
        try:
            check_operands(node)
            if "family" in node.attrs:
                check_kernel(node)
        except FormError as error:
            self.fail(error.message, line)
        except VerifyError as error:
            self.fail(str(error), line)

    def check(
        self, name: str, inputs: tuple[Value, ...], attrs: dict[str, Any], types: list[TensorType], line: int
    ) -> None:
        try:
            inferred = inferred_types(OPS[name], [v.type for v in inputs], attrs)
        except VerifyError as error:
            self.fail(str(error), line)
        if list(inferred) != types:
            self.fail(f"{name} gives {', '.join(map(str, inferred))}, not {', '.join(map(str, types))}", line)

    def loc(self) -> Loc | None:
        if not self.accept("loc"):
            return None
        line = self.token.line
        self.mark("(")
        found = self.items(")", self.literal)
        types = [type(f) for f in found]
        if types[:2] != [str, int] or not set(types[2:]) <= {str} or len(types) > 5 or "\0" in found[0]:
            self.fail("a location is loc('file', line), and behind that 'scope', 'phase', 'part_of'", line)
        return Loc(*found)

    def type(self) -> TensorType:
        name = self.expect("word")
        if name not in DTYPES:
            self.fail(f"there is no dtype {name!r}")
        self.mark("[")
        found = TensorType(DTYPES[name], tuple(self.items("]", self.integer)))
        if found.rank > _MOST_AXES or found.bytes > MAX_BYTES:
            self.fail("a type has at most 64 axes, and no more elements than any memory holds")
        return found

    def integer(self) -> int:
        text = self.token.text
        if self.token.kind == "number" and not text.isdigit():
            self.fail(f"expected a size, found {text!r}")
        return int(self.number(self.expect("number")))

    def number(self, text: str) -> str:
        if len(text) > _MOST_DIGITS:
            self.fail(f"a number of {len(text)} digits")
        return text

    def string(self) -> str:
        """The next token as a string; it may hold the escapes that `repr` writes."""
        line = self.token.line

        def unescaped(match: re.Match[str]) -> str:
            plain, *codes, odd = match.groups()
            code = next((int(c, 16) for c in codes if c is not None), None)
            if odd is not None or (code is not None and code > sys.maxunicode):
                self.fail(f"there is no escape {match.group()!r}", line)
            return chr(code) if code is not None else _PLAIN_ESCAPES.get(plain, plain)

        return _ESCAPE.sub(unescaped, self.expect("string")[1:-1])

    # Attributes.
    def attributes(self) -> dict[str, Any]:
        line = self.token.line
        found = self.items("}", self.attribute)
        if len(dict(found)) != len(found):
            self.fail("an attribute is given twice", line)
        return dict(found)

    def attribute(self) -> tuple[str, Any]:
        key = self.expect("word")
        self.mark("=")
        return key, self.literal()

    def literal(self) -> Any:
        self.depth += 1
        if self.depth > _DEEPEST:
            self.fail(f"more than {_DEEPEST} levels inside each other")
        found = self.any_literal()
        self.depth -= 1
        return found

    def any_literal(self) -> Any:
        token = self.token
        if token.kind == "word" and token.text == "graph":
            return self.graph()
        if token.kind == "word" and self.tokens[self.at + 1].text == "[":
            return self.array(self.type())
        if token.kind == "string":
            return self.string()
        self.at += 1
        if token.kind == "number":
            digits = token.text.removeprefix("-")
            return int(self.number(token.text)) if digits.isdigit() else float(token.text)
        if token.text == "(":
            return tuple(self.items(")", self.literal))
        if token.kind == "word" and token.text in _WORDS:
            return _WORDS[token.text]
        what = "a Python object cannot be read back from text" if token.text.startswith("<") else "expected a literal"
        raise _error(self.text, token.line, f"{what}: {token.text!r}")

    def array(self, type: TensorType) -> Array:
        line = self.token.line
        self.mark("(")
        if self.accept("..."):
            self.fail("this array was elided; print the graph without `elide` to read it back", line)
        try:
            if self.token.kind == "string":
                data = base64.b64decode(self.string(), validate=True)
                self.mark(")")
                if type.dtype is bool_ and data.strip(b"\0\1"):
                    self.fail("bytes of bools are 0 and 1", line)
                return np.frombuffer(data, type.dtype.numpy).reshape(type.shape).copy()
            return array_of(type, self.items(")", self.element))
        except (ValueError, OverflowError, binascii.Error) as error:
            self.fail(f"not an array of {type}: {error}", line)

    def element(self) -> str:
        """A number, or a word for one that has no digits."""
        if self.token.kind != "word":
            return self.number(self.expect("number"))
        if self.token.text not in _ELEMENTS:
            self.fail(f"expected a number, found {self.token.text!r}")
        return self.expect("word")
