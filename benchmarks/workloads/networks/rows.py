"""The rows of the suite `vision` that these networks make."""

from __future__ import annotations

import functools
from collections.abc import Callable

from benchmarks.registry import Case, Targets, Workload, register
from benchmarks.workloads.networks import adversarial, training
from benchmarks.workloads.networks.adversarial import Adversarial
from benchmarks.workloads.networks.definitions import mobilenet, resnet18, resnet50, unet
from benchmarks.workloads.networks.inference import (
    Inference,
    jax_infer,
    onnx_infer,
    tinytorch_infer,
    torch_compile_infer,
    torch_infer,
)
from benchmarks.workloads.networks.training import ATOL, CHECKED, RTOL, Training

_AIM = Targets(best=1.5, done=0.85)

INFERENCE = {
    "resnet18_infer_b1": Inference(resnet18, (3, 32, 32), 1),
    "resnet18_infer_b32": Inference(resnet18, (3, 32, 32), 32),
    "resnet50_infer_b1": Inference(resnet50, (3, 224, 224), 1),
    "mobilenet_infer_b1": Inference(mobilenet, (3, 224, 224), 1),
}
TRAINING = {
    "resnet18_train_b32": Training(resnet18, (3, 32, 32), 32, "classes"),
    "unet_train_b2": Training(unet, (1, 128, 128), 2, "pixels"),
}
ADVERSARIAL = {"dcgan_train_b32": Adversarial(32, 64)}


def inference_builders(what: Inference) -> dict[str, Callable[[], Case]]:
    return {
        "tinytorch": functools.partial(tinytorch_infer, what),
        "torch": functools.partial(torch_infer, what),
        "torch channels_last": functools.partial(torch_infer, what, last=True),
        "torch.compile": functools.partial(torch_compile_infer, what),
        "jax": functools.partial(jax_infer, what),
        "onnxruntime": functools.partial(onnx_infer, what, "onnxruntime"),
        "openvino": functools.partial(onnx_infer, what, "openvino"),
    }


def training_builders(what: Training | Adversarial) -> dict[str, Callable[[], Case]]:
    if isinstance(what, Training):
        ours, torch, jax = training.tinytorch_train, training.torch_train, training.jax_train
    else:
        ours, torch, jax = adversarial.tinytorch_train, adversarial.torch_train, adversarial.jax_train
    return {
        "tinytorch": functools.partial(ours, what),
        "torch": functools.partial(torch, what),
        "torch channels_last": functools.partial(torch, what, last=True),
        "torch.compile": functools.partial(torch, what, last=True, compiled=True),
        "jax": functools.partial(jax, what),
    }


def _register() -> None:
    for name, what in INFERENCE.items():
        register(
            Workload(
                name,
                inference_builders(what),
                flops=what.flops,
                limit="fma",
                rtol=1e-3,
                atol=1e-3,
                suites=("vision",),
                targets=_AIM,
            )
        )
    for name, what in (TRAINING | ADVERSARIAL).items():
        register(
            Workload(
                name,
                training_builders(what),
                flops=what.flops,
                limit="fma",
                check_steps=CHECKED,
                rtol=RTOL,
                atol=ATOL,
                suites=("vision",),
                targets=_AIM,
            )
        )


_register()
