"""Who was exposed, by arm and day. Pure: from counts to Plotly's dictionaries."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from itertools import accumulate

from analytics.charts.arms import look_of
from analytics.charts.theme import Figure, Trace, figure


def exposures_by_day(
    days: Sequence[date],
    names: Sequence[str],
    counts: Sequence[Sequence[int]],
    shares: Sequence[float],
) -> Figure:
    """New shoppers of each day above, all of them so far below, each beside the expected number.

    Parameters
    ----------
    names, shares
        By arm; the shares that were planned add up to 1.
    counts
        By day, then by arm.
    """
    traces: list[Trace] = []
    x = [day.isoformat() for day in days]
    totals = list(accumulate(sum(row) for row in counts))
    for i, name in enumerate(names):
        look = look_of(i)
        of_arm = [row[i] for row in counts]
        traces.append(
            {
                "type": "bar", "name": name, "legendgroup": name, "x": x, "y": of_arm, "yaxis": "y",
                "marker": {"color": look.color},
                "hovertemplate": f"{name} %{{y:,}} new<extra></extra>",
            }
        )  # fmt: skip
        traces.append(
            {
                "type": "scatter", "mode": "lines", "name": name, "legendgroup": name,
                "showlegend": False, "x": x, "y": list(accumulate(of_arm)), "yaxis": "y2",
                "line": {"color": look.color, "width": 2.25, "dash": look.dash},
                "hovertemplate": f"{name} %{{y:,}} so far<extra></extra>",
            }
        )  # fmt: skip
    for i, share in enumerate(_different(shares)):
        traces.append(
            {
                "type": "scatter", "mode": "lines", "name": "expected by the split",
                "legendgroup": "expected", "showlegend": i == 0, "x": x,
                "y": [round(total * share, 1) for total in totals], "yaxis": "y2",
                "line": {"color": "var(--ink-3)", "width": 1, "dash": "longdash"},
                "hovertemplate": "%{y:,.0f} expected<extra></extra>",
            }
        )  # fmt: skip
    return figure(traces, ["new shoppers per day", "shoppers so far"])


def _different(shares: Sequence[float]) -> list[float]:
    """A half and a half are one line.

    >>> _different([0.5, 0.5]), _different([0.2, 0.8])
    ([0.5], [0.2, 0.8])
    """
    return sorted({round(share, 6) for share in shares})
