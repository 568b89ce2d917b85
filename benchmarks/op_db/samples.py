"""The samples of an op, run by PyTorch and here: values, shapes, dtypes, memory and gradients, eagerly and compiled."""

from __future__ import annotations

import contextlib
import signal
import time
from collections.abc import Callable, Generator, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch.testing._internal import common_methods_invocations as invocations
from torch.testing._internal.opinfo.core import OpInfo

import tinytorch as tt
from benchmarks.op_db import values
from benchmarks.op_db.names import Function, full_name
from tinytorch.frontend.tensor import Tensor

_DRAWS = 100  # of an op that may be random: the few numbers of a small result can be the same by chance
_SHAPE_ONLY = ("empty", "new_empty")  # what they hold is not defined
# How PyTorch, and ops here, say that they do not take something. Any other error is a fault, which is not caught.
THEY_REFUSE = (RuntimeError, TypeError, ValueError, IndexError)
WE_REFUSE = (tt.TinyTorchError, TypeError, ValueError, IndexError)


class _TooLong(BaseException):
    """A sample took longer than it may; no Exception, so that nothing on the way catches it."""


@dataclass
class Outcome:
    """How the samples of an entry went. `reasons` has one entry for each that failed; `eager_only` says why nothing
    was compiled, where the op is refused in a trace."""

    name: str
    samples: int = 0
    equal: int = 0
    compiled: int = 0
    random: bool = False
    eager_only: str = ""
    reasons: list[dict[str, str]] = field(default_factory=list)
    seconds: float = 0.0


@dataclass(frozen=True)
class Expected:
    """PyTorch's results of a sample, and in float64, and the gradients of the tensors that require
    them; `weights` are the cotangents of the results that `differentiated` numbers. `shared` says which results lie in
    the memory of an argument. Where the results are `random`, only their shapes and dtypes count."""

    results: list[Any]
    shared: list[bool]
    exact: list[Any]
    gradients: list[torch.Tensor | None]
    exact_gradients: list[torch.Tensor | None]
    differentiated: list[int]
    weights: list[np.ndarray[Any, Any]]
    random: bool = False


def dtype_for(op: Any) -> torch.dtype | None:
    """The dtype of the samples: float32, else int64 or bool; None where the op takes none of them."""
    return next((d for d in (torch.float32, torch.int64, torch.bool) if op.supports_dtype(d, "cpu")), None)


def samples_of(op: Any) -> Iterable[Any]:
    dtype = dtype_for(op)
    if dtype is None:
        return ()
    torch.manual_seed(0)
    np.random.seed(0)
    differentiable = op.supports_autograd and dtype.is_floating_point
    return op.sample_inputs("cpu", dtype, requires_grad=differentiable)


def run_op(op: Any, function: Function, *, compiled: bool = True, limit: float = 20.0) -> Outcome:
    """Run all samples of an entry; each may take `limit` seconds."""
    outcome = Outcome(full_name(op))
    start = time.process_time()
    for sample in samples_of(op):
        expected = _expected(op, sample)
        if expected is None:
            continue
        outcome.samples += 1
        outcome.random |= expected.random
        try:
            reason = _within(limit, lambda s=sample, e=expected: _run(op, function, s, e, outcome, compiled))
        except Exception as error:
            error.add_note(f"{outcome.name}: {values.described(sample)}")
            raise
        if reason is None:
            outcome.equal += 1
        else:
            outcome.reasons.append({"sample": values.described(sample), "reason": reason})
    outcome.seconds = time.process_time() - start
    return outcome


def run_sample(op: Any, function: Function, sample: Any) -> str | None:
    """The first reason why a sample is not equal, eagerly and compiled; None if it is, or PyTorch refuses it."""
    expected = _expected(op, sample)
    return None if expected is None else _run(op, function, sample, expected, Outcome(full_name(op)), True)


def _within(limit: float, run: Callable[[], str | None]) -> str | None:
    """What `run` returns, if it does so in time."""

    def stop(*_: Any) -> None:
        raise _TooLong

    before = signal.signal(signal.SIGALRM, stop)
    signal.setitimer(signal.ITIMER_REAL, limit)
    try:
        return run()
    except _TooLong:
        return f"takes longer than {limit:g} s"
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


# PyTorch's side.
@contextlib.contextmanager
def _unseeded() -> Generator[None, None, None]:
    """Ops that draw random numbers do not set the seed first, as they do in the database."""
    before = invocations.wrapper_set_seed
    invocations.wrapper_set_seed = lambda op, *args, **kwargs: op(*args, **kwargs)
    try:
        yield
    finally:
        invocations.wrapper_set_seed = before


