"""The graph of a small function before and after the passes."""

import tinytorch as tt


@tt.compile
def layer(x, w, b):
    return (x @ w + b).relu() * 2.0


layer(tt.ones(8, 4), tt.ones(4, 3), tt.zeros(3))
print(layer.traced_graph)
print(layer.graph)
