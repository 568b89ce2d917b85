"""Products of vectors, matrices and batches, and what is made of them alone; all of it compiles and has gradients."""

# pyright: reportPrivateUsage=false
from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

from tinytorch.frontend import arguments
from tinytorch.frontend.arguments import wrong_type, wrong_value
from tinytorch.frontend.functions.basic import cat, stack
from tinytorch.frontend.functions.creation import eye, ones, zeros
from tinytorch.frontend.functions.manipulation.diagonals import diagonal
from tinytorch.frontend.spelling import spelled
from tinytorch.frontend.tensor import Tensor
from tinytorch.frontend.tensor.autocasting import low
from tinytorch.frontend.tensor.gradients import require_tensor
from tinytorch.ir.errors import ShapeError
from tinytorch.ir.loc import user_loc
from tinytorch.ir.operators.promotion import broadcast_shapes, integer, integers, normalize_axis, promote
from tinytorch.ir.types import bool_, i64


def _require(what: str, **wanted: tuple[Tensor, int]) -> None:
    """ShapeError unless each tensor has so many axes."""
    words = {0: "a single number", 1: "a vector", 2: "a matrix", 3: "a batch of matrices (3 axes)"}
    for name, (tensor, rank) in wanted.items():
        if tensor.ndim != rank:
            raise ShapeError(f"{what}: {name} is {words[rank]}, got {tensor.type}", user_loc())


def _one_dtype(what: str, **tensors: Tensor) -> None:
    """ShapeError unless all have the dtype of the first: products do not promote, as in PyTorch."""
    (first, one), *rest = tensors.items()
    for name, tensor in rest:
        if tensor.dtype != one.dtype:
            raise ShapeError(f"{what}: {first} is {one.dtype}, {name} {tensor.dtype}; cast one of them", user_loc())


def _inner_sizes(what: str, a: tuple[str, Tensor], b: tuple[str, Tensor]) -> None:
    rows, columns = a[1].shape[-1], b[1].shape[-2] if b[1].ndim > 1 else b[1].shape[0]
    if rows != columns:
        raise ShapeError(
            f"{what}: {a[0]} {a[1].type} and {b[0]} {b[1].type} differ in {rows} and {columns}", user_loc()
        )


# Of vectors and matrices.
@spelled()
@low
def mm(input: Tensor, mat2: Tensor) -> Tensor:
    """The product [n, p] of matrices [n, m] and [m, p] of one dtype."""
    _require("mm", input=(input, 2), mat2=(mat2, 2))
    _one_dtype("mm", input=input, mat2=mat2)
    _inner_sizes("mm", ("input", input), ("mat2", mat2))
    return input.matmul(mat2)


@spelled()
@low
def mv(input: Tensor, vec: Tensor) -> Tensor:
    """The product [n] of a matrix [n, m] and a vector [m] of one dtype."""
    _require("mv", input=(input, 2), vec=(vec, 1))
    _one_dtype("mv", input=input, vec=vec)
    _inner_sizes("mv", ("input", input), ("vec", vec))
    return input.matmul(vec)


@spelled()
@low
def bmm(input: Tensor, mat2: Tensor) -> Tensor:
    """The products [b, n, p] of matrices [b, n, m] and [b, m, p] of one dtype, one by one."""
    _require("bmm", input=(input, 3), mat2=(mat2, 3))
    _one_dtype("bmm", input=input, mat2=mat2)
    if input.shape[0] != mat2.shape[0]:
        raise ShapeError(f"bmm: input {input.type} and mat2 {mat2.type} differ in the number of matrices", user_loc())
    _inner_sizes("bmm", ("input", input), ("mat2", mat2))
    return input.matmul(mat2)


@spelled()
def vdot(input: Tensor, other: Tensor) -> Tensor:
    """The inner product of two vectors of one dtype and size."""
    _require("vdot", input=(input, 1), other=(other, 1))
    _one_dtype("vdot", input=input, other=other)
    _inner_sizes("vdot", ("input", input), ("other", other))
    return input.matmul(other)


@spelled()
@low
def inner(input: Tensor, other: Tensor) -> Tensor:
    """Sums of products along the last axes, which have one size; the other axes stand one after the other. A number is
    multiplied with everything."""
    if input.ndim == 0 or other.ndim == 0:
        return input * other
    _one_dtype("inner", input=input, other=other)
    if input.shape[-1] != other.shape[-1]:
        raise ShapeError(f"inner: the last axes of input {input.type} and other {other.type} differ", user_loc())
    return contracted(input, other, [input.ndim - 1], [other.ndim - 1])


