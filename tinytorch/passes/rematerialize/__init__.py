"""Less memory for more work: values are dropped and computed again.

Read `segments` (values that live over a peak), `run_again` (a graph in which segments run twice), `rematerialize`.
"""
