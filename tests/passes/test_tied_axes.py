"""Which indices of axes go together: small graphs, counted by hand."""

from __future__ import annotations

import numpy as np
import pytest

from tinytorch.ir.op import OPS
from tinytorch.ir.text.parser import parse_graph
from tinytorch.ir.types import TensorType, dtype_of
from tinytorch.passes.tied_axes.paths import common_factors
from tinytorch.passes.tied_axes.slots import Slots
from tinytorch.passes.tied_axes.tied_axes import TiedAxes, tied_axes


def ties(inputs: str, *lines: str, out: str) -> TiedAxes:
    """Of a graph whose input %x stays, and whose other inputs are weights."""
    text = f"graph @f({inputs}) -> ({out}) {{\n" + "".join(f"  {line}\n" for line in lines) + "}\n"
    graph = parse_graph(text)
    return tied_axes(graph, [v for v in graph.inputs if v.name != "x"])


def groups(found: TiedAxes, *axes: tuple[str, int]) -> list[list[int]]:
    """The classes of axes, numbered in the order in which they come; -1 stays."""
    numbers: dict[int, int] = {-1: -1}
    classes = {v.name: x for v, x in found.classes.items()}
    return [
        [numbers.setdefault(label, len(numbers) - 1) for label in classes[name][axis].tolist()] for name, axis in axes
    ]


def test_neurons_between_two_products_go_one_by_one() -> None:
    found = ties(
        "%x: f32[4,3], %a: f32[3,2], %b: f32[2,5]",
        "%0 = matmul(%x, %a) : f32[4,2]",
        "%1 = exp(%0) : f32[4,2]",
        "%2 = matmul(%1, %b) : f32[4,5]",
        out="%2",
    )
    assert groups(found, ("a", 0), ("a", 1), ("b", 0), ("b", 1)) == [[-1] * 3, [0, 1], [0, 1], [-1] * 5]
    (a, b) = (found.reasons[v] for v in found.reasons if v.name != "x")
    assert a == ("it is an input", "") and b == ("", "it is a result")


def test_sums_and_concatenations_tie() -> None:
    found = ties(
        "%x: f32[4,3], %a: f32[3,2], %b: f32[3,2], %c: f32[3,3], %d: f32[5,6]",
        "%0 = matmul(%x, %a) : f32[4,2]",
        "%1 = matmul(%x, %b) : f32[4,2]",
        "%2 = matmul(%x, %c) : f32[4,3]",
        "%3 = add(%0, %1) : f32[4,2]",
        "%4 = concat(%2, %3) : f32[4,5] {axis=1}",
        "%5 = matmul(%4, %d) : f32[4,6]",
        out="%5",
    )
    assert groups(found, ("a", 1), ("b", 1), ("c", 1), ("d", 0)) == [[0, 1], [0, 1], [2, 3, 4], [2, 3, 4, 0, 1]]


@pytest.mark.parametrize("blocker", ["max(%0) : f32[4,1] {axes=(1,)}", "sum(%0) : f32[4,1] {axes=(1,)}"])
def test_what_is_reduced_stays(blocker: str) -> None:
    found = ties(
        "%x: f32[4,3], %a: f32[3,2], %b: f32[2,5]",
        "%0 = matmul(%x, %a) : f32[4,2]",
        f"%1 = {blocker}",
        "%2 = broadcast(%1) : f32[4,2] {shape=(4, 2)}",
        "%3 = sub(%0, %2) : f32[4,2]",
        "%4 = matmul(%3, %b) : f32[4,5]",
        out="%4",
    )
    assert groups(found, ("a", 1), ("b", 0)) == [[-1, -1], [-1, -1]]


def test_a_flattened_channel_takes_all_its_places() -> None:
    found = ties(
        "%x: f32[2,4,4,3], %a: f32[3,3,3,2], %b: f32[8,5]",
        "%0 = conv2d(%x, %a) : f32[2,2,2,2] {stride=(1, 1), low=(0, 0), high=(0, 0), dilation=(1, 1), groups=1}",
        "%1 = permute(%0) : f32[2,2,2,2] {axes=(0, 3, 1, 2)}",
        "%2 = reshape(%1) : f32[2,8] {shape=(2, 8)}",
        "%3 = matmul(%2, %b) : f32[2,5]",
        out="%3",
    )
    assert groups(found, ("a", 3), ("b", 0)) == [[0, 1], [0] * 4 + [1] * 4]


