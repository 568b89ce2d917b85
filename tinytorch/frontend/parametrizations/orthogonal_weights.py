"""Weights that are orthogonal matrices, whatever the tensor is that they are computed of.

A matrix A is made antisymmetric, and mapped to an orthogonal one by the exponential or by Cayley's map
(1 + A/2)(1 - A/2)^-1; or its columns are vectors of reflections, whose product is orthogonal (Lezcano-Casado 2019,
"Trivializations for gradient-based optimization on manifolds").
"""

from __future__ import annotations

from typing import TypeVar

from tinytorch.frontend import arguments
from tinytorch.frontend.functions.algebra.products import householder_product
from tinytorch.frontend.functions.basic import allclose, cat, where
from tinytorch.frontend.functions.creation import eye, zeros
from tinytorch.frontend.functions.random import randn
from tinytorch.frontend.linear_algebra.factorizations import geqrf, qr
from tinytorch.frontend.linear_algebra.powers import matrix_exp
from tinytorch.frontend.linear_algebra.solving import solve
from tinytorch.frontend.module import Module
from tinytorch.frontend.parametrizations.parametrize import current, register_parametrization
from tinytorch.frontend.tensor import Tensor
from tinytorch.frontend.tensor.dtypes import finfo
from tinytorch.frontend.tensor.gradients import grad_mode
from tinytorch.ir.errors import ShapeError, TinyTorchError
from tinytorch.ir.loc import user_loc
from tinytorch.ir.types import i32

AnyModule = TypeVar("AnyModule", bound=Module)


class _Orthogonal(Module):
    """`base` times the orthogonal matrix that a map gives; without trivialization that matrix itself. Wide matrices are
    transposed before and after."""

    base: Tensor | None

    def __init__(self, orthogonal_map: str, use_trivialization: bool) -> None:
        super().__init__()
        self.orthogonal_map, self.use_trivialization = orthogonal_map, use_trivialization
        if use_trivialization:
            self.register_buffer("base", None)

    def forward(self, x: Tensor) -> Tensor:
        wide = x.shape[-2] < x.shape[-1]
        tall = x.mT if wide else x
        found = _reflections(tall) if self.orthogonal_map == "householder" else self._rotation(tall)
        if self.use_trivialization and self.base is not None:
            found = self.base.matmul(found)
        return found.mT if wide else found

    def _rotation(self, x: Tensor) -> Tensor:
        rows, columns = x.shape[-2:]
        lower = x.tril()
        if rows != columns:
            lower = cat([lower, zeros(*x.shape[:-1], rows - columns, dtype=x.dtype)], -1)
        A = lower - lower.mT
        if self.orthogonal_map == "matrix_exp":
            return matrix_exp(A)[..., :columns]
        unit = eye(rows, dtype=x.dtype)
        return solve(unit - A * 0.5, unit + A * 0.5)[..., :columns]

    def right_inverse(self, weight: Tensor) -> Tensor:
        with grad_mode(False):
            wide = weight.shape[-2] < weight.shape[-1]
            tall = weight.mT if wide else weight
            if self.use_trivialization:
                self.base = _completed(tall)
                # The diagonal of the reflections' matrix are their signs: of -1 and no vectors, it is the unit matrix.
                return -eye(*weight.shape[-2:], dtype=weight.dtype).broadcast_to(weight.shape)
            if self.orthogonal_map != "householder":
                raise TinyTorchError(
                    f"orthogonal: what {self.orthogonal_map} would make this weight of is not known; set it with "
                    'use_trivialization=True, or with orthogonal_map="householder"',
                    user_loc(),
                )
            found, factors = geqrf(tall.detach())
            signs = found.diagonal(dim1=-2, dim2=-1)
            signs.copy_(signs.sign() * where(factors == 0, -1, 1))  # LAPACK leaves out reflections that do nothing
            return found.mT if wide else found


def _reflections(x: Tensor) -> Tensor:
    vectors = x.tril(-1)
    factors = 2 / (1 + (vectors * vectors).sum(-2))
    signs = x.diagonal(dim1=-2, dim2=-1).detach().cast(i32)
    return householder_product(vectors, factors) * signs.unsqueeze(-2)


def _completed(tall: Tensor) -> Tensor:
    """A square orthogonal matrix that begins with the columns of `tall`, as far as these are orthogonal."""
    rows, columns = tall.shape[-2:]
    if rows == columns and _is_orthogonal(tall):
        return tall.clone()
    more = randn(*tall.shape[:-1], rows - columns).cast(tall.dtype)
    q, r = qr(cat([tall, more], -1))
    return q * r.diagonal(dim1=-2, dim2=-1).sign().unsqueeze(-2)


def _is_orthogonal(square: Tensor) -> bool:
    rows = square.shape[-1]
    return allclose(square.mT.matmul(square), eye(rows, dtype=square.dtype), atol=10 * rows * finfo(square.dtype).eps)


def orthogonal(
    module: AnyModule, name: str = "weight", orthogonal_map: str | None = None, *, use_trivialization: bool = True
) -> AnyModule:
    """Compute the weight `name`, a matrix or a batch of them, so that its columns (or its rows, if it is wider than
    high) are orthogonal and of length 1. Returns the module.

    `orthogonal_map` is "matrix_exp" (the default for square ones), "cayley", both for eager mode only, or "householder"
    (the default for others). With `use_trivialization` it is multiplied by the matrix that the weight is now, made
    orthogonal by a QR decomposition if need be, and assigning to the weight sets that matrix.
    """
    what = "orthogonal"
    weight = current(what, module, name)
    if weight.ndim < 2:
        raise ShapeError(f"{what}: needs a matrix or a batch of them, {name} is {weight.type}", user_loc())
    square = weight.shape[-1] == weight.shape[-2]
    chosen = ("matrix_exp" if square else "householder") if orthogonal_map is None else orthogonal_map
    arguments.choice(what, "orthogonal_map", chosen, "matrix_exp", "cayley", "householder")
    arguments.flag(what, "use_trivialization", use_trivialization)
    return register_parametrization(module, name, _Orthogonal(chosen, use_trivialization), unsafe=True)
