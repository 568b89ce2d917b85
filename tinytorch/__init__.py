"""TinyTorch: neural networks traced into a graph you can read, and run by kernels generated for exactly its shapes.

Functions, layers and losses are listed where they are defined, in `__all__` of each file. What a program does not need
from the beginning (namespaces, data, training, the compiler …) is loaded when it first asks for it.
"""

import os as _os
from importlib import import_module as _import_module
from typing import TYPE_CHECKING, Any

if _os.environ.get("TT_OVERLAY"):
    from pathlib import Path as _Path

    from tinytorch.overlay import install as _install

    _install(_Path(_os.path.abspath(_os.environ["TT_OVERLAY"])))

from tinytorch import protocols as protocols
from tinytorch.compile import compile, verify
from tinytorch.frontend import attention as _attention
from tinytorch.frontend import embeddings as _embeddings
from tinytorch.frontend import functional as _functional
from tinytorch.frontend import layers as _layers
from tinytorch.frontend import legacy as _legacy
from tinytorch.frontend import losses as _losses
from tinytorch.frontend import names as _names
from tinytorch.frontend import recurrent as _recurrent
from tinytorch.frontend import spatial as _spatial
from tinytorch.frontend.attention import *
from tinytorch.frontend.autograd import (
    Function,
    checkpoint,
    enable_grad,
    grad,
    inference_mode,
    is_grad_enabled,
    no_grad,
    set_grad_enabled,
    value_and_grad,
)
from tinytorch.frontend.embeddings import *
from tinytorch.frontend.functional import *
from tinytorch.frontend.functions.random import (
    Generator,
    bernoulli,
    manual_seed,
    rand,
    rand_like,
    randint,
    randn,
    randn_like,
    randperm,
)
from tinytorch.frontend.layers import *
from tinytorch.frontend.legacy import *
from tinytorch.frontend.losses import *
from tinytorch.frontend.module import Module, Parameter
from tinytorch.frontend.module import containers as _containers
from tinytorch.frontend.module.containers import *
from tinytorch.frontend.names import *
from tinytorch.frontend.recurrent import *
from tinytorch.frontend.spatial import *
from tinytorch.frontend.tensor import Tensor, from_dlpack, from_numpy, frombuffer
from tinytorch.frontend.tensor import devices as _devices
from tinytorch.frontend.tensor import dtypes as _dtypes
from tinytorch.frontend.tensor.devices import *
from tinytorch.frontend.tensor.dtypes import *
from tinytorch.frontend.tensor.dtypes import NAMES as _NAMES
from tinytorch.frontend.tensor.printing import set_printoptions
from tinytorch.ir.errors import CompileError, PassError, ShapeError, TinyTorchError, TraceError, VerifyError
from tinytorch.ir.system import locks as _locks
from tinytorch.ir.types import bf16, f16, f32, f64, i8, i32, i64, u8
from tinytorch.ir.types import bool_ as bool
from tinytorch.runtime.thread_count import get_num_threads, set_num_threads

if TYPE_CHECKING:  # what `_LATER` says, for editors; a test compares them
    from tinytorch import accelerator as accelerator
    from tinytorch import amp as amp
    from tinytorch import array_api as array_api
    from tinytorch import autograd as autograd
    from tinytorch import backends as backends
    from tinytorch import compiler as compiler
    from tinytorch import cuda as cuda
    from tinytorch import distributions as distributions
    from tinytorch import fft as fft
    from tinytorch import func as func
    from tinytorch import jit as jit
    from tinytorch import linalg as linalg
    from tinytorch import masked as masked
    from tinytorch import nn as nn
    from tinytorch import optim as optim
    from tinytorch import random as random
    from tinytorch import signal as signal
    from tinytorch import special as special
    from tinytorch import utils as utils
    from tinytorch.accelerator import mps as mps
    from tinytorch.accelerator import xpu as xpu
    from tinytorch.compiled.function import Compiled
    from tinytorch.frontend.acceleration import vectorized_matmul
    from tinytorch.frontend.acceleration.autocast import autocast, get_autocast_dtype, is_autocast_enabled
    from tinytorch.frontend.acceleration.mixed_precision import MixedPrecisionTrainer
    from tinytorch.frontend.benchmarking import Benchmark
    from tinytorch.frontend.compression import (
        ChannelGroup,
        GradualPruning,
        Sparsity,
        channel_groups,
        magnitude_prune,
        measure_sparsity,
        prune_channels,
        prune_n_of_m,
        remove_masks,
    )
    from tinytorch.frontend.data import (
        CIFAR10,
        MNIST,
        Compose,
        Cutout,
        DataLoader,
        Dataset,
        RandomCrop,
        RandomHorizontalFlip,
        Subset,
        TensorDataset,
        TinyShakespeare,
        random_split,
    )
    from tinytorch.frontend.kv_cache import KVCache, attention_with_cache
    from tinytorch.frontend.module.summary import summary
    from tinytorch.frontend.module.weights import load_safetensors, save_safetensors
    from tinytorch.frontend.optimizers import SGD, Adam, AdamW, Muon, Optimizer, ParamGroup
    from tinytorch.frontend.profiling import Profiler
    from tinytorch.frontend.quantization import (
        Int4Linear,
        QuantizedConv2d,
        QuantizedEmbedding,
        QuantizedLinear,
        load_quantized,
        prepare_qat,
        quantize,
        quantize_int8,
    )
    from tinytorch.frontend.tokenization import BPETokenizer, CharTokenizer
    from tinytorch.frontend.training import (
        CosineSchedule,
        EarlyStopping,
        Metrics,
        Trainer,
        binary_hits,
        class_hits,
        clip_grad_norm,
    )
    from tinytorch.frontend.transformers import GPT, TransformerBlock
    from tinytorch.insight.compare import compare_reports
    from tinytorch.saving import load, save

