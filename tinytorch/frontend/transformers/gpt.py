"""The language model."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from os import PathLike
from typing import Any, Self

from tinytorch.frontend import arguments
from tinytorch.frontend.attention.layers import Cache, check_rows
from tinytorch.frontend.embeddings import Embedding, PositionalEncoding, RotaryEmbedding
from tinytorch.frontend.functions.creation import arange
from tinytorch.frontend.functions.random import Generator
from tinytorch.frontend.layers import Linear
from tinytorch.frontend.layers.functions import dropout
from tinytorch.frontend.losses.functions import cross_entropy
from tinytorch.frontend.module import Module
from tinytorch.frontend.module.containers import ModuleList
from tinytorch.frontend.module.init import normal_, zeros_
from tinytorch.frontend.tensor import Tensor
from tinytorch.frontend.tensor.gradients import require_tensor
from tinytorch.frontend.transformers.block import TransformerBlock, norm_of
from tinytorch.frontend.transformers.generation import Settings, Steps, generate
from tinytorch.frontend.transformers.gpt2 import GPT2Weights
from tinytorch.ir.errors import ShapeError, TinyTorchError
from tinytorch.ir.loc import user_loc
from tinytorch.ir.types import dtype_of, f32, f64


class GPT(Module):
    """A decoder-only transformer: tokens [batch, length] to logits [batch, length, vocab_size] of those that follow
    (Radford et al. 2019). The defaults are those of GPT-2.

    - `context_length`: the most tokens that it sees.
    - `positions`: "learned" or "sinusoidal", added to the embeddings; "rotary", with `rotary_base`; or "none".
    - `tied`: the head's weights are those of the embedding.
    - `embedding_dropout`: by default `dropout`.
    - `norm`, `activation`, `mlp_ratio`, `num_kv_heads`, `head_dim`, `qk_norm`, `value_residual`: as in
      `TransformerBlock`.
    - `initialization`: "gpt2": matrices of deviation 0.02, those in front of a residual 0.02 / sqrt(2 num_layers);
      biases 0. "identity": deviation 1 / sqrt(columns), but 0 for those in front of a residual, so that blocks begin as
      identities; an embedding that is tied has 0.02, else 1, with a head of 0.

    A training step costs 6 operations for each weight of a matrix and token, and 6 length · embed_dim for each layer
    and token of causal attention. Parameters grow with layers · embed_dim², the table with vocab_size · embed_dim.
    """

    __slots__ = ("_steps",)  # beside the attributes: no part of the model's state
    _steps: Steps

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
        positions: str = "learned",
        norm: str = "layer",
        activation: str = "gelu_tanh",
        mlp_ratio: float = 4,
        num_kv_heads: int | None = None,
        head_dim: int | None = None,
        qk_norm: bool = False,
        value_residual: bool = False,
        rotary_base: float = 10000.0,
        embedding_dropout: float | None = None,
        initialization: str = "gpt2",
        dtype: object = f32,
        generator: Generator | None = None,
    ) -> None:
        super().__init__()
        name = type(self).__name__
        self.vocab_size = arguments.integer(name, "vocab_size", vocab_size, 1)
        self.embed_dim = arguments.integer(name, "embed_dim", embed_dim, 1)
        self.num_layers = arguments.integer(name, "num_layers", num_layers, 1)
        self.context_length = arguments.integer(name, "context_length", context_length, 1)
        self.dropout = float(arguments.probability(name, "dropout", dropout))
        arguments.integer(name, "num_heads", num_heads, 1)
        arguments.choice(name, "positions", positions, "learned", "sinusoidal", "rotary", "none")
        arguments.choice(name, "initialization", initialization, "gpt2", "identity")
        first = dropout if embedding_dropout is None else embedding_dropout
        self.embedding_dropout = float(arguments.probability(name, "embedding_dropout", first))
        self.generator = generator
        self.token_embedding = Embedding(vocab_size, embed_dim, dtype=dtype, generator=generator)
        added = positions in ("learned", "sinusoidal")
        self.positions = (
            PositionalEncoding(context_length, embed_dim, positions, dtype=dtype, generator=generator)
            if added
            else None
        )
        size = embed_dim // num_heads if head_dim is None else head_dim
        exact = f64 if dtype_of(dtype) is f64 else f32  # angles of far positions need more than 16 bits
        rotary = RotaryEmbedding(size, context_length, rotary_base, exact) if positions == "rotary" else None
        self.blocks = ModuleList(
            TransformerBlock(
                embed_dim, num_heads, mlp_ratio, dropout, bias, True, activation, norm, num_kv_heads, head_dim, qk_norm,
                rotary, value_residual and i > 0, dtype, generator,
            )
            for i in range(num_layers)
        )  # fmt: skip
        self.norm = norm_of(name, norm, embed_dim, bias, dtype)
        self.head = None if tied else Linear(embed_dim, vocab_size, False, dtype=dtype, generator=generator)
        self._initialize(initialization == "identity")

    def _initialize(self, identity: bool) -> None:
        for name, parameter in self.named_parameters():
            if name.endswith(".bias"):
                zeros_(parameter)
            elif parameter.ndim == 2:
                normal_(parameter, 0.0, self._deviation(name, parameter, identity), self.generator)

    def _deviation(self, name: str, weight: Tensor, identity: bool) -> float:
        """The standard deviation that a matrix begins with."""
        last = name.endswith((".output.weight", ".down.weight"))
        if not identity:
            return 0.02 / math.sqrt(2 * self.num_layers) if last else 0.02
        if name == "token_embedding.weight":
            return 0.02 if self.head is None else 1.0
        if name == "positions.weight":
            return 0.02
        return 0.0 if last or name == "head.weight" else weight.shape[1] ** -0.5

    def forward(self, indices: Tensor, targets: Tensor | None = None, cache: Cache | None = None) -> Tensor:
        """Logits [batch, length, vocab_size] of integers [batch, length]; with `targets` [batch, length], the mean
        cross entropy instead (targets of -100 do not count).

        With a `cache`, the tokens stand behind those that it holds, and it takes their keys and values.
        """
        logits = self.logits(self.hidden(indices, cache))
        if targets is None:
            return logits
        if require_tensor("GPT", targets).shape != indices.shape:
            raise ShapeError(f"GPT: targets are {list(indices.shape)} integers, got {targets.type}", user_loc())
        return cross_entropy(logits.flatten(0, 1), targets.flatten())

    def hidden(self, indices: Tensor, cache: Cache | None = None) -> Tensor:
        """What the head reads: [batch, length, embed_dim] behind the last norm."""
        if require_tensor("GPT", indices).ndim != 2 or indices.dtype.kind not in ("int", "uint"):
            raise ShapeError(f"GPT: tokens are integers [batch, length], got {indices.type}", user_loc())
        length = indices.shape[1]
        if not 0 < length <= self.context_length:
            raise ShapeError(
                f"GPT: the context holds 1 to {self.context_length} tokens, got {indices.type}; the last ones can be "
                f"cut off, as in tokens[:, -{self.context_length}:]",
                user_loc(),
            )
        if cache is not None:
            check_rows("GPT", "the batch of tokens", indices, cache)
        places = None if cache is None else cache.begin().unsqueeze(1) + arange(length)
        x = self.token_embedding(indices)
        if self.positions is not None:
            x = self.positions(x, places)
        x = dropout(x, self.embedding_dropout, self.training, generator=self.generator)
        first_value = None
        for i, block in enumerate(self.blocks):
            x, value = block(x, cache=cache, layer_idx=i, first_value=first_value, return_value=True)
            first_value = value if first_value is None else first_value
        if cache is not None:
            cache.advance(length)
        return self.norm(x)

    def logits(self, hidden: Tensor) -> Tensor:
        """[..., embed_dim] to [..., vocab_size]."""
        return self.token_embedding.project(hidden) if self.head is None else self.head(hidden)

    @classmethod
    def from_safetensors(
        cls, path: str | PathLike[str], num_heads: int | None = None, dropout: float = 0.0, dtype: object = f32
    ) -> Self:
        """GPT-2 with the published weights of a safetensors file; `gpt2` describes its layout. `num_heads` is not in
        such a file; by default heads are 64 wide, as in every published size. TinyTorchError for a file that is
        damaged, or whose tensors are missing, unknown or of wrong shapes."""
        weights = GPT2Weights(path)
        if num_heads is None and weights.embed_dim % 64:
            raise TinyTorchError(
                f"from_safetensors: {path} has vectors of {weights.embed_dim}, no multiple of 64; give num_heads",
                user_loc(),
            )
        model = cls(
            weights.vocab_size, weights.embed_dim, weights.num_layers,
            weights.embed_dim // 64 if num_heads is None else num_heads, weights.context_length, dropout,
            tied=weights.tied, mlp_ratio=weights.hidden / weights.embed_dim, dtype=dtype,
        )  # fmt: skip
        model.load_state_dict(weights.state())
        return model

    @property
    def steps(self) -> Steps:
        """What `generate` has compiled."""
        if not hasattr(self, "_steps"):
            object.__setattr__(self, "_steps", Steps())
        return self._steps

    def generate(
        self,
        prompt: Any,
        max_length: int,
        temperature: float = 1.0,
        top_k: int | None = None,
        top_p: float | None = None,
        seed: int | None = None,
        stop: int | Sequence[int] = (),
        callback: Callable[..., Any] | None = None,
        cache: Cache | None = None,
        generator: Generator | None = None,
    ) -> Any:
        """The prompt and what follows it, `max_length` tokens in all: a list of ids. Of several prompts (a list of
        lists or a tensor [batch, length]), which may differ in length, a list of such lists.

        Each token is drawn from softmax(logits / temperature), of the `top_k` most probable ones, and of the fewest
        that have a probability of `top_p` together (Holtzman et al. 2020); what is as probable as the last of these
        counts too. `temperature` 0 takes the most probable token. A row ends behind a token of `stop`. `callback` gets
        each token as it is made, and of several prompts the row behind it: `callback(token, row)`.

        A row depends on its prompt alone: with `seed`, row b is what its prompt gives alone with seed + b. Without,
        `generator` or the default one draws.

        Without a cache, each token costs a forward of all before it, of at most `context_length`, padded to the next
        power of two; tokens further back are forgotten. With a `cache`, which must have room for `max_length` tokens
        and is emptied first, it costs a forward of one. Either is compiled, one executable for each size; the model is
        in evaluation mode meanwhile.
        """
        settings = Settings(temperature, top_k, top_p, stop, callback)
        return generate(self, prompt, max_length, settings, seed, generator, cache)
