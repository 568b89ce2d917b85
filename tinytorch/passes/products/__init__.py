"""The form and the layout of what matrix products read.

`sparsity` (what a product takes in sparse forms, a model) and `choose_sparse`; `lay_out_bytes`, `lay_out_narrow` (of 16
bits) and `lay_out_products`, which asks both; `turn_products` (of operands that lie across).
"""
