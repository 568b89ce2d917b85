"""Algebra: rules that make a graph smaller and leave every value as it is.

"As it is" means bit for bit, NaN being NaN whatever its payload. Two kinds of rules are not bit for bit, but correctly
rounded where the original was not: powers, and sums of copies. They say so.

Rules of conduct, for a rule here or in another table of `ir/rewrite.py`:

- Its algebra stands above it: what equals what, and where the obvious neighbour is wrong (x - 0.0 is x, x + 0.0 may
  not be).
- It is exact in bits, for all operands and not for ordinary ones alone: NaN, infinities, 0.0 and -0.0, subnormals,
  integers that wrap, empty axes. Or each result is rounded better than before, and the rule says so. "Nearly equal" is
  no rule.
- It holds for every dtype of the op, or has a condition (`when`, or None from a function). The result has the type that
  the node had; the rewriter refuses another one.
- It has one direction, in which something gets smaller: nodes, elements computed, memory moved, or the cost of an op.
  No rule, and no two rules in turns, may lead back to where they began: rules run until none fits.
- It adds a few nodes at most, for each operand, and computes nothing twice: a node that others read stays, so ask
  `single_use` before work moves through it.
- It looks at the node and at what makes its operands, no further up or down: its time does not grow with the graph.
- It asks for a `kind` where that will do. A rule about one op names it; a list of op names that must grow with each new
  op is a field of the record that is missing.
- It keeps what is not a value: guards report all lanes that they did, state is written as before, `loc` is the user's.
- Its tests: a golden graph in which it fits, and one of the same look in which it must not. The random graphs of
  `tests/graphs.py`, whose values every exact pass must keep to the bit, hold its ops.
"""

from __future__ import annotations

import math

import numpy as np

from tinytorch.ir.graph import Graph, Node
from tinytorch.ir.op import OPS, apply
from tinytorch.ir.operators.promotion import broadcast_shapes
from tinytorch.ir.ops.composite import dropout
from tinytorch.ir.ops.contract import accumulator, matmul
from tinytorch.ir.ops.convolution import conv2d
from tinytorch.ir.ops.core import cast, constant, copy, custom_grad, detach, filled, where
from tinytorch.ir.ops.elementwise import and_, div, maximum, minimum, neg, not_, or_, pow_, xor
from tinytorch.ir.ops.reduce import max_, min_, sum_
from tinytorch.ir.ops.view import after, broadcast
from tinytorch.ir.rewrite import Number, Rewriter, Rule, Term, Var, local, rewrite, rule, table
from tinytorch.ir.types import DType, TensorType, bool_
from tinytorch.passes.dce import dce
from tinytorch.passes.simplify.raise_views import raise_views
from tinytorch.passes.simplify.updates import UPDATE_RULES
from tinytorch.passes.simplify.views import VIEW_RULES

x, y, c = Var("x"), Var("y"), Var("c")


def simplify(graph: Graph) -> Graph:
    """Apply the rules of this file, of `views` and of `updates` until none fits, and drop what is no longer needed.

        %2 = mul(%x, broadcast(1.0)); %3 = neg(%2); %4 = sub(%y, %3)  -->  %4 = add(%y, %x)

    It drops `detach` and `custom_grad`, so gradients come before it.
    """
    graph = dce(graph)  # rules count readers
    while True:
        raised = raise_views(graph)
        rewritten = dce(rewrite(raised, RULES))
        if rewritten is graph or (raised is graph and raise_views(rewritten) is rewritten):
            return rewritten
        graph = rewritten


def _is_bool(type: TensorType) -> bool:
    return type.dtype is bool_


def _is_signed(type: TensorType) -> bool:
    return type.dtype.kind != "uint"


def _is_integer(type: TensorType) -> bool:
    return type.dtype.kind in ("int", "uint")


