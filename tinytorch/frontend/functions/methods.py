"""The methods that tensors share with expressions of graphs, as functions."""

from __future__ import annotations

from tinytorch.frontend.spelling import method

# Elementwise.
abs = method("abs", "absolute", in_place=True, standard="abs")
ceil = method("ceil", in_place=True, standard="ceil")
clamp = method("clamp", "clip", in_place=True, standard="clip")
cos = method("cos", in_place=True, standard="cos")
erf = method("erf", "special.erf", in_place=True)
exp = method("exp", in_place=True, standard="exp")
expm1 = method("expm1", "special.expm1", in_place=True, standard="expm1")
floor = method("floor", in_place=True, standard="floor")
isfinite = method("isfinite", standard="isfinite")
isinf = method("isinf", standard="isinf")
isnan = method("isnan", standard="isnan")
log = method("log", in_place=True, standard="log")
log1p = method("log1p", "special.log1p", in_place=True, standard="log1p")
logical_not = method("logical_not", in_place=True, standard="logical_not")
reciprocal = method("reciprocal", in_place=True, standard="reciprocal")
round = method("round", "special.round", in_place=True, standard="round")
rsqrt = method("rsqrt", in_place=True)
sign = method("sign", "sgn", in_place=True, standard="sign")
sin = method("sin", in_place=True, standard="sin")
sqrt = method("sqrt", in_place=True, standard="sqrt")
square = method("square", in_place=True, standard="square")
trunc = method("trunc", "fix", in_place=True, standard="trunc")

# Reductions.
all = method("all", standard="all")
amax = method("amax")
amin = method("amin")
any = method("any", standard="any")
argmax = method("argmax", standard="argmax")
argmin = method("argmin", standard="argmin")
cumsum = method("cumsum", in_place=True)
max = method("max")
mean = method("mean", standard="mean")
min = method("min")
std = method("std")
sum = method("sum")
var = method("var")

# Shapes.
broadcast_to = method("broadcast_to", standard="broadcast_to")
clone = method("clone")
detach = method("detach", in_place=False)
flatten = method("flatten")
flip = method("flip", standard="flip")
index_select = method("index_select")
narrow = method("narrow")
permute = method("permute", standard="permute_dims")
reshape = method("reshape", standard="reshape")
squeeze = method("squeeze", standard="squeeze")
t = method("t")
transpose = method("transpose", "swapaxes", "swapdims")
unsqueeze = method("unsqueeze", standard="expand_dims")

# Products.
matmul = method("matmul", "linalg.matmul", standard="matmul")
