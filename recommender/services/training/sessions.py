"""Sessions: the index of neighbours, and the model of the next click."""

from __future__ import annotations

from dataclasses import dataclass, fields
from datetime import datetime
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

from catalog.models.events import EventType
from recommender.artifacts.reader import LoadedArtifact
from recommender.engine.id_map import IdMap
from recommender.engine.offline.next_click import fit_next_click, next_click_extend
from recommender.engine.offline.open_sessions import SILENCE_S, session_ends
from recommender.engine.offline.session_index import build_session_index, extend_session_index
from recommender.engine.offline.sessions import segment_sessions, take_sessions
from recommender.engine.online.next_click import next_click
from recommender.engine.types import (
    BoolArray,
    Int64Array,
    NextClickCounts,
    NextClickModel,
    SessionIndex,
    Sessions,
)
from recommender.selectors.training_increments import (
    NewEvents,
    catalog_row_ids,
    closable_event_exists,
    events_since,
)
from recommender.services.training.base import Base, Looked
from recommender.services.training.trained import (
    HISTORY,
    NotEnoughData,
    Report,
    Trained,
    TrainingData,
)

# What a shopper does with a product on the way through the shop.
STEPS = (
    EventType.VIEW_ITEM,
    EventType.SELECT_ITEM,
    EventType.ADD_TO_CART,
    EventType.PURCHASE,
)
MIN_SESSIONS = 20
# The newest clicks; older ones say little about what is clicked next, and cost as much.
MAX_CLICKS = 1_000_000
# Lines of an order that no click led to stand there all at once: a basket, hardly a walk. They are
# what `bought_together` learns from; here the newest do. All 1.47 million of the demo shop cost 26 s
# and 1 GB, which would be a third of the time of all training.
MAX_ORDER_LINES = 300_000
# A browser sends an event again after seconds or minutes without a network. Sessions join this
# long after they have ended, so that a straggler is part of its session and not one of its own.
STRAGGLERS_S = 5 * 60
CLOSED_AFTER_S = SILENCE_S + STRAGGLERS_S
QUALITY_SHARE = 0.05
QUALITY_SESSIONS = 1_000

_INDEX, _CLICK, _COUNTS = "index_", "click_", "counts_"
Arrays = TypeVar("Arrays")


@dataclass(frozen=True, slots=True)
class _Learned:
    index: SessionIndex
    counts: NextClickCounts
    model: NextClickModel


def train_sessions(data: TrainingData, report: Report) -> Trained:
    """Learn from what was looked at, put into carts and bought, in order.

    Sessions that may still go on are held back until an increment finds them closed.

    Raises
    ------
    NotEnoughData
        Fewer than `MIN_SESSIONS` closed sessions with two steps.
    """
    n_items = len(data.products)
    is_step = np.isin(data.events.types, STEPS)
    is_line = data.events.types == EventType.PURCHASE
    n_all = int(is_step.sum())
    steps = data.events.where(
        _newest(is_step & ~is_line, data.events.times_s, MAX_CLICKS)
        | _newest(is_step & is_line, data.events.times_s, MAX_ORDER_LINES)
    )
    report("Sessions", 0.05)
    ends_s = session_ends(steps.shopper_rows, steps.times_s, steps.session_keys)
    is_open = ends_s >= int(data.now_s) - CLOSED_AFTER_S
    closed, held = steps.where(~is_open), steps.where(is_open)
    sessions = segment_sessions(
        closed.shopper_rows, closed.times_s, closed.item_rows, session_ids=closed.session_keys
    )
    n_useful = int((np.diff(sessions.offsets) > 1).sum())
    if n_useful < MIN_SESSIONS:
        raise NotEnoughData(
            f"Next clicks need {MIN_SESSIONS} sessions with two products; there are {n_useful}."
        )
    report("Next clicks", 0.1)
    learned, quality = _learn(sessions, n_items)
    return _trained(
        learned,
        item_ids=data.products.ids.ids,
        held=NewEvents(
            people=data.shoppers.shopper_ids[held.shopper_rows],
            product_ids=data.products.ids.ids[held.item_rows],
            types=held.types,
            times_s=held.times_s,
            session_keys=held.session_keys,
        ),
        held_ends_s=ends_s[is_open],
        parameters={
            "max_clicks": MAX_CLICKS,
            "max_order_lines": MAX_ORDER_LINES,
            "silence_minutes": SILENCE_S // 60,
            "steps_left_out_as_too_old": n_all - len(steps),
        },
        counts={"steps": len(closed), "products": n_items},
        quality=quality,
        watermark_keys=data.watermark.keys,
        marks=data.watermark.marks,
    )


