"""`nn.Embedding` with PyTorch's arguments."""

from __future__ import annotations

from typing import Self

from tinytorch.frontend import arguments, embeddings
from tinytorch.frontend.gradients import require_tensor
from tinytorch.frontend.layer_functions import embedding
from tinytorch.frontend.module import Parameter
from tinytorch.frontend.parameter_types import parameter_dtype
from tinytorch.frontend.tensor import Tensor
from tinytorch.ir.errors import ShapeError
from tinytorch.ir.loc import user_loc

__all__ = ["Embedding"]


class Embedding(embeddings.Embedding):
    """A table of vectors, `weight` [num_embeddings, embedding_dim]: integers [...] to floats [..., embedding_dim].

    Weights begin as normal numbers of mean 0 and variance 1, or are those given. `F.embedding` describes the other
    arguments. `tt.Embedding` is the same without them.
    """

    def __init__(
        self,
        num_embeddings: int,
        embedding_dim: int,
        padding_idx: int | None = None,
        max_norm: float | None = None,
        norm_type: float = 2.0,
        scale_grad_by_freq: bool = False,
        sparse: bool = False,
        _weight: Tensor | None = None,
        _freeze: bool = False,
        device: object = None,
        dtype: object = None,
    ) -> None:
        self.num_embeddings = arguments.integer("Embedding", "num_embeddings", num_embeddings, 1)
        self.embedding_dim = arguments.integer("Embedding", "embedding_dim", embedding_dim, 1)
        super().__init__(num_embeddings, embedding_dim, padding_idx, parameter_dtype(device, dtype))
        if _weight is not None:
            self.weight = given_table("Embedding", _weight, num_embeddings, embedding_dim)
        self.weight.requires_grad_(not arguments.flag("Embedding", "_freeze", _freeze))
        self.max_norm = max_norm if max_norm is None else arguments.positive("Embedding", "max_norm", max_norm)
        self.norm_type = arguments.number("Embedding", "norm_type", norm_type, lambda p: p == p, "a number")
        self.scale_grad_by_freq = arguments.flag("Embedding", "scale_grad_by_freq", scale_grad_by_freq)
        self.sparse = refuse_sparse("Embedding", sparse)

    @classmethod
    def from_pretrained(
        cls,
        embeddings: Tensor,
        freeze: bool = True,
        padding_idx: int | None = None,
        max_norm: float | None = None,
        norm_type: float = 2.0,
        scale_grad_by_freq: bool = False,
        sparse: bool = False,
    ) -> Self:
        """The module with this table, which does not learn unless `freeze` is False."""
        table = require_tensor("from_pretrained", embeddings)
        if table.ndim != 2:
            raise ShapeError(f"from_pretrained: embeddings are [count, features], got {table.type}", user_loc())
        return cls(
            table.shape[0], table.shape[1], padding_idx, max_norm, norm_type, scale_grad_by_freq, sparse, table, freeze
        )  # fmt: skip

    def forward(self, input: Tensor) -> Tensor:  # pyright: ignore[reportIncompatibleMethodOverride]
        return embedding(
            input, self.weight, self.padding_idx, self.max_norm, self.norm_type, self.scale_grad_by_freq
        )  # fmt: skip


def given_table(what: str, weight: Tensor, count: int, features: int) -> Parameter:
    """A parameter of these values, which have the shape that the module says."""
    if require_tensor(what, weight).shape != (count, features) or not weight.dtype.is_float:
        raise ShapeError(f"{what}: _weight is floats [{count}, {features}], got {weight.type}", user_loc())
    return Parameter(weight)


def refuse_sparse(what: str, sparse: bool) -> bool:
    if arguments.flag(what, "sparse", sparse):
        raise arguments.wrong_value(what, "sparse", "False: gradients are dense here", sparse)
    return False
