"""What has nothing to do with an argument is told in the words of the argument, with the user's line."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

import tinytorch as tt


def trainer() -> tt.Trainer:
    model = tt.Linear(3, 2)
    return tt.Trainer(model, tt.SGD(model.parameters()), tt.CrossEntropyLoss())


def optimizer() -> tt.SGD:
    return tt.SGD([tt.ones(2, requires_grad=True)])


CALLS: dict[str, tuple[Callable[[], Any], str]] = {
    "gradient": (lambda: setattr(tt.ones(2), "grad", 5), "grad: a tensor or None, got int"),
    "state of a module": (lambda: tt.Linear(3, 2).load_state_dict(5), "state_dict is a Mapping, got 5"),
    "state of an optimizer": (lambda: optimizer().load_state_dict({}), "saved is what state_dict() gives"),
    "nothing as a state": (lambda: optimizer().load_state_dict(None), "saved is a Mapping, got None"),
    "file": (lambda: tt.load(5), "path is a path or an open file, got 5"),
    "no batches": (lambda: trainer().train_epoch(None), "dataloader is batches"),
    "a number of batches": (lambda: trainer().evaluate(5), "dataloader is batches"),
    "stop": (lambda: tt.GPT(5, 4, 1, 1).generate([1], 2, stop=None), "stop is a token or a list"),
    "threads": (lambda: tt.set_num_threads(0), "num_threads must be a whole number from 1"),
    "input": (lambda: tt.Profiler().count_flops(tt.ReLU(), (10**14, 4)), "does not fit into memory"),
    "inputs": (lambda: tt.Profiler().count_flops(tt.ReLU(), (10**25,), "i64"), "does not fit into memory"),
}


@pytest.mark.parametrize("what", CALLS)
def test_wrong_kinds_are_named_with_the_line(what: str) -> None:
    call, message = CALLS[what]
    with pytest.raises(tt.TinyTorchError) as raised:
        call()
    assert message in str(raised.value) and "test_wrong_kinds.py:" in str(raised.value)
