"""Kernels through LLVM."""
