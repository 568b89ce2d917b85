"""Module 13: transformers. To read, in this order: `block` (attention and a network for each position, with their
residuals), `sampling` (a token of logits), `generation` (prompts, compiled steps, and the loop around them), `gpt2`
(published weights), `gpt` (the language model),
then `pytorch` (encoders and decoders as torch.nn has them).
"""

from __future__ import annotations

from tinytorch.frontend.transformers.block import TransformerBlock
from tinytorch.frontend.transformers.gpt import GPT

__all__ = ["GPT", "TransformerBlock"]
