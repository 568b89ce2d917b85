"""Networks over images: layouts, and convolutions in other forms.

`channels_last` (images stay channels-last inside), `fold_batch_norm`, `relu_behind_pooling` and
`monotone_behind_pooling` (what can be done on the few largest elements), `convolutions_to_products`, `im2col` and
`winograd_convolutions` (other forms of the same sums), `lay_out_convolutions` (weights as kernels read them).
"""
