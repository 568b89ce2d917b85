"""Results that a compiled function cannot give: what can be read only once, and objects that hold tensors out of sight,
which would be those of the first call for ever."""

from __future__ import annotations

import gc
import types
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import numpy as np

from tinytorch.frontend.module.tracked import Tracked
from tinytorch.frontend.tensor import Tensor
from tinytorch.frontend.tracing.numbers import NeedsValue, Number
from tinytorch.frontend.tree import Slot, is_container, parts
from tinytorch.ir.errors import TraceError
from tinytorch.ir.loc import user_loc

_CLOSED = (type, types.ModuleType, types.CodeType, types.FrameType, Tracked)  # reached without the result, too


def refuse_opaque(spec: Any, is_own: Callable[[Tensor], bool]) -> None:
    """TraceError for a flattened result with an iterator in it, or an object that holds a tensor of this call; a number
    of the trace is needed itself."""
    if type(spec) is Number:
        raise NeedsValue(spec.places)
    if is_container(spec):
        for part in parts(spec):
            refuse_opaque(part, is_own)
    elif isinstance(spec, Iterator):
        raise _refused(spec, "can be read only once; return a list or tuple")
    elif not isinstance(spec, (Slot, Tensor)) and _holds(spec, is_own):
        raise _refused(spec, "holds tensors; return them in a list, tuple, dict or dataclass")


def _refused(item: Any, why: str) -> TraceError:
    return TraceError(f"a compiled function cannot return a {type(item).__name__}, which {why}", user_loc())


def _holds(item: Any, is_own: Callable[[Tensor], bool]) -> bool:
    seen: dict[int, Any] = {}
    stack = [item]
    while stack:
        item = stack.pop()
        if id(item) in seen or isinstance(item, _CLOSED):
            continue
        seen[id(item)] = item
        if not isinstance(item, Tensor):
            stack.extend(_referents(item))
        elif is_own(item):
            return True
    return False


def _referents(item: Any) -> Iterable[Any]:
    if isinstance(item, types.FunctionType):  # but for its globals
        return (item.__closure__, item.__defaults__, item.__kwdefaults__, item.__dict__)
    if isinstance(item, np.ndarray):
        return item.reshape(-1).tolist() if item.dtype.hasobject else ()
    return gc.get_referents(item)
