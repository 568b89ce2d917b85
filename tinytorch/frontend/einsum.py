"""Sums of products in index notation, as permutations and one matrix product per pair of operands."""

from __future__ import annotations

import math
from collections import Counter

from tinytorch.frontend.gradients import require_tensor
from tinytorch.frontend.tensor import Tensor
from tinytorch.ir.errors import ShapeError
from tinytorch.ir.loc import user_loc

__all__ = ["einsum"]


def einsum(equation: str, *operands: Tensor) -> Tensor:
    """`einsum("bij,bjk->bik", a, b)`: products of the operands, summed over the letters that the result lacks.

    Without `->`, the result has the letters that occur once, in alphabetical order. Operands are joined from left
    to right. A letter must not repeat within an operand, and `...` is not taken.
    """
    terms, output = _parse(equation, len(operands))
    tensors = [require_tensor("einsum", x) for x in operands]
    _check(equation, terms, tensors)
    term, total = terms[0], tensors[0]
    for i in range(1, len(terms)):
        kept = set(output).union(*terms[i + 1 :])
        term, total = _join(term, total, terms[i], tensors[i], kept)
    total = (
        total.sum(tuple(i for i, letter in enumerate(term) if letter not in output))
        if set(term) - set(output)
        else total
    )
    term = "".join(letter for letter in term if letter in output)
    return total.permute([term.index(letter) for letter in output])


def _parse(equation: str, count: int) -> tuple[list[str], str]:
    left, arrow, right = equation.replace(" ", "").partition("->")
    terms = left.split(",")
    letters = Counter("".join(terms))
    output = right if arrow else "".join(sorted(letter for letter, n in letters.items() if n == 1))
    if len(terms) != count:
        raise ShapeError(f"einsum: {equation!r} has {len(terms)} operands, got {count}", user_loc())
    for term in (*terms, output):
        if not all(letter.isascii() and letter.isalpha() for letter in term) or len(set(term)) != len(term):
            raise ShapeError(f"einsum: {term!r} in {equation!r} is not a row of different letters", user_loc())
    if not set(output) <= set(letters):
        raise ShapeError(f"einsum: the result of {equation!r} has a letter that no operand has", user_loc())
    return terms, output


def _check(equation: str, terms: list[str], tensors: list[Tensor]) -> None:
    sizes: dict[str, int] = {}
    for term, tensor in zip(terms, tensors, strict=True):
        if len(term) != tensor.ndim:
            raise ShapeError(f"einsum: {term!r} in {equation!r} does not fit {tensor.type}", user_loc())
        for letter, size in zip(term, tensor.shape, strict=True):
            if sizes.setdefault(letter, size) != size:
                raise ShapeError(f"einsum: {letter!r} in {equation!r} is {sizes[letter]} and {size}", user_loc())


def _join(a_term: str, a: Tensor, b_term: str, b: Tensor, kept: set[str]) -> tuple[str, Tensor]:
    """One product of two operands, summed over the letters that nothing else needs."""
    a_term, a = _drop(a_term, a, kept | set(b_term))
    b_term, b = _drop(b_term, b, kept | set(a_term))
    batch = [x for x in a_term if x in b_term and x in kept]
    inner = [x for x in a_term if x in b_term and x not in kept]
    rows = [x for x in a_term if x not in b_term]
    columns = [x for x in b_term if x not in a_term]
    left = _grouped(a_term, a, batch, rows, inner)
    right = _grouped(b_term, b, batch, inner, columns)
    size = dict(zip(a_term + b_term, a.shape + b.shape, strict=True))
    term = "".join(batch + rows + columns)
    return term, left.matmul(right).reshape([size[letter] for letter in term])


def _drop(term: str, x: Tensor, kept: set[str]) -> tuple[str, Tensor]:
    """Letters that only this operand has are summed at once."""
    axes = tuple(i for i, letter in enumerate(term) if letter not in kept)
    return "".join(letter for letter in term if letter in kept), x.sum(axes) if axes else x


def _grouped(term: str, x: Tensor, batch: list[str], rows: list[str], columns: list[str]) -> Tensor:
    """[batch…, rows, columns], each group of letters in one axis but for the batch."""
    size = dict(zip(term, x.shape, strict=True))
    shape = [*(size[i] for i in batch), *(math.prod(size[i] for i in group) for group in (rows, columns))]
    return x.permute([term.index(letter) for letter in (*batch, *rows, *columns)]).reshape(shape)
