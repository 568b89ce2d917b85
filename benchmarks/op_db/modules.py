"""The samples of PyTorch's database of modules (`common_modules`), run by PyTorch and here: results, buffers, and the
gradients of arguments and parameters, eagerly and compiled; and the calls that must be refused."""

from __future__ import annotations

import copy
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch.testing._internal.common_modules import ModuleErrorEnum
from torch.utils import _pytree as pytree

import tinytorch as tt
from benchmarks.op_db import values
from benchmarks.op_db.errors import Refusals, weakness
from benchmarks.op_db.samples import WE_REFUSE, Outcome, first_line

_RANDOM = ("nn.FractionalMaxPool2d", "nn.FractionalMaxPool3d")


@dataclass(frozen=True)
class Ran:
    """Results, buffers behind the call, and the gradients of arguments and parameters that require them."""

    results: list[Any]
    buffers: list[Any]
    gradients: list[Any]


@dataclass(frozen=True)
class Sample:
    """How a module is made, and what it is called with."""

    made: Any
    given: Any
    training: bool

    def __str__(self) -> str:
        made = values.shown(self.made.args, self.made.kwargs)
        given = "" if self.given is None else values.shown(self.given.args, self.given.kwargs)
        return f"({made})({given}), {'training' if self.training else 'evaluation'}"[:200]


def samples_of(info: Any) -> Iterator[Sample]:
    """In training, and where that differs in evaluation."""
    for training in (True, False) if info.train_and_eval_differ else (True,):
        torch.manual_seed(0)
        for each in info.module_inputs_func(info, "cpu", torch.float32, True, training):
            yield Sample(each.constructor_input, each.forward_input, training)


def run_module(info: Any, made: Callable[..., Any], *, compiled: bool = True) -> Outcome:
    """Run all samples of an entry."""
    outcome = Outcome(info.name, random=info.name in _RANDOM)
    start = time.process_time()
    for sample in samples_of(info):
        outcome.samples += 1
        try:
            reason = run_sample(info, made, sample, compiled)
        except Exception as error:
            error.add_note(f"{info.name}: {sample}")
            raise
        if reason is None:
            outcome.equal += 1
            outcome.compiled += compiled
        else:
            outcome.reasons.append({"sample": str(sample), "reason": reason})
    outcome.seconds = time.process_time() - start
    return outcome


def run_sample(info: Any, made: Callable[..., Any], sample: Sample, compiled: bool = True) -> str | None:
    """The first reason why a sample is not equal; None if it is."""
    theirs = info.module_cls(*sample.made.args, **sample.made.kwargs).train(sample.training)
    if info.is_lazy:
        theirs(*sample.given.args, **sample.given.kwargs)
    state = {name: x.detach().clone() for name, x in theirs.state_dict().items()}
    exact = _run_theirs(copy.deepcopy(theirs).double(), sample, torch.float64)
    expected = _run_theirs(theirs, sample, torch.float32)
    for step in (tt.compile, None) if compiled else (None,):
        try:
            found = _run_ours(_made(info, made, sample, state), sample, step)
        except values.NotOurs as error:
            return f"not here: {error}"
        except WE_REFUSE as error:
            return f"{'' if step is None else 'compiled: '}{first_line(error)}"
        reason = _compared(found, expected, exact, values.tolerance(info), info.name not in _RANDOM)
        if reason is not None:
            return reason if step is None else f"compiled: {reason}"
    return None


def run_module_errors(info: Any, made: Callable[..., Any]) -> Refusals:
    """Try every error sample of an entry."""
    outcome = Refusals(info.name)
    cases = info.module_error_inputs_func
    for case in cases(info, "cpu", torch.float32, False, True) if cases is not None else ():
        sample = Sample(case.module_error_input.constructor_input, case.module_error_input.forward_input, True)
        outcome.cases += 1
        try:
            module = made(*_mapped(sample.made.args), **_mapped(sample.made.kwargs))
            if case.error_on is ModuleErrorEnum.FORWARD_ERROR:
                tensors, call = values.flat_call(sample.given.args, sample.given.kwargs, module)
                call(list(map(values.tensor_of, tensors)))
            reason = f"is accepted; PyTorch says: {case.error_regex}"
        except values.NotOurs:
            outcome.cases -= 1
            outcome.not_ours += 1
            continue
        except Exception as error:
            reason = weakness(error, info.module_cls.__name__, sample.made.kwargs)
        if reason is None:
            outcome.refused += 1
        else:
            outcome.reasons.append({"sample": str(sample), "reason": reason})
    return outcome


