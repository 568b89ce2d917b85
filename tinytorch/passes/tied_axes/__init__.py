"""Which indices of the axes of a graph's inputs go together: the analysis behind structured pruning.

Read `slots` (indices of axes, and how ties are solved), `paths` (where indices go in a view or a move), `tied_axes`.
"""
