"""Guards: what a trace read of Python, and whether it is still so.

A trace runs Python once, so all that the function took from Python (flags of modules, numbers in closures and globals)
is fixed in its graph. It is recorded as lookups, and these are made again before each call.

To read, in this order: `freeze` (values that can be compared), `places` (whose code a file is), `code` (names in
bytecode), `outside` (modules, the environment), `hooks` (reads of attributes, told while a trace runs), `lookups` (how
something was found), `opaque` (objects of other people's classes), `reach` (what a function can reach through names),
`record` (which attributes a trace really read), `proof` (arrays that only meet tensors), `quick` (the look before every
call), `guards` (all of it).
"""

from __future__ import annotations

from tinytorch.frontend.guards.freeze import freeze
from tinytorch.frontend.guards.guards import Guards
from tinytorch.frontend.guards.record import Watch, tracked_in

__all__ = ["Guards", "Watch", "freeze", "tracked_in"]
