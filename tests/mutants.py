"""Changed texts of graphs, and running them: each is refused with a TinyTorchError, or gives the reference's result.

    python -m tests.mutants SEED FIRST LAST [FILE]

runs those mutants in a process of its own, since what goes wrong with wrong code can end one; FILE holds the one that
runs.
"""

from __future__ import annotations

import random
import re
import sys
from pathlib import Path

import numpy as np

from tests.execution import Arrays, kernels
from tinytorch.frontend.tensor import Tensor
from tinytorch.frontend.tensor.storage import Storage
from tinytorch.ir.arrays.reference import evaluate
from tinytorch.ir.errors import TinyTorchError
from tinytorch.ir.graph import Graph
from tinytorch.ir.op import OPS
from tinytorch.ir.text.parser import parse_graph
from tinytorch.ir.text.printer import print_graph
from tinytorch.ir.verify import verify
from tinytorch.passes.pipeline import DEFAULT_PASSES, run_passes
from tinytorch.runtime.backend import MISMATCH, Binding
from tinytorch.runtime.executable import Executable
from tinytorch.runtime.llvm.backend import LlvmBackend

MOST_ELEMENTS = 1 << 14  # of one value: larger ones only take time

SOURCES = [
    """graph @rows(%x: f32[4,6], %w: f32[6], %i: i64[4]) -> (%y, %loss, %p) {
      %m = max(%x) : f32[4,1] {axes=(1,)}
      %mb = broadcast(%m) : f32[4,6] {shape=(4, 6)}
      %s = sub(%x, %mb) : f32[4,6]
      %e = exp(%s) : f32[4,6]
      %t = sum(%e) : f32[4,1] {axes=(1,)}
      %tb = broadcast(%t) : f32[4,6] {shape=(4, 6)}
      %q = div(%e, %tb) : f32[4,6]
      %wr = reshape(%w) : f32[1,6] {shape=(1, 6)}
      %wb = broadcast(%wr) : f32[4,6] {shape=(4, 6)}
      %y = mul(%q, %wb) : f32[4,6]
      %loss = cross_entropy(%x, %i) : f32[4] {smoothing=0.1}
      %p = softmax(%y) : f32[4,6] {axis=1}
    }""",
    """graph @product(%x: f32[5,4], %w: f32[4,6] = state, %b: f32[6]) -> (%y, %v => %w) {
      %h = matmul(%x, %w) : f32[5,6]
      %br = reshape(%b) : f32[1,6] {shape=(1, 6)}
      %bb = broadcast(%br) : f32[5,6] {shape=(5, 6)}
      %a = add(%h, %bb) : f32[5,6]
      %y = relu(%a) : f32[5,6]
      %xt = permute(%x) : f32[4,5] {axes=(1, 0)}
      %g = matmul(%xt, %y) : f32[4,6]
      %r = constant() : f32[] {value=f32[](0.1)}
      %rb = broadcast(%r) : f32[4,6] {shape=(4, 6)}
      %d = mul(%g, %rb) : f32[4,6]
      %v = sub(%w, %d) : f32[4,6]
    }""",
    """graph @indices(%x: f32[6,5], %i: i64[3], %j: i32[3], %u: f32[3,5]) -> (%a, %s, %f) {
      %c = checked_index(%i) : i64[3] {size=6}
      %a = gather(%x, %c) : f32[3,5] {axis=0}
      %k = constant() : i64[3] {value=i64[3](1, 0, 5)}
      %s = scatter_add(%x, %k, %u) : f32[6,5] {axis=0}
      %l = cast(%j) : i64[3] {dtype=i64}
      %m = checked_index(%l) : i64[3] {size=5, wrap=False}
      %five = constant() : i64[] {value=i64[](5)}
      %fb = broadcast(%five) : i64[3] {shape=(3,)}
      %n = mul(%c, %fb) : i64[3]
      %o = add(%n, %m) : i64[3]
      %flat = reshape(%x) : f32[30] {shape=(30,)}
      %f = gather(%flat, %o) : f32[3] {axis=0}
    }""",
    """graph @places(%x: f32[6,5] = state, %u: f32[2,5], %v: f32[5], %t: i64[], %i: i32[]) -> (%r, %s, %q, %n => %x) {
      %j = cast(%i) : i64[] {dtype=i64}
      %c = checked_index(%j) : i64[] {size=5}
      %r = dynamic_slice(%x, %c) : f32[2,3] {starts=(0, 0), limits=(2, 5), steps=(1, 2), axes=(0,)}
      %a = update_slice(%x, %u, %t) : f32[6,5] {starts=(0, 0), steps=(3, 1), axes=(0,)}
      %s = scatter(%a, %c, %v) : f32[6,5] {axis=0}
      %w = slice(%u) : f32[2,3] {starts=(0, 0), limits=(2, 5), steps=(1, 2)}
      %n = update_slice(%a, %w, %c) : f32[6,5] {starts=(0, 2), steps=(1, 1), axes=(0,)}
      %q = sum(%n) : f32[1,5] {axes=(0,)}
    }""",
    """graph @images(%x: f32[2,6,6,3], %w: f32[3,3,3,4], %b: f32[4]) -> (%p, %i, %g, %c) {
      %h = conv2d(%x, %w) : f32[2,6,6,4] {stride=(1, 1), low=(1, 1), high=(1, 1), dilation=(1, 1), groups=1}
      %br = reshape(%b) : f32[1,1,1,4] {shape=(1, 1, 1, 4)}
      %bb = broadcast(%br) : f32[2,6,6,4] {shape=(2, 6, 6, 4)}
      %a = add(%h, %bb) : f32[2,6,6,4]
      %r = relu(%a) : f32[2,6,6,4]
      %p, %i = max_pool2d(%r) : f32[2,3,3,4], u8[2,3,3,4] {window=(2, 2), stride=(2, 2), low=(0, 0), high=(0, 0),
        dilation=(1, 1)}
      %q = max_unpool2d(%p, %i) : f32[2,6,6,4] {size=(6, 6), window=(2, 2), stride=(2, 2), low=(0, 0), dilation=(1, 1)}
      %g = conv2d_weight_grad(%x, %q) : f32[3,3,3,4] {window=(3, 3), stride=(1, 1), low=(1, 1), dilation=(1, 1),
        groups=1}
      %c = conv2d_input_grad(%q, %w) : f32[2,6,6,3] {size=(6, 6), stride=(1, 1), low=(1, 1), dilation=(1, 1), groups=1}
    }""",
    """graph @moves(%x: f32[3,4], %y: i32[2,4], %s: i64[2]) -> (%d, %k, %a, %m, %n) {
      %p = pad(%x) : f32[5,9] {low=(1, 0), high=(1, 2), interior=(0, 1), value=0.5}
      %f = flip(%p) : f32[5,9] {axes=(0,)}
      %c = slice(%f) : f32[2,4] {starts=(0, 1), limits=(4, 9), steps=(2, 2)}
      %z = cast(%y) : f32[2,4] {dtype=f32}
      %d = concat(%c, %x, %z) : f32[7,4] {axis=0}
      %o = iota() : i32[2,4] {shape=(2, 4), axis=1, dtype=i32}
      %w = add(%o, %y) : i32[2,4]
      %k = where(%l, %w, %y) : i32[2,4]
      %a = argmax(%x) : i64[3,1] {axes=(1,)}
      %m = dropout(%x, %s) : f32[3,4] {p=0.5}
      %n = layernorm(%x) : f32[3,4] {axes=(1,), eps=1e-05}
    }""".replace("%k = where", "%l = lt(%o, %y) : bool[2,4]\n      %k = where"),
]  # fmt: skip

