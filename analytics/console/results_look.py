"""How a member looks at results: said by the address alone, so that it can be sent to a colleague."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from django.utils.http import urlencode

from analytics.results.document import Results

SCALES = {"relative": "Relative", "absolute": "Absolute", "per_day": "Per day"}
METHODS = {"fixed": "At one look", "sequential": "At any look"}
# What says which results are looked at, not how.
KEEPS = ("snapshot", "day")


class InvalidLookError(ValueError):
    """The address asks for what these results don't have."""


@dataclass(frozen=True, slots=True)
class Look:
    """The toggles of the scorecard and of the charts below.

    Attributes
    ----------
    scale
        relative, absolute, or per_day: the difference for the whole traffic of a day.
    baseline
        Key of the arm that the others are compared with.
    cuped
        Whether the 14 days before exposure narrow the intervals, where they can.
    method
        fixed: intervals and p-values for one look; sequential: those that hold at any look.
    hidden
        Keys of the arms that are left out.
    metric
        Of the charts over time.
    kept
        `KEEPS` of the address, to be kept in every link.
    """

    scale: str
    baseline: str
    cuped: bool
    method: str
    hidden: frozenset[str]
    metric: str
    kept: tuple[tuple[str, str], ...]
    defaults: tuple[str, bool, str]

    @property
    def document_scale(self) -> str:
        return "relative" if self.scale == "relative" else "absolute"

    @property
    def query(self) -> str:
        """Without what is as it is by itself: the shortest address for this look."""
        baseline, cuped, metric = self.defaults
        pairs: list[tuple[str, str]] = list(self.kept)
        pairs += [("scale", self.scale)] * (self.scale != "relative")
        pairs += [("baseline", self.baseline)] * (self.baseline != baseline)
        pairs += [("cuped", "on" if self.cuped else "off")] * (self.cuped != cuped)
        pairs += [("method", self.method)] * (self.method != "fixed")
        pairs += [("hide", key) for key in sorted(self.hidden)]
        pairs += [("metric", self.metric)] * (self.metric != metric)
        return f"?{urlencode(pairs)}" if pairs else "?"


def look_read(query: Mapping[str, str], hidden: list[str], results: Results, cuped: bool) -> Look:
    """What an address asks for.

    Parameters
    ----------
    hidden
        All values of `hide`.
    cuped
        What was planned.

    Raises
    ------
    InvalidLookError
        It names an arm or a metric that isn't there, or a toggle with an unknown position.
    """
    arms = [arm.key for arm in results.arms]
    control = arms[0] if arms else ""
    drawn = [series.metric for series in results.series]
    metric = query.get("metric") or results.primary
    baseline = query.get("baseline") or control
    wanted = {
        "scale": (query.get("scale") or "relative", [*SCALES]),
        "method": (query.get("method") or "fixed", [*METHODS]),
        "cuped": (query.get("cuped") or ("on" if cuped else "off"), ["on", "off"]),
        "baseline": (baseline, arms or [""]),
        "metric": (metric, [*drawn, results.primary]),
    }
    for name, (value, allowed) in wanted.items():
        if value not in allowed:
            raise InvalidLookError(f"These results have no {name} like that.")
    if not set(hidden) <= set(arms):
        raise InvalidLookError("These results have no such variant.")
    return Look(
        scale=wanted["scale"][0],
        baseline=baseline,
        cuped=wanted["cuped"][0] == "on",
        method=wanted["method"][0],
        hidden=frozenset(hidden),
        metric=metric,
        kept=tuple((name, query[name]) for name in KEEPS if query.get(name)),
        defaults=(control, cuped, results.primary),
    )


@dataclass(frozen=True, slots=True)
class Choice:
    """One position of a toggle, as a link."""

    id: str
    label: str
    query: str
    current: bool
    title: str = ""


@dataclass(frozen=True, slots=True)
class Toggle:
    label: str
    choices: tuple[Choice, ...]


def toggles_of(look: Look, results: Results, *, has_cuped: bool) -> list[Toggle]:
    """Those that have something to choose between."""
    toggles = [
        Toggle(
            "Change as",
            tuple(
                _choice(f"scale-{key}", words, look, look.scale == key, scale=key)
                for key, words in SCALES.items()
            ),
        ),
        Toggle(
            "Intervals hold",
            tuple(
                _choice(f"method-{key}", words, look, look.method == key, method=key)
                for key, words in METHODS.items()
            ),
        ),
    ]
    if has_cuped:
        toggles.append(
            Toggle(
                "CUPED",
                (
                    _choice("cuped-on", "On", look, look.cuped, cuped=True),
                    _choice("cuped-off", "Off", look, not look.cuped, cuped=False),
                ),
            )
        )
    if len(results.arms) > 1:
        toggles.append(
            Toggle(
                "Compared with",
                tuple(
                    _choice(
                        f"baseline-{arm.key}",
                        arm.name,
                        look,
                        look.baseline == arm.key,
                        baseline=arm.key,
                    )
                    for arm in results.arms
                ),
            )
        )
    if len(results.arms) > 2:
        toggles.append(Toggle("Shown", tuple(_shown(look, results))))
    return toggles


def _shown(look: Look, results: Results) -> list[Choice]:
    choices = []
    for arm in results.arms:
        if arm.key != look.baseline:
            hidden = look.hidden ^ {arm.key}
            is_shown = arm.key not in look.hidden
            title = f"{'Hide' if is_shown else 'Show'} {arm.name}"
            link = replace(look, hidden=frozenset(hidden)).query
            choices.append(Choice(f"show-{arm.key}", arm.name, link, is_shown, title))
    return choices


def _choice(id_: str, label: str, look: Look, current: bool, **changes: object) -> Choice:
    changed = replace(look, **changes)  # type: ignore[arg-type]
    return Choice(id_, label, changed.query, current)
