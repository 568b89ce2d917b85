"""Graphs as text, and what people read of them.

Read `printer` and `parser` (which round-trip), `fingerprint` (a text that tells graphs apart), `titles` (what nodes are
called) and `units` (numbers with the unit that fits)."""