@spelled(method=False)
@low
def tensordot(a: Tensor, b: Tensor, dims: Any = 2) -> Tensor:
    """Products summed over `dims`: the last so many axes of `a` and the first of `b`, or the axes in two lists, where
    an axis of size 1 meets any other. The other axes of `a` stand before those of `b`."""
    _one_dtype("tensordot", a=a, b=b)
    if isinstance(dims, Tensor):
        dims = dims.tolist()
    if isinstance(dims, (tuple, list)):
        if len(dims) != 2:
            raise wrong_value("tensordot", "dims", "a number or two lists of axes", dims)
        first, second = (integers((each if isinstance(each, (tuple, list)) else (each,),)) for each in dims)
    else:
        count = integer("tensordot", "dims", dims)
        if not 0 <= count <= min(a.ndim, b.ndim):
            raise ShapeError(f"tensordot: dims is {count}, a is {a.type} and b {b.type}", user_loc())
        first, second = tuple(range(a.ndim - count, a.ndim)), tuple(range(count))
    rows = [normalize_axis("tensordot: dims", i, a.ndim) for i in first]
    columns = [normalize_axis("tensordot: dims", i, b.ndim) for i in second]
    if len(rows) != len(columns):
        raise ShapeError(f"tensordot: dims has {len(rows)} axes of a and {len(columns)} of b", user_loc())
    spread = [(i, j) for i, j in zip(rows, columns, strict=True) if 1 in (a.shape[i], b.shape[j])]
    summed_a = tuple(i for i, j in spread if b.shape[j] == 1 != a.shape[i])
    summed_b = tuple(j for i, j in spread if a.shape[i] == 1 != b.shape[j])
    a = a.sum(summed_a, True).cast(a.dtype) if summed_a else a
    b = b.sum(summed_b, True).cast(b.dtype) if summed_b else b
    if [a.shape[i] for i in rows] != [b.shape[i] for i in columns]:
        raise ShapeError(f"tensordot: dims {rows} of a {a.type} and {columns} of b {b.type} differ", user_loc())
    return contracted(a, b, rows, columns)


def contracted(a: Tensor, b: Tensor, rows: Sequence[int], columns: Sequence[int]) -> Tensor:
    """Sums of products over `rows` of `a` and `columns` of `b`, as one matrix product."""
    left = [i for i in range(a.ndim) if i not in rows]
    right = [i for i in range(b.ndim) if i not in columns]
    above, below = [a.shape[i] for i in left], [b.shape[i] for i in right]
    depth = math.prod(a.shape[i] for i in rows)
    x = a.permute([*left, *rows]).reshape((math.prod(above), depth))
    y = b.permute([*columns, *right]).reshape((depth, math.prod(below)))
    return x.matmul(y).reshape((*above, *below))


@spelled()
def kron(input: Tensor, other: Tensor) -> Tensor:
    """The Kronecker product: each element of `input` times all of `other`; the one of fewer axes gets axes in front."""
    rank = max(input.ndim, other.ndim)
    a = (1,) * (rank - input.ndim) + input.shape
    b = (1,) * (rank - other.ndim) + other.shape
    spread = input.reshape([size for d in a for size in (d, 1)]) * other.reshape([size for d in b for size in (1, d)])
    return spread.reshape([x * y for x, y in zip(a, b, strict=True)])