_ARITHMETIC = [
    # x * 1 == x;  x / 1 == x
    rule(x * 1, x),
    rule(x / 1, x),
    # x + -0.0 == x for all floats. Not x + 0.0, which is 0.0 for x = -0.0. (Integers have one zero.)
    rule(x + -0.0, x),
    # x - 0.0 == x for all floats, -0.0 - 0.0 being -0.0. Not x - -0.0.
    rule(x - 0.0, x),
    # -0.0 - x == -x for all floats. Not 0.0 - x, which is 0.0 for x = 0.0.
    rule(Number(-0.0) - x, -x),
    # x * -1 == -x;  x / -1 == -x
    rule(x * -1, -x),
    rule(x / -1, -x),
    # -(-x) == x
    rule(apply(neg, -x), x),
    # x + -y == x - y;  x - -y == x + y: a subtraction is the addition of the negated number
    rule(x + (-y), x - y),
    rule(x - (-y), x + y),
    # -x * -y == x * y;  -x / -y == x / y: the sign of a product does not touch its magnitude
    rule((-x) * (-y), x * y),
    rule((-x) / (-y), x / y),
    # |-x| == |x|: also for signed integers, of which the smallest has no |x|, but wraps in the same way. Not for
    # unsigned ones, of which -x wraps and |x| is x.  ||x|| == |x|
    rule(abs(-x), abs(x), when=_is_signed),
    rule(abs(abs(x)), abs(x)),
    # max(x, x) == x;  min(x, x) == x
    rule(apply(maximum, x, x), x),
    rule(apply(minimum, x, x), x),
]

_LOGIC = [
    # ~~x == x;  x & x == x;  x | x == x
    rule(apply(not_, apply(not_, x)), x),
    rule(apply(and_, x, x), x),
    rule(apply(or_, x, x), x),
    # x & true == x for bools, x & -1 == x for integers;  x | 0 == x;  x ^ 0 == x
    rule(x & True, x, when=_is_bool),
    rule(x & -1, x, when=_is_integer),
    rule(x | 0, x),
    rule(apply(xor, x, Number(0)), x),
    # c ? x : x == x;  true ? x : y == x;  false ? x : y == y;  ~c ? x : y == c ? y : x
    rule(apply(where, c, x, x), x),
    rule(apply(where, Number(True), x, y), x),
    rule(apply(where, Number(False), x, y), y),
    rule(apply(where, apply(not_, c), x, y), apply(where, c, y, x)),
]

_IDENTITIES = [
    # The values of copy(x) and detach(x) are those of x: graphs are pure, and gradients have been taken.
    rule(apply(copy, x), x),
    rule(apply(detach, x), x),
]


@local(custom_grad)
def _without_custom_grad(rewriter: Rewriter, node: Node) -> Term | None:
    """custom_grad(y, …) == y"""
    return rewriter.term(node.inputs[0])


@local(after)
def _after_what_is_there(rewriter: Rewriter, node: Node) -> Term | None:
    """after(c, y) == c and after(x, c) == x for a number c, which is there from the start;
    after(after(x, y), y) == after(x, y)"""
    first, other = node.inputs
    inner = rewriter.producer(first, after)
    there = rewriter.number(first) is not None or rewriter.number(other) is not None
    return rewriter.term(first) if there or (inner is not None and inner.inputs[1] is other) else None


@local(dropout)
def _no_dropout(rewriter: Rewriter, node: Node) -> Term | None:
    """dropout(x, p=0) == x * (1 / (1 - 0)) == x"""
    return rewriter.term(node.inputs[0]) if node.attrs["p"] == 0 else None


_LARGEST_EXPONENT = {"f64": 1022, "f32": 126, "bf16": 126, "f16": 14}  # of normal numbers with normal reciprocals


