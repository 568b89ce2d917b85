"""What users pass to a function of the table, made into what its parameters want, as far as their annotations say."""

from __future__ import annotations

import functools
import inspect
import re
import sys
from collections.abc import Callable
from dataclasses import dataclass, replace
from types import NoneType
from typing import Any, TypeVar

import numpy as np

from tinytorch.frontend.arguments import (
    ArgumentIndexError,
    ArgumentMemoryError,
    ArgumentTypeError,
    ArgumentValueError,
    shown,
)
from tinytorch.frontend.tensor import Tensor, from_numpy
from tinytorch.frontend.tensor.conversions import as_array
from tinytorch.ir.errors import TinyTorchError
from tinytorch.ir.loc import is_package_file, user_loc

# Words of numpy and of the Array API for PyTorch's. PyTorch knows the same ones.
_OTHER_WORDS = {"input": ("x", "a", "x1"), "other": ("x2",), "dim": ("axis",), "keepdim": ("keepdims",)}
_SEVERAL = ("size", "shape", "dims", "axes", "repeats", "sizes")  # words for `*size` and its kind

_TYPES = {"Tensor": Tensor, "int": int, "float": float, "bool": bool, "str": str, "None": NoneType}
_DESCRIBED = {
    "Tensor": "a tensor", "int": "an integer", "float": "a number", "bool": "True or False", "str": "a string",
    "None": "None",
}  # fmt: skip


# What Python and numpy raise where an argument means nothing, and what this package does.
_UNCLEAR = (TypeError, ValueError, AttributeError, OverflowError, LookupError, MemoryError, TinyTorchError)
Function = TypeVar("Function", bound=Callable[..., Any])


@dataclass(frozen=True, eq=False)
class _Wanted:
    """What a parameter takes: `kinds` are words of its annotation, `types` the Python types that need no look."""

    parameter: str
    kinds: tuple[str, ...]
    types: frozenset[type]
    first: bool = False  # the tensor that the function is about: beside another one, a number is a mistake

    def take(self, what: str, value: Any, beside: Tensor | None) -> Any:
        """`value` as one of the kinds; numbers become tensors as they do `beside` another one."""
        kinds = self.kinds
        if isinstance(value, Tensor) and ("Tensor" in kinds or "int" in kinds or "float" in kinds):
            return value  # as a number, it is for the function to say what it needs
        plain_int = isinstance(value, (int, np.integer)) and not isinstance(value, bool)
        if "int" in kinds and plain_int:
            return value
        if "bool" in kinds and isinstance(value, np.bool_):
            return bool(value)
        if "float" in kinds and isinstance(value, (int, float, np.integer, np.floating, np.bool_)):
            return value
        lone = not (self.first and beside is not None and isinstance(value, (int, float, np.generic)))
        if "Tensor" in kinds and lone and isinstance(value, (int, float, np.ndarray, np.generic, list, tuple)):
            if beside is not None and not isinstance(value, (list, tuple)):
                return beside._like(value)  # pyright: ignore[reportPrivateUsage]
            try:
                return from_numpy(as_array(value))
            except (TypeError, ValueError):  # of strings, or of lists of several lengths
                pass
        *others, last = (_DESCRIBED[kind] for kind in kinds)
        wanted = f"{', '.join(others)} or {last}" if others else last
        raise ArgumentTypeError(f"{what}: {self.parameter} is {wanted}, got {shown(value)}", user_loc())


def _wanted(name: str, annotation: object, default: object) -> _Wanted | None:
    """What a parameter takes; None where its annotation has a word that is not known here, such as Any."""
    kinds = [word.strip() for word in annotation.split("|")] if isinstance(annotation, str) else []
    if not kinds or not _TYPES.keys() >= set(kinds):
        return None
    if default is None and "None" not in kinds:
        kinds.append("None")
    types = {_TYPES[kind] for kind in kinds}
    return _Wanted(name, tuple(kinds), frozenset(types | {int, bool} if "float" in kinds else types))


def signature_of(function: Callable[..., Any]) -> inspect.Signature:
    """The signature that users see: what is a method's `self` is `input`."""
    signature = inspect.signature(function)
    if next(iter(signature.parameters), "") != "self":
        return signature
    first, *rest = signature.parameters.values()
    first = first.replace(name="input", kind=inspect.Parameter.POSITIONAL_OR_KEYWORD, annotation="Tensor")
    return signature.replace(parameters=[first, *rest])


