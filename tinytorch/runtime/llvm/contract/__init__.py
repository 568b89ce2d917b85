"""The contract family: matrix products with what follows them.

Read `layout` (what is asked), `plan` (how it is cut up), `kernel` (the loops), then `pack`, `tile` (the
microkernels), `epilogue` and `parts`.
"""
