"""The calls that PyTorch's database says must be refused."""

from __future__ import annotations

import inspect
import linecache
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import tinytorch as tt
from benchmarks.op_db import values
from benchmarks.op_db.names import Function, full_name
from benchmarks.op_db.samples import THEY_REFUSE

_MEANT = (tt.TinyTorchError, TypeError, ValueError, IndexError)


@dataclass
class Refusals:
    """How the error samples of an entry went. `not_ours` are those with arguments that do not exist here, `accepted`
    those that PyTorch itself accepts."""

    name: str
    cases: int = 0
    refused: int = 0
    not_ours: int = 0
    accepted: int = 0
    reasons: list[dict[str, str]] = field(default_factory=list)


def run_errors(op: Any, function: Function) -> Refusals:
    """Try every error sample of an entry."""
    outcome = Refusals(full_name(op))
    if op.error_inputs_func is None:
        return outcome
    for case in op.error_inputs("cpu"):
        sample = case.sample_input
        try:
            tensors, call = values.flat_call([sample.input, *sample.args], sample.kwargs, function)
            mine = [values.tensor_of(x) for x in tensors]
        except values.NotOurs:
            outcome.not_ours += 1
            continue
        if not mine and op.name.startswith("__"):  # Python's numbers have the operator by themselves
            outcome.not_ours += 1
            continue
        if _accepts(op, sample):
            outcome.accepted += 1
            continue
        outcome.cases += 1
        try:
            refused = call(mine) is NotImplemented  # of an operator: Python then raises
            reason = None if refused else f"is accepted; PyTorch says: {case.error_regex}"
        except values.NotOurs:
            outcome.cases -= 1
            outcome.not_ours += 1
            continue
        except Exception as error:
            reason = weakness(error, op.name, sample.kwargs)
        if reason is None:
            outcome.refused += 1
        else:
            outcome.reasons.append({"sample": values.described(sample), "reason": reason})
    return outcome


def _accepts(op: Any, sample: Any) -> bool:
    """Whether PyTorch takes the sample after all: its database calls `clamp_min(x, 2)` an error."""
    try:
        return op.op(sample.input, *sample.args, **sample.kwargs) is not NotImplemented
    except (*THEY_REFUSE, AttributeError):  # of __rdiv__, where the input is a number
        return False


def weakness(error: Exception, name: str, options: Mapping[str, Any]) -> str | None:
    """What is wrong with an error: it is of another kind than meant, nobody wrote it, or it names neither op nor
    argument. None if nothing is."""
    text = f"{type(error).__name__}: {error}".split("\n")[0]
    if not isinstance(error, _MEANT):
        return f"internal: {text}"
    if not isinstance(error, tt.TinyTorchError) and not _was_written(error):
        return f"internal: {text}"
    return None if _names(str(error), name, options) else f"names neither op nor argument: {text}"


def _was_written(error: Exception) -> bool:
    """Whether the error comes from a `raise`, or is Python's own about the arguments of a function."""
    frames = inspect.getinnerframes(error.__traceback__) if error.__traceback__ is not None else []
    line = linecache.getline(frames[-1].filename, frames[-1].lineno) if frames else ""
    own = re.search(r"unexpected keyword argument|positional argument|required keyword|multiple values", str(error))
    return "raise " in line or own is not None


def _names(text: str, name: str, options: Mapping[str, Any]) -> bool:
    words = set(re.findall(r"\w+", text.lower()))
    words |= {word.replace("_", "") for word in words}
    wanted = {
        *name.lower().split("."),
        *options,
        "input",
        "other",
        "dim",
        "shape",
        "size",
        "dtype",
        "axis",
        "axes",
    }
    return bool(words & {word.strip("_") for word in wanted} | (words & wanted))