@spelled(space="linalg", method=False)
@low
def multi_dot(tensors: Sequence[Tensor]) -> Tensor:
    """The product of matrices in the order that takes the fewest operations; the first and the last may be vectors.

    The order is found by dynamic programming (Cormen et al., Introduction to Algorithms, 15.2).
    """
    parts = [require_tensor("multi_dot: tensors", x) for x in tensors]
    if len(parts) < 2:
        raise ShapeError(f"multi_dot: tensors are at least two, got {len(parts)}", user_loc())
    for place, x in enumerate(parts):
        if x.ndim != 2 and not (x.ndim == 1 and place in (0, len(parts) - 1)):
            raise ShapeError(
                f"multi_dot: tensors are matrices, the first and last perhaps vectors, got {x.type}", user_loc()
            )
        _one_dtype("multi_dot", first=parts[0], other=x)
    first, last = parts[0].ndim == 1, parts[-1].ndim == 1
    matrices = [*parts]
    matrices[0] = parts[0].unsqueeze(0) if first else parts[0]
    matrices[-1] = matrices[-1].unsqueeze(1) if last else matrices[-1]
    for a, b in pairwise(matrices):
        _inner_sizes("multi_dot", ("a tensor", a), ("the next", b))
    product = _in_order(
        matrices, _splits([x.shape[0] for x in matrices] + [matrices[-1].shape[1]]), 0, len(matrices) - 1
    )
    return product.reshape([*product.shape[:1][first:], *product.shape[1:][: 1 - last]])


def _splits(sizes: Sequence[int]) -> dict[tuple[int, int], int]:
    """Behind which matrix the best product of those from i to j is parted; matrix i is [sizes[i], sizes[i + 1]]."""
    count = len(sizes) - 1
    cost = {(i, i): 0 for i in range(count)}
    split: dict[tuple[int, int], int] = {}
    for length in range(1, count):
        for i in range(count - length):
            j = i + length
            costs = {k: cost[i, k] + cost[k + 1, j] + sizes[i] * sizes[k + 1] * sizes[j + 1] for k in range(i, j)}
            split[i, j] = min(costs, key=costs.__getitem__)
            cost[i, j] = costs[split[i, j]]
    return split


def _in_order(matrices: Sequence[Tensor], split: dict[tuple[int, int], int], i: int, j: int) -> Tensor:
    if i == j:
        return matrices[i]
    k = split[i, j]
    return _in_order(matrices, split, i, k).matmul(_in_order(matrices, split, k + 1, j))


@spelled(method=False)
@low
def chain_matmul(*matrices: Tensor) -> Tensor:
    """The product of matrices in the order that takes the fewest operations."""
    if not matrices:
        raise ShapeError("chain_matmul: matrices are at least one, got none", user_loc())
    for x in matrices:
        _require("chain_matmul", matrices=(require_tensor("chain_matmul: matrices", x), 2))
    return matrices[0].clone() if len(matrices) == 1 else multi_dot(matrices)


# With something added: beta * input + alpha * product.
def _scales(what: str, input: Tensor, beta: Any, alpha: Any) -> None:
    for name, value in (("beta", beta), ("alpha", alpha)):
        if isinstance(value, float) and not input.dtype.is_float:
            raise wrong_type(what, name, "an integer beside integers", value)


def _added(what: str, input: Tensor, product: Tensor, beta: Any, alpha: Any) -> Tensor:
    """beta * input + alpha * product, in the shape of the product; with a `beta` of 0 nothing of `input` remains."""
    _scales(what, input, beta, alpha)
    _one_dtype(what, input=input, product=product)
    if broadcast_shapes(what, input.shape, product.shape) != product.shape:
        raise ShapeError(f"{what}: input {input.type} does not broadcast to {list(product.shape)}", user_loc())
    scaled = product if alpha == 1 else product * alpha
    if beta == 0:
        return scaled
    return (input if beta == 1 else input * beta) + scaled


@spelled(in_place=True)
@low
def addmm(input: Tensor, mat1: Tensor, mat2: Tensor, *, beta: float = 1, alpha: float = 1) -> Tensor:
    """beta * input + alpha * (mat1 @ mat2), of two matrices."""
    _require("addmm", mat1=(mat1, 2), mat2=(mat2, 2))
    _one_dtype("addmm", mat1=mat1, mat2=mat2)
    _inner_sizes("addmm", ("mat1", mat1), ("mat2", mat2))
    return _added("addmm", input, mat1.matmul(mat2), beta, alpha)


@spelled(in_place=True)
@low
def addmv(input: Tensor, mat: Tensor, vec: Tensor, *, beta: float = 1, alpha: float = 1) -> Tensor:
    """beta * input + alpha * (mat @ vec), of a matrix and a vector."""
    _require("addmv", mat=(mat, 2), vec=(vec, 1))
    _one_dtype("addmv", mat=mat, vec=vec)
    _inner_sizes("addmv", ("mat", mat), ("vec", vec))
    return _added("addmv", input, mat.matmul(vec), beta, alpha)


