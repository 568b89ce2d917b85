"""The names that users see: each file lists its own, and the package and `functional` gather them."""

from __future__ import annotations

import ast
import importlib
import inspect
import math
import pickle
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

import tinytorch as tt
from tests import surface
from tinytorch.frontend import attention, embeddings, functional, recurrent, spatial, transformers
from tinytorch.frontend.activations import activations
from tinytorch.frontend.attention import functions as attention_functions
from tinytorch.frontend.functions import basic as tensor_functions
from tinytorch.frontend.functions import creation
from tinytorch.frontend.functions.algebra import einsum
from tinytorch.frontend.layers import functions as layer_functions
from tinytorch.frontend.layers import layers, norms
from tinytorch.frontend.losses import functions as loss_functions
from tinytorch.frontend.losses import losses
from tinytorch.frontend.spatial import adaptive_pooling, functions, padding, pooling
from tinytorch.frontend.spelling import TABLE, names_in

FUNCTIONS = [
    activations, attention_functions, creation, einsum, layer_functions, loss_functions, norms, adaptive_pooling,
    functions, padding, pooling, tensor_functions,
]  # fmt: skip
LAYERS = [layers, losses, spatial, embeddings, recurrent, attention, transformers]
INSIDE = {  # for other files of the frontend
    "Activation", "adaptive_mean", "attention_at", "band", "check_divisor", "check_padding", "checked_rows",
    "affine", "class_ignored", "counted", "InPlaceActivation", "largest", "length", "limit_rows", "log_one_plus_exp",
    "old_arguments", "padding_row", "paddings", "pair", "picked",
    "read_counts", "reduced", "side_by_side", "soft_losses", "tiled_mean", "update_statistics",
}  # fmt: skip


@pytest.mark.parametrize("module", [*FUNCTIONS[:-1], layers, losses], ids=lambda module: module.__name__)
def test_what_a_file_defines_is_listed(module: ModuleType) -> None:
    defined = {
        name
        for name, value in vars(module).items()
        if (inspect.isfunction(value) or inspect.isclass(value)) and value.__module__ == module.__name__
    }
    assert {name for name in defined if not name.startswith("_")} - INSIDE <= set(module.__all__)


def test_functional_gathers_the_lists_and_a_name_means_one_thing() -> None:
    listed = [name for module in FUNCTIONS for name in module.__all__]
    assert functional.__all__ == listed and len(set(listed)) == len(listed)
    for module in FUNCTIONS:
        assert all(getattr(functional, name) is getattr(module, name) for name in module.__all__)


@pytest.mark.parametrize("module", [functional, *LAYERS], ids=lambda module: module.__name__)
def test_the_package_has_what_is_listed(module: ModuleType) -> None:
    assert set(module.__all__) <= set(tt.__all__)
    assert all(getattr(tt, name) is getattr(module, name) for name in module.__all__)


def test_all_names_of_the_package_are_there() -> None:
    assert all(hasattr(tt, name) for name in tt.__all__)
    assert not {name for name in tt.__all__ if name.startswith("_")}


# What is loaded when it is first asked for.
def test_editors_are_told_where_the_names_are_that_are_loaded_later() -> None:
    tree = ast.parse(Path(tt.__file__).read_text())
    (block,) = [n for n in tree.body if isinstance(n, ast.If) and ast.unparse(n.test) == "TYPE_CHECKING"]
    told = [
        (alias.name, node.module) for node in block.body if isinstance(node, ast.ImportFrom) for alias in node.names
    ]
    later = [(name, home) for home, names in tt._LATER.items() for name in names.split()]
    assert sorted(told) == sorted(later) and len(dict(later)) == len(later)