_LATER = {  # where the names are that are loaded when they are first asked for
    "tinytorch": "accelerator amp array_api autograd backends compiler cuda distributions fft func jit linalg masked nn"
    " optim random signal special utils",
    "tinytorch.accelerator": "mps xpu",
    "tinytorch.compiled.function": "Compiled",
    "tinytorch.frontend.acceleration": "vectorized_matmul",
    "tinytorch.frontend.benchmarking": "Benchmark",
    "tinytorch.frontend.acceleration.autocast": "autocast get_autocast_dtype is_autocast_enabled",
    "tinytorch.frontend.acceleration.mixed_precision": "MixedPrecisionTrainer",
    "tinytorch.frontend.compression": "ChannelGroup GradualPruning Sparsity channel_groups magnitude_prune"
    " measure_sparsity prune_channels prune_n_of_m remove_masks",
    "tinytorch.frontend.data": "CIFAR10 MNIST Compose Cutout DataLoader Dataset RandomCrop RandomHorizontalFlip Subset"
    " TensorDataset TinyShakespeare random_split",
    "tinytorch.frontend.kv_cache": "KVCache attention_with_cache",
    "tinytorch.frontend.optimizers": "SGD Adam AdamW Muon Optimizer ParamGroup",
    "tinytorch.frontend.module.summary": "summary",
    "tinytorch.frontend.profiling": "Profiler",
    "tinytorch.frontend.quantization": "Int4Linear QuantizedConv2d QuantizedEmbedding QuantizedLinear load_quantized"
    " prepare_qat quantize quantize_int8",
    "tinytorch.insight.compare": "compare_reports",
    "tinytorch.frontend.tokenization": "BPETokenizer CharTokenizer",
    "tinytorch.frontend.training": "CosineSchedule EarlyStopping Metrics Trainer binary_hits class_hits clip_grad_norm",
    "tinytorch.frontend.transformers": "GPT TransformerBlock",
    "tinytorch.frontend.module.weights": "load_safetensors save_safetensors",
    "tinytorch.saving": "load save",
}
_HOMES = {name: home for home, names in _LATER.items() for name in names.split()}

if not TYPE_CHECKING:  # so that editors see a name that does not exist

    def __getattr__(name: str) -> Any:
        """A name of `_LATER`, from where it is; from then on it is one like all others."""
        if name not in _HOMES:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        home = _HOMES[name]
        with _locks.importing:
            found = _import_module(f"{home}.{name}") if home == __name__ else getattr(_import_module(home), name)
        return globals().setdefault(name, found)

    def __dir__() -> list[str]:
        return sorted({*globals(), *_HOMES})


__version__ = "0.1.0"

__all__ = [
    "CIFAR10",
    "GPT",
    "MNIST",
    "SGD",
    "Adam",
    "AdamW",
    "BPETokenizer",
    "Benchmark",
    "ChannelGroup",
    "CharTokenizer",
    "CompileError",
    "Compiled",
    "Compose",
    "CosineSchedule",
    "Cutout",
    "DataLoader",
    "Dataset",
    "EarlyStopping",
    "Function",
    "Generator",
    "GradualPruning",
    "Int4Linear",
    "KVCache",
    "Metrics",
    "MixedPrecisionTrainer",
    "Module",
    "Muon",
    "Optimizer",
    "ParamGroup",
    "Parameter",
    "PassError",
    "Profiler",
    "QuantizedConv2d",
    "QuantizedEmbedding",
    "QuantizedLinear",
    "RandomCrop",
    "RandomHorizontalFlip",
    "ShapeError",
    "Sparsity",
    "Subset",
    "Tensor",
    "TensorDataset",
    "TinyShakespeare",
    "TinyTorchError",
    "TraceError",
    "Trainer",
    "TransformerBlock",
    "VerifyError",
    "attention_with_cache",
    "autocast",
    "bernoulli",
    "bf16",
    "binary_hits",
    "bool",
    "channel_groups",
    "checkpoint",
    "class_hits",
    "clip_grad_norm",
    "compare_reports",
    "compile",
    "enable_grad",
    "f16",
    "f32",
    "f64",
    "from_dlpack",
    "from_numpy",
    "frombuffer",
    "get_autocast_dtype",
    "get_num_threads",
    "grad",
    "i8",
    "i32",
    "i64",
    "inference_mode",
    "is_autocast_enabled",
    "is_grad_enabled",
    "load",
    "load_quantized",
    "load_safetensors",
    "magnitude_prune",
    "manual_seed",
    "measure_sparsity",
    "no_grad",
    "prepare_qat",
    "prune_channels",
    "prune_n_of_m",
    "quantize",
    "quantize_int8",
    "rand",
    "rand_like",
    "randint",
    "randn",
    "randn_like",
    "random_split",
    "randperm",
    "remove_masks",
    "save",
    "save_safetensors",
    "set_grad_enabled",
    "set_num_threads",
    "set_printoptions",
    "summary",
    "u8",
    "value_and_grad",
    "vectorized_matmul",
    "verify",
]
__all__ += _attention.__all__
__all__ += _containers.__all__
__all__ += _devices.__all__
__all__ += _dtypes.__all__
__all__ += _embeddings.__all__
__all__ += _functional.__all__
__all__ += _layers.__all__
__all__ += _legacy.__all__
__all__ += _losses.__all__
__all__ += [name for name in _names.__all__ if name not in __all__]
__all__ += _recurrent.__all__
__all__ += _spatial.__all__

globals().update(_NAMES)
_assert = _legacy.checked
