"""The call from Python into a compiled graph.

Read `layout` (the record of a call, the structs of CPython and numpy), `spec` (how a graph is called), `memory` (arenas
and large results), `code` (the machine code), and `call` (all put together).
"""
