"""`nn.Embedding` and `nn.EmbeddingBag`, with PyTorch's arguments."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Self

from tinytorch.frontend import arguments
from tinytorch.frontend.embeddings import embeddings
from tinytorch.frontend.functions.creation import zeros
from tinytorch.frontend.layers.embedding_bags import embedding_bag
from tinytorch.frontend.layers.functions import embedding, padding_row
from tinytorch.frontend.module import Module, Parameter
from tinytorch.frontend.module.parameter_types import parameter_dtype
from tinytorch.frontend.tensor import Tensor
from tinytorch.frontend.tensor.gradients import require_tensor
from tinytorch.ir.errors import ShapeError
from tinytorch.ir.loc import user_loc
from tinytorch.ir.op import Array

__all__ = ["Embedding", "EmbeddingBag"]


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

    def resized(self, kept: Mapping[str, tuple[Array, ...]]) -> None:
        super().resized(kept)
        self.embedding_dim = self.embed_dim

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


class EmbeddingBag(Module):
    """`F.embedding_bag` of a table `weight` [num_embeddings, embedding_dim], which begins as normal numbers of mean 0
    and variance 1, or as those given."""

    def __init__(
        self,
        num_embeddings: int,
        embedding_dim: int,
        max_norm: float | None = None,
        norm_type: float = 2.0,
        scale_grad_by_freq: bool = False,
        mode: str = "mean",
        sparse: bool = False,
        _weight: Tensor | None = None,
        include_last_offset: bool = False,
        padding_idx: int | None = None,
        device: object = None,
        dtype: object = None,
    ) -> None:
        super().__init__()
        name, kind = "EmbeddingBag", parameter_dtype(device, dtype)
        self.num_embeddings = arguments.integer(name, "num_embeddings", num_embeddings, 1)
        self.embedding_dim = arguments.integer(name, "embedding_dim", embedding_dim, 1)
        self.max_norm = max_norm if max_norm is None else arguments.positive(name, "max_norm", max_norm)
        self.norm_type = arguments.number(name, "norm_type", norm_type, lambda p: p == p, "a number")
        self.scale_grad_by_freq = arguments.flag(name, "scale_grad_by_freq", scale_grad_by_freq)
        self.mode = arguments.choice(name, "mode", mode, "sum", "mean", "max")
        self.sparse = refuse_sparse(name, sparse)
        self.include_last_offset = arguments.flag(name, "include_last_offset", include_last_offset)
        self.padding_idx = None if padding_idx is None else padding_row(name, padding_idx, num_embeddings)
        if _weight is not None:
            self.weight = given_table(name, _weight, num_embeddings, embedding_dim)
            return
        self.weight = Parameter(zeros(num_embeddings, embedding_dim, dtype=kind))
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw the table anew: normal numbers of mean 0 and variance 1, and zeros for the padding."""
        embeddings.draw_table(self.weight, self.padding_idx)

    @classmethod
    def from_pretrained(
        cls,
        embeddings: Tensor,
        freeze: bool = True,
        max_norm: float | None = None,
        norm_type: float = 2.0,
        scale_grad_by_freq: bool = False,
        mode: str = "mean",
        sparse: bool = False,
        include_last_offset: bool = False,
        padding_idx: int | None = None,
    ) -> Self:
        """The module with this table, which does not learn unless `freeze` is False."""
        table = require_tensor("from_pretrained", embeddings)
        if table.ndim != 2:
            raise ShapeError(f"from_pretrained: embeddings are [count, features], got {table.type}", user_loc())
        made = cls(
            table.shape[0], table.shape[1], max_norm, norm_type, scale_grad_by_freq, mode, sparse, table,
            include_last_offset, padding_idx,
        )  # fmt: skip
        made.weight.requires_grad_(not arguments.flag("from_pretrained", "freeze", freeze))
        return made

    def forward(self, input: Tensor, offsets: Tensor | None = None, per_sample_weights: Tensor | None = None) -> Tensor:
        return embedding_bag(
            input, self.weight, offsets, self.max_norm, self.norm_type, self.scale_grad_by_freq, self.mode, False,
            per_sample_weights, self.include_last_offset, self.padding_idx,
        )  # fmt: skip

    def extra_repr(self) -> str:
        return f"{self.num_embeddings}, {self.embedding_dim}, mode={self.mode!r}"


def given_table(what: str, weight: Tensor, count: int, features: int) -> Parameter:
    """A parameter of these values, which have the shape that the module says."""
    if require_tensor(what, weight).shape != (count, features) or not weight.dtype.is_float:
        raise ShapeError(f"{what}: _weight is floats [{count}, {features}], got {weight.type}", user_loc())
    return Parameter(weight)


def refuse_sparse(what: str, sparse: bool) -> bool:
    if arguments.flag(what, "sparse", sparse):
        raise arguments.wrong_value(what, "sparse", "False: gradients are dense here", sparse)
    return False