class _Parameters:
    """What the parameters of a function take, and the words for them."""

    def __init__(self, function: Callable[..., Any], name: str) -> None:
        written: Any = inspect.unwrap(function)
        code, annotations = written.__code__, written.__annotations__
        own = code.co_varnames[: code.co_argcount + code.co_kwonlyargcount]
        self.name = name
        self.first = "" if not code.co_argcount else "input" if own[0] == "self" else own[0]
        self.words = _words(self.first, own)
        defaults = _defaults(written, own)
        wanted = {n: _wanted(n, annotations.get(n), defaults.get(n, ...)) for n in own}
        if own and own[0] == "self":
            wanted["self"] = _wanted("input", "Tensor", ...)
        if own and (kind := wanted[own[0]]) is not None:
            wanted[own[0]] = replace(kind, first=True)
        self.places = [wanted[n] for n in own[: code.co_argcount]]
        self.named = {n: kind for n, kind in wanted.items() if kind is not None}
        self.several = code.co_flags & inspect.CO_VARARGS and code.co_varnames[len(own)] in _SEVERAL

    def fit(self, args: tuple[Any, ...]) -> bool:
        """Whether none of `args`, all given by their places, has to be looked at."""
        for value, kind in zip(args, self.places):  # noqa: B905, SIM110 (these cost as much as the loop)
            if kind is not None and type(value) not in kind.types:
                return False
        return True

    def take(self, args: tuple[Any, ...], options: dict[str, Any]) -> tuple[tuple[Any, ...], dict[str, Any]]:
        """The arguments as the parameters want them."""
        if options:
            options = {self.words.get(key, key): value for key, value in options.items()}
            if not args and self.first in options:
                args = (options.pop(self.first),)
            if self.several:
                args = (*args, *(options.pop(word) for word in _SEVERAL if word in options and word not in self.named))
        beside = next((x for x in (*args, *options.values()) if isinstance(x, Tensor)), None)
        checked = tuple(
            value if kind is None or type(value) in kind.types else kind.take(self.name, value, beside)
            for value, kind in zip(args, self.places, strict=False)
        )
        for key, value in options.items():
            kind = self.named.get(key)
            if kind is not None and type(value) not in kind.types:
                options[key] = kind.take(self.name, value, beside)
        return (*checked, *args[len(checked) :]), options


def public(function: Callable[..., Any], name: str) -> Callable[..., Any]:
    """The function as users call it: with other words for parameters, arrays and numbers for tensors, and errors that
    name the argument and the user's line."""
    known: _Parameters | None = None

    @functools.wraps(function)
    def call(*args: Any, **options: Any) -> Any:
        nonlocal known
        if known is None:
            known = _Parameters(function, name)
        try:
            if options or not known.fit(args):
                args, options = known.take(args, options)
            return function(*args, **options)
        except _UNCLEAR as error:
            clear = _explained(function, name, args, options, error)
            if clear is error:
                raise
            raise clear from error

    call.__name__ = call.__qualname__ = name
    if function.__code__.co_varnames[:1] == ("self",):
        call.__signature__ = signature_of(function)  # pyright: ignore[reportAttributeAccessIssue]
    return call


def clear(function: Function) -> Function:
    """The function, with errors that say what the user has done, and where; arguments are what they are."""
    name = function.__name__

    @functools.wraps(function)
    def call(*args: Any, **options: Any) -> Any:
        try:
            return function(*args, **options)
        except _UNCLEAR as error:
            clear = _explained(function, name, args, options, error)
            if clear is error:
                raise
            raise clear from error

    return call  # pyright: ignore[reportReturnType]


def _words(first: str, own: tuple[str, ...]) -> dict[str, str]:
    """Other words for parameters, as far as they are not parameters themselves."""
    words = {w: each for each in own for w in _OTHER_WORDS.get(each, ()) if w not in own}
    if first in ("input", *_OTHER_WORDS["input"]):
        words |= {w: first for w in ("input", *_OTHER_WORDS["input"]) if w not in own and w != first}
    return words


