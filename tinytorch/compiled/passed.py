"""Graphs as the passes leave them, on disk: a program that starts again runs no pass.

The key is all that the passes and the backend may ask: the traced graph (`fingerprint`), the sources, and versions.
What is kept are the graph after the passes, what each did, and the key of the machine code, which has an entry of its
own. It is a pickle, read under the rules for machine code: nobody else can have written it.
"""

from __future__ import annotations

import contextlib
import os
import pickle
from collections.abc import Callable
from typing import Any, cast

import numpy as np

from tinytorch.ir.families import FAMILIES
from tinytorch.ir.graph import Graph
from tinytorch.ir.kernels.costs import Precision
from tinytorch.ir.text.fingerprint import fingerprint
from tinytorch.passes.pipeline import PassRecord
from tinytorch.runtime import cache
from tinytorch.runtime.backend import Backend
from tinytorch.runtime.executable import Executable
from tinytorch.runtime.schedule import constants_of

Made = tuple[Graph, list[PassRecord], Executable]
_MOST_CONSTANTS = 1 << 20  # bytes; larger ones, which the cache would hold twice, are not kept
_WATCHED = ("TT_VERIFY", "TT_DUMP")  # who sets these wants the passes to run


def kept(graph: Graph, backend: Backend, precision: Precision, make: Callable[[], Made]) -> Made:
    """What `make` gives for a traced graph, a backend and a precision; from the disk cache where it was made before."""
    key = _key(graph, backend, precision)
    if key is None:
        return make()
    entry = cache.load(key)
    if entry is not None:
        with contextlib.suppress(KeyError):  # an op that is not there yet
            passed, guarded, records = cast("tuple[Graph, Graph, list[PassRecord]]", pickle.loads(entry.object_code))
            return passed, records, Executable(guarded, backend, entry.metadata["code"])
    made = make()
    _store(key, made)
    return made


def _key(graph: Graph, backend: Backend, precision: Precision) -> str | None:
    if backend.families is not FAMILIES or any(map(os.environ.get, _WATCHED)):
        return None
    text = fingerprint(graph)
    if text is None:
        return None
    asked = (backend.name, backend.key, repr(backend.costs), precision)
    return cache.key("passed", cache.source_digest(), np.__version__, *asked, text)


def _store(key: str, made: Made) -> None:
    passed, records, executable = made
    if sum(array.nbytes for array in constants_of(executable.graph)) > _MOST_CONSTANTS:
        return
    content: Any = (passed, executable.graph, records)
    cache.store(key, cache.Entry({"code": executable.key}, pickle.dumps(content, pickle.HIGHEST_PROTOCOL)))
