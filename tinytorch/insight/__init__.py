"""Insight: what was compiled, collected as a record, and shown.

To read, in this order: `record` (what a report holds), `subject` (what it is about), `parts` (what nodes are called),
`work` (what a kernel computes and moves), `graphs` (graphs as lines of text, and their differences), `history` (what
each pass did), `memory` (the arena over time), `kernels` (each kernel with its code), `lines` (time per line of the
user's program), `collect` (all of it, as a record).
"""
