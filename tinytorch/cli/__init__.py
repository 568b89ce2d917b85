"""The `tinytorch` command. What a command needs is imported when it runs, so that `--help` is quick.

To read, in this order: `program` (how a command begins and ends), `errors` (what is said of failures), `targets` (what
commands are given), `bench`, `doctor` and `demo` (commands that are more than a call), and `commands`.
"""

from tinytorch.cli.commands import app

__all__ = ["app"]
