"""What commands are given: a built-in model's name, or `module:callable` with the types of its arguments."""

from __future__ import annotations

import importlib
import inspect
import os
import re
import sys
from collections.abc import Sequence
from typing import Any

import numpy as np

from tinytorch.compile import compile
from tinytorch.compiled.function import Compiled
from tinytorch.frontend.module import Module
from tinytorch.frontend.tensor import Tensor
from tinytorch.ir.errors import TinyTorchError
from tinytorch.ir.types import DTYPES, TensorType
from tinytorch.samples import SAMPLES

_TYPE = re.compile(r"(\w+)\[((?:\d+(?:,\d+)*)?)\]")


def compiled_target(target: str, inputs: Sequence[str]) -> Compiled:
    """The target, compiled and called once with made tensors of the types `inputs`."""
    if target in SAMPLES:
        sample = SAMPLES[target]()
        found, args = compile(sample.step), sample.args
    else:
        function, args = called_target(target, inputs)
        found = function if isinstance(function, Compiled) else compile(function)
    found(*args)
    return found


def called_target(target: str, inputs: Sequence[str]) -> tuple[Any, tuple[Tensor, ...]]:
    """What `module:callable` names, and made tensors of the types `inputs` to call it with."""
    function = _load(target)
    args = tuple(_example(parse_type(text)) for text in inputs)
    _check_count(target, function, len(args))
    return function, args


def parse_type(text: str) -> TensorType:
    """`f32[64,784]` as a type."""
    match = _TYPE.fullmatch(text.replace(" ", ""))
    if match is None or match[1] not in DTYPES:
        raise TinyTorchError(f"{text!r} is no type; write a dtype and a shape such as f32[64,784]")
    return TensorType(DTYPES[match[1]], tuple(map(int, filter(None, match[2].split(",")))))


def _example(type: TensorType) -> Tensor:
    """Normally distributed floats; integers and booleans are 0, which every index may be."""
    try:
        values = np.random.default_rng(0).standard_normal(type.shape) if type.dtype.is_float else np.zeros(type.shape)
        return Tensor(values.astype(type.dtype.numpy))
    except (MemoryError, ValueError, OverflowError):
        raise TinyTorchError(f"{type} does not fit into memory") from None


def _load(target: str) -> Any:
    """The callable that `module:name` names. A class is instantiated, and what makes a model is called for it."""
    module_name, _, path = target.partition(":")
    if not path:
        raise TinyTorchError(f"{target!r} is neither one of {', '.join(SAMPLES)} nor of the form module:callable")
    if not all(part.isidentifier() for part in module_name.split(".")):
        raise TinyTorchError(f"{module_name!r} is no name of a module; write it as an import would, such as models.net")
    sys.path.insert(0, os.getcwd())
    try:
        found: Any = importlib.import_module(module_name)
    except ModuleNotFoundError as error:
        raise TinyTorchError(f"cannot import {module_name!r}: {error}") from None
    for name in path.split("."):
        if not hasattr(found, name):
            raise TinyTorchError(f"{module_name!r} has no {path!r}")
        found = getattr(found, name)
    found = _instance(target, found) if isinstance(found, type) else found
    if not callable(found):
        raise TinyTorchError(f"{target} is a {type(found).__name__}, which cannot be called")
    return _model_of(found)


def _instance(target: str, kind: type) -> Any:
    try:
        inspect.signature(kind).bind()
    except TypeError as error:
        raise TinyTorchError(f"{target}: {error}; name a function without arguments that makes one") from None
    return kind()


def _model_of(found: Any) -> Any:
    """The model that a function without arguments makes, or else the callable itself."""
    if isinstance(found, Module | Compiled) or not inspect.isroutine(found):
        return found
    try:
        inspect.signature(found).bind()
    except (TypeError, ValueError):  # it needs arguments, or nobody knows
        return found
    made: Any = found()
    return made if isinstance(made, Module | Compiled) else found


def _check_count(target: str, function: Any, count: int) -> None:
    called = function.function if isinstance(function, Compiled) else function
    called = getattr(called, "forward", called)
    try:
        inspect.signature(called).bind(*range(count))
    except TypeError as error:
        raise TinyTorchError(f"{target}: {error}; give the type of each with --input, such as f32[64,784]") from None
