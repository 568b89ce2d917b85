"""Fixtures for tests of loaders."""

from __future__ import annotations

import gc
import multiprocessing
import os
from collections.abc import Iterator
from pathlib import Path

import pytest


def open_files() -> int:
    return len(os.listdir("/proc/self/fd")) if Path("/proc/self/fd").is_dir() else 0


@pytest.fixture
def nothing_is_left() -> Iterator[None]:
    """No process, no descriptor: whatever a test did."""
    multiprocessing.active_children()
    gc.collect()
    files, children = open_files(), set(multiprocessing.active_children())
    yield
    gc.collect()
    assert set(multiprocessing.active_children()) <= children
    assert open_files() == files