def _has_values(op: Any, sample: Any) -> bool:
    """Whether the results follow from the arguments: not of random numbers, and of memory that nobody wrote."""
    if op.name.startswith(_SHAPE_ONLY):
        return False
    code = getattr(op.op, "__code__", None)
    if code is None or "wrapper_set_seed" not in code.co_names:
        return True
    with _unseeded(), torch.no_grad():
        first, *others = (values.results_in(_theirs(op, sample)) for _ in range(_DRAWS))
    return all(
        not isinstance(a, torch.Tensor) or torch.equal(torch.nan_to_num(a), torch.nan_to_num(b))
        for other in others
        for a, b in zip(first, other, strict=True)
    )


def _process(sample: Any) -> Callable[[Any], Any]:
    """What makes a result comparable, such as the absolute values of vectors whose sign is free. A function that holds
    the database's own records is left out: a trace cannot watch them, and all they do is to drop integers."""
    process = sample.output_process_fn_grad
    held = [cell.cell_contents for cell in getattr(process, "__closure__", None) or ()]
    return (lambda result: result) if any(isinstance(x, OpInfo) for x in held) else process


def _theirs(op: Any, sample: Any, dtype: torch.dtype | None = None) -> Any:
    """PyTorch's result of copies of the tensors, floats among them of `dtype`."""
    tensors, call = _copied(op, sample, dtype)
    return call(tensors)


def _copied(op: Any, sample: Any, dtype: torch.dtype | None) -> tuple[list[torch.Tensor], Callable[[Any], Any]]:
    tensors = values.tensors_in([sample.input, sample.args, sample.kwargs])
    copies = [
        (x.detach().to(dtype) if dtype is not None and x.dtype.is_floating_point else x.detach())
        .clone(memory_format=torch.preserve_format)
        .requires_grad_(x.requires_grad)
        if x.layout == torch.strided
        else x
        for x in tensors
    ]

    def call(given: Sequence[Any]) -> Any:
        rest = iter(given)

        def put(x: Any) -> Any:
            if isinstance(x, torch.Tensor):
                return next(rest)
            if isinstance(x, (list, tuple)) and not isinstance(x, torch.Size):
                return type(x)(map(put, x))
            if isinstance(x, dict):
                return {key: put(item) for key, item in x.items()}
            return x

        args = [put(x) for x in (sample.input, *sample.args)]
        return _process(sample)(op.op(*args, **put(sample.kwargs)))

    return copies, call


def _expected(op: Any, sample: Any) -> Expected | None:
    """What PyTorch makes of a sample; None where it refuses it."""
    try:
        tensors, call = _copied(op, sample, None)
        results = values.results_in(call(tensors))
    except THEY_REFUSE:
        return None
    shared = [values.shares(result, tensors) for result in results]
    if not _has_values(op, sample):
        return Expected(results, shared, [None] * len(results), [], [], [], [], random=True)
    differentiated = [i for i, r in enumerate(results) if isinstance(r, torch.Tensor) and _differentiable(r)]
    rng = np.random.default_rng(0)
    weights = [np.asarray(rng.standard_normal(tuple(results[i].shape))) for i in differentiated]
    found = _their_gradients(results, tensors, differentiated, weights)
    if found is None:
        differentiated, weights, found = [], [], []
    doubles, call = _copied(op, sample, torch.float64)
    exact = values.results_in(call(doubles))
    exact_found = _their_gradients(exact, doubles, differentiated, weights)
    return Expected(results, shared, exact, found, exact_found or [None] * len(found), differentiated, weights)


def _differentiable(result: torch.Tensor) -> bool:
    return result.requires_grad and result.dtype.is_floating_point and result.layout == torch.strided


def _their_gradients(
    results: Sequence[Any],
    tensors: Sequence[torch.Tensor],
    differentiated: Sequence[int],
    weights: Sequence[np.ndarray[Any, Any]],
) -> list[torch.Tensor | None] | None:
    """The gradients of the tensors that require them, each None where PyTorch has none; None if there is nothing to
    differentiate."""
    leaves = [x for x in tensors if x.requires_grad]
    if not differentiated or not leaves:
        return None
    cotangents = [torch.tensor(w).to(results[i].dtype) for i, w in zip(differentiated, weights, strict=True)]
    return list(torch.autograd.grad([results[i] for i in differentiated], leaves, cotangents, allow_unused=True))


