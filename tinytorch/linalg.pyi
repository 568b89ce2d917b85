"""Functions of tensors, as they are called in linalg.

Made from the table of names by `pytest tests/frontend/test_names.py --bless`.
"""

from collections.abc import Sequence
from typing import Any

from tinytorch.frontend.linear_algebra.factorizations import QR, CholeskyAndInfo
from tinytorch.frontend.linear_algebra.lu import PLU, Factors, FactorsAndInfo
from tinytorch.frontend.linear_algebra.pseudo import LeastSquares
from tinytorch.frontend.linear_algebra.solving import InverseAndInfo, ResultAndInfo, SignAndLogarithm
from tinytorch.frontend.linear_algebra.spectra import SVD, Eigen
from tinytorch.frontend.tensor.tensor import Tensor

__all__: list[str] = [
    "cholesky",
    "cholesky_ex",
    "cond",
    "cross",
    "det",
    "diagonal",
    "eigh",
    "eigvalsh",
    "householder_product",
    "inv",
    "inv_ex",
    "lstsq",
    "lu",
    "lu_factor",
    "lu_factor_ex",
    "lu_solve",
    "matmul",
    "matrix_exp",
    "matrix_norm",
    "matrix_power",
    "matrix_rank",
    "multi_dot",
    "norm",
    "pinv",
    "qr",
    "slogdet",
    "solve",
    "solve_ex",
    "solve_triangular",
    "svd",
    "svdvals",
    "tensorinv",
    "tensorsolve",
    "vander",
    "vecdot",
    "vector_norm",
]

def cholesky(A: Tensor, *, upper: bool = False) -> Tensor:
    """L, a lower triangle with A = L L^T, or its transpose (A = U^T U) if `upper`, of positive definite
    matrices, of which only that triangle is read."""

def cholesky_ex(A: Tensor, *, upper: bool = False, check_errors: bool = False) -> CholeskyAndInfo:
    """`linalg.cholesky` with a number for each matrix, 0; a matrix that is not positive definite is an
    error."""

def cond(A: Tensor, p: Any = None) -> Tensor:
    """The condition number of each matrix in the norm `p` (see `matrix_norm`; by default 2): its norm
    times that of its inverse."""

def cross(input: Tensor, other: Tensor, *, dim: int = -1, axis: int = -1) -> Tensor:
    """The cross product of vectors with three elements along `dim`; the other axes broadcast."""

def det(A: Tensor) -> Tensor:
    """The determinant of each square matrix [..., n, n]."""

def diagonal(A: Tensor, *, offset: int = 0, dim1: int = -2, dim2: int = -1) -> Tensor:
    """The diagonals of matrices: a view."""

def eigh(A: Tensor, UPLO: str = "L") -> Eigen:
    """(eigenvalues [..., n], eigenvectors [..., n, n] by columns) of symmetric matrices, of which only
    the lower ("L") or upper ("U") triangle is read."""

def eigvalsh(A: Tensor, UPLO: str = "L") -> Tensor:
    """The eigenvalues [..., n] of symmetric matrices in ascending order."""

def householder_product(A: Tensor, tau: Tensor) -> Tensor:
    """The first columns [..., m, n] of the product of reflections 1 - tau[i] v[i] v[i]^T: vector i
    stands in column i of A below the diagonal, with a 1 on it. m >= n >= the size of tau, as LAPACK's
    `orgqr`."""

def inv(A: Tensor) -> Tensor:
    """The inverse of each square matrix [..., n, n]."""

def inv_ex(A: Tensor, *, check_errors: bool = False) -> InverseAndInfo:
    """`inv` with a number for each matrix that says whether it has an inverse; here it has, since a
    singular matrix is an error."""

def lstsq(A: Tensor, B: Tensor, rcond: float | None = None, *, driver: str | None = None) -> LeastSquares:
    """X with the smallest |A @ X - B|, and the smallest |X| among them, of A [..., m, n] and B [..., m,
    k] or a vector for each matrix."""

def lu(A: Tensor, *, pivot: bool = True) -> PLU:
    """(P, L, U) with A = P @ L @ U [..., m, n]: a permutation, a lower triangle with ones on its
    diagonal, an upper triangle."""

def lu_factor(A: Tensor, *, pivot: bool = True) -> Factors:
    """(L and U in one matrix, pivots as i32) for `lu_solve`."""

def lu_factor_ex(A: Tensor, *, pivot: bool = True, check_errors: bool = False) -> FactorsAndInfo:
    """`lu_factor` with the number of the first zero on the diagonal of U for each matrix, 0 if there is
    none."""

def lu_solve(LU: Tensor, pivots: Tensor, B: Tensor, *, left: bool = True, adjoint: bool = False) -> Tensor:
    """X with A @ X = B, or X @ A = B unless `left`, of A as `lu_factor` gives it, or of its transpose
    if `adjoint`."""