@spelled(in_place=True)
def addr(input: Tensor, vec1: Tensor, vec2: Tensor, *, beta: float = 1, alpha: float = 1) -> Tensor:
    """beta * input + alpha * outer(vec1, vec2)."""
    _require("addr", vec1=(vec1, 1), vec2=(vec2, 1))
    product = vec1.unsqueeze(1) * vec2.unsqueeze(0)
    return _added(
        "addr",
        input.cast(promote(input.type, product.type)),
        product.cast(promote(input.type, product.type)),
        beta,
        alpha,
    )


def _batches(what: str, batch1: Tensor, batch2: Tensor) -> None:
    _require(what, batch1=(batch1, 3), batch2=(batch2, 3))
    _one_dtype(what, batch1=batch1, batch2=batch2)
    if batch1.shape[0] != batch2.shape[0]:
        raise ShapeError(
            f"{what}: batch1 {batch1.type} and batch2 {batch2.type} differ in the number of matrices", user_loc()
        )
    _inner_sizes(what, ("batch1", batch1), ("batch2", batch2))


@spelled(in_place=True)
@low
def baddbmm(input: Tensor, batch1: Tensor, batch2: Tensor, *, beta: float = 1, alpha: float = 1) -> Tensor:
    """beta * input + alpha * (batch1 @ batch2), matrix by matrix."""
    _batches("baddbmm", batch1, batch2)
    return _added("baddbmm", input, batch1.matmul(batch2), beta, alpha)


@spelled(in_place=True)
@low
def addbmm(input: Tensor, batch1: Tensor, batch2: Tensor, *, beta: float = 1, alpha: float = 1) -> Tensor:
    """beta * input + alpha * sum of batch1 @ batch2 over all matrices, which is one product of their blocks."""
    _batches("addbmm", batch1, batch2)
    count, rows, depth = batch1.shape
    left = batch1.permute(1, 0, 2).reshape((rows, count * depth))
    return _added("addbmm", input, left.matmul(batch2.reshape((count * depth, batch2.shape[2]))), beta, alpha)


# Of vectors with three elements, and along an axis.
@spelled(space="linalg", name="cross", method=False)
def linalg_cross(input: Tensor, other: Tensor, *, dim: int = -1) -> Tensor:
    """The cross product of vectors with three elements along `dim`; the other axes broadcast."""
    if input.ndim != other.ndim:
        raise ShapeError(f"cross: input {input.type} and other {other.type} have different numbers of axes", user_loc())
    axis = normalize_axis("cross", dim, input.ndim)
    if (input.shape[axis], other.shape[axis]) != (3, 3):
        raise ShapeError(f"cross: dim {dim} has 3 elements, got input {input.type} and other {other.type}", user_loc())
    a, b = input._pair("cross", other)

    def turned(x: Tensor, by: int) -> Tensor:
        return cat([x.narrow(axis, by, 3 - by), x.narrow(axis, 0, by)], axis)

    return turned(a, 1) * turned(b, 2) - turned(a, 2) * turned(b, 1)


@spelled()
def cross(input: Tensor, other: Tensor, dim: int | None = None) -> Tensor:
    """The cross product of vectors with three elements along `dim`, by default the first axis that has three."""
    if dim is None:
        if 3 not in input.shape:
            raise ShapeError(f"cross: no dim of input {input.type} has 3 elements", user_loc())
        dim = input.shape.index(3)
    return linalg_cross(input, other, dim=dim)


@spelled(space="linalg", method=False)
@low
def vecdot(x: Tensor, y: Tensor, *, dim: int = -1) -> Tensor:
    """The inner products of vectors along `dim`; the other axes broadcast."""
    a, b = x._pair("vecdot", y)
    return (a * b).sum(normalize_axis("vecdot", dim, a.ndim))


# Diagonals and powers.
@spelled()
def trace(input: Tensor) -> Tensor:
    """The sum of a matrix's diagonal; of integers as i64."""
    _require("trace", input=(input, 2))
    return diagonal(input).sum()


