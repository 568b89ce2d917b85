"""What integers cost in accuracy, on digits."""

from __future__ import annotations

import os
from typing import Any

import pytest

import tinytorch as tt
from milestones import mlp


@pytest.mark.skipif(not os.environ.get("TINYTORCH_DATA"), reason="needs data: set TINYTORCH_DATA")
def test_digits_are_read_as_well() -> None:
    """Less than half a percentage point is lost, in every form, also of four bits."""
    training, test = (tt.MNIST(train=train, flatten=True, normalize=True) for train in (True, False))
    trainer = mlp.make_trainer(128, 0.1, 1, compile=True)
    trainer.fit(tt.DataLoader(tt.Subset(training, range(20_000)), 128, shuffle=True, seed=0), epochs=1)
    images, labels = (part.numpy() for part in test[:])

    def accuracy(model: Any) -> float:
        with tt.no_grad():
            return float((tt.compile(model, freeze=True)(tt.from_numpy(images)).numpy().argmax(1) == labels).mean())

    before = accuracy(trainer.model.eval())
    seen = training[:500][0]
    assert before > 0.9
    for data, options in (
        (seen, {}), (seen, {"method": "mse", "weight_bits": 7, "activation_bits": 7}), (None, {}),
        (None, {"weight_only": "int4"}),
    ):  # fmt: skip
        quantized = tt.quantize(trainer.model, data, **options)
        assert all(row.form != "fp32" for row in quantized.sensitivity)
        assert accuracy(quantized) > before - 0.005
