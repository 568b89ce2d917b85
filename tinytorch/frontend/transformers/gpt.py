"""The language model."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from tinytorch.frontend import arguments
from tinytorch.frontend.attention.layers import Cache
from tinytorch.frontend.creation import arange
from tinytorch.frontend.embeddings import Embedding
from tinytorch.frontend.gradients import grad_mode
from tinytorch.frontend.init import zeros_
from tinytorch.frontend.layer_functions import dropout, linear
from tinytorch.frontend.layers import LayerNorm, Linear, ModuleList
from tinytorch.frontend.loss_functions import cross_entropy
from tinytorch.frontend.module import Module
from tinytorch.frontend.random import Generator, normal_
from tinytorch.frontend.tensor import Tensor
from tinytorch.frontend.transformers.block import TransformerBlock
from tinytorch.ir.errors import ShapeError
from tinytorch.ir.loc import user_loc
from tinytorch.ir.types import f32


class GPT(Module):
    """A decoder-only transformer: indices [batch, length] to logits [batch, length, vocab_size]."""

    def __init__(
        self,
        vocab_size: int,
        embed_dim: int,
        num_layers: int,
        num_heads: int,
        context_length: int = 1024,
        dropout: float = 0.0,
        bias: bool = True,
        tied: bool = True,
        activation: str = "gelu_tanh",
        mlp_ratio: float = 4,
        num_kv_heads: int | None = None,
        dtype: object = f32,
        generator: Generator | None = None,
    ) -> None:
        super().__init__()
        self.vocab_size = arguments.integer("GPT", "vocab_size", vocab_size, 1)
        self.context_length = arguments.integer("GPT", "context_length", context_length, 1)
        arguments.integer("GPT", "num_layers", num_layers, 1)
        self.dropout = float(arguments.probability("GPT", "dropout", dropout))
        self.generator = generator
        self.token_embedding = Embedding(vocab_size, embed_dim, dtype=dtype, generator=generator)
        self.position_embedding = Embedding(context_length, embed_dim, dtype=dtype, generator=generator)
        self.blocks = ModuleList(
            TransformerBlock(
                embed_dim, num_heads, mlp_ratio, dropout, bias, True, activation, num_kv_heads, dtype, generator
            )
            for _ in range(num_layers)
        )
        self.norm = LayerNorm(embed_dim, bias=bias, dtype=dtype)
        self.head = None if tied else Linear(embed_dim, vocab_size, False, dtype, generator=generator)
        self._initialize(num_layers, generator)

    def _initialize(self, num_layers: int, generator: Generator | None) -> None:
        """Weights of standard deviation 0.02, those before a residual of 0.02 / sqrt(2 num_layers) (Radford et al.
        2019); biases 0."""
        for name, parameter in self.named_parameters():
            if parameter.ndim == 2:
                last = name.endswith(("attention.output.weight", "feed_forward.down.weight"))
                normal_(parameter, 0.0, 0.02 / (2 * num_layers) ** 0.5 if last else 0.02, generator)
            elif name.endswith("bias"):
                zeros_(parameter)

    def forward(self, indices: Tensor, targets: Tensor | None = None, cache: Cache | None = None) -> Tensor:
        """Logits [batch, length, vocab_size]; with `targets` [batch, length], the mean cross entropy instead."""
        if indices.ndim != 2:
            raise ShapeError(f"GPT: indices are [batch, length], got {indices.type}", user_loc())
        length = indices.shape[1]
        if length > self.context_length:
            raise ShapeError(f"GPT: {length} tokens are more than the context length {self.context_length}", user_loc())
        positions = arange(length) if cache is None else cache.positions.unsqueeze(1) + arange(length)
        x = self.token_embedding(indices) + (
            self.position_embedding.weight[:length] if cache is None else self.position_embedding(positions)
        )
        x = dropout(x, self.dropout, self.training, self.generator)
        for i, block in enumerate(self.blocks):
            x = block(x, cache=cache, layer_idx=i)
        if cache is not None:
            cache.advance(length)
        x = self.norm(x)
        logits = linear(x, self.token_embedding.weight) if self.head is None else self.head(x)
        if targets is None:
            return logits
        return cross_entropy(logits.reshape(-1, self.vocab_size), targets.reshape(-1))

    def generate(self, prompt: Sequence[int], max_length: int, temperature: float = 1.0) -> list[int]:
        """The prompt and what follows it, `max_length` tokens in all, drawn from softmax(logits / temperature)."""
        tokens, rng = list(prompt), np.random.default_rng()
        with grad_mode(False):
            while len(tokens) < max_length:
                logits = self(Tensor([tokens[-self.context_length :]]))[0, -1].numpy()
                if temperature == 0:
                    tokens.append(int(logits.argmax()))
                    continue
                weights = np.exp((logits - logits.max()) / temperature)
                tokens.append(int(rng.choice(len(weights), p=weights / weights.sum())))
        return tokens
