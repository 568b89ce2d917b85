"""Products with Jacobian matrices, and the matrices themselves: of functions of tensors in nested containers.

The products J^T u are one backward pass. J v is the derivative of J^T u, which is linear in u, in the direction v: two
backward passes. A matrix is computed row by row: a backward pass for each element of the results.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from tinytorch.frontend import arguments as checks
from tinytorch.frontend.autograd.transformations import is_connected, with_variables
from tinytorch.frontend.functions.basic import stack
from tinytorch.frontend.functions.creation import eye, zeros
from tinytorch.frontend.tensor import Tensor
from tinytorch.frontend.tensor.gradients import grad_mode, gradients, ones_like, variable, zeros_like
from tinytorch.frontend.tensor.mode import mode
from tinytorch.frontend.tree import flatten, unflatten
from tinytorch.ir.errors import ShapeError, TinyTorchError
from tinytorch.ir.loc import user_loc
from tinytorch.ir.types import Shape


@dataclass
class Evaluated:
    """What a function gave at a point: the tensors in its result and where they stand in it (`tree`), the variables
    that it was called with and where these stand in each argument (`trees`), and what else it gave."""

    results: list[Tensor]
    tree: Any
    variables: list[Tensor]
    trees: list[Any]
    aux: Any
    connected: bool  # whether derivatives can be differentiated again

    def value(self) -> Any:
        """The function's result."""
        return unflatten(self.tree, self.results if self.connected else [r.detach() for r in self.results])

    def pulled(self, cotangents: Sequence[Tensor], create_graph: bool) -> list[Tensor]:
        """J^T u: the cotangents of the variables; zeros where nothing depends on one."""
        total: list[Tensor | None] = [None] * len(self.variables)
        for result, cotangent in zip(self.results, cotangents, strict=True):
            found = self._row(result, cotangent, create_graph)
            total = [g if t is None else t if g is None else t + g for t, g in zip(total, found, strict=True)]
        return [zeros_like(x) if t is None else t for x, t in zip(self.variables, total, strict=True)]

    def _row(self, result: Tensor, cotangent: Tensor, create_graph: bool) -> list[Tensor | None]:
        if not result.requires_grad:
            return [None] * len(self.variables)
        return gradients(result, self.variables, cotangent, create_graph)

    def pushed(self, directions: Sequence[Tensor], create_graph: bool) -> list[Tensor]:
        """J v: the derivative by u of the product of J^T u and v, whatever u is."""
        with grad_mode(True):
            seeds, products = self._transposed()
            total = sum(((g * d).sum() for g, d in zip(products, directions, strict=True)), Tensor(0.0))
        return _by_seeds(total, seeds, create_graph)

    def _transposed(self) -> tuple[list[Tensor], list[Tensor]]:
        """Variables u, one for each result, and J^T u."""
        seeds = [variable(zeros_like(r)) for r in self.results]
        return seeds, self.pulled(seeds, True)

    def by_rows(self, create_graph: bool, what: str = "") -> list[list[Tensor]]:
        """For each result, by each variable, [*shape of the result, *shape of the variable]: a backward pass for each
        element of the results. With `what`, the name of a function, it is an error where one depends on nothing."""
        jacobian: list[list[Tensor]] = []
        for r in self.results:
            found = [self._row(r, seed, create_graph) for seed in _basis(r)]
            if what and any(g is None for row in found for g in row):
                raise TinyTorchError(f"{what}: strict, but a result does not depend on one of the inputs", user_loc())
            jacobian.append(
                [_side_by_side([row[i] for row in found], x, r.shape) for i, x in enumerate(self.variables)]
            )
        return jacobian

    def by_columns(self, create_graph: bool) -> list[list[Tensor]]:
        """The same, by a backward pass for each element of the variables."""
        with grad_mode(True):
            seeds, products = self._transposed()
        columns: list[list[Tensor]] = []
        for product, x in zip(products, self.variables, strict=True):
            with grad_mode(True):
                parts = [(product * direction).sum() for direction in _basis(x)]
            found = [_by_seeds(part, seeds, create_graph) for part in parts]
            by_result = [_side_by_side([f[i] for f in found], r, x.shape) for i, r in enumerate(self.results)]
            columns.append([_turned(c, x.ndim) for c in by_result])
        return [list(row) for row in zip(*columns, strict=True)]


def _by_seeds(total: Tensor, seeds: Sequence[Tensor], create_graph: bool) -> list[Tensor]:
    if not total.requires_grad:  # nothing depends on the arguments
        return [zeros_like(u) for u in seeds]
    made = gradients(total, seeds, ones_like(total), create_graph)
    return [zeros_like(u) if g is None else g for g, u in zip(made, seeds, strict=True)]


def _basis(x: Tensor) -> list[Tensor]:
    """For each element of x a tensor like it, with 1 there and 0 elsewhere."""
    count = x.numel()
    units = eye(count, dtype=x.dtype)
    return [units[i].reshape(x.shape) for i in range(count)]


def _side_by_side(parts: Sequence[Tensor | None], x: Tensor, shape: Shape) -> Tensor:
    """Tensors like x for each index of `shape`, as [*shape, *shape of x]; zeros for None."""
    if not parts:
        return zeros(*shape, *x.shape, dtype=x.dtype)
    return stack([zeros_like(x) if part is None else part for part in parts]).reshape((*shape, *x.shape))


def _turned(x: Tensor, count: int) -> Tensor:
    """The first `count` axes behind the others."""
    return x.permute((*range(count, x.ndim), *range(count))) if count else x


