"""The families of kernels, one file each: what a kernel of it may hold.

Read `ir/kernels/family.py` first, then `loop`, `contract`, and the others.
"""

from __future__ import annotations

from tinytorch.ir.families.attention import ATTENTION
from tinytorch.ir.families.contract import CONTRACT
from tinytorch.ir.families.conv import CONV
from tinytorch.ir.families.index import INDEX
from tinytorch.ir.families.loop import LOOP
from tinytorch.ir.families.pooling import POOLING
from tinytorch.ir.families.recurrent import RECURRENT
from tinytorch.ir.families.sorting import SORTING
from tinytorch.ir.families.sparse import SPARSE
from tinytorch.ir.kernels.family import Families

FAMILIES = Families(LOOP, CONTRACT, SPARSE, CONV, POOLING, INDEX, SORTING, RECURRENT, ATTENTION)
