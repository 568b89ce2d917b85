"""Module 06: optimizers. Updates are ops on state, so that a compiled step holds them too.

| optimizer | state per parameter | memory in training, with parameters and gradients |
| --- | --- | --- |
| SGD | none | 2 n |
| SGD with momentum, RMSprop, Adagrad, ASGD | one moment | 3 n |
| Adafactor | a moment of rows and one of columns | little more than 2 n |
| RMSprop with momentum, or centered | one moment more for each | 4 n, 5 n |
| Muon | one moment | 3 n, and 3 n of the matrices of one shape while they step |
| Adam, AdamW, Adadelta, Adamax, NAdam, RAdam, Rprop | two moments | 4 n |
| LBFGS | two moments for each of the last h steps | 2 n (h + 2) |

In the order to read them: `groups` (of parameters), `states`, `base` (what all optimizers share), `formulas` (what
several do), `sgd`; `counted` (a count of steps that parameters share), `adam`, `adam_variants` (Adamax, NAdam, RAdam),
`adaptive` (Adagrad, Adadelta, RMSprop), `adafactor`, `rprop`, `asgd`; `muon`; `line_search` and `lbfgs`.
"""

from tinytorch.frontend.optimizers.adafactor import Adafactor
from tinytorch.frontend.optimizers.adam import Adam, AdamW
from tinytorch.frontend.optimizers.adam_variants import Adamax, NAdam, RAdam
from tinytorch.frontend.optimizers.adaptive import Adadelta, Adagrad, RMSprop
from tinytorch.frontend.optimizers.asgd import ASGD
from tinytorch.frontend.optimizers.base import Optimizer
from tinytorch.frontend.optimizers.groups import ParamGroup
from tinytorch.frontend.optimizers.lbfgs import LBFGS
from tinytorch.frontend.optimizers.muon import Muon
from tinytorch.frontend.optimizers.rprop import Rprop
from tinytorch.frontend.optimizers.sgd import SGD

__all__ = [
    "ASGD", "LBFGS", "SGD", "Adadelta", "Adafactor", "Adagrad", "Adam", "AdamW", "Adamax", "Muon", "NAdam", "Optimizer",
    "ParamGroup", "RAdam", "RMSprop", "Rprop",
]  # fmt: skip
