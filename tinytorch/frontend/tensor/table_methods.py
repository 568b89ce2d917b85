"""The methods of tensors that come from the table of names.

`spelling` puts them here when their functions are entered; the stub beside this file, which is made from the table,
tells editors of them. Methods that a tensor has by itself come first.
"""


class TableMethods:
    """Has every function of the table that is a method of tensors, too."""

    __slots__ = ()
