"""`save` and `load`: state dicts and compiled functions in safetensors files. Nothing is pickled."""

from __future__ import annotations

from os import PathLike
from typing import Any, BinaryIO, cast

from tinytorch.frontend.module import saving
from tinytorch.frontend.module.weights import read_safetensors
from tinytorch.frontend.tensor import Tensor
from tinytorch.ir.system import locks

_ARTIFACT = "tinytorch.artifact"  # the key of metadata that a compiled function's file has


def save(obj: Any, f: str | PathLike[str] | BinaryIO) -> None:
    """Write `obj` to a path, where the file appears whole or not at all, or to a binary file that is open.

    `obj` is a tensor, array, number, string or dtype, or a dict, list or tuple of such, nested; keys are strings or
    numbers. Or it is a compiled function or model that has been called (frozen, quantized and pruned ones too), or
    what `load` gave: its graphs as text, one for each signature that is up to date, and the tensors that they read and
    change. A Module is refused: save its `state_dict()`, or what `tt.compile` makes of it.

    TinyTorchError if it cannot be written, or if a compiled function takes, returns or changes what a file cannot hold:
    Python objects, or gradients in `.grad` of tensors.
    """
    saved = getattr(type(obj), "_saved", None)
    if saved is None:
        saving.save_state(obj, f)
        return
    with locks.importing:
        from tinytorch.artifacts.text import content
    saving.write(f, *content(saved(obj)))


def load(f: str | PathLike[str] | BinaryIO, map_location: object = None, *, weights_only: bool = True) -> Any:
    """What `save` has written; of another safetensors file a dict of tensors. `map_location` may only be "cpu".

    A compiled function comes back as one that takes the same inputs, without its Python and without gradients: see
    `tinytorch.artifacts.loaded.LoadedFunction`. TinyTorchError if the file is missing, damaged, newer than this
    program, or of another kind, such as PyTorch's pickles.
    """
    del weights_only  # there is nothing else in a file
    if map_location is not None:
        Tensor(0.0).to(cast(str, map_location))
    tensors, metadata = read_safetensors(f)
    if _ARTIFACT not in metadata:
        return saving.state_of(tensors, metadata, f)
    with locks.importing:
        from tinytorch.artifacts.loaded import LoadedFunction
        from tinytorch.artifacts.text import saved_function
    return LoadedFunction(saved_function(tensors, metadata, f))
