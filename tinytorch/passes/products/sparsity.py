"""What a product by a weight with zeros takes, dense and in sparse forms: a model of what was measured.

Times are in multiply-adds of vectors, as those of `Costs`. On one core of a Zen 4, with AVX-512 and AVX2, the model was
compared with weights of 90 % and 50 % zeros, alone and in blocks, of [200, 256] to [4096, 4096], with 1 and 32 rows.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from tinytorch.ir.graph import Graph, Node, Value
from tinytorch.ir.kernels.costs import Costs
from tinytorch.ir.op import Array
from tinytorch.ir.ops.contract import matmul, panel_matmul
from tinytorch.ir.ops.core import constant
from tinytorch.ir.ops.sparse import (
    BLOCK_ROWS,
    GROUP,
    KEPT,
    blocks_of,
    layout_of,
    semi_structured_matmul,
    sparse_matmul,
    unpack,
    unpack_semi_structured,
)
from tinytorch.ir.types import dtype_of

_LEAST_ZEROS = 0.35  # of a weight's elements: with fewer, no form is faster
_SAMPLE = 4096  # elements that are looked at first
_LEAST_ELEMENTS = 256  # of a weight that is worth it
_GAIN = 0.9  # of the dense time, at most
_SIDE_BY_SIDE = (1, 2, 4, 8, 16)  # columns that have their rows in common
_FEW_ROWS = 8  # for which vectors run along the columns
_GROUP_COLUMNS = {True: 256, False: 128}  # for few rows, and for more, whose sums are larger
_LEAST_COLUMNS = 64  # of a group, where there are several
_DENSE = 1.1  # a multiply-add of a dense product, with what is around it
_SPARSE = 1.15  # the same of a sparse one
_PLACE = 0.9  # to find an element of x: a cycle, in which AVX-512 multiplies one vector, others two
_ENTRY = 1.4  # an entry that meets vectors of rows
_LOADED = 0.25  # and each of its elements
_SLAB = 20  # to begin and to end a slab
_TRANSPOSE = 0.3  # an element of x or of the sums, where vectors run along the rows
_GROUP_OF_FOUR = (3.5, 4)  # two of four: for all rows, and for each
_PADDED = 1.05  # steps, of what even columns would have


@dataclass(frozen=True)
class Form:
    """A form without zeros: two of four along k, or any pattern, in slabs of `lanes` columns of which `side_by_side`
    have their rows in common, in groups of `width` columns."""

    lanes: int
    side_by_side: int = 1
    width: int = 0
    two_of_four: bool = False

    def __str__(self) -> str:
        if self.two_of_four:
            return "two of four along k"
        return f"rows of {self.side_by_side} columns" if self.side_by_side > 1 else "single elements"


@dataclass(frozen=True)
class Choice:
    """What was chosen for a weight [depth, columns] with this share of zeros, met by so many rows: a form, or None
    where it stays dense. `best` is the fastest form, and `ratio` its time by the time of the dense product."""

    rows: int
    depth: int
    columns: int
    zeros: float
    best: Form
    ratio: float

    @property
    def form(self) -> Form | None:
        return self.best if self.ratio <= _GAIN else None


def has_zeros(w: Array) -> bool:
    """Whether a sample of a weight has many zeros."""
    if w.size < _LEAST_ELEMENTS:
        return False
    flat = w.reshape(-1)
    # An odd step meets all rows and columns, whatever powers of two their number is.
    sample = flat[:: max(1, w.size // _SAMPLE) | 1]
    return int(np.count_nonzero(sample)) <= (1 - _LEAST_ZEROS) * sample.size


def is_far(weights: Iterable[Array], costs: Costs) -> bool:
    """Whether the weights of a graph come from behind the caches of a core each time."""
    return sum(w.nbytes for w in weights) > costs.l2_bytes


def choice_of(w: Array, rows: int, far: bool, costs: Costs) -> Choice:
    """The fastest form of a weight for so many rows."""
    dense = _dense_time(w, rows, far, costs)
    times = dict(_times(w, rows, far, costs))
    best = min(times, key=lambda form: times[form])
    zeros = 1 - int(np.count_nonzero(w)) / w.size
    depth, columns = w.shape
    return Choice(rows, depth, columns, zeros, best, times[best] / dense)


def _dense_time(w: Array, rows: int, far: bool, costs: Costs) -> float:
    depth, columns = w.shape
    vectors = depth * -(-columns // costs.lanes(dtype_of(w.dtype)))
    return vectors * max(rows * _DENSE, costs.read if far else costs.read_near)


def _times(w: Array, rows: int, far: bool, costs: Costs) -> Iterator[tuple[Form, float]]:
    """The forms that a weight can have, and what they take."""
    lanes, columns = costs.lanes(dtype_of(w.dtype)), w.shape[1]
    few = rows <= _FEW_ROWS
    for side_by_side, entries in _entries(w):
        if not few and side_by_side > costs.vector_registers // 2:  # which have no room for a sum of each
            break
        each = max(lanes, side_by_side) if few else side_by_side
        form = Form(each, side_by_side, _width(columns, max(each, lanes), few))
        time = _time_of_columns if few else _time_of_rows
        yield form, time(form, entries, w, rows, far, costs)
    if dtype_of(w.dtype).name == "f32" and _is_two_of_four(w):
        form = Form(min(16, 4 * max(1, lanes // 2)), two_of_four=True)
        yield form, _time_of_two(form, w, rows, far, costs)


def _entries(w: Array) -> Iterator[tuple[int, int]]:
    """How many entries there are, for each number of columns side by side."""
    some = w != 0
    for side_by_side in _SIDE_BY_SIDE:
        if side_by_side > 1:
            if some.shape[1] % 2:
                some = np.pad(some, ((0, 0), (0, 1)))
            some = some[:, ::2] | some[:, 1::2]
        yield side_by_side, int(np.count_nonzero(some))


def _is_two_of_four(w: Array) -> bool:
    whole = w.shape[0] // GROUP * GROUP
    counts = (w[:whole] != 0).reshape(-1, GROUP, w.shape[1]).sum(1)
    rest = (w[whole:] != 0).sum(0)
    return int(max(counts.max(initial=0), rest.max(initial=0))) <= KEPT


def _width(columns: int, unit: int, few: bool) -> int:
    """Columns of a group: some groups for threads, whole vectors, and as many columns as a byte can order."""
    wanted = min(_GROUP_COLUMNS[few], max(_LEAST_COLUMNS, columns // 8), columns)
    return min(-(-wanted // unit), BLOCK_ROWS // unit) * unit


def _read(bytes_: float, far: bool, costs: Costs) -> float:
    return bytes_ / costs.vector_bytes * (costs.read if far else costs.read_near)


def _cycles(costs: Costs) -> float:
    """Multiply-adds of vectors in a cycle, by what AVX-512 does."""
    return 1 if costs.vector_bytes >= 64 else 2


def _time_of_columns(form: Form, entries: int, w: Array, rows: int, far: bool, costs: Costs) -> float:
    places = form.lanes // form.side_by_side
    steps = _PADDED * entries / places
    vectors = -(-form.lanes * w.dtype.itemsize // costs.vector_bytes)
    step = places * _PLACE * _cycles(costs) * (1 + 0.6 * (rows - 1)) + rows * vectors * _SPARSE + 1
    slabs = -(-w.shape[1] // form.width) * (form.width // form.lanes) * blocks_of(w.shape[0])
    read = _read(steps * (form.lanes * w.dtype.itemsize + places), far, costs)
    return max(steps * step + read / 2, read) + slabs * (_SLAB + 2 * places * rows)


def _time_of_rows(form: Form, entries: int, w: Array, rows: int, far: bool, costs: Costs) -> float:
    lanes = costs.lanes(dtype_of(w.dtype))
    most = max(1, min(128 // costs.vector_bytes, costs.vector_registers * 3 // 4 // form.side_by_side))
    vectors = -(-rows // lanes)
    tiles = -(-vectors // most)
    each = form.side_by_side * _SPARSE
    slabs = -(-w.shape[1] // form.side_by_side) * blocks_of(w.shape[0])
    turned = rows * sum(w.shape) * _TRANSPOSE
    entry = vectors * each + tiles * (_ENTRY * _cycles(costs) + _LOADED * form.side_by_side)
    read = _read(entries * (form.side_by_side * w.dtype.itemsize + 1), far, costs)
    return max(entries * entry, read) + slabs * tiles * _SLAB / 2 + turned


def _time_of_two(form: Form, w: Array, rows: int, far: bool, costs: Costs) -> float:
    groups = -(-w.shape[0] // GROUP) * -(-w.shape[1] // form.lanes)
    vectors = -(-form.lanes * w.dtype.itemsize // costs.vector_bytes)
    first, each = _GROUP_OF_FOUR
    bytes_ = KEPT * form.lanes * (w.dtype.itemsize + 1 / GROUP)
    tiles = -(-rows // 4)
    return groups * max(vectors * (first * tiles + each * rows), 1.15 * _read(bytes_, far, costs))


# What was chosen, of a graph of kernels.
def choices(graph: Graph, costs: Costs) -> list[Choice]:
    """For each product by a constant weight with many zeros, what `choose_sparse` has seen and said."""
    arrays = {node.output: node.attrs["value"] for node in graph.nodes if node.op is constant}
    found = [product for node in graph.nodes for product in _products(node, arrays)]
    weights = {key: w for key, _, w in found}
    far = is_far(weights.values(), costs)
    return [choice_of(w, rows, far, costs) for _, rows, w in found if has_zeros(w)]


def _products(node: Node, arrays: dict[Value, Array]) -> Iterator[tuple[Value, int, Array]]:
    """(what holds the weight, the rows, the weight) of the products by constants in a kernel."""
    body = node.attrs.get("body")
    if not isinstance(body, Graph):
        return
    outside = dict(zip(body.inputs, node.inputs, strict=True))
    for inner in body.nodes:
        operands = [outside.get(v) for v in inner.inputs[1:]]
        held = [arrays[v] for v in operands if v is not None and v in arrays]
        first = operands[0] if operands else None
        if inner.op.kind == "contract" and first is not None and len(held) == len(operands):
            w = _weight(inner, held)
            if w is not None:
                yield first, inner.inputs[0].type.shape[0], w


def _weight(node: Node, held: Sequence[Array]) -> Array | None:
    """The matrix that a product's constant operands stand for."""
    columns, depth = node.attrs.get("columns"), node.inputs[0].type.shape[-1]
    if node.op is sparse_matmul:
        return unpack(layout_of([v.type for v in node.inputs], node.attrs["columns"]), held)
    if node.op is semi_structured_matmul:
        return unpack_semi_structured(held[0], held[1], depth, node.attrs["columns"])
    if node.op is panel_matmul:
        return held[0].transpose(1, 0, 2).reshape(depth, -1)[:, :columns]
    return held[0] if node.op is matmul and held[0].ndim == 2 else None
