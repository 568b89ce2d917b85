"""What drawn programs may do. A feature that does not work yet is in OFF, with what is wrong."""

from __future__ import annotations

FEATURES: dict[str, str] = {
    # values
    "elementwise": "arithmetic with numbers and broadcast tensors, and functions",
    "python_number": "a Python number among the arguments, another one in each call",
    "module_number": "an attribute of a module that is a number, set between calls",
    "reduce": "sums, means, maxima, softmax",
    "pool": "max pooling and its places, the two results of one op",
    "matmul": "products of matrices and vectors",
    "views": "indexing, slices, reshape, permute, transpose, expand, detach",
    "flip": "flip",
    "gather": "index arrays and index tensors",
    "where": "tt.where, comparisons",
    "join": "cat and stack",
    "cast": "to another dtype, and to the same",
    "integers": "tensors of integers among the arguments",
    "module_call": "a module with a parameter, a buffer, numbers and a mode",
    # changes in place
    "write": "add_, sub_, mul_, copy_, zero_, fill_",
    "divide_write": "div_",
    "operators": "+=, -=, *=, /= on a variable",
    "item_write": "item assignment with integers and slices",
    "item_operators": "x[i] += y",
    "index_write": "item assignment with index arrays",
    "mask_write": "item assignment with a mask",
    "scalar_mask_write": "item assignment with a mask to a tensor of rank 0",
    "view_write": "changes of views, and of what has views",
    "detach_write": "changes of x.detach()",
    "grad_write": "changes in place that are differentiated",
    "leaf_write": "changes of leaves that require grad while gradients are recorded: an error",
    "argument_write": "changes of arguments",
    "captured_write": "changes of captured tensors",
    "wide_write": "values of other shapes and dtypes written, some of which do not fit",
    # gradients
    "backward": "backward() inside",
    "backward_outside": "backward() on a result",
    "late_backward": "gradients of what was computed before a leaf of it was changed in place",
    "accumulate": "gradients that are there from the calls before",
    "grad_read": "reading, scaling, clipping and replacing .grad",
    "optimizer": "an optimizer's step, and whole training steps inside",
    "optimizer_outside": "an optimizer's step between calls",
    "lone_zero_grad": "zero_grad() without a step in the same function",
    "zero_grad_false": "zero_grad(set_to_none=False)",
    "no_grad_call": "calls under no_grad",
    # arguments and results
    "no_grad_alias": "views of arguments as results of calls under no_grad",
    "containers": "arguments and results in nested lists, tuples and dicts",
    "named_tuples": "named tuples as results",
    "ordered_dicts": "ordered dicts as results",
    "dataclasses": "dataclasses as results",
    "spent_result": "results that require grad, after a backward() inside",
    "argument_result": "arguments and captured tensors returned as they are",
    "alias_result": "one tensor returned twice, and views of arguments",
    "detached_result": "x.detach() as a result",
    "result_write": "changes of results between calls, and of what they share memory with",
    "same_argument": "one tensor passed in two places, in some calls",
    "view_argument": "arguments that are views of one another",
    "history_argument": "arguments that were computed of leaves, in the place of leaves",
    "captured_argument": "a captured tensor passed as an argument",
    "outside_write": "changes of arguments and captured tensors between calls",
    "mode": "train() and eval() between calls",
}

OFF: dict[str, str] = {}

# Programs that do everything seldom do two certain things after each other. So many leave out whole groups.
VALUES = frozenset({"reduce", "pool", "matmul", "flip", "gather", "where", "join", "cast", "integers", "module_call"})
WRITES = frozenset(name for name in FEATURES if name.endswith(("write", "operators"))) - {"outside_write"}
TRAINING = frozenset({"backward", "grad_read", "optimizer", "lone_zero_grad"})
MOODS: tuple[frozenset[str], ...] = (frozenset(), VALUES, VALUES | WRITES, VALUES | TRAINING, WRITES, TRAINING)
