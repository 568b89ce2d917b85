"""Module 11: embeddings of tokens, and of their positions."""

from __future__ import annotations

from tinytorch.frontend import arguments
from tinytorch.frontend.creation import zeros
from tinytorch.frontend.gradients import grad_mode
from tinytorch.frontend.layer_functions import embedding
from tinytorch.frontend.module import Module, Parameter
from tinytorch.frontend.random import Generator, normal_
from tinytorch.frontend.tensor import Tensor
from tinytorch.ir.types import f32

__all__ = ["Embedding"]


class Embedding(Module):
    """A table of vectors, `weight` [vocab_size, embed_dim]: indices [...] to [..., embed_dim].

    Weights begin as normal numbers of mean 0 and variance 1, as in PyTorch.
    """

    def __init__(
        self,
        vocab_size: int,
        embed_dim: int,
        padding_idx: int | None = None,
        dtype: object = f32,
        generator: Generator | None = None,
    ) -> None:
        super().__init__()
        self.vocab_size = arguments.integer("Embedding", "vocab_size", vocab_size, 1)
        self.embed_dim = arguments.integer("Embedding", "embed_dim", embed_dim, 1)
        arguments.instance("Embedding", "generator", generator, Generator, optional=True)
        self.padding_idx = padding_idx
        self.weight = Parameter(zeros(vocab_size, embed_dim, dtype=dtype))
        with grad_mode(False):
            normal_(self.weight, generator=generator)

    def forward(self, indices: Tensor) -> Tensor:
        return embedding(indices, self.weight)

    def extra_repr(self) -> str:
        return f"{self.vocab_size}, {self.embed_dim}"
