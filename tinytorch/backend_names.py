"""The backends that there are, by name: the one place outside of them that knows any."""

from __future__ import annotations

from typing import Literal, cast, get_args

from tinytorch.ir.errors import CompileError
from tinytorch.ir.system import locks
from tinytorch.runtime.ahead import Interface
from tinytorch.runtime.backend import Backend

BackendName = Literal["llvm", "interpreter"]
Choice = str | Backend  # by name, or an object that follows the protocol
NAMES = ("llvm", "interpreter")
DEFAULT = "llvm"


def checked(choice: object) -> Choice:
    """The choice itself. CompileError unless it is one of the names, or an object with all that a backend has."""
    wanted = f"backend is one of {', '.join(NAMES)}, or an object with the members of runtime.backend.Backend"
    if isinstance(choice, str):
        if choice not in NAMES:
            raise CompileError(f"{wanted}, got {choice!r}")
        return choice
    if isinstance(choice, type):
        raise CompileError(f"{wanted}, got the class {choice.__name__}: make an object of it")
    missing = [name for name in vars(Backend) if not name.startswith("_") and not hasattr(choice, name)]
    if missing:
        raise CompileError(f"{wanted}; {choice!r} has no {', '.join(missing)}")
    return cast("Backend", choice)


def find(choice: Choice) -> Backend | None:
    """The backend, loaded when it is first asked for; None for the interpreter, which needs none."""
    if not isinstance(choice, str):
        return choice
    return None if choice == "interpreter" else llvm()


def name_of(choice: Choice) -> str:
    """The name of a backend in a file: its own, or the usual one's for an object that only this process has."""
    return choice if isinstance(choice, str) else DEFAULT


def llvm() -> Backend:
    """Machine code for this machine."""
    with locks.importing:
        from tinytorch.runtime.llvm.backend import LlvmBackend

    return LlvmBackend()


def objects(target: str, interface: Interface, source: str) -> Backend:
    """What writes object files for a target: "host" (this machine), or the name of one. The program of its executables
    is a `runtime.ahead.ObjectProgram`. CompileError for other targets."""
    with locks.importing:
        from tinytorch.runtime.llvm.ahead.objects import ObjectBackend
        from tinytorch.runtime.llvm.text.target import Target, TargetName

    names = ("host", *get_args(TargetName))
    if target not in names:
        raise CompileError(f"target is one of {', '.join(names)}, got {target!r}")
    found = Target.host() if target == "host" else Target.named(cast("TargetName", target))
    return ObjectBackend(found, interface, source)