def evaluated(
    what: str, function: Callable[..., Any], args: tuple[Any, ...], positions: Sequence[int], has_aux: bool = False
) -> Evaluated:
    """`function(*args)`, recorded, with the arguments at `positions` as variables of their own."""
    checks.function(what, "func", function)
    given, variables, trees = with_variables(args, positions)
    with grad_mode(True):
        made = function(*given)
    aux = None
    if has_aux:
        if not isinstance(made, tuple) or len(made) != 2:
            raise TinyTorchError(f"{what}: with has_aux the function returns a pair (result, anything)", user_loc())
        made, aux = made
    results: list[Tensor] = []
    tree = flatten(made, results, _is_tensor)
    if not results or not all(r.dtype.is_float for r in results):
        raise TinyTorchError(f"{what}: the function returns float tensors, or containers of them", user_loc())
    connected = mode.grad and (mode.trace is not None or any(is_connected(r, variables) for r in results))
    return Evaluated(results, tree, variables, trees, aux, connected)


def _is_tensor(x: Any) -> bool:
    return isinstance(x, Tensor)


def like(what: str, name: str, given: Any, wanted: Sequence[Tensor]) -> list[Tensor]:
    """The tensors in `given`, each of the type of the one of `wanted` that it belongs to."""
    found: list[Tensor] = []
    flatten(given, found, _is_tensor)
    if [x.shape for x in found] != [x.shape for x in wanted]:
        shapes, got = ([list(x.shape) for x in some] for some in (wanted, found))
        raise ShapeError(f"{what}: {name} has tensors of shapes {shapes}, got {got}", user_loc())
    return [x.cast(y.dtype) for x, y in zip(found, wanted, strict=True)]


# Functions of functions.
def vjp(func: Callable[..., Any], *primals: Any, has_aux: bool = False) -> tuple[Any, ...]:
    """(`func(*primals)`, a function): the function takes cotangents of the results, in the containers that they stand
    in, and gives a tuple of those of the arguments. With `has_aux`, `func` returns (result, anything), and the anything
    comes last. As torch.func.vjp."""
    point = evaluated("vjp", func, primals, range(len(primals)), has_aux)

    def pull(*cotangents: Any) -> Any:
        seeds = like("vjp", "cotangents", cotangents, point.results)
        again = mode.grad and (point.connected or any(s.requires_grad for s in seeds))
        found = point.pulled(seeds, again)
        return tuple(unflatten(tree, found) for tree in point.trees)

    return (point.value(), pull, point.aux) if has_aux else (point.value(), pull)


def jvp(
    func: Callable[..., Any], primals: Any, tangents: Any, *, strict: bool = False, has_aux: bool = False
) -> tuple[Any, ...]:
    """(`func(*primals)`, its derivative in the direction `tangents`), both in the containers that `func` returns; with
    `has_aux` it returns (result, anything), and the anything comes last. `strict` refuses a `func` whose result does
    not depend on `primals`. As torch.func.jvp."""
    for name, value in (("primals", primals), ("tangents", tangents)):
        checks.instance("jvp", name, value, tuple)
    point = evaluated("jvp", func, primals, range(len(primals)), has_aux)
    directions = like("jvp", "tangents", tangents, point.variables)
    if strict and not all(r.requires_grad for r in point.results):
        raise TinyTorchError("jvp: strict, but a result does not depend on primals", user_loc())
    again = point.connected or (mode.grad and any(d.requires_grad for d in directions))
    made = unflatten(point.tree, point.pushed(directions, again))
    return (point.value(), made, point.aux) if has_aux else (point.value(), made)


def jacrev(
    func: Callable[..., Any], argnums: int | Sequence[int] = 0, *, has_aux: bool = False, chunk_size: int | None = None
) -> Callable[..., Any]:
    """A function that gives the Jacobian matrix of `func` by the arguments `argnums`, by a backward pass for each
    element of the results. For each tensor in the result of `func` there are, in the containers of the arguments,
    tensors of [*shape of the result, *shape of the argument], in a tuple where `argnums` is a sequence. With
    `has_aux`, `func` returns (result, anything), and the new function (Jacobian, anything).

    `chunk_size` has no effect: one element is taken after the other.
    """
    if chunk_size is not None:
        checks.integer("jacrev", "chunk_size", chunk_size, 1)
    return _jacobian("jacrev", func, argnums, has_aux, Evaluated.by_rows)


def jacfwd(
    func: Callable[..., Any], argnums: int | Sequence[int] = 0, has_aux: bool = False, *, randomness: str = "error"
) -> Callable[..., Any]:
    """`jacrev` by a backward pass for each element of the arguments, through the gradient: for functions with fewer
    arguments than results. `randomness` has no effect: `func` is called once."""
    checks.choice("jacfwd", "randomness", randomness, "error", "same", "different")
    return _jacobian("jacfwd", func, argnums, has_aux, Evaluated.by_columns)


def _jacobian(
    what: str,
    func: Callable[..., Any],
    argnums: int | Sequence[int],
    has_aux: bool,
    matrix: Callable[[Evaluated, bool], list[list[Tensor]]],
) -> Callable[..., Any]:
    checks.function(what, "func", func)
    positions = (argnums,) if isinstance(argnums, int) else tuple(argnums)

    def run(*args: Any, **kwargs: Any) -> Any:
        point = evaluated(what, lambda *given: func(*given, **kwargs), args, positions, has_aux)
        found: list[Any] = []
        for row in matrix(point, point.connected):
            trees = tuple(unflatten(tree, row) for tree in point.trees)
            found.append(trees[0] if isinstance(argnums, int) else trees)
        made = unflatten(point.tree, found)
        return (made, point.aux) if has_aux else made

    return run


def hessian(func: Callable[..., Any], argnums: int | Sequence[int] = 0) -> Callable[..., Any]:
    """A function that gives the second derivatives of `func`: `jacrev(jacrev(func, argnums), argnums)`."""
    return jacrev(jacrev(func, argnums), argnums)
