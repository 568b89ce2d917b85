"""Weights of GPT-2 as they are published: which tensors a file has, and what they are called here.

    wte.weight [vocab, d], wpe.weight [context, d]            token_embedding, positions
    h.N.ln_1, h.N.ln_2, ln_f: weight [d], bias [d]            blocks.N.norm1, blocks.N.norm2, norm
    h.N.attn.c_attn: weight [d, 3 d], bias [3 d]              blocks.N.attention.query, .key, .value
    h.N.attn.c_proj: weight [d, d], bias [d]                  blocks.N.attention.output
    h.N.mlp.c_fc: weight [d, m], bias [m]                     blocks.N.feed_forward.up
    h.N.mlp.c_proj: weight [m, d], bias [d]                   blocks.N.feed_forward.down

All names may begin with "transformer.". Matrices of h.N are [in, out], the transpose of those of `Linear`. A head
`lm_head.weight` may be there; h.N.attn.bias and .masked_bias are masks, and are not read.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from os import PathLike
from typing import Any

import numpy as np

from tinytorch.frontend.module.weights import load_safetensors
from tinytorch.ir.errors import TinyTorchError
from tinytorch.ir.loc import user_loc
from tinytorch.ir.op import Array
from tinytorch.ir.types import Shape

_MASK = re.compile(r"h\.\d+\.attn\.(masked_)?bias")
_LAYER = re.compile(r"h\.(\d+)\.")
_HEAD = "lm_head.weight"


class GPT2Weights:
    """The tensors of a file, checked: `vocab_size`, `context_length`, `embed_dim`, `num_layers` and `hidden` are read
    off their shapes. TinyTorchError if one is missing, unknown, or of another shape than the others ask for."""

    def __init__(self, path: str | PathLike[str]) -> None:
        named = {name.removeprefix("transformer."): t for name, t in load_safetensors(path).items()}
        arrays = {name: t.numpy() for name, t in named.items() if not _MASK.fullmatch(name)}
        self._path, self._arrays = path, arrays
        self.vocab_size, self.embed_dim = self._matrix("wte.weight")
        self.context_length = self._matrix("wpe.weight")[0]
        self.num_layers = len({found[1] for name in arrays if (found := _LAYER.match(name))})
        self.hidden = self._matrix("h.0.mlp.c_fc.weight")[1]
        self._check()
        head = arrays.get(_HEAD)
        self.tied = head is None or np.array_equal(head, arrays["wte.weight"])

    def _matrix(self, name: str) -> Shape:
        array = self._arrays.get(name)
        if array is None or array.ndim != 2:
            got = "is missing" if array is None else f"is {list(array.shape)}, not a matrix"
            raise TinyTorchError(f"{self._path} is no file of GPT-2: {name} {got}", user_loc())
        return array.shape

    def _check(self) -> None:
        wanted = self._shapes()
        problems = [f"missing: {name} {list(shape)}" for name, shape in wanted.items() if name not in self._arrays]
        wanted[_HEAD] = (self.vocab_size, self.embed_dim)
        for name, array in self._arrays.items():
            if name not in wanted:
                problems.append(f"unknown: {name} {list(array.shape)}")
            elif array.shape != wanted[name]:
                problems.append(f"{name}: {list(wanted[name])} is wanted, the file has {list(array.shape)}")
            elif array.dtype.kind not in "fV":  # V: the small floats of ml_dtypes
                problems.append(f"{name}: floats are wanted, the file has {array.dtype}")
        if problems:
            listed = "\n  ".join(problems)
            raise TinyTorchError(f"{self._path} is no file of GPT-2:\n  {listed}", user_loc())

    def _shapes(self) -> dict[str, Shape]:
        d, m = self.embed_dim, self.hidden
        shapes: dict[str, Shape] = {"wte.weight": (self.vocab_size, d), "wpe.weight": (self.context_length, d)}
        affine = {"ln_f": (d,)}
        for i in range(self.num_layers):
            affine |= {f"h.{i}.ln_1": (d,), f"h.{i}.ln_2": (d,)}
            affine |= {f"h.{i}.attn.c_attn": (d, 3 * d), f"h.{i}.attn.c_proj": (d, d)}
            affine |= {f"h.{i}.mlp.c_fc": (d, m), f"h.{i}.mlp.c_proj": (m, d)}
        for name, shape in affine.items():
            shapes |= {f"{name}.weight": shape, f"{name}.bias": shape[-1:]}
        return shapes

    def state(self) -> Mapping[str, Any]:
        """What `load_state_dict` of the model takes."""
        found = {"token_embedding.weight": self._arrays["wte.weight"], "positions.weight": self._arrays["wpe.weight"]}
        found |= self._affine("ln_f", "norm")
        for i in range(self.num_layers):
            here, there = f"h.{i}", f"blocks.{i}"
            found |= self._affine(f"{here}.ln_1", f"{there}.norm1")
            found |= self._affine(f"{here}.ln_2", f"{there}.norm2")
            for name, array in self._affine(f"{here}.attn.c_attn", "").items():
                for part, rows in zip(("query", "key", "value"), np.split(array, 3), strict=True):
                    found[f"{there}.attention.{part}{name}"] = rows
            found |= self._affine(f"{here}.attn.c_proj", f"{there}.attention.output")
            found |= self._affine(f"{here}.mlp.c_fc", f"{there}.feed_forward.up")
            found |= self._affine(f"{here}.mlp.c_proj", f"{there}.feed_forward.down")
        if not self.tied:
            found["head.weight"] = self._arrays[_HEAD]
        return found

    def _affine(self, name: str, own: str) -> dict[str, Array]:
        """Weight, as [out, in], and bias."""
        return {f"{own}.weight": self._arrays[f"{name}.weight"].T, f"{own}.bias": self._arrays[f"{name}.bias"]}