@spelled(space="linalg", method=False)
def vander(x: Tensor, *, N: int | None = None) -> Tensor:
    """[..., n, N] with the powers 0, 1, … N - 1 of each element (N is n by default)."""
    x = x if x.ndim else x.reshape((1,))
    count = x.shape[-1] if N is None else arguments.integer("vander", "N", N, 1)
    if count > 2**20:  # each is an op
        raise arguments.wrong_value("vander", "N", "at most 2**20", N)
    base = x.cast(i64) if x.dtype == bool_ or not x.dtype.is_float else x
    powers = [base * 0 + 1]
    for _ in range(count - 1):
        powers.append(powers[-1] * base)
    return stack(powers[:count], -1)


@spelled(method=False, name="vander")
def powers_of_elements(x: Tensor, N: int | None = None, increasing: bool = False) -> Tensor:
    """[n, N] with the powers N - 1, … 1, 0 of each element of a vector, or 0, 1, … N - 1 if `increasing`."""
    powers = vander(x, N=N)
    return powers if arguments.flag("vander", "increasing", increasing) else powers.flip(-1)


def power_of(A: Tensor, n: int) -> Tensor:
    """A to the `n`-th power, n >= 0, by squaring."""
    out: Tensor | None = None
    square = A
    while n:
        if n & 1:
            out = square if out is None else out.matmul(square)
        n >>= 1
        square = square.matmul(square) if n else square
    return eye(A.shape[-1], dtype=A.dtype).broadcast_to(A.shape) if out is None else out


@spelled(space="linalg", method=False)
def householder_product(A: Tensor, tau: Tensor) -> Tensor:
    """The first columns [..., m, n] of the product of reflections 1 - tau[i] v[i] v[i]^T: vector i stands in column i
    of A below the diagonal, with a 1 on it. m >= n >= the size of tau, as LAPACK's `orgqr`."""
    if A.ndim < 2 or tau.ndim != A.ndim - 1 or A.shape[:-2] != tau.shape[:-1]:
        raise ShapeError(
            f"householder_product: tau has a row for each matrix of A, got {A.type}, {tau.type}", user_loc()
        )
    rows, columns = A.shape[-2:]
    if not rows >= columns >= tau.shape[-1]:
        raise ShapeError(f"householder_product: A has m >= n >= the size of tau, got {A.type}, {tau.type}", user_loc())
    _one_dtype("householder_product", A=A, tau=tau)
    start = eye(rows, columns, dtype=A.dtype).broadcast_to(A.shape)
    return reflected(A, tau, start)


def reflected(A: Tensor, tau: Tensor, x: Tensor, transposed: bool = False) -> Tensor:
    """The product of the reflections in A and `tau` (see `householder_product`), or its transpose, times x."""
    rows = A.shape[-2]
    count = tau.shape[-1]
    steps = range(count) if transposed else reversed(range(count))
    for i in steps:
        below = A[..., i + 1 :, i : i + 1]
        lead = A.shape[:-2]
        vector = cat([zeros(*lead, i, 1, dtype=A.dtype), ones(*lead, 1, 1, dtype=A.dtype), below], -2)
        assert vector.shape[-2] == rows
        x = x - (vector * tau[..., i].unsqueeze(-1).unsqueeze(-1)).matmul(vector.mT.matmul(x))
    return x


@spelled()
def ormqr(input: Tensor, tau: Tensor, other: Tensor, left: bool = True, transpose: bool = False) -> Tensor:
    """Q @ other, or other @ Q unless `left`, with the product Q [m, m] of the reflections in `input` and `tau` (see
    `linalg.householder_product`), or its transpose."""
    if input.ndim < 2 or other.ndim < 2 or tau.ndim != input.ndim - 1:
        raise ShapeError(
            f"ormqr: input and other are matrices, tau has an axis less, got {input.type}, {tau.type}, {other.type}",
            user_loc(),
        )
    rows, size = input.shape[-2], other.shape[-2 if left else -1]
    if rows != size or tau.shape[-1] > min(rows, input.shape[-1]):
        raise ShapeError(f"ormqr: input {input.type}, tau {tau.type} and other {other.type} do not fit", user_loc())
    if input.shape[:-2] != other.shape[:-2] or input.shape[:-2] != tau.shape[:-1]:
        raise ShapeError(
            f"ormqr: input {input.type}, tau {tau.type} and other {other.type} differ in batches", user_loc()
        )
    _one_dtype("ormqr", input=input, tau=tau, other=other)
    if left:
        return reflected(input, tau, other, transpose)
    return reflected(input, tau, other.mT, not transpose).mT
