"""Graphs drawn as SVG: what runs, in which order, and what it costs.

To read, in this order: `boxes` (what is drawn: boxes and edges, made of a graph's kernels or ops), `grouping` (one box
a module), `folding` (alike blocks drawn once), `layered` (where everything goes), `labels` (what is written where),
`svg` (the file), `dot` (the same for Graphviz), `drawing` (all in one).

Graphviz itself lays nothing out: ranks are known from the schedule, and the packaged one takes 6 s for 100 boxes and
over a minute for 300.
"""
