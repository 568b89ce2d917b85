"""The lottery ticket experiment, with few digits and coarse steps."""

from __future__ import annotations

import os

import pytest

from examples import lottery_ticket


@pytest.mark.skipif("TINYTORCH_DATA" not in os.environ, reason="needs the folder TINYTORCH_DATA with MNIST")
def test_a_ticket_wins_and_its_mask_alone_does_not() -> None:
    rows = lottery_ticket.main(["--rounds", "2", "--share", "0.7", "--epochs", "1", "--samples", "3000"])
    left, tickets, others = zip(*rows, strict=True)
    assert [round(x, 3) for x in left] == [1, 0.3, 0.09]
    assert tickets[0] > 0.84 and tickets[2] > tickets[0] - 0.05
    assert others[2] < tickets[2] - 0.08