def sessions_have_news(base: Base, now: datetime) -> bool:
    """Whether a session that isn't counted may have ended. One query, or none."""
    before_s = int(now.timestamp()) - CLOSED_AFTER_S
    return base.marks["first_end_s"] < before_s or closable_event_exists(
        store_id=base.store_id,
        received_after_us=base.marks["received_us"],
        occurred_before_s=before_s,
    )


def add_to_sessions(base: Base, now: datetime) -> Trained | Looked:
    """The base and the sessions that have ended since.

    Every event is held back until its session has ended, and is then part of exactly one session.
    One that comes after its session was counted begins another one; the next full training joins
    them.
    """
    mark = base.watermark
    new, following = events_since(store_id=base.store_id, mark=mark, occurred_since=now - HISTORY)
    events = _joined(_held(base.artifact), new.where(np.isin(new.types, STEPS)))
    catalog = catalog_row_ids(store_id=base.store_id)
    events = events.where(_may_be_shown(events, catalog.ids, catalog.hidden))
    ends_s = session_ends(events.people, events.times_s, events.session_keys)
    is_open = ends_s >= int(now.timestamp()) - CLOSED_AFTER_S
    closed = events.where(~is_open)
    if not len(closed):
        return Looked()
    item_ids = _appended(np.asarray(base.artifact["item_ids"]), closed.product_ids)
    sessions = segment_sessions(
        closed.people,
        closed.times_s,
        _rows_of(item_ids, closed.product_ids),
        session_ids=closed.session_keys,
    )
    before = base.artifact.manifest
    learned = _extend(_opened(base.artifact), sessions, n_items=len(item_ids))
    return _trained(
        learned,
        item_ids=item_ids,
        held=events.where(is_open),
        held_ends_s=ends_s[is_open],
        parameters=before.parameters,
        counts={"steps": before.counts["steps"] + len(closed), "products": len(item_ids)},
        quality=before.quality,
        watermark_keys=following.keys,
        marks=following.marks,
    )


def _newest(chosen: BoolArray, times_s: Int64Array, at_most: int) -> BoolArray:
    """The newest of the chosen, those of one second together."""
    n = int(chosen.sum())
    if n <= at_most:
        return chosen
    oldest_left_out = np.partition(times_s[chosen], n - at_most - 1)[n - at_most - 1]
    newest: BoolArray = chosen & (times_s > oldest_left_out)
    return newest


def _learn(sessions: Sessions, n_items: int) -> tuple[_Learned, dict[str, float]]:
    """Learn from all but the latest sessions, ask about these, then add them.

    So the model is measured on what it never saw, and fitted once.
    """
    index = build_session_index(
        sessions.offsets, sessions.item_rows, sessions.times_s, n_items=n_items
    )
    n_late = min(int(len(sessions) * QUALITY_SHARE) + 1, 3 * QUALITY_SESSIONS)
    past, late = (
        take_sessions(sessions, first, last)
        for first, last in (
            (0, len(sessions) - n_late),
            (len(sessions) - n_late, len(sessions)),
        )
    )
    counts, model = fit_next_click(past, n_items=n_items)
    quality = _quality(model, late)
    counts, model = next_click_extend(
        counts,
        model,
        late,
        n_items=n_items,
        now_s=max(int(counts.now_s), int(sessions.times_s[-1])),
    )
    return _Learned(index, counts, model), quality


def _extend(known: _Learned, sessions: Sessions, *, n_items: int) -> _Learned:
    newest_s = int(known.index.session_times_s.max(initial=0))
    counts, model = next_click_extend(
        known.counts,
        known.model,
        sessions,
        n_items=n_items,
        now_s=max(int(known.counts.now_s), int(sessions.times_s[-1])),
    )
    # The index is ordered by time. A session of stragglers stands where it came in.
    in_order = Sessions(
        sessions.offsets, sessions.item_rows, np.maximum(sessions.times_s, newest_s)
    )
    index = extend_session_index(known.index, in_order, n_items=n_items)
    return _Learned(index, counts, model)


