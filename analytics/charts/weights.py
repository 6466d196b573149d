"""How a bandit divided the shoppers over time. Pure: from phases to Plotly's dictionaries."""

from __future__ import annotations

from collections.abc import Sequence

from analytics.charts.arms import look_of
from analytics.charts.theme import Figure, Trace, figure


def weights_over_time(
    moments: Sequence[str], names: Sequence[str], shares: Sequence[Sequence[float]]
) -> Figure:
    """Steps that fill the height: each arm's share from a moment on.

    Parameters
    ----------
    moments
        ISO; the last is where the last step ends.
    shares
        By moment, then by arm; each adds up to 1.
    """
    traces: list[Trace] = [
        {
            "type": "scatter", "mode": "lines", "name": name, "stackgroup": "share", "yaxis": "y",
            "x": list(moments), "y": [row[i] for row in shares],
            "line": {"color": look_of(i).color, "width": 1, "shape": "hv"},
            "fillcolor": look_of(i).soft,
            "hovertemplate": f"{name} %{{y:.0%}}<extra></extra>",
        }
        for i, name in enumerate(names)
    ]  # fmt: skip
    drawn = figure(traces, ["share of shoppers"], percent=frozenset({0}))
    drawn["layout"]["yaxis"] |= {"range": [0, 1], "tickformat": ".0%"}
    return drawn
