"""Blend weights: how much each source counts, learned from what shoppers wanted and clicked."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np

from recommender.engine.offline.learned_blend import LearnedBlend, Query, fit_blend
from recommender.engine.offline.learned_blend_features import Catalog
from recommender.engine.offline.learned_blend_updates import (
    Impression,
    fit_blend_on_impressions,
    update_blend,
)
from recommender.engine.offline.popularity import decayed_counts
from recommender.engine.types import Float32Array
from recommender.selectors.blend import clicked_answers, clicks_since
from recommender.selectors.serving_settings import store_settings
from recommender.services.training.base import Base, Looked, NeedsRebuild
from recommender.services.training.blend_past import runtime_before, runtime_now
from recommender.services.training.blend_quality import Hits, hits_of, tail_of
from recommender.services.training.blend_questions import Asker, Past, Place, learned_places
from recommender.services.training.trained import (
    NotEnoughData,
    Report,
    Trained,
    TrainingData,
    cut_before,
)
from recommender.serving.blends import (
    CONTEXT,
    PERSONAL,
    PRODUCT,
    SOLD_HALF_LIVES_DAYS,
    blend_arrays,
    blend_models,
    product_columns,
    what_counts,
)

# Of the events: what comes after them is asked.
LATER_SHARE = 0.15
SEED = 1
# Questions in which a source named what was wanted. With fewer, the prior would be sold as learned.
MIN_LESSONS = 50
# Answers with a click, on placements of the blend.
MIN_CLICKS = 100
MAX_CLICKED = 3_000
# Held-out questions that may speak against what was learned, and how much worse it may be.
MIN_HELD_OUT = 30
CLEARLY_WORSE = 0.05
# Sessions join the index half an hour after their last click: an answer that is younger can't have
# taught the sources yet what was clicked in it. Clicks come within minutes.
YOUNGER_THAN = timedelta(minutes=28)
OLDER_THAN = timedelta(minutes=3)
HEADLINE = "blend_hit_rate_at_10"


@dataclass(frozen=True, slots=True)
class _Taught:
    """What there is to learn from for strategies of the same sources, oldest first."""

    places: list[Place]
    queries: list[Query]
    impressions: list[Impression]

    @property
    def sources(self) -> tuple[str, ...]:
        return tuple(self.places[0].strategy.names)


def train_blend(data: TrainingData, report: Report) -> Trained:
    """Learn the weights of every strategy with a learned blend that is shown anywhere.

    The sources are trained on what came before a cut, and asked what shoppers wanted after it.
    Where enough was clicked after it, the clicks have the last word.

    Raises
    ------
    NotEnoughData
        No strategy has a learned blend, or for none there is enough to learn from.
    """
    if not len(data.events):
        raise NotEnoughData("There are no events yet.")
    cut_s = cut_before(data.events.times_s, share=LATER_SHARE)
    report("Reading strategies", 0.02)
    current = store_settings(store_id=data.store_id)
    groups = _groups(learned_places(current)) if current is not None else {}
    if not groups:
        raise NotEnoughData("No placement shows a strategy with a learned blend.")
    sources = {name for names in groups for name in names}
    asker = Asker(runtime_before(data, until_s=cut_s, sources=sources, report=report))
    past = Past.of(data)
    catalog = _catalog(asker, data, now_s=cut_s)
    learned: list[LearnedBlend] = []
    said: list[dict[str, Any]] = []
    left_out: list[dict[str, Any]] = []
    for place, places in enumerate(groups.values()):
        report("Asking what was wanted", 0.55 + 0.4 * place / len(groups))
        taught = _taught(asker, past, places, since_s=cut_s, data=data)
        outcome = _learn(taught, catalog)
        if isinstance(outcome, str):
            left_out.append({"sources": list(taught.sources), "why": outcome})
            continue
        learned.append(outcome.learned)
        said.append(_said(outcome, taught))
    if not learned:
        raise NotEnoughData(" ".join(dict.fromkeys(each["why"] for each in left_out)))
    return _trained(
        learned,
        said,
        left_out,
        sold=_sold(data, now_s=data.newest_s),
        item_ids=data.products.ids.ids,
        as_of_s=float(data.newest_s),
        marks={"clicks_us": int(data.now_s * 1_000_000)},
    )


@dataclass(frozen=True, slots=True)
class _Outcome:
    learned: LearnedBlend
    hits: Hits
    n_clicks: int


def _learn(taught: _Taught, catalog: Catalog) -> _Outcome | str:
    """What was learned, or why nothing is served of it."""
    n_clicks = len(taught.impressions) if len(taught.impressions) >= MIN_CLICKS else 0
    clicked = taught.impressions if n_clicks else []
    earlier, later = tail_of(taught.queries)
    clicked_earlier, _ = tail_of(clicked)
    tried = _fit(taught.sources, earlier, clicked_earlier, catalog)
    document = taught.places[0].strategy
    hits = hits_of(tried.model, later, catalog, weights=document.weights)
    if hits.n >= MIN_HELD_OUT and hits.learned < hits.equal * (1 - CLEARLY_WORSE):
        return (
            f"What was learned found less than equal weights ({hits.learned:.1%} against"
            f" {hits.equal:.1%} of {hits.n} questions), so the strategy's own weights stay."
        )
    whole = _fit(taught.sources, taught.queries, clicked, catalog)
    if whole.n_lessons < MIN_LESSONS and not n_clicks:
        return (
            f"The latest events hold {whole.n_lessons} choices to learn from, {MIN_LESSONS} are"
            f" needed; or {MIN_CLICKS} answers with a click, of which there are"
            f" {len(taught.impressions)}."
        )
    return _Outcome(whole, hits, n_clicks)


def _fit(
    sources: tuple[str, ...],
    queries: Sequence[Query],
    impressions: Sequence[Impression],
    catalog: Catalog,
) -> LearnedBlend:
    """From history, and then from clicks with that as what is believed before."""
    learned = fit_blend(
        queries,
        catalog,
        sources=sources,
        context=CONTEXT,
        product=PRODUCT,
        personal=PERSONAL,
        seed=SEED,
    )
    if not impressions:
        return learned
    clicked = fit_blend_on_impressions(learned.model, impressions, catalog)
    return LearnedBlend(clicked.model, clicked.precision, learned.n_lessons + clicked.n_lessons)


def _taught(
    asker: Asker, past: Past, places: list[Place], *, since_s: int, data: TrainingData
) -> _Taught:
    asked = []
    for place in places:
        questions = past.questions(place.placement.page_type, since_s=since_s, seed=SEED)
        found = asker.queries(place, past, questions)
        asked += [(question.at_s, query) for question, query in zip(questions, found, strict=True)]
    asked.sort(key=lambda each: each[0])
    answers = clicked_answers(
        store_id=data.store_id,
        placement_ids={each.placement.placement_id for each in places},
        since=datetime.fromtimestamp(since_s, UTC),
        until=datetime.fromtimestamp(data.now_s, UTC),
        limit=MAX_CLICKED,
    )
    impressions = asker.impressions(places, answers) if len(answers) >= MIN_CLICKS else []
    return _Taught(places, [query for _, query in asked], impressions)


def blend_has_news(base: Base, now: datetime) -> bool:
    since, until = _window(base, now)
    return until > since and clicks_since(store_id=base.store_id, since=since, until=now)


def add_to_blend(base: Base, now: datetime) -> Trained | Looked:
    """Let the clicks of the last minutes change the weights a little, guarded against drift.

    Only answers younger than what the sources have learned since: a source that has seen the
    session would name what was clicked in it.

    Raises
    ------
    NeedsRebuild
        What serves has lost its certainty: it was trained by another release.
    """
    since, until = _window(base, now)
    looked = Looked({"clicks_us": int(until.timestamp() * 1_000_000)})
    artifact = base.artifact
    models = blend_models(artifact)
    said = [dict(each) for each in artifact.manifest.parameters["blends"]]
    asker = Asker(runtime_now(store_id=base.store_id))
    groups = _groups(learned_places(asker.runtime.settings))
    catalog = Catalog(
        product_columns(
            asker.runtime.snapshot,
            artifact["item_ids"],
            artifact["sold"],
            now_s=int(artifact.manifest.as_of_s),
        ),
        asker.log_prices,
    )
    learned, n_changed = [], 0
    for place, (model, words) in enumerate(zip(models, said, strict=True)):
        if f"precision_{place}" not in artifact:
            raise NeedsRebuild("The weights were learned by another release.")
        precision = np.array(artifact[f"precision_{place}"])
        before = LearnedBlend(model, precision, int(words["lessons"]))
        places = groups.get(model.sources, [])
        answers = clicked_answers(
            store_id=base.store_id,
            placement_ids={each.placement.placement_id for each in places},
            since=since,
            until=until,
            limit=MAX_CLICKED,
        )
        update = update_blend(before, asker.impressions(places, answers), catalog)
        learned.append(update.learned)
        if update.refused is None:
            n_changed += 1
            words.update(_model_words(update.learned), clicks=words["clicks"] + update.n_lessons)
    if not n_changed:
        return looked
    return _trained(
        learned,
        said,
        artifact.manifest.parameters.get("left_out", []),
        sold=np.array(artifact["sold"]),
        item_ids=np.array(artifact["item_ids"]),
        as_of_s=artifact.manifest.as_of_s,
        marks=dict(looked.marks),
    )


def _window(base: Base, now: datetime) -> tuple[datetime, datetime]:
    """The answers to learn from: not looked at before, old enough to have been clicked."""
    mark = datetime.fromtimestamp(base.marks["clicks_us"] / 1e6, UTC)
    return max(mark, now - YOUNGER_THAN), now - OLDER_THAN


def _groups(places: Sequence[Place]) -> dict[tuple[str, ...], list[Place]]:
    """Places by the sources of their blend."""
    groups: dict[tuple[str, ...], list[Place]] = {}
    for place in places:
        groups.setdefault(tuple(place.strategy.names), []).append(place)
    return groups


def _sold(data: TrainingData, *, now_s: int) -> Float32Array:
    """Decayed order lines of every product up to a moment: float32[n, 2]."""
    bought = data.purchases.where(data.purchases.times_s < now_s)
    return np.stack(
        [
            decayed_counts(
                bought.item_rows,
                bought.times_s,
                now_s=now_s,
                half_life_days=days,
                n_items=len(data.products),
            )
            for days in SOLD_HALF_LIVES_DAYS
        ],
        axis=1,
    ).astype(np.float32)


def _catalog(asker: Asker, data: TrainingData, *, now_s: int) -> Catalog:
    sold = _sold(data, now_s=now_s)
    columns = product_columns(asker.runtime.snapshot, data.products.ids.ids, sold, now_s=now_s)
    return Catalog(columns, asker.log_prices)


def _model_words(learned: LearnedBlend) -> dict[str, Any]:
    return {
        "version": learned.model.version,
        "lessons": learned.n_lessons,
        "counts": [list(each) for each in what_counts(learned.model)],
    }


def _said(outcome: _Outcome, taught: _Taught) -> dict[str, Any]:
    """What the console says of a model."""
    return {
        "sources": list(taught.sources),
        "placements": [each.placement.slug for each in taught.places],
        "clicks": outcome.n_clicks,
        "hits": outcome.hits.as_json(),
        **_model_words(outcome.learned),
    }


def _trained(
    learned: Sequence[LearnedBlend],
    said: Sequence[dict[str, Any]],
    left_out: Sequence[dict[str, Any]],
    *,
    sold: Float32Array,
    item_ids: Any,
    as_of_s: float,
    marks: dict[str, int],
) -> Trained:
    measured = [each["hits"] for each in said if each["hits"]["n"]]
    quality: dict[str, float] = {}
    if measured:
        quality = {
            HEADLINE: float(np.mean([each["learned"] for each in measured])),
            "equal_blend_hit_rate_at_10": float(np.mean([each["equal"] for each in measured])),
            "n_test_queries": float(sum(each["n"] for each in measured)),
        }
    return Trained(
        arrays={
            "item_ids": item_ids,
            "sold": sold,
            **blend_arrays([each.model for each in learned]),
        },
        parameters={"blends": list(said), "left_out": list(left_out)},
        counts={
            "blends": len(learned),
            "choices": sum(each.n_lessons for each in learned),
            "clicks": sum(each["clicks"] for each in said),
        },
        quality=quality,
        headline=HEADLINE,
        as_of_s=as_of_s,
        state={f"precision_{place}": each.precision for place, each in enumerate(learned)},
        marks=marks,
    )
