"""Products of bytes, whose steps of k are groups of elements.

Read `instructions` (which multiply bytes, and calls of them), `groups` (packed operands with k in groups), `dots` (the
same of convolutions) and `plan` (how products are cut up whose right operand lies in panels of groups).
"""
