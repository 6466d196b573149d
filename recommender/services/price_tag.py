"""What a change would do to the requests of the last days, before it is saved.

A sample of logged requests is answered twice, as it is now and with the edit, in slices: each look
at the progress works for a moment and leaves the rest to the next one, which may be another web
process. Nobody but the member waits for it, and no worker has to hold a catalog and models in its
memory for it.
"""

from __future__ import annotations

import re
import uuid
from collections.abc import Collection
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from time import monotonic, time
from typing import Any

import msgspec
import numpy as np

from catalog.models import Product, Store
from recommender.engine.comparison import (
    Comparison,
    Tally,
    compare,
    list_diversity,
    tally_add,
)
from recommender.models import Placement
from recommender.selectors.logged_requests import LoggedRequest, logged_requests
from recommender.services.preview import (
    AnyEdit,
    NoPreview,
    edit_apply,
    preview_runtime,
)
from recommender.serving.pipeline import recommend_placement
from recommender.serving.placement import ServingPlacement
from recommender.serving.request import Recommendation, RecommendationRequest
from recommender.serving.runtime import RUNTIMES, StoreRuntime
from recommender.stores.session_state import NO_STATE, SessionState, session_read
from recommender.stores.sliced_jobs import job_read, job_write

SAMPLE = 1_000
PERIOD = timedelta(days=7)
# How long one look works. Shoppers are answered by the same process: it must be able to breathe.
SLICE_S = 0.3
_TOKEN = re.compile(r"[0-9a-f]{32}")


class PriceTagGone(Exception):
    """There is no such price tag (any more); the text says what to do, for members."""


class _Job(msgspec.Struct, frozen=True):
    """What is to be answered; written once."""

    edit: AnyEdit
    slugs: dict[int, str]
    requests: list[LoggedRequest]
    n_logged: int
    n_replayable: int
    first_at_s: float | None
    last_at_s: float | None
    started_at_s: float


class _State(msgspec.Struct):
    """How far it is."""

    place: int
    tally: Tally


@dataclass(frozen=True, slots=True)
class PriceTag:
    """How far the price tag of a change is, and what it says when it is done.

    Attributes
    ----------
    n_logged
        Requests of the period that the sample was drawn from.
    n_replayable
        Those whose context was written down, so that they can be answered again.
    comparison
        None until `n_done` is `n_sample`.
    """

    token: str
    n_done: int
    n_sample: int
    n_logged: int
    n_replayable: int
    first_at: datetime | None
    last_at: datetime | None
    started_at: datetime
    comparison: Comparison | None

    @property
    def is_done(self) -> bool:
        return self.comparison is not None

    @property
    def percent(self) -> float:
        return 100 * self.n_done / self.n_sample if self.n_sample else 100.0


def price_tag_start(
    *, store: Store, placements: Collection[Placement], edit: AnyEdit, now: datetime
) -> PriceTag:
    """Draw the sample, answer the first of it, and keep the rest for `price_tag_continue`.

    Raises
    ------
    NoPreview, InvalidStrategyError, InvalidRuleError
        See `preview`.
    StoreUnavailable
        Valkey is away.
    """
    slugs = {placement.pk: placement.slug for placement in placements}
    sample = logged_requests(
        store=store, placement_ids=slugs.keys(), since=now - PERIOD, limit=SAMPLE
    )
    token = uuid.uuid4().hex
    job = _Job(
        edit=edit,
        slugs=slugs,
        requests=sample.requests,
        n_logged=sample.n_logged,
        n_replayable=sample.n_replayable,
        first_at_s=_unix(sample.first_at),
        last_at_s=_unix(sample.last_at),
        started_at_s=now.timestamp(),
    )
    job_write(store.pk, "price-tag", token, "job", msgspec.json.encode(job))
    return _advance(store, token, job, _State(0, Tally()))


def price_tag_continue(*, store: Store, token: str) -> PriceTag:
    """Answer some more of the sample. Two looks at the same time do the same work once each.

    Raises
    ------
    PriceTagGone
        The token is of another store, too old, or Valkey has lost it.
    NoPreview, InvalidStrategyError, InvalidRuleError, StoreUnavailable
    """
    packed_job = packed_state = None
    if _TOKEN.fullmatch(token):
        packed_job = job_read(store.pk, "price-tag", token, "job")
        packed_state = job_read(store.pk, "price-tag", token, "state")
    if packed_job is None or packed_state is None:
        raise PriceTagGone("This price tag is too old. Ask for a new one.")
    job = msgspec.json.decode(packed_job, type=_Job)
    return _advance(store, token, job, msgspec.json.decode(packed_state, type=_State))