def test_names_that_are_loaded_later_are_names_like_all_others() -> None:
    code = (
        "import sys, tinytorch as tt\n"
        "later = set(tt._HOMES)\n"
        "assert not later & set(vars(tt)) and later <= set(dir(tt)) and not hasattr(tt, 'no_such_name')\n"
        "print([m for m in sys.modules if m.startswith(('tinytorch.passes', 'tinytorch.frontend.training'))])\n"
        "from tinytorch import *\n"
        "assert Trainer is tt.Trainer and {'Trainer', 'Compiled'} <= set(vars(tt)) and callable(compile)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, check=True)
    assert done.stdout.strip() == "[]"
    assert pickle.loads(pickle.dumps(tt.CosineSchedule)) is tt.CosineSchedule


# What the table gives.
@pytest.mark.parametrize("space", sorted(surface.spaces()))
def test_a_namespace_has_the_names_of_the_table(space: str) -> None:
    module = importlib.import_module(f"tinytorch.{space}" if space else "tinytorch")
    for name, function in names_in(space).items():
        assert getattr(module, name) is function or name in functional.__all__, name
        assert name in dir(module) and name in module.__all__, name


def test_methods_of_the_table_are_methods_of_tensors() -> None:
    for spelling in TABLE:
        for name in spelling.names:
            if spelling.method and "." not in name:
                assert name in dir(tt.Tensor) and callable(getattr(tt.Tensor, name)), name
                assert not spelling.in_place or callable(getattr(tt.Tensor, name + "_")), name


def test_a_name_is_entered_once() -> None:
    names = [name for spelling in TABLE for name in spelling.names]
    assert sorted(names) == sorted(set(names))
    standard = [spelling.standard for spelling in TABLE if spelling.standard]
    assert sorted(standard) == sorted(set(standard))


# Files that are made from the table.
ROOT = Path(tt.__file__).parent.parent


def _check(path: str, text: str, bless: bool) -> None:
    file = ROOT / path
    if bless:
        file.write_text(text)
    assert file.is_file() and file.read_text() == text, f"{path} is out of date: pytest {__file__} --bless"


def test_stubs_are_made_from_the_table(request: pytest.FixtureRequest) -> None:
    for path, text in surface.stubs().items():
        _check(path, text, request.config.getoption("--bless"))


def test_the_reference_is_made_from_the_table(request: pytest.FixtureRequest) -> None:
    _check("docs/reference.md", surface.reference(), request.config.getoption("--bless"))


def test_the_porting_page_lists_what_is_missing(request: pytest.FixtureRequest) -> None:
    pytest.importorskip("torch")
    pytest.importorskip("expecttest")
    from torch.testing._internal.common_methods_invocations import op_db

    page = (ROOT / "docs/from-pytorch.md").read_text()
    text = surface.replaced(page, "missing", surface.missing(info.name for info in op_db))
    _check("docs/from-pytorch.md", text, request.config.getoption("--bless"))


def test_what_old_programs_call_is_there() -> None:
    assert tt.FloatTensor([1, 2]).dtype is tt.float32 and tt.LongTensor(2, 3).shape == (2, 3)
    assert (tt.pi, tt.inf, tt.newaxis) == (math.pi, math.inf, None)
    tt.use_deterministic_algorithms(True)
    tt.set_default_dtype(tt.float32)
    with pytest.raises(tt.TinyTorchError, match="stays so"):
        tt.set_default_dtype(tt.float64)
    weight = tt.nn.Linear(2, 2).weight
    tt.nn.init.constant_(weight.data, 3.0)
    tt.nn.init.xavier_uniform(tt.zeros(2, 2))  # without _, as PyTorch had it
    assert weight.tolist() == [[3, 3], [3, 3]] and not tt.cuda.is_available() and tt.backends.cudnn.deterministic


def test_older_ways_to_make_tensors_and_to_ask_for_their_memory() -> None:
    x = tt.tensor([[1.0, 2.0]], dtype=tt.float64)
    assert x.new(2, 3).shape == (2, 3) == tt.Tensor(2, 3).shape and tt.Tensor(1, 2, 3, 4).dtype is tt.float32
    assert x.new([1, 2]).tolist() == [1.0, 2.0] and x.new(x.size()).type == x.type
    assert x.type() == "torch.DoubleTensor" and x.long().type() == "torch.LongTensor"
    assert x.data_ptr() == x.view(-1).data_ptr() == x.detach()[0].data_ptr() != x.clone().data_ptr()
    memory = bytearray(np.arange(4, dtype=np.int32).tobytes())
    shared = tt.frombuffer(memory, dtype=tt.int32, count=2, offset=4)
    memory[4] = 7
    assert shared.tolist() == [7, 2]
    for call, says in (
        (lambda: tt.Tensor(True, 3), "requires_grad"),
        (lambda: tt.Tensor([2.0], True, None, 4), "requires_grad"),
        (lambda: tt.frombuffer(memory, dtype=tt.int32, offset=3), "frombuffer: buffer size"),
        (lambda: tt.compile(lambda x: x * x.data_ptr())(x), "data_ptr"),
    ):
        with pytest.raises(tt.TinyTorchError, match=says):
            call()


def test_what_recurrent_programs_call_is_there() -> None:
    layer = tt.nn.LSTM(3, 4, 2, bidirectional=True)
    layer.flatten_parameters()
    names, suffixes = ("weight_ih", "weight_hh", "bias_ih", "bias_hh"), ("l0", "l0_reverse", "l1", "l1_reverse")
    wanted = [[getattr(layer, f"{name}_{suffix}") for name in names] for suffix in suffixes]
    assert [list(map(id, row)) for row in layer.all_weights] == [list(map(id, row)) for row in wanted]
    assert tt.compiler.disable(len) is len and tt.optim.lr_scheduler._LRScheduler is tt.optim.lr_scheduler.LRScheduler


def test_what_programs_ask_of_devices_and_of_torchscript_is_answered() -> None:
    assert tt.accelerator.current_accelerator() is None and not tt.accelerator.is_available()
    assert not (tt.xpu.is_available() or tt.mps.is_available() or tt.cuda.device_count())
    assert tt.Generator(device="cpu").device == "cpu" == tt.Generator("cpu").device == tt.get_default_device()
    x = tt.ones(2)
    assert x.is_cpu and not (x.is_cuda or x.is_sparse or x.is_meta or x.is_quantized)
    tt.set_default_device("cpu")
    tt.set_float32_matmul_precision("high")
    for call in (lambda: tt.Generator("cuda"), lambda: tt.set_default_device("cuda"), tt.cuda.amp.autocast):
        with pytest.raises(tt.TinyTorchError, match=r"cpu|CPU"):
            call()
    assert not tt.cuda.amp.GradScaler(enabled=False).is_enabled()
    with tt.cuda.amp.autocast(enabled=False), tt.nn.attention.sdpa_kernel(tt.nn.attention.SDPBackend.MATH):
        assert not tt.is_autocast_enabled()
    assert not (tt.jit.is_scripting() or tt.jit.is_tracing() or tt.compiler.is_compiling())
    assert tt.jit.ignore(_assertion) is _assertion
    assert tt.compile(lambda x: x + int(tt.compiler.is_compiling()))(x).tolist() == [2, 2]
    tt._assert(True, "never")
    with pytest.raises(AssertionError, match="two axes"):
        tt._assert(x.ndim == 2, "two axes")


def _assertion() -> None:
    pass


def test_modules_have_the_paths_of_pytorch() -> None:
    paths = {
        "distributions.categorical.Categorical": "distributions.Categorical",
        "distributions.normal.Normal": "distributions.Normal",
        "distributions.kl.kl_divergence": "distributions.kl_divergence",
        "nn.parameter.Parameter": "nn.Parameter",
        "optim.optimizer.Optimizer": "optim.Optimizer",
        "utils.data.dataloader.default_collate": "utils.data.default_collate",
        "utils.data.dataset.Dataset": "utils.data.Dataset",
        "utils.data.sampler.Sampler": "utils.data.Sampler",
    }
    for path, name in paths.items():
        module, _, last = path.rpartition(".")
        wanted: object = tt
        for part in name.split("."):
            wanted = getattr(wanted, part)
        assert getattr(importlib.import_module(f"tinytorch.{module}"), last) is wanted


def test_memory_formats_that_change_nothing_are_taken() -> None:
    x = tt.ones(2, 3)
    for made in (
        tt.zeros_like(x, memory_format=tt.preserve_format),
        tt.randn_like(x, memory_format=tt.preserve_format),
        x.clone(memory_format=tt.contiguous_format),
        x.T.contiguous(memory_format=tt.contiguous_format).T,
    ):
        assert made.shape == x.shape
    with pytest.raises(tt.TinyTorchError, match=r"memory_format is tt\.preserve_format, got tt\.channels_last"):
        x.clone(memory_format=tt.channels_last)


def test_compile_is_a_decorator_with_arguments() -> None:
    @tt.compile(fullgraph=True, dynamic=False, mode="max-autotune", backend="interpreter")
    def double(x: tt.Tensor) -> tt.Tensor:
        return x * 2

    assert double(tt.ones(2)).tolist() == [2, 2]
    with pytest.raises(tt.CompileError, match="no argument 'full'"):
        tt.compile(double, full=True)  # pyright: ignore[reportCallIssue]
