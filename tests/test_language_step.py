"""The training step of a language model with one table for embedding and head: passes over its largest values."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

import tinytorch as tt
from tinytorch.runtime.schedule import Argument, Call, schedule

TOKENS, WIDTH = 48, 8


def training_step(classes: int) -> tuple[Callable[[tt.Tensor, tt.Tensor], tt.Tensor], list[tt.Tensor]]:
    rng = np.random.default_rng(0)
    table = tt.Tensor(rng.normal(size=(classes, WIDTH)).astype(np.float32), requires_grad=True)
    weight = tt.Tensor(rng.normal(size=(WIDTH, WIDTH), scale=0.3).astype(np.float32), requires_grad=True)
    optimizer = tt.AdamW([table, weight], lr=0.01, betas=(0.9, 0.99), eps=1e-10, weight_decay=0.1)

    def step(tokens: tt.Tensor, targets: tt.Tensor) -> tt.Tensor:
        optimizer.zero_grad()
        x = table[tokens]
        loss = tt.cross_entropy((x + (x @ weight).relu()) @ table.T, targets)
        loss.backward()
        optimizer.step()
        return loss

    return step, [table, weight]


def batches(classes: int, count: int) -> list[tuple[tt.Tensor, tt.Tensor]]:
    """Tokens that repeat, so that rows of the table get several gradients."""
    rng = np.random.default_rng(1)
    return [
        (tt.Tensor(rng.integers(0, min(classes, 20), TOKENS)), tt.Tensor(rng.integers(0, classes, TOKENS)))
        for _ in range(count)
    ]


@pytest.mark.parametrize("classes", [65, 3001])
def test_compiled_steps_are_those_of_eager_mode(classes: int) -> None:
    eager, parameters = training_step(classes)
    traced, others = training_step(classes)
    compiled = tt.compile(traced)
    for batch in batches(classes, 4):
        assert compiled(*batch).item() == pytest.approx(eager(*batch).item(), rel=1e-5)
    for p, q in zip(parameters, others, strict=True):
        np.testing.assert_allclose(p.numpy(), q.numpy(), rtol=1e-3, atol=2e-5)


def touching(calls: list[Call], shape: tuple[int, ...], arguments: Callable[[Call], tuple[Argument, ...]]) -> list[str]:
    """The families of the kernels that have an argument of this shape, or its transpose, which is no repetition."""
    shapes = (shape, shape[::-1])
    return [c.family for c in calls if any(a.value.type.shape in shapes and 0 not in a.strides for a in arguments(c))]


@pytest.mark.parametrize("classes", [65, 50_257])
def test_passes_over_logits_and_table(classes: int) -> None:
    step, _ = training_step(classes)
    compiled = tt.compile(step)
    compiled(*batches(classes, 1)[0])
    plan = schedule(compiled.graph)
    calls = [call for wave in plan.waves for call in wave]
    logits, table = (TOKENS, classes), (classes, WIDTH)
    # Logits: written by the product, read once by the loss, which leaves their gradient there, read by two products.
    assert touching(calls, logits, lambda c: c.results) == ["contract", "loop"]
    assert touching(calls, logits, lambda c: c.operands) == ["loop", "contract", "contract"]
    (loss,) = [c for c in calls if any(n.op.name == "exp" for n in c.body.nodes)]
    assert [loss.node.outputs[i].type.shape for i in loss.covering] == [logits]
    # The table: gathered, multiplied twice, and updated behind the product that is the gradient of the head, to which
    # the gradient of the embedding is added there.
    assert touching(calls, table, lambda c: c.operands) == ["index", "contract", "contract", "contract"]
    assert touching(calls, table, lambda c: c.results) == ["index", "contract"]
    update = calls[-1]
    assert sum(r.place.kind == "input" for r in update.results) == 3, "the table and its moments, where they lie"
    if classes > 1000:  # the logits or their gradient, and the gradient of the embedding
        assert plan.arena_bytes < 4 * classes * (TOKENS + WIDTH) + (64 << 10)