@pytest.mark.parametrize(
    ("groups_", "weights", "outs", "expected"),
    [
        (4, "f32[1,1,1,4]", 4, [[0, 1, 2, 3], [0, 1, 2, 3]]),  # depthwise
        (4, "f32[1,1,1,8]", 8, [[0, 1, 2, 3], [0, 0, 1, 1, 2, 2, 3, 3]]),  # two outputs for each channel
        (2, "f32[1,1,2,6]", 6, [[0, 0, 1, 1], [0, 0, 0, 1, 1, 1]]),  # whole groups
        (1, "f32[1,1,4,3]", 3, [[0, 1, 2, 3], [4, 5, 6]]),
    ],
)
def test_groups_of_convolutions(groups_: int, weights: str, outs: int, expected: list[list[int]]) -> None:
    attrs = "stride=(1, 1), low=(0, 0), high=(0, 0), dilation=(1, 1)"
    found = ties(
        f"%x: f32[1,3,3,3], %a: f32[1,1,3,4], %b: {weights}, %c: f32[1,1,{outs},2]",
        f"%0 = conv2d(%x, %a) : f32[1,3,3,4] {{{attrs}, groups=1}}",
        f"%1 = conv2d(%0, %b) : f32[1,3,3,{outs}] {{{attrs}, groups={groups_}}}",
        f"%2 = conv2d(%1, %c) : f32[1,3,3,2] {{{attrs}, groups=1}}",
        out="%2",
    )
    assert groups(found, ("a", 3), ("b", 3)) == expected
    assert groups(found, ("c", 2)) == groups(found, ("b", 3))


def test_groups_of_an_input_stay_and_their_outputs_go_in_all_of_them() -> None:
    attrs = "stride=(1, 1), low=(0, 0), high=(0, 0), dilation=(1, 1)"
    found = ties(
        "%x: f32[1,3,3,4], %b: f32[1,1,2,6], %c: f32[1,1,6,2]",
        f"%1 = conv2d(%x, %b) : f32[1,3,3,6] {{{attrs}, groups=2}}",
        f"%2 = conv2d(%1, %c) : f32[1,3,3,2] {{{attrs}, groups=1}}",
        out="%2",
    )
    assert groups(found, ("b", 3), ("c", 2)) == [[0, 1, 2, 0, 1, 2], [0, 1, 2, 0, 1, 2]]


def test_heads_go_as_a_whole() -> None:
    lines = [f"%{i} = matmul(%x, %{n}) : f32[5,6]" for i, n in enumerate("qkv")]
    lines += [f"%{i + 3} = reshape(%{i}) : f32[5,3,2] {{shape=(5, 3, 2)}}" for i in range(3)]
    lines += [f"%{i + 6} = permute(%{i + 3}) : f32[3,5,2] {{axes=(1, 0, 2)}}" for i in range(3)]
    found = ties(
        "%x: f32[5,4], %q: f32[4,6], %k: f32[4,6], %v: f32[4,6], %o: f32[6,4]",
        *lines,
        "%9 = permute(%7) : f32[3,2,5] {axes=(0, 2, 1)}",
        "%10 = matmul(%6, %9) : f32[3,5,5]",
        "%11 = softmax(%10) : f32[3,5,5] {axis=2}",
        "%12 = matmul(%11, %8) : f32[3,5,2]",
        "%13 = permute(%12) : f32[5,3,2] {axes=(1, 0, 2)}",
        "%14 = reshape(%13) : f32[5,6] {shape=(5, 6)}",
        "%15 = matmul(%14, %o) : f32[5,4]",
        out="%15",
    )
    assert groups(found, ("q", 1), ("k", 1), ("v", 1), ("o", 0)) == [[0, 0, 1, 1, 2, 2]] * 4


def test_shuffled_channels_are_found_and_constants_hold_what_they_tell_apart() -> None:
    def shuffled(*more: str, last: str) -> list[list[int]]:
        found = ties(
            "%x: f32[4,3], %a: f32[3,6], %b: f32[6,5]",
            "%0 = matmul(%x, %a) : f32[4,6]",
            "%1 = reshape(%0) : f32[4,2,3] {shape=(4, 2, 3)}",
            "%2 = permute(%1) : f32[4,3,2] {axes=(0, 2, 1)}",
            *more,
            f"%3 = reshape(%{last}) : f32[4,6] {{shape=(4, 6)}}",
            "%4 = matmul(%3, %b) : f32[4,5]",
            out="%4",
        )
        return groups(found, ("a", 1), ("b", 0))

    assert shuffled(last="2") == [[0, 0, 0, 1, 1, 1], [0, 1, 0, 1, 0, 1]]
    told = ["%8 = iota() : i64[4,3,2] {shape=(4, 3, 2), axis=2}", "%9 = cast(%8) : f32[4,3,2] {dtype=f32}"]
    assert shuffled(*told, "%10 = mul(%2, %9) : f32[4,3,2]", last="10") == [[0, 1, 2, 0, 1, 2], [0, 0, 1, 1, 2, 2]]