def _trained(
    learned: _Learned,
    *,
    item_ids: Int64Array,
    held: NewEvents,
    held_ends_s: Int64Array,
    parameters: dict[str, Any],
    counts: dict[str, int],
    quality: dict[str, float],
    watermark_keys: Int64Array,
    marks: dict[str, int],
) -> Trained:
    times_s = learned.index.session_times_s
    return Trained(
        arrays={
            "item_ids": item_ids,
            **_arrays_of(learned.index, _INDEX),
            **_arrays_of(learned.model, _CLICK),
        },
        parameters=parameters,
        counts={
            "sessions": len(times_s),
            **counts,
            "steps_of_open_sessions": len(held),
            "pairs": len(learned.counts.pair_items),
        },
        quality=quality,
        headline="next_click_hit_rate_at_20",
        as_of_s=float(times_s.max(initial=0)),
        state={
            **_arrays_of(learned.counts, _COUNTS),
            **_arrays_of(held, "open_"),
            "watermark_keys": watermark_keys,
        },
        # Far in the future without an open session: then only new events are news.
        marks={**marks, "first_end_s": int(held_ends_s.min(initial=2**53))},
    )


def _opened(artifact: LoadedArtifact) -> _Learned:
    return _Learned(
        index=_from_arrays(SessionIndex, artifact, _INDEX),
        counts=_from_arrays(NextClickCounts, artifact, _COUNTS),
        model=_from_arrays(NextClickModel, artifact, _CLICK),
    )


def _held(artifact: LoadedArtifact) -> NewEvents:
    return _from_arrays(NewEvents, artifact, "open_")


def _arrays_of(source: Any, prefix: str) -> dict[str, npt.NDArray[Any]]:
    return {f"{prefix}{each.name}": getattr(source, each.name) for each in fields(source)}


def _from_arrays(kind: type[Arrays], artifact: LoadedArtifact, prefix: str) -> Arrays:
    names = [each.name for each in fields(kind)]  # type: ignore[arg-type]
    return kind(**{name: artifact[f"{prefix}{name}"] for name in names})


def _joined(*parts: NewEvents) -> NewEvents:
    return NewEvents(
        **{
            each.name: np.concatenate([getattr(part, each.name) for part in parts])
            for each in fields(NewEvents)
        }
    )


def _may_be_shown(events: NewEvents, ids: Int64Array, hidden: BoolArray) -> BoolArray:
    rows = IdMap(ids).rows_of(events.product_ids)
    shown: BoolArray = rows >= 0
    shown[shown] = ~hidden[rows[shown]]
    return shown


def _appended(item_ids: Int64Array, product_ids: Int64Array) -> Int64Array:
    """The ids with those that are new behind them: a row that is known stays where it is."""
    return np.concatenate([item_ids, np.setdiff1d(product_ids, item_ids)])


def _rows_of(item_ids: Int64Array, product_ids: Int64Array) -> npt.NDArray[np.int32]:
    order = np.argsort(item_ids)
    return order[IdMap(item_ids[order]).rows_of(product_ids)].astype(np.int32)


def _quality(model: NextClickModel, sessions: Sessions) -> dict[str, float]:
    """How often the last new product of a late session is among 20 guesses from those before.

    By a model that never saw these sessions. Products that were in the session already are no
    guess and no question: a page doesn't recommend itself.
    """
    n_tried = n_hit = 0
    for session in range(len(sessions)):
        if n_tried == QUALITY_SESSIONS:
            break
        rows = sessions.item_rows[sessions.offsets[session] : sessions.offsets[session + 1]]
        _, first = np.unique(rows, return_index=True)
        last = int(first.max())
        if last == 0:
            continue
        n_tried += 1
        found = next_click(model, rows[:last], limit=20, exclude_session=True)
        n_hit += int(rows[last] in found.rows)
    if not n_tried:
        return {}
    return {
        "next_click_hit_rate_at_20": round(n_hit / n_tried, 4),
        "n_test_sessions": float(n_tried),
    }
