"""What holds tensors: modules with parameters, how they are written to files, and how they begin.

To read, in this order: `tracked` (attributes that are watched), `weights` (files of tensors), `scopes` (which module
runs), `parameter`, `masks` (of parameters that are pruned), `hooks` and `backward_hooks` (what is called around a
forward and in its backward pass), `state` (its tensors by name), `display` (as a tree), `module`, `containers` (modules
of modules), `saving` (nested state), `summary` (a table of a model), `calling` (modules that call a function), `init`
(first values of parameters), `functional_call` (with other tensors in the place of parameters), `parameter_types` and
`parameter_functions` (of all parameters of a model).
"""

from tinytorch.frontend.module.module import Module
from tinytorch.frontend.module.parameter import Buffer, Parameter

__all__ = ["Buffer", "Module", "Parameter"]