_TOKEN = re.compile(r"%[\w.]+|-?\d+(?:\.\d+)?(?:e-?\d+)?|[A-Za-z_]\w*|'[^'\n]*'|->|=>|[^\s]")
_NUMBERS = ["0", "1", "-1", "2", "3", "4", "5", "6", "7", "30", "64", "255", "256", "1000", "0.5", "2.0", "-0.0"]
_NUMBERS += ["1e-05", "nan", "inf", "2147483648", "9223372036854775807", "9" * 30, "9" * 5000, "True", "None", "'a'"]
_ODD = ["(", ")", "((", "{", "}", "[", "]", ",", "=", "'", '"', "\\", "'\\x'", "'\\N{a}'", "\x00", "é", "²", "\n", "#"]


def sources() -> list[str]:
    """The graphs above as they are, and as graphs of kernels."""
    plain = [parse_graph(text) for text in SOURCES]
    return [*map(print_graph, plain), *(print_graph(kernels(graph)) for graph in plain)]


def mutant(texts: list[str], rng: random.Random) -> str:
    """One of the texts with one to three changes."""
    text = rng.choice(texts)
    for _ in range(rng.choice([1, 1, 1, 2, 3])):
        text = _changed(text, rng)
    return text


def _changed(text: str, rng: random.Random) -> str:
    spans = [m.span() for m in _TOKEN.finditer(text)]
    if not spans:
        return text
    start, end = rng.choice(spans)
    token = text[start:end]
    kind = (
        token[0]
        if token[0] in "%'"
        else "0"
        if token.lstrip("-")[:1].isdigit()
        else "a"
        if token.isidentifier()
        else ""
    )
    alike = [text[a:b] for a, b in spans if _alike(text[a:b], kind)]
    match rng.randrange(20):
        case 12 | 13 | 14 | 15 | 16:
            return _other_operand(text, rng)
        case 17 | 18 | 19:
            return _other_op(text, rng)
        case 0 | 1 | 2 | 3 | 4 if alike:  # another one of its kind
            return text[:start] + rng.choice(alike) + text[end:]
        case 5 | 6 if kind == "0":
            return text[:start] + rng.choice(_NUMBERS) + text[end:]
        case 7:
            return text[:start] + text[end:]
        case 8:
            return text[:start] + rng.choice(_ODD) + text[end:]
        case 9 | 10:
            return _other_lines(text, rng)
        case 11 if kind == "0":  # everywhere, so that more of it fits together
            other = str(max(0, int(float(token)) + rng.choice([-1, 1, 2])))
            return re.sub(rf"(?<![\w.%]){re.escape(token)}(?![\w.])", other, text)
        case _:
            at = rng.randrange(len(text))
            return text[:at] + chr(rng.choice([*range(32, 127), 0, 10, 955])) + text[at + 1 :]


