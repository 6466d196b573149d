"""How far the shoppers of each arm came. Pure: from shares to Plotly's dictionaries."""

from __future__ import annotations

from collections.abc import Sequence

from analytics.charts.arms import look_of
from analytics.charts.theme import Figure, Trace, figure


def funnel_by_arm(
    steps: Sequence[str], names: Sequence[str], counts: Sequence[Sequence[int]]
) -> Figure:
    """A group of bars per step, a bar per arm: the share of all exposed shoppers of the arm.

    Parameters
    ----------
    steps
        From the first to the last; the first is everybody.
    counts
        By arm, then by step. An arm without shoppers has no bars.
    """
    traces: list[Trace] = []
    for i, (name, row) in enumerate(zip(names, counts, strict=True)):
        shares = [n / row[0] if row[0] else None for n in row]
        traces.append(
            {
                "type": "bar", "orientation": "h", "name": name, "y": list(steps), "x": shares,
                "marker": {"color": look_of(i).color},
                "text": [None if share is None else _share_text(share) for share in shares],
                "textposition": "outside", "cliponaxis": False,
                "customdata": list(row),
                "hovertemplate": f"{name} %{{x:.1%}}, %{{customdata:,}} shoppers<extra></extra>",
            }
        )  # fmt: skip
    drawn = figure(traces, [""])
    drawn["layout"] |= {
        "hovermode": "y",
        "barmode": "group",
        "bargap": 0.3,
        "margin": {"l": 96, "r": 48, "t": 8, "b": 32},
        "xaxis": {**drawn["layout"]["xaxis"], "type": "linear", "tickformat": ".0%",
                  "hoverformat": ".1%", "range": [0, 1.04], "title": {
                      "text": "of all exposed shoppers of the arm", "font": {"size": 11}}},
        "yaxis": {**drawn["layout"]["yaxis"], "type": "category", "autorange": "reversed",
                  "showgrid": False, "tickformat": "", "ticksuffix": "  "},
    }  # fmt: skip
    del drawn["layout"]["yaxis"]["rangemode"]
    return drawn


def _share_text(share: float) -> str:
    """As it stands at the end of a bar.

    >>> _share_text(0.0312), _share_text(0.42), _share_text(1.0)
    ('3.1 %', '42 %', '100 %')
    """
    return f"{share * 100:.1f} %" if share < 0.1 else f"{share * 100:.0f} %"
