"""Graph to Graph, one file each; `pipeline` says which run in which order.

- To simpler graphs: `autodiff` (with `recomputed`), `autocast`, `freeze`, `simplify`, `fold`, `cse`, `dce`, `expand`,
  `recognize_attention`, `join_pads`, `keep_bytes` (with `float_ranges`), `images`, `products`.
- To kernels: `kernels`, `rematerialize`.
- Analyses: `cost`, `tied_axes`.
"""