def _advance(store: Store, token: str, job: _Job, state: _State) -> PriceTag:
    replay = _Replay(store, job.edit)
    until = monotonic() + SLICE_S
    while state.place < len(job.requests) and monotonic() < until:
        logged = job.requests[state.place]
        replay.answer(logged, job.slugs[logged.placement_id], state.tally)
        state.place += 1
    job_write(store.pk, "price-tag", token, "state", msgspec.json.encode(state))
    done = state.place >= len(job.requests)
    return PriceTag(
        token=token,
        n_done=state.place,
        n_sample=len(job.requests),
        n_logged=job.n_logged,
        n_replayable=job.n_replayable,
        first_at=_at(job.first_at_s),
        last_at=_at(job.last_at_s),
        started_at=datetime.fromtimestamp(job.started_at_s, UTC),
        comparison=_compared(store, state.tally) if done else None,
    )


class _Replay:
    """Answers logged requests both ways; remembers placements and shoppers for one slice."""

    def __init__(self, store: Store, edit: AnyEdit) -> None:
        self._store, self._edit = store, edit
        self._ways: dict[str, list[tuple[StoreRuntime, ServingPlacement]] | None] = {}
        self._states: dict[str, SessionState] = {}
        self._now_s = time()

    def answer(self, logged: LoggedRequest, slug: str, tally: Tally) -> None:
        """Count one request both ways; one whose placement is gone isn't counted."""
        ways = self._ways_of(slug)
        if ways is None:
            return
        request, state = logged_request(logged), self._state(logged.shopper_external_id)
        answers = [
            recommend_placement(
                runtime,
                placement,
                request,
                state,
                limit=None,
                shown=set(),
                now_s=self._now_s,
                # What was left to chance falls as it fell then, the same way in both answers.
                seed=logged.recommendation_id.int,
            )
            for runtime, placement in ways
        ]
        now, then = (
            _product_ids(runtime, each) for (runtime, _), each in zip(ways, answers, strict=True)
        )
        tally_add(
            tally,
            now,
            then,
            n_minimum=(ways[0][1].settings.n_minimum, ways[1][1].settings.n_minimum),
            diversity=(_diversity(ways[0][0], answers[0]), _diversity(ways[1][0], answers[1])),
        )

    def _ways_of(self, slug: str) -> list[tuple[StoreRuntime, ServingPlacement]] | None:
        if slug not in self._ways:
            try:
                runtime, served = preview_runtime(store=self._store, placement=slug)
            except NoPreview:
                self._ways[slug] = None
                return None
            outside = served.outside()
            edited = edit_apply(
                store=self._store, runtime=runtime, placement=outside, edit=self._edit
            )
            self._ways[slug] = [(runtime, outside), edited]
        return self._ways[slug]

    def _state(self, shopper_id: str | None) -> SessionState:
        """What is known of the shopper now; whom Valkey has forgotten counts as new."""
        if shopper_id is None:
            return NO_STATE
        state = self._states.get(shopper_id)
        if state is None:
            state = self._states[shopper_id] = session_read(self._store.pk, shopper_id)
        return state


def logged_request(logged: LoggedRequest) -> RecommendationRequest:
    """The request again, as far as it was written down."""
    context: dict[str, Any] = logged.context
    cart = context.get("cart")
    return RecommendationRequest(
        shopper_id=logged.shopper_external_id,
        product_ids=tuple(context.get("product_ids", ())),
        category=context.get("category"),
        query="" if context.get("search") else None,
        cart=None if cart is None else tuple(cart),
        exclude=tuple(context.get("exclude", ())),
        locale=context.get("locale"),
        device=logged.device,
    )


def _product_ids(runtime: StoreRuntime, answer: Recommendation) -> list[int]:
    ids: list[int] = runtime.snapshot.product_ids[np.array(answer.rows, np.int64)].tolist()
    return ids


def _diversity(runtime: StoreRuntime, answer: Recommendation) -> float | None:
    content = runtime.models.content
    if content is None or len(answer.rows) < 2:
        return None
    in_model = content.rows.from_snapshot[np.array(answer.rows, np.int64)]
    return list_diversity(content.vectors[in_model[in_model >= 0]])


def _compared(store: Store, tally: Tally) -> Comparison:
    """With prices and margins of what was shown: one query."""
    shown = tally.now.exposure.keys() | tally.then.exposure.keys()
    found = Product.objects.filter(store=store, pk__in=shown)
    figures = list(found.values_list("pk", "price_minor", "margin_minor"))
    runtime = RUNTIMES.get(store.pk)
    return compare(
        tally,
        price_minor={pk: price for pk, price, _ in figures if price is not None},
        margin_minor={pk: margin for pk, _, margin in figures if margin is not None},
        n_eligible=int(runtime.snapshot.eligible.sum()) if runtime is not None else 0,
    )


def _unix(at: datetime | None) -> float | None:
    return None if at is None else at.timestamp()


def _at(unix_s: float | None) -> datetime | None:
    return None if unix_s is None else datetime.fromtimestamp(unix_s, UTC)
