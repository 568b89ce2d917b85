"""Pictures of one kind: small, with units, legible on light and dark pages."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any

from tinytorch.frontend.benchmarking.plots import empty_figure

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.ticker import LogFormatterSciNotation

# Okabe and Ito's colours, which people who do not tell red from green can tell apart.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")


def chart(
    x: str, y: str, *, log_x: bool = False, log_y: bool = False, width: float = 6.4, height: float = 3.6
) -> tuple[Figure, Axes]:
    """A figure with one pair of axes, labelled `x` and `y` (with units)."""
    figure = empty_figure(width, height)
    axes = figure.subplots()
    style(axes, x, y, log_x=log_x, log_y=log_y)
    return figure, axes


def charts(columns: int, *, width: float = 8.0, height: float = 3.2, share_y: bool = False) -> tuple[Figure, Any]:
    """A figure with axes beside each other, each of which wants `style`."""
    figure = empty_figure(width, height)
    return figure, figure.subplots(1, columns, sharey=share_y)


def style(axes: Axes, x: str, y: str, *, log_x: bool = False, log_y: bool = False) -> None:
    """Labels, a quiet grid, and no frame."""
    axes.set_xlabel(x)
    axes.set_ylabel(y)
    if log_x:
        axes.set_xscale("log")
        axes.xaxis.set_minor_formatter(_between()())
    if log_y:
        axes.set_yscale("log")
    axes.set_prop_cycle(color=COLOURS)
    axes.grid(True, color="#dddddd", linewidth=0.6)
    axes.set_axisbelow(True)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)


def legend_above(axes: Axes, columns: int) -> None:
    """A legend over the axes, where lines leave no room for one between them."""
    axes.legend(fontsize=8, ncols=columns, loc="lower center", bbox_to_anchor=(0.5, 1.0), frameon=False)


@functools.cache
def _between() -> type[LogFormatterSciNotation]:
    """Labels between powers of ten, where an axis has few of these; none where the labels of an axis were set, which
    they would overlap."""
    from matplotlib.axis import Axis
    from matplotlib.ticker import FixedLocator, LogFormatterSciNotation

    class Between(LogFormatterSciNotation):
        def __call__(self, x: float, pos: int | None = None) -> str:
            chosen = isinstance(self.axis, Axis) and isinstance(self.axis.get_major_locator(), FixedLocator)
            return "" if chosen else str(super().__call__(x, pos))

    return Between
