"""Whom the places given to chance go to: learned from what was clicked at such places.

What is kept is counts by day, placement, situation and source. An increment reads the days since
the last look once more and puts what it finds in the place of what was known of them: doing it
twice changes nothing, and what a killed worker didn't publish is read by the next one.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import astuple
from datetime import UTC, date, datetime, timedelta
from typing import Any

import numpy as np
import numpy.typing as npt

from recommender.engine.offline.source_bandit import (
    HALF_LIFE_DAYS,
    MIN_TRIALS,
    click_rate_interval,
    fading,
    source_chances,
)
from recommender.engine.online.source_bandit import GRID, N_LEVELS, N_SITUATIONS, SITUATION
from recommender.engine.types import Float32Array, Float64Array, Int64Array
from recommender.selectors.source_bandit import Trials, random_place_trials, situations_logged
from recommender.services.training.base import Base, Looked, NeedsRebuild
from recommender.services.training.trained import Report, Trained, TrainingData

# What is older counts less than an eighth.
HISTORY_DAYS = 42
# Clicks come within minutes; an answer that is younger might still get one.
OLDER_THAN = timedelta(minutes=30)
_EPOCH = date(1970, 1, 1)


def train_source_bandit(data: TrainingData, report: Report) -> Trained:
    """Count everything anew: with clicks that came late, and without who was erased meanwhile.

    Before the first answer there is nothing to count, and nothing is concluded; increments go on
    from there.
    """
    until = datetime.fromtimestamp(data.now_s, UTC) - OLDER_THAN
    report("Counting clicks at places given to chance", 0.1)
    trials = random_place_trials(store_id=data.store_id, since=_first_moment(until), until=until)
    report("Learning which source deserves them", 0.7)
    return _trained(trials, until)


def source_bandit_has_news(base: Base, now: datetime) -> bool:
    mark, until = _mark(base), now - OLDER_THAN
    return until > mark and situations_logged(store_id=base.store_id, since=mark, until=until)


def add_to_source_bandit(base: Base, now: datetime) -> Trained | Looked:
    """Count the days since the last look once more.

    Raises
    ------
    NeedsRebuild
        What serves was learned of other situations: by another release.
    """
    known = base.artifact.manifest.parameters
    if known.get("grid") != GRID:
        raise NeedsRebuild("The situations were told apart by another release.")
    until = now - OLDER_THAN
    since = datetime.combine(_mark(base).date(), datetime.min.time(), UTC)
    first = _first_moment(until).date()
    kept = [each for each in _unpacked(base) if first <= each.day < since.date()]
    news = random_place_trials(
        store_id=base.store_id, since=max(since, _first_moment(until)), until=until
    )
    return _trained([*kept, *news], until)


def _mark(base: Base) -> datetime:
    return datetime.fromtimestamp(0, UTC) + timedelta(microseconds=base.marks["delivered_us"])


def _first_moment(until: datetime) -> datetime:
    day = (until - timedelta(days=HISTORY_DAYS - 1)).date()
    return datetime.combine(day, datetime.min.time(), UTC)


def _trained(trials: Sequence[Trials], until: datetime) -> Trained:
    by_placement: dict[int, list[Trials]] = defaultdict(list)
    for each in trials:
        by_placement[each.placement_id].append(each)
    arrays: dict[str, npt.NDArray[Any]] = {}
    said = []
    for place, placement_id in enumerate(sorted(by_placement)):
        own = by_placement[placement_id]
        sources = sorted({each.source for each in own})
        shown, clicked, faded_shown, faded_clicked = _counts(own, sources, until.date())
        chances = source_chances(faded_shown, faded_clicked, shown.sum(axis=0))
        arrays[f"chances_{place}"] = chances
        said.append(
            {
                "placement_id": placement_id,
                "sources": _said(sources, shown, clicked, faded_shown, chances),
                "situations": _said_by_level(sources, shown, clicked, faded_shown, chances),
            }
        )
    names = sorted({each.source for each in trials})
    return Trained(
        arrays=arrays,
        parameters={
            "placements": said,
            "names": names,
            "grid": GRID,
            "days": HISTORY_DAYS,
            "half_life_days": HALF_LIFE_DAYS,
            "least_places": MIN_TRIALS,
        },
        counts={
            "placements": len(said),
            "random_places": sum(each.n_shown for each in trials),
            "clicks": sum(each.n_clicked for each in trials),
        },
        quality={},
        headline="",
        as_of_s=until.timestamp(),
        state={"trials": _packed(trials, names)},
        marks={"delivered_us": round(until.timestamp() * 1_000_000)},
    )


def _counts(
    trials: Iterable[Trials], sources: Sequence[str], today: date
) -> tuple[Int64Array, Int64Array, Float64Array, Float64Array]:
    """Shown and clicked, as they were and faded: [N_SITUATIONS, n_sources] each."""
    place_of = {name: place for place, name in enumerate(sources)}
    rows = list(trials)
    cells = (
        np.array([each.situation for each in rows], np.int64),
        np.array([place_of[each.source] for each in rows], np.int64),
    )
    ages = np.array([(today - each.day).days for each in rows], np.float64)
    weights = fading(ages)
    found = []
    for numbers in ([each.n_shown for each in rows], [each.n_clicked for each in rows]):
        whole = np.zeros((N_SITUATIONS, len(sources)), np.int64)
        faded = np.zeros((N_SITUATIONS, len(sources)))
        np.add.at(whole, cells, np.array(numbers, np.int64))
        np.add.at(faded, cells, np.array(numbers) * weights)
        found.append((whole, faded))
    (shown, faded_shown), (clicked, faded_clicked) = found
    return shown, clicked, faded_shown, faded_clicked


def _said(
    sources: Sequence[str],
    shown: Int64Array,
    clicked: Int64Array,
    traffic: Float64Array,
    chances: Float32Array,
) -> list[dict[str, Any]]:
    """What the console says of each source, over some situations weighted by how often they occur."""
    weights = traffic.sum(axis=1)
    mean = (weights @ chances) / weights.sum()
    found = []
    for name, n, clicks, chance in zip(
        sources,
        shown.sum(axis=0).tolist(),
        clicked.sum(axis=0).tolist(),
        mean.tolist(),
        strict=True,
    ):
        low, high = click_rate_interval(clicks, n)
        found.append(
            {
                "source": name,
                "shown": n,
                "clicked": clicks,
                "low": round(low, 6),
                "high": round(high, 6),
                "chance": round(chance, 6),
            }
        )
    return found


def _said_by_level(
    sources: Sequence[str],
    shown: Int64Array,
    clicked: Int64Array,
    traffic: Float64Array,
    chances: Float32Array,
) -> list[dict[str, Any]]:
    """The same for every level of every feature that occurred."""
    level_of = np.indices(N_LEVELS).reshape(len(N_LEVELS), -1)
    found = []
    for (feature, levels), places in zip(SITUATION, level_of, strict=True):
        for place, level in enumerate(levels):
            inside = places == place
            if shown[inside].any():
                parts = (each[inside] for each in (shown, clicked, traffic, chances))
                found.append(
                    {"feature": feature, "level": level, "sources": _said(sources, *parts)}
                )
    return found


def _packed(trials: Sequence[Trials], names: Sequence[str]) -> Int64Array:
    """int64[n, 6]: day since 1970, placement, situation, source's place in `names`, shown, clicked."""
    place_of: Mapping[str, int] = {name: place for place, name in enumerate(names)}
    rows = [
        ((each.day - _EPOCH).days, *astuple(each)[1:3], place_of[each.source], *astuple(each)[4:])
        for each in trials
    ]
    return np.array(rows, np.int64).reshape(-1, 6)


def _unpacked(base: Base) -> list[Trials]:
    names = base.artifact.manifest.parameters["names"]
    return [
        Trials(_EPOCH + timedelta(days=day), placement_id, situation, names[source], *numbers)
        for day, placement_id, situation, source, *numbers in np.asarray(
            base.artifact["trials"]
        ).tolist()
    ]