_VALUE = re.compile(r"(%[\w.]+)(?:: | = [^:\n]*\) : )(\w+\[[\d,]*\])")  # a value and its type, or its first one's
_CALL = re.compile(r"= (\w+)\(([^)\n]*)\)")


def _other_operand(text: str, rng: random.Random) -> str:
    """Another value of the same type as an operand or an output; one time in eight, one of any type."""
    types = dict(_VALUE.findall(text))
    spans = [m.span() for m in re.finditer(r"%[\w.]+(?=[,)])", text)]
    if not spans:
        return text
    start, end = rng.choice(spans)
    own = types.get(text[start:end])
    others = [name for name, type in types.items() if type == own or rng.random() < 1 / 8]
    return text[:start] + rng.choice(others or ["%x"]) + text[end:]


def _other_op(text: str, rng: random.Random) -> str:
    """Another op of the same number of operands, here or everywhere."""
    calls = [m for m in _CALL.finditer(text) if m[1] in OPS]
    if not calls:
        return text
    call = rng.choice(calls)
    arity, kind = len(call[2].split(",")), OPS[call[1]].kind
    others = [op.name for op in OPS.values() if isinstance(op.vjp, tuple) and len(op.vjp) == arity]
    others += [op.name for op in OPS.values() if op.kind == kind]
    other = rng.choice(others)
    if rng.random() < 0.3:
        return re.sub(rf"\b{call[1]}\b", other, text)
    return text[: call.start(1)] + other + text[call.end(1) :]


