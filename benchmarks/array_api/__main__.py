"""`python -m benchmarks.array_api`: what passes, what fails and why, and the share."""

from __future__ import annotations

from rich.console import Console
from rich.table import Table

from benchmarks.array_api.judge import SECTIONS, results
from tinytorch.cli.program import Commands

app = Commands("benchmarks.array_api")


@app.command()
def main() -> None:
    """Print what passes, what fails and why, and the shares."""
    found = results()
    table = Table("section", "functions", "pass", "cases", "those that fail")
    for section in SECTIONS:
        own = [r for r in found if r.section == section]
        failed = "\n".join(f"{r.name}: {r.failure}" for r in own if r.failure)
        table.add_row(section, str(len(own)), str(len([r for r in own if not r.failure])),
                      str(sum(r.cases for r in own)), failed)  # fmt: skip
    passed = len([r for r in found if not r.failure])
    console = Console(width=160)
    console.print(table)
    console.print(f"{passed} of {len(found)} functions of the Array API pass: {100 * passed / len(found):.1f} %")


if __name__ == "__main__":
    app()
