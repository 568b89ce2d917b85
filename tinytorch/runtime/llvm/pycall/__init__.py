"""The call from Python into a compiled graph.

Read `spec` (how a graph is called), `layout` (the record of a call, the structs of CPython and numpy), `memory` (arenas
and large results), `code` (the machine code), `call` (both put together).
"""
