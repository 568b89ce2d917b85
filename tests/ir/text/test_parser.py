"""Odd text: whatever stands there, the parser gives a graph or names a line; the verifier knows what attributes are."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest

from tinytorch.ir.errors import TinyTorchError, VerifyError
from tinytorch.ir.graph import Graph, Node, Value
from tinytorch.ir.loc import Loc
from tinytorch.ir.op import OPS
from tinytorch.ir.ops.core import kernel
from tinytorch.ir.text.parser import parse_graph
from tinytorch.ir.text.printer import print_graph
from tinytorch.ir.types import TensorType, f32
from tinytorch.ir.verify import verify
from tinytorch.runtime import cache


def exp(attrs: str) -> str:
    """A graph with these attributes in its second line."""
    return f"graph @g(%x: f32[2]) -> (%y) {{\n  %y = exp(%x) : f32[2] {attrs}\n}}"


# Text that is no graph, and the line that is to blame.
ODD = {
    "deep tuples": (exp("{a=" + "(" * 100_000), 2),
    "deep tuples that end": (exp("{a=" + "(" * 2000 + "," * 2000 + ")" * 2000 + "}"), 2),
    "deep bodies": ("graph @g() -> () {\n" + "%y = kernel() : f32[] {body=graph @g() -> () {\n" * 5000, None),
    "a half escape": (exp(r"{a='\x4'}"), 2),
    "an escape by name": (exp(r"{a='\N{BULLET}'}"), 2),
    "an octal escape": (exp(r"{a='\101'}"), 2),
    "an unknown escape": (exp(r"{a='\d'}"), 2),
    "a character that is none": (exp(r"{a='\U00110000'}"), 2),
    "an escape at the end": (exp("{a='\\"), 2),
    "an open string": (exp("{a='b}"), 2),
    "a string over lines": (exp("{a='b\nc'}"), 2),
    "bytes": (exp("{a=b'c'}"), 2),
    "a null character": (exp("{a=\0}"), 2),
    "a digit of another script": (exp("{a=²}"), 2),
    "Arabic digits": (exp("{a=٣}"), 2),
    "a number of many digits": (exp("{a=" + "7" * 5000 + "}"), 2),
    "a size of many digits": (exp("").replace("f32[2])", "f32[" + "7" * 5000 + "])"), 1),
    "a negative size": (exp("").replace("f32[2])", "f32[-2])"), 1),
    "a size with a point": (exp("").replace("f32[2])", "f32[2.0])"), 1),
    "a size larger than any memory": (exp("").replace("f32[2]", "f32[99999999999999999999]"), 1),
    "too many axes": (exp("").replace("f32[2])", f"f32[{'1,' * 65}2])"), 1),
    "a value of many digits in an array": (exp("{a=i64[1](" + "7" * 5000 + ")}"), 2),
    "a value that does not fit": (exp("{a=i8[1](300)}"), 2),
    "a fraction in an array of integers": (exp("{a=i8[1](1.5)}"), 2),
    "a word in an array": (exp("{a=f32[1](infinity)}"), 2),
    "a word in an array of bools": (exp("{a=bool[1](yes)}"), 2),
    "bytes of bools that are none": (exp("{a=bool[2]('AgE=')}"), 2),
    "half of the bytes": (exp("{a=f32[2]('AAAAAAA=')}"), 2),
    "no base64": (exp("{a=f32[2]('%%%')}"), 2),
    "an array without elements": (exp("{a=f32[1000000000]()}"), 2),
    "a location with a null character": (exp(r"loc('a\x00b', 1)"), 2),
    "a location without a line": (exp("loc('a')"), 2),
    "a word for a literal": (exp("{a=os}"), 2),
    "a call": (exp("{a=exit()}"), 2),
    "state of another type": (
        "graph @g(%x: f32[2] = state) -> (%y => %x) {\n %y = reshape(%x) : f32[1,2] {shape=(1, 2)}\n}",
        1,
    ),
    "nothing": ("", 1),
    "only a name": ("graph", 1),
    "two graphs": (exp("") + "\n" + exp(""), 4),
}


@pytest.mark.parametrize("case", ODD)
def test_odd_text_is_an_error_that_names_a_line(case: str) -> None:
    text, line = ODD[case]
    with pytest.raises(VerifyError) as caught:
        parse_graph(text)
    found = re.match(r"line (\d+): ", str(caught.value))
    assert found and line in (None, int(found[1])), str(caught.value)[:200]


def test_every_start_of_a_text_is_an_error() -> None:
    text = exp("{a=(1, 'b', f32[2](0.5, nan)), c=graph @h() -> () {}} loc('f', 3)")
    for end in range(len(text)):
        with pytest.raises(VerifyError, match=r"^line \d+: "):
            parse_graph(text[:end])


NAMES = ["it's", 'a "b"', "\\", "\n\r\t\0", "é λ 日本", "\udc80", "\x7f\x80", "'" * 3, "😀", "\\x41", ""]


@pytest.mark.parametrize("name", NAMES)
def test_every_string_round_trips(name: str) -> None:
    x = Value(TensorType(f32, (2,)), "x")
    body = Graph(name, (x,), (), (x,))
    node = Node(kernel, (x,), {"body": body, "note": name}, (Value(x.type),), Loc(name.replace("\0", ""), 3, name))
    text = print_graph(Graph(name, (x,), (node,), node.outputs), locs=True)
    again = parse_graph(text)
    assert again.name == name and again.nodes[0].attrs["note"] == name and again.nodes[0].attrs["body"].name == name
    assert again.nodes[0].loc == node.loc
    assert len(cache.key(text)) == 64


def test_lines_may_end_as_on_windows() -> None:
    assert len(parse_graph(exp("").replace("\n", "\r\n")).nodes) == 1


def test_an_error_reads_no_file_that_never_ends(tmp_path: Path) -> None:
    text = "graph @g(%x: f32[2]) -> (%y) {\n %y = exp(%x) : f32[2] loc('/dev/zero', 1)\n}"
    graph = parse_graph(text)
    node = graph.nodes[0]
    broken = Graph("g", (), (node,), node.outputs)
    with pytest.raises(VerifyError, match=r"zero:1$"):
        verify(broken)


# Attributes.
T = "f32[4,6]"
ATTRIBUTES = {
    "a float in a shape": "%y = reshape(%x) : f32[24] {shape=(24.0,)}",
    "a bool in a shape": "%y = reshape(%x) : f32[1,24] {shape=(True, 24)}",
    "a number for a shape": "%y = reshape(%x) : f32[24] {shape=24}",
    "a string for a shape": "%y = reshape(%x) : f32[24] {shape='24'}",
    "a float axis": "%y = softmax(%x) : f32[4,6] {axis=1.0}",
    "an axis from the end": "%y = softmax(%x) : f32[4,6] {axis=-1}",
    "an axis for a gather from the end": "%y = gather(%x, %i) : f32[4,6] {axis=-2}",
    "float axes": "%y = sum(%x) : f32[1,6] {axes=(0.0,)}",
    "float windows": "%y = slice(%x) : f32[2,6] {starts=(0, 0), limits=(2.0, 6), steps=(1, 1)}",
    "a string for a dtype": "%y = cast(%x) : f64[4,6] {dtype='f64'}",
    "a float size": "%y = checked_index(%i) : i64[4] {size=4.0}",
    "two sizes": "%y = checked_index(%i) : i64[4] {size=(4, 4, 4)}",
    "a negative size": "%y = checked_index(%i) : i64[4] {size=-4}",
    "a number for wrap": "%y = checked_index(%i) : i64[4] {size=4, wrap=1}",
    "a float word": "%y = random_bits(%s) : i32[3] {shape=(3,), word=1.0}",
    "text for a number": "%y = dropout(%x, %s) : f32[4,6] {p='half'}",
    "text for eps": "%y = layernorm(%x) : f32[4,6] {axes=(1,), eps='small'}",
    "a number for a bool": "%y = gelu(%x) : f32[4,6] {approximate=1}",
    "an attribute that a composite does not know": "%y = relu(%x) : f32[4,6] {slope=0.1}",
    "an attribute that a composite needs": "%y = gelu(%x) : f32[4,6]",
    "padding by text": "%y = pad(%x) : f32[5,6] {low=(1, 0), high=(0, 0), interior=(0, 0), value='a'}",
    "a fraction for integers": "%y = pad(%i) : i64[5] {low=(1,), high=(0,), interior=(0,), value=0.5}",
    "a number too large for bytes": "%y = pad(%u) : u8[5] {low=(1,), high=(0,), interior=(0,), value=256}",
    "a NaN for integers": "%y = pad(%i) : i64[5] {low=(1,), high=(0,), interior=(0,), value=nan}",
    "indices that do not fit": "%y = iota() : i8[300] {shape=(300,), axis=0, dtype=i8}",
    "indices that are bools": "%y = iota() : bool[3] {shape=(3,), axis=0, dtype=bool}",
    "a number for an array": "%y = constant() : f32[] {value=1.0}",
    "three strides": "%y = conv2d(%m, %w) : f32[1,4,4,2] {stride=(1, 1, 1), low=(1, 1), high=(1, 1), "
    "dilation=(1, 1), groups=1}",
    "three paddings": "%y = conv2d(%m, %w) : f32[1,4,4,2] {stride=(1, 1), low=(1, 1, 1), high=(1, 1), "
    "dilation=(1, 1), groups=1}",
    "a stride of nothing": "%y = max_unpool2d(%q, %k) : f32[1,4,4,3] {size=(4, 4), window=(2, 2), stride=(0, 2), "
    "low=(0, 0), dilation=(1, 1)}",
    "an unpooling without dilation": "%y = max_unpool2d(%q, %k) : f32[1,4,4,3] {size=(4, 4), window=(2, 2), "
    "stride=(2, 2), low=(0, 0)}",
    "padding beyond any memory": "%y = conv2d(%m, %w) : f32[1,4,4,2] {stride=(1, 1), "
    "low=(1000000000000000000000, 1), high=(-999999999999999999998, 1), dilation=(1, 1), groups=1}",
    "a stride that makes too many parts": "%y = conv2d_input_grad(%q, %v) : f32[1,4,4,3] {size=(4, 4), "
    "stride=(1000000, 1000000), low=(0, 0), dilation=(1, 1), groups=1}",
    "three operands of a comparison": "%y = eq(%x, %x, %x) : bool[4,6]",
    "one operand of a comparison": "%y = eq(%x) : bool[4,6]",
    "two operands of floor": "%y = floor(%x, %x) : f32[4,6]",
}
INPUTS = (
    "%x: f32[4,6], %i: i64[4], %s: i64[2], %u: u8[4], %m: f32[1,4,4,3], %w: f32[3,3,3,2], %q: f32[1,2,2,3], "
    "%k: u8[1,2,2,3], %v: f32[2,2,3,3]"
)


@pytest.mark.parametrize("case", ATTRIBUTES)
def test_attributes_have_types_and_ranges(case: str) -> None:
    with pytest.raises(TinyTorchError, match=r"^line 2: "):
        parse_graph(f"graph @g({INPUTS}) -> (%y) {{\n  {ATTRIBUTES[case]}\n}}")


def test_attributes_of_graphs_that_are_built_are_checked_too() -> None:
    x = Value(TensorType(f32, (4, 6)), "x")
    for axis, fits in ((1, True), (np.int64(1), True), (1.0, False), (True, False), (-1, False), ("1", False)):
        node = Node(OPS["softmax"], (x,), {"axis": axis}, (Value(x.type),))
        graph = Graph("g", (x,), (node,), node.outputs)
        if fits:
            verify(graph)
            continue
        with pytest.raises(VerifyError, match="axis is an integer that is not negative"):
            verify(graph)


def test_inputs_larger_than_any_memory() -> None:
    x = Value(TensorType(f32, (1 << 50,)), "x")
    with pytest.raises(VerifyError, match="larger than any memory"):
        verify(Graph("g", (x,), (), (x,)))