def _alike(token: str, kind: str) -> bool:
    if kind == "0":
        return token.lstrip("-")[:1].isdigit()
    return token.isidentifier() if kind == "a" else bool(kind) and token[0] == kind


def _other_lines(text: str, rng: random.Random) -> str:
    """Two lines exchanged, one left out, or one twice."""
    lines = text.split("\n")
    i, j = rng.randrange(len(lines)), rng.randrange(len(lines))
    match rng.randrange(3):
        case 0:
            lines[i], lines[j] = lines[j], lines[i]
        case 1:
            del lines[i]
        case _:
            lines.insert(i, lines[j])
    return "\n".join(lines)


def parsed(text: str) -> Graph | None:
    """The graph of a text that parses and verifies; None where a TinyTorchError says why not."""
    try:
        graph = parse_graph(text)
        verify(graph)
    except TinyTorchError:
        return None
    return graph


def is_small(graph: Graph) -> bool:
    """Whether running the graph takes little time."""
    values = [*graph.inputs, *(v for n in graph.nodes for v in n.outputs)]
    return all(v.type.size <= MOST_ELEMENTS for v in values)


def check(graph: Graph, seed: int) -> str:
    """Run a graph as it is, or behind the passes: "same" as the reference, or "refused"."""
    rng = np.random.default_rng(seed)
    # Quarters, whose sums are exact; as integers, indices that are mostly in range.
    inputs = [np.array(rng.integers(-2, 7, v.type.shape) / 4**v.type.dtype.is_float) for v in graph.inputs]
    inputs = [a.astype(v.type.dtype.numpy) for a, v in zip(inputs, graph.inputs, strict=True)]
    try:
        fused = any("family" in n.attrs for n in graph.nodes)
        reference = graph if fused else run_passes(graph, DEFAULT_PASSES, verify=True)[0]
        executable = Executable(graph if fused else kernels(graph), LlvmBackend())
    except TinyTorchError:
        return "refused"
    try:
        wanted = list(evaluate(reference, [np.array(a) for a in inputs]))
    except IndexError:
        wanted = None
    found = _run(executable, graph, inputs)
    if found is None or wanted is None:
        assert found is wanted, f"an index out of range: reference {wanted}, machine code {found}"
        return "same"
    for a, b in zip(found, wanted, strict=True):
        assert (a.dtype, a.shape) == (b.dtype, b.shape)
        if a.dtype.kind in "fV":
            np.testing.assert_allclose(a.astype(np.float64), b.astype(np.float64), rtol=1e-3, atol=1e-4)
        else:
            np.testing.assert_array_equal(a, b)
    return "same"


def _run(executable: Executable, graph: Graph, inputs: Arrays) -> Arrays | None:
    """None where a guard fails."""
    failed: list[int] = []
    binding = Binding(len(inputs), (), Tensor, Tensor.wrap, "_storage", Storage, on_status=failed.append)
    calls = executable.bind(binding)
    tensors = [Tensor.wrap(np.array(a)) for a in inputs]
    result = calls[0](*tensors)
    if failed:
        return None
    assert result is not MISMATCH
    rest = iter(() if result is None else result if isinstance(result, tuple) else (result,))
    state = {output: index for index, output in graph.state}
    return [tensors[state[i]].data if i in state else next(rest).data for i in range(len(graph.outputs))]


def main(seed: int, first: int, last: int, file: Path | None) -> None:
    texts = sources()
    counts = {"no graph": 0, "large": 0, "refused": 0, "same": 0}
    for number in range(first, last):
        text = mutant(texts, random.Random(f"{seed} {number}"))
        if file is not None:
            file.write_text(f"{number}\n{text}", errors="surrogatepass")
        graph = parsed(text)
        counts["no graph" if graph is None else check(graph, number) if is_small(graph) else "large"] += 1
    print(counts)


if __name__ == "__main__":
    main(*map(int, sys.argv[1:4]), Path(sys.argv[4]) if len(sys.argv) > 4 else None)
