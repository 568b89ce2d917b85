"""Results of operands that are not all finite."""

from __future__ import annotations

import numpy as np


def check_infinities(found: np.ndarray, wanted: np.ndarray, error: float) -> None:
    """NaN and infinities stand where they are wanted; the others, one at least, differ by `error` times their magnitude
    or 100, whichever is more."""
    for kind in (np.isnan, np.isposinf, np.isneginf):
        np.testing.assert_array_equal(kind(found), kind(wanted))
    near = np.isfinite(wanted)
    assert near.any()
    assert (np.abs(found[near] - wanted[near]) <= error * np.maximum(np.abs(wanted[near]), 100)).all()