@local(div)
def _division_by_power_of_two(rewriter: Rewriter, node: Node) -> Term | None:
    """x / 2**k == x * 2**-k: both are the one real number, rounded once. 2**-k must be a normal number of the dtype,
    as units that flush subnormals would read it as 0."""
    divisor, type = rewriter.number(node.inputs[1]), node.output.type
    if divisor is None or not math.isfinite(divisor):
        return None
    mantissa, exponent = math.frexp(divisor)  # mantissa * 2**exponent, the mantissa from 0.5 up to 1
    if abs(mantissa) != 0.5 or abs(exponent - 1) > _LARGEST_EXPONENT[type.dtype.name]:
        return None
    a = rewriter.term(node.inputs[0])
    return a * filled(a, 1 / divisor, type)


@local(pow_)
def _small_powers(rewriter: Rewriter, node: Node) -> Term | None:
    """x**0 == 1, of NaN too;  x**1 == x;  x**2 == x * x;  x**-1 == 1 / x

    A product and a quotient are correctly rounded, which a power is not: it may be off by its last bit. Zeros and
    infinities of either sign give the same. Not x**0.5, which is 0.0 for -0.0 and inf for -inf, unlike sqrt; nor
    x**3, whose product is rounded twice.
    """
    base, exponent = rewriter.term(node.inputs[0]), rewriter.number(node.inputs[1])
    match exponent:
        case 0:
            return filled(base, 1, base.type)
        case 1:
            return base
        case 2:
            return base * base
        case -1 if base.type.dtype.is_float:
            return 1.0 / base
        case _:
            return None


# Casts.
_MANTISSA = {"f64": 53, "f32": 24, "bf16": 8, "f16": 11}


def _holds(wide: DType, narrow: DType) -> bool:
    """Whether every number of `narrow` is one of `wide`."""
    if wide == narrow or narrow is bool_:
        return True
    if wide.is_float:
        if narrow.is_float:
            return wide.bits > narrow.bits
        return _MANTISSA[wide.name] >= narrow.bits - (narrow.kind == "int")
    return wide.kind == "int" and not narrow.is_float and wide.bits > narrow.bits


@local(cast)
def _cast_of_cast(rewriter: Rewriter, node: Node) -> Term | None:
    """cast(x: a, to=a) == x;  cast(cast(x, to=b), to=d) == cast(x, to=d) where b holds every number of x's dtype.

    Not from integers through floats back to integers: the way back saturates, where integers wrap.
    """
    operand, target = rewriter.term(node.inputs[0]), node.attrs["dtype"]
    if operand.type.dtype == target:
        return operand
    inner = rewriter.producer(node.inputs[0], cast)
    if inner is None:
        return None
    source, middle = inner.inputs[0].type.dtype, inner.attrs["dtype"]
    saturates = source.kind in ("int", "uint") and middle.is_float and not _holds(target, source)
    if not _holds(middle, source) or (saturates and not target.is_float):
        return None
    return rewriter.term(inner.inputs[0]).cast(target)


@local(matmul, conv2d)
def _product_of_casts(rewriter: Rewriter, node: Node) -> Term | None:
    """matmul(cast(x, to=d), cast(y, to=d)) == matmul(x, y, dtype=d) where d is what sums of x and y are kept in: that
    is how such a product is defined, and such a convolution. Either may be in d already. Convolutions of floats keep
    their casts, since those in f32 may have fewer products."""
    target = node.output.type.dtype
    if node.op is conv2d and target.is_float:
        return None
    sources: list[Term] = []
    for value in node.inputs:
        inner = rewriter.producer(value, cast)
        known = inner is not None and accumulator(inner.inputs[0].type.dtype) is target
        sources.append(rewriter.term(inner.inputs[0] if inner is not None and known else value))
    if all(s.value is v for s, v in zip(sources, node.inputs, strict=True)):
        return None
    return sources[0].apply_op(node.op, sources, {**node.attrs, "dtype": target})


# Broadcasts and what is computed of them.
_POINTWISE = [op for op in OPS.values() if op.kind == "elementwise" and op not in (constant, custom_grad)]


