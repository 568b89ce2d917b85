"""Rules that make a graph smaller and leave every value as it is.

Read `raise_views` (permutes, flips and slices move in front of elementwise ops, in one walk), `views` and `updates`
(tables of rules), and `algebra`: all other rules, the rules of conduct, and the pass.
"""