def _defaults(function: Any, own: tuple[str, ...]) -> dict[str, Any]:
    places = own[: function.__code__.co_argcount]
    given = function.__defaults__ or ()
    return dict(zip(places[len(places) - len(given) :], given, strict=True)) | (function.__kwdefaults__ or {})


def _explained(
    function: Callable[..., Any], name: str, args: tuple[Any, ...], options: dict[str, Any], error: Exception
) -> Exception:
    """`error` as one that says what the user has done, and where."""
    if not isinstance(error, TinyTorchError):
        if of_user(error) or (isinstance(error, IndexError) and "\n" in str(error)):  # with a line already
            return error
        return explained(signature_of(function), name, args, options, error)
    caller = sys._getframe(2)  # pyright: ignore[reportPrivateUsage]
    if type(error).__init__ is not TinyTorchError.__init__ or is_package_file(caller.f_code.co_filename):
        return error
    first, *others = error.message.split("\n")
    named = _named(name, first)
    if named == first and error.loc is not None:
        return error
    return type(error)("\n".join([named, *others]), error.loc or user_loc())


def _named(name: str, text: str) -> str:
    """A message that says which function of the user's it is about: it may be of an op that this one is made of."""
    if re.search(rf"\b{re.escape(name.strip('_'))}_?\b", text, re.IGNORECASE):
        return text
    inner, colon, said = text.partition(": ")
    return f"{name}: {said} (in {inner})" if colon and inner.replace(".", "_").isidentifier() else f"{name}: {text}"


def call_error(
    function: Callable[..., Any], name: str, args: tuple[Any, ...], options: dict[str, Any], error: Exception
) -> Exception:
    """`error` of a call of a function (or of a bound method) as one that says what the user has done, and where."""
    return (
        error
        if isinstance(error, TinyTorchError)
        else explained(inspect.signature(function), name, args, options, error)
    )


def explained(
    signature: inspect.Signature, name: str, args: tuple[Any, ...], options: dict[str, Any], error: Exception
) -> TinyTorchError:
    """Python's or numpy's `error` of a call of `name` as one that says what the user has done, and where."""
    known = signature.parameters
    unknown = [key for key in options if key not in known]
    try:
        if unknown and all(p.kind != inspect.Parameter.VAR_KEYWORD for p in known.values()):
            raise TypeError(f"got an unexpected keyword argument '{unknown[0]}'")
        signature.bind(*args, **options)
        if isinstance(error, TypeError) and str(error).startswith("got an unexpected"):
            raise error
    except TypeError as reason:
        return ArgumentTypeError(f"{name}: {reason}; its arguments are {_brief(signature)}", user_loc())
    if not isinstance(error, (AttributeError, LookupError)) and str(error).startswith(f"{name}: "):
        return ArgumentValueError(str(error), user_loc())
    given = ", ".join([*map(shown, args), *(f"{key}={shown(value)}" for key, value in options.items())])
    if isinstance(error, MemoryError) or re.search("Maximum allowed|too big;", str(error)):
        return ArgumentMemoryError(f"{name}: what ({given}) asks for does not fit into memory", user_loc())
    if isinstance(error, IndexError):
        kind = ArgumentIndexError
    else:
        kind = ArgumentValueError if isinstance(error, (ValueError, OverflowError)) else ArgumentTypeError
    return kind(f"{name}: cannot be called with ({given}); its arguments are {_brief(signature)}", user_loc())


def of_user(error: Exception) -> bool:
    """Whether code of the user's was called that raised the error, such as the function of a `LambdaLR`."""
    trace = error.__traceback__
    while trace is not None:
        module = trace.tb_frame.f_globals.get("__name__", "").partition(".")[0]
        if not (is_package_file(trace.tb_frame.f_code.co_filename) or module in ("numpy", "tinytorch")):
            return True
        trace = trace.tb_next
    return False


def _brief(signature: inspect.Signature) -> str:
    """The parameters without their annotations."""
    bare = [p.replace(annotation=inspect.Parameter.empty) for p in signature.parameters.values()]
    written = str(signature.replace(parameters=bare, return_annotation=inspect.Signature.empty))
    return re.sub(r"<(?:function|class) '?([\w.]+)[^>]*>", r"\1", written)
