"""LLVM's language and library: what the kernels are written in, with no word of kernels.

Read `types` (scalars and vectors), `ssa` (registers and instructions), `builder` (functions, blocks, loops, a module),
then `library` (which imports LLVM), `target` (what the machine has) and `jit` (text to machine code).
"""