@local(*_POINTWISE)
def _compute_before_broadcast(rewriter: Rewriter, node: Node) -> Term | None:
    """f(broadcast(a), broadcast(b)) == broadcast(f(a, b)): each number is computed once."""
    sources: list[Term] = []
    for value in node.inputs:
        producer = rewriter.producer(value, broadcast)
        if producer is None:
            return None
        sources.append(rewriter.term(producer.inputs[0]))
    shape: tuple[int, ...] = ()
    for source in sources:
        shape = broadcast_shapes(node.op.name, shape, source.shape)
    if not sources or math.prod(shape) >= node.output.type.size:
        return None
    small = [source.broadcast_to(shape) for source in sources]
    return small[0].apply_op(node.op, small, node.attrs).broadcast_to(node.output.type.shape)


@local(sum_, max_, min_)
def _reduce_one(rewriter: Rewriter, node: Node) -> Term | None:
    """The sum, maximum or minimum over an axis of size 1 is its only element; but a sum that is zero is 0.0."""
    operand, axes = rewriter.term(node.inputs[0]), node.attrs["axes"]
    longer = tuple(axis for axis in axes if operand.shape[axis] != 1)
    if longer and longer == axes:
        return None
    if longer:
        return operand.apply_op(node.op, [operand], {"axes": longer})
    return operand + 0.0 if axes and node.op is sum_ and operand.type.dtype.is_float else operand


@local(sum_, max_, min_)
def _reduce_copies(rewriter: Rewriter, node: Node) -> Term | None:
    """The sum of n copies is n * x, rounded once instead of n times; their maximum and minimum are x; but all of them
    are 0.0 for zeros. Where n is no number of the dtype, the sum stays."""
    producer = rewriter.producer(node.inputs[0], broadcast)
    if producer is None:
        return None
    source, shape = rewriter.term(producer.inputs[0]), node.inputs[0].type.shape
    padded = (1,) * (len(shape) - source.ndim) + source.shape
    copied = [axis for axis in node.attrs["axes"] if padded[axis] != shape[axis]]
    count = math.prod(shape[axis] for axis in copied)
    if not copied or count == 0 or (node.op is sum_ and not _is_number_of(count, source.dtype)):
        return None
    rest = tuple(axis for axis in node.attrs["axes"] if axis not in copied)
    out = source.broadcast_to(tuple(1 if axis in copied else d for axis, d in enumerate(shape)))
    if rest:
        out = out.apply_op(node.op, [out], {"axes": rest})
    elif out.type.dtype.is_float:
        out = out + 0.0
    return out * count if node.op is sum_ else out


def _is_number_of(count: int, dtype: DType) -> bool:
    if not dtype.is_float:
        return count < 2 ** (dtype.bits - 1)
    with np.errstate(over="ignore"):
        return float(np.asarray(count).astype(dtype.numpy)) == count


@local(constant)
def _uniform_constant(rewriter: Rewriter, node: Node) -> Term | None:
    """A constant of one repeated element is the broadcast of that element."""
    array = node.attrs["value"]
    if array.size <= 1:
        return None
    bits = array.reshape(-1).view(f"u{array.dtype.itemsize}")
    if bits[0] != bits[-1] or (bits != bits[0]).any():
        return None
    return rewriter.term(rewriter.constant(array.reshape(-1)[0])).broadcast_to(array.shape)


_FUNCTIONS: list[Rule] = [
    _without_custom_grad,
    _after_what_is_there,
    _no_dropout,
    _division_by_power_of_two,
    _small_powers,
    _cast_of_cast,
    _product_of_casts,
    _compute_before_broadcast,
    _reduce_one,
    _reduce_copies,
    _uniform_constant,
]
RULES = table([*_IDENTITIES, *_ARITHMETIC, *_LOGIC, *_FUNCTIONS, *VIEW_RULES, *UPDATE_RULES])