# Our side.
def _run(op: Any, function: Function, sample: Any, expected: Expected, outcome: Outcome, compiled: bool) -> str | None:
    """The first reason why a sample is not equal; None if it is."""
    try:
        tensors, call = values.flat_call([sample.input, *sample.args], sample.kwargs, function)
        mine = [values.tensor_of(x) for x in tensors]
    except values.NotOurs as error:
        return f"not here: {error}"
    within = values.tolerance(op)
    process, differentiated = _process(sample), tuple(expected.differentiated)

    def results(given: Sequence[Any]) -> list[Any]:
        return values.results_in(process(call(given)))

    def run(given: list[Any], weights: list[Any]) -> tuple[list[Any], list[Any]]:
        return _with_gradients(results, given, weights, differentiated) if differentiated else (results(given), [])

    def check(found: list[Any], gradients: list[Any]) -> str | None:
        return _compared(found, gradients, expected, within)

    def check_memory(found: list[Any], given: list[Any]) -> str | None:
        reasons = map(values.memory_difference, found, expected.results, [given] * len(found), expected.shared)
        return next(filter(None, reasons), None)

    weights = [tt.tensor(w, dtype=tt.float32) for w in expected.weights]
    with tt.set_grad_enabled(bool(expected.differentiated)):
        reason = _checked(lambda: run(mine, weights), check) or _checked(lambda: (results(mine), mine), check_memory)
        if reason is not None or not compiled or not mine:
            return reason
        again = [values.tensor_of(x) for x in tensors]
        try:
            found = tt.compile(run)(again, weights)
        except WE_REFUSE as error:
            if isinstance(error, tt.TraceError) and _is_eager_only(error):
                outcome.eager_only = outcome.eager_only or str(error).split("\n")[0]
                return None
            return f"compiled: {first_line(error)}"
    outcome.compiled += 1
    reason = check(*found)
    return None if reason is None else f"compiled: {reason}"


def _is_eager_only(error: tt.TraceError) -> bool:
    """Whether the error says that the op needs values, so is not for `tt.compile`, not that a trace went wrong."""
    reasons = ("eager", "its result depends on values", "needs the value of a tensor that is being traced")
    return any(reason in str(error) for reason in reasons)


def _checked(
    run: Callable[[], tuple[list[Any], list[Any]]], check: Callable[[list[Any], list[Any]], str | None]
) -> str | None:
    """What is wrong with what `run` gives, in words."""
    try:
        found = run()
    except values.NotOurs as error:
        return f"not here: {error}"
    except WE_REFUSE as error:
        return first_line(error)
    return check(*found)


def first_line(error: BaseException) -> str:
    return f"{type(error).__name__}: {error}".split("\n")[0][:200]


def _with_gradients(
    results: Callable[[Sequence[Any]], list[Any]],
    given: list[Any],
    weights: list[Any],
    differentiated: Sequence[int],
) -> tuple[list[Any], list[Any]]:
    """(The results, the gradients of the tensors that require grad)."""
    places = [i for i, x in enumerate(given) if x.requires_grad]

    def loss(variables: list[Any]) -> tuple[Tensor, list[Any]]:
        tensors = list(given)
        for i, variable in zip(places, variables, strict=True):
            tensors[i] = variable
        found = results(tensors)
        parts = [(found[i] * w).sum() for i, w in zip(differentiated, weights, strict=True)]
        total = parts[0]
        for part in parts[1:]:
            total = total + part
        return total, found

    (_, found), gradients = tt.value_and_grad(loss, has_aux=True)([given[i] for i in places])
    return found, gradients


def _compared(found: list[Any], gradients: list[Any], expected: Expected, within: values.Tolerance) -> str | None:
    """The first difference between our results and gradients and PyTorch's, which has no gradient where it is known to
    be zero; here that is a tensor of zeros."""
    if len(found) != len(expected.results):
        return f"gives {len(found)} results, PyTorch {len(expected.results)}"
    for i, (mine, theirs, exact) in enumerate(zip(found, expected.results, expected.exact, strict=True)):
        reason = values.difference(mine, theirs, within, exact, not expected.random)
        if reason is not None:
            return reason if len(found) == 1 else f"result {i}: {reason}"
    for i, (mine, theirs, exact) in enumerate(
        zip(gradients, expected.gradients, expected.exact_gradients, strict=True)
    ):
        if theirs is None:
            reason = "not zero, PyTorch has none" if np.any(values.array_of(mine) != 0) else None
        else:
            reason = values.difference(mine, theirs, within, exact)
        if reason is not None:
            return f"gradient {i}: {reason}"
    return None