def test_padding_has_no_channels_and_a_lookup_keeps_its_rows() -> None:
    found = ties(
        "%x: i64[4], %a: f32[7,2], %b: f32[3,5]",
        "%0 = gather(%a, %x) : f32[4,2] {axis=0}",
        "%1 = pad(%0) : f32[4,3] {low=(0, 0), high=(0, 1), interior=(0, 0), value=0.0}",
        "%2 = matmul(%1, %b) : f32[4,5]",
        out="%2",
    )
    assert groups(found, ("a", 0), ("a", 1), ("b", 0)) == [[-1] * 7, [0, 1], [0, 1, -1]]


def test_ops_that_say_nothing_keep_all_that_they_touch() -> None:
    found = ties(
        "%x: f32[4,3], %a: f32[3,2], %b: f32[2,5]",
        "%0 = matmul(%x, %a) : f32[4,2]",
        "%1 = cumsum(%0) : f32[4,2] {axis=1, reverse=False}",
        "%3 = matmul(%1, %b) : f32[4,5]",
        out="%3",
    )
    assert groups(found, ("a", 1), ("b", 0)) == [[-1, -1], [-1, -1]]


@pytest.mark.parametrize(
    ("first", "second", "factors"),
    [
        ([6, 4], [2, 12], [2, 3, 4]),
        ([24], [2, 3, 4], [2, 3, 4]),
        ([4, 6], [6, 4], None),
        ([2, 3], [5], None),
        ([7], [7], [7]),
        ([8, 3, 5], [2, 4, 15], [2, 4, 3, 5]),
    ],
)
def test_common_factors(first: list[int], second: list[int], factors: list[int] | None) -> None:
    assert common_factors(first, second) == factors


@pytest.mark.parametrize("seed", range(20))
def test_classes_are_connected_components(seed: int) -> None:
    nx = pytest.importorskip("networkx")
    rng = np.random.default_rng(seed)
    slots = Slots()
    slots.fresh(count := int(rng.integers(2, 60)))
    graph = nx.empty_graph(count)
    for _ in range(int(rng.integers(1, 4))):  # what comes later joins what was solved before
        a, b = rng.integers(0, count, (2, int(rng.integers(1, 20))))
        slots.unite(a, b)
        graph.add_edges_from(zip(a.tolist(), b.tolist(), strict=True))
        labels, reasons = slots.solve()
        assert not reasons
        for component in nx.connected_components(graph):
            assert {int(labels[i]) for i in component} == {min(component)}


WINDOWS = {"stride": (1, 1), "low": (0, 0), "high": (0, 0), "dilation": (1, 1)}
FORMULAS = {
    "matmul": ([(3, 4), (4, 5)], {}),
    "matmul of batches": ([(2, 3, 3, 4), (2, 3, 4, 5)], {}),
    "conv2d": ([(2, 4, 4, 3), (2, 2, 3, 5)], {**WINDOWS, "groups": 1}),
    "gather": ([(4, 5, 3), (2, 2)], {"axis": 1}),
    "max_pool2d": ([(2, 4, 4, 3)], {**WINDOWS, "window": (2, 2)}),
}


@pytest.mark.parametrize("name", FORMULAS)
def test_formulas_of_ops_say_what_happens_without_an_index(name: str) -> None:
    """Without index 1 along a letter, results lack it too; where they do not have the letter, the index counts as 0."""
    shapes, attrs = FORMULAS[name]
    op, rng = OPS[name.split()[0]], np.random.default_rng(0)
    integers = op.name == "gather"
    arrays = [rng.standard_normal(s) if i == 0 or not integers else rng.integers(0, 5, s) for i, s in enumerate(shapes)]
    types = [TensorType(dtype_of(a.dtype), a.shape) for a in arrays]
    sides = [[part.split() for part in side.split(",")] for side in op.axes(types, attrs).split("->")]
    sides = [[[axis.strip("()") for axis in part if axis not in ("(g",)] for part in side] for side in sides]
    letters = {axis for part in sides[0] for axis in part} - {"."}
    assert letters
    for letter in letters:

        def cut(parts: list[list[str]], given: list[np.ndarray], letter: str = letter) -> list[np.ndarray]:
            return [
                np.delete(a, 1, part.index(letter)) if letter in part else a
                for a, part in zip(given, parts, strict=True)
            ]

        def cleared(parts: list[list[str]], given: list[np.ndarray], letter: str = letter) -> list[np.ndarray]:
            found = [a.copy() for a in given]
            for a, part in zip(found, parts, strict=True):
                if letter in part:
                    a[(slice(None),) * part.index(letter) + (1,)] = 0
            return found

        kept = any(letter in part for part in sides[1])
        whole = op.evaluate(arrays if kept else cleared(sides[0], arrays), attrs)
        for a, b in zip(op.evaluate(cut(sides[0], arrays), attrs), cut(sides[1], list(whole)), strict=True):
            np.testing.assert_allclose(a, b, atol=1e-12)


def test_these_ops_have_formulas() -> None:
    assert {name for name, op in OPS.items() if op.axes is not None} == {name.split()[0] for name in FORMULAS}