def _mapped(x: Any) -> Any:
    return values.mapped(x, values.tensor_of)


def _cotangents(results: Sequence[Any]) -> list[np.ndarray[Any, Any] | None]:
    """Of each result that is a tensor of floats with a history."""
    rng = np.random.default_rng(0)
    return [
        np.asarray(rng.standard_normal(tuple(r.shape))) if values.is_tensor(r) and r.requires_grad else None
        for r in results
    ]


def _run_theirs(module: Any, sample: Sample, dtype: torch.dtype) -> Ran:
    leaves, structure = pytree.tree_flatten((list(sample.given.args), sample.given.kwargs))
    copies = [
        (x.detach().to(dtype) if x.dtype.is_floating_point else x.detach()).clone().requires_grad_(x.requires_grad)
        if isinstance(x, torch.Tensor)
        else x
        for x in leaves
    ]
    args, options = pytree.tree_unflatten(copies, structure)
    results = values.results_in(module(*args, **options))
    pairs = [(r, w) for r, w in zip(results, _cotangents(results), strict=True) if w is not None]
    if pairs:
        torch.autograd.backward([r for r, _ in pairs], [torch.tensor(w).to(r.dtype) for r, w in pairs])
    given = [x for x in copies if isinstance(x, torch.Tensor) and x.requires_grad]
    gradients = [x.grad for x in (*given, *module.parameters())]
    return Ran(results, list(module.buffers()), gradients)


def _made(info: Any, made: Callable[..., Any], sample: Sample, state: dict[str, torch.Tensor]) -> Any:
    """The module here, with the parameters of PyTorch's."""
    module = made(*_mapped(sample.made.args), **_mapped(sample.made.kwargs)).train(sample.training)
    if info.is_lazy:
        tensors, call = values.flat_call(sample.given.args, sample.given.kwargs, module)
        call(list(map(values.tensor_of, tensors)))
    module.load_state_dict({name: values.tensor_of(x) for name, x in state.items()})
    return module


def _run_ours(module: Any, sample: Sample, step: Any) -> Ran:
    """Forward and backward, behind `step` (`tt.compile`) or as they are."""
    tensors, call = values.flat_call(sample.given.args, sample.given.kwargs, module)
    given = list(map(values.tensor_of, tensors))

    def run(given: list[Any]) -> list[Any]:
        results = values.results_in(call(given))
        total = None
        for r, w in zip(results, _cotangents(results), strict=True):
            if w is not None:
                part = (r * tt.tensor(w, dtype=r.dtype)).sum()
                total = part if total is None else total + part
        if total is not None:
            total.backward()
        return results

    results = (run if step is None else step(run))(given)
    leaves = [x for x in given if x.requires_grad]
    return Ran(results, list(module.buffers()), [x.grad for x in (*leaves, *module.parameters())])


def _compared(mine: Ran, theirs: Ran, exact: Ran, within: values.Tolerance, same_values: bool) -> str | None:
    """The first difference in results, buffers and gradients."""
    for part in ("results", "buffers", "gradients") if same_values else ("results",):
        ours, expected, doubles = getattr(mine, part), getattr(theirs, part), getattr(exact, part)
        if len(ours) != len(expected):
            return f"{len(ours)} {part}, PyTorch {len(expected)}"
        for i, (a, b, z) in enumerate(zip(ours, expected, doubles, strict=True)):
            if a is None or b is None:
                reason = None if a is b else f"{a}, PyTorch {b}"
            else:
                reason = values.difference(a, b, within, z, same_values)
            if reason is not None:
                return f"{part} {i}: {reason}"
    return None