def matmul(input: Tensor, other: Any, *, dtype: object = None) -> Tensor:
    """Matrix product with numpy's rules: 1-D operands are vectors, leading axes are broadcast
    batches."""

def matrix_exp(input: Tensor) -> Tensor:
    """The sum of A^k / k! of each square matrix: the series of A / 2^s, whose norm is at most 1,
    squared s times (Moler and Van Loan, "Nineteen dubious ways to compute the exponential of a matrix",
    2003, method 3)."""

def matrix_norm(
    A: Tensor,
    ord: Any = "fro",
    dim: Any = ...,
    keepdim: bool = False,
    *,
    dtype: Any = None,
    axis: Any = ...,
    keepdims: bool = False,
) -> Tensor:
    """The norm of the matrices in the two axes `dim`: "fro", the root of the sum of squares; "nuc", the
    sum of singular values; 2 and -2, the largest and smallest of them; 1 and -1, the largest and
    smallest sum of a column's absolute values; infinity and minus infinity, of a row's."""

def matrix_power(input: Tensor, n: int) -> Tensor:
    """The `n`-th power of each square matrix by squaring; of the inverse for negative n, in eager mode
    only."""

def matrix_rank(A: Tensor, tol: Any = None, hermitian: bool = False, *, atol: Any = None, rtol: Any = None) -> Tensor:
    """How many singular values (sizes of eigenvalues, if `hermitian`) are above max(atol, rtol * the
    largest), as i64."""

def multi_dot(tensors: Sequence[Tensor]) -> Tensor:
    """The product of matrices in the order that takes the fewest operations; the first and the last may
    be vectors."""

def norm(
    A: Tensor,
    ord: Any = None,
    dim: Any = None,
    keepdim: bool = False,
    *,
    dtype: Any = None,
    axis: Any = None,
    keepdims: bool = False,
) -> Tensor:
    """`vector_norm` along one axis, `matrix_norm` of two; without `ord`, the root of the sum of squares
    over `dim`, or all."""

def pinv(A: Tensor, rcond: Any = None, hermitian: bool = False, *, atol: Any = None, rtol: Any = None) -> Tensor:
    """The pseudo-inverse [..., n, m] of A [..., m, n] (Moore, Penrose): singular values up to max(atol,
    rtol * the largest) count as 0."""

def qr(A: Tensor, mode: str = "reduced") -> QR:
    """(Q, R)."""

def slogdet(A: Tensor) -> SignAndLogarithm:
    """(The sign, the logarithm of the absolute value) of each determinant."""

def solve(A: Tensor, B: Tensor, *, left: bool = True) -> Tensor:
    """X with A @ X = B, or X @ A = B unless `left`, of square A [..., n, n] and B [..., n, k]."""

def solve_ex(A: Tensor, B: Tensor, *, left: bool = True, check_errors: bool = False) -> ResultAndInfo:
    """`solve` with a number for each matrix that says whether it was solved: always 0, since a singular
    matrix is an error here."""

def solve_triangular(A: Tensor, B: Tensor, *, upper: bool, left: bool = True, unitriangular: bool = False) -> Tensor:
    """X with A @ X = B, or X @ A = B unless `left`, where of A only the `upper` or lower triangle
    counts, and its diagonal as ones where `unitriangular`."""

def svd(A: Tensor, full_matrices: bool = True) -> SVD:
    """(U, S, Vh) with A [..., m, n] = U @ diag(S) @ Vh, S in descending order."""

def svdvals(A: Tensor) -> Tensor:
    """The singular values [..., min(m, n)] in descending order."""

def tensorinv(A: Tensor, ind: int = 2) -> Tensor:
    """The inverse of A as a map from its last axes to its first `ind` ones, whose sizes have one
    product."""

def tensorsolve(A: Tensor, B: Tensor, dims: Any = None) -> Tensor:
    """X with tensordot(A, X, X.ndim) = B."""

def vander(x: Tensor, *, N: int | None = None) -> Tensor:
    """[..., n, N] with the powers 0, 1, … N - 1 of each element (N is n by default)."""

def vecdot(x: Tensor, y: Tensor, *, dim: int = -1, axis: int = -1) -> Tensor:
    """The inner products of vectors along `dim`; the other axes broadcast."""

def vector_norm(
    x: Tensor,
    ord: Any = 2,
    dim: Any = None,
    keepdim: bool = False,
    *,
    dtype: Any = None,
    axis: Any = None,
    keepdims: bool = False,
) -> Tensor:
    """(sum |x|^ord)^(1/ord) over `dim`, one axis or several, or all; the largest of |x| for infinity,
    the smallest for minus infinity, how many are not 0 for 0."""
