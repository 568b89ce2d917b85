"""The microkernels of matrix products: one tile of sums, held in registers over a block of k.

Read `key` (what a microkernel depends on), `dot_tile` (vectors along k) and `tile` (vectors along columns, and the
function that writes either).
"""
