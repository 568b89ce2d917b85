"""Insight: what was compiled, collected as a record, and shown.

To read, in this order: `text` (numbers and tables as text), `record` (what a report holds), `tables` (its tables),
`work` (what a kernel computes and moves), `common` (what two texts have in common), `graphs` (graphs as lines of text,
and their differences), `memory` (the arena over time), `subject` (what a report is about), `history` (what each pass
did), `timeline` (one measured call), `kernels` (each kernel with its code), `lines` (time per line of the user's
program), `collect` (all of it, as a record), `drawing` (the graph as a picture), `trace_events` (a call as a file for
Perfetto), `page` (a record as a page), `compare` (two records).
"""
