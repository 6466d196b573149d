"""What a strategy would have earned, from what another one showed: off-policy replay of the log.

Logged answers of a placement are answered again by the strategy, with what was known of each shopper
at that moment. Where it would have put the same product at the same place, the log says what came of
it; how often that can happen by chance is in the log, too (propensities). Worked out in slices, as
`recommender.services.price_tag` is, and for the same reasons.
"""

from __future__ import annotations

import re
import uuid
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from time import monotonic
from typing import TYPE_CHECKING

import msgspec
import numpy as np

from analytics.results.logged_slots import Slots
from catalog.models import Store
from recommender.models import Placement, StrategyVersion
from recommender.selectors.logged_answers import LoggedAnswer, logged_answers
from recommender.selectors.logged_requests import LoggedRequest
from recommender.services.preview import preview_runtime
from recommender.services.price_tag import logged_request
from recommender.services.session_rebuild import session_as_of
from recommender.serving.pipeline import recommend_placement
from recommender.serving.placement import ServingPlacement
from recommender.serving.recent import Recent
from recommender.serving.runtime import N_CONTEXTUAL, StoreRuntime
from recommender.serving.strategy import ServingStrategy, strategy_parse
from recommender.stores.session_state import NO_STATE, SessionState
from recommender.stores.sliced_jobs import job_read, job_write

if TYPE_CHECKING:
    from analytics.results.off_policy import Outcome

SAMPLE = 2_000
PERIOD = timedelta(days=28)
# How long one look works. Shoppers are answered by the same process: it must be able to breathe.
SLICE_S = 0.3
_TOKEN = re.compile(r"[0-9a-f]{32}")


class OffPolicyGone(Exception):
    """There is no such replay (any more); the text says what to do, for members."""


class _Job(msgspec.Struct, frozen=True):
    """What is to be answered; written once."""

    placement_id: int
    version_id: int
    answers: list[LoggedAnswer]
    n_logged: int
    n_replayable: int
    n_with_chance: int
    first_at_s: float | None
    last_at_s: float | None
    started_at_s: float


class _State(msgspec.Struct):
    """How far it is."""

    place: int
    slots: Slots


@dataclass(frozen=True, slots=True)
class OffPolicy:
    """How far the replay is, and what it says when it is done.

    Attributes
    ----------
    n_logged, n_replayable, n_with_chance
        See `LoggedAnswers`.
    outcome
        None until `n_done` is `n_sample`.
    """

    token: str
    placement: Placement
    version: StrategyVersion
    n_done: int
    n_sample: int
    n_logged: int
    n_replayable: int
    n_with_chance: int
    first_at: datetime | None
    last_at: datetime | None
    started_at: datetime
    outcome: Outcome | None

    @property
    def is_done(self) -> bool:
        return self.outcome is not None

    @property
    def percent(self) -> float:
        return 100 * self.n_done / self.n_sample if self.n_sample else 100.0


def off_policy_start(*, placement: Placement, version: StrategyVersion, now: datetime) -> OffPolicy:
    """Draw the sample, answer the first of it, and keep the rest for `off_policy_continue`.

    Raises
    ------
    NoPreview
        The placement doesn't serve.
    InvalidStrategyError
        The version can't be read any more.
    StoreUnavailable
        Valkey is away.
    """
    sample = logged_answers(placement=placement, since=now - PERIOD, limit=SAMPLE)
    token = uuid.uuid4().hex
    job = _Job(
        placement_id=placement.pk,
        version_id=version.pk,
        answers=sample.answers,
        n_logged=sample.n_logged,
        n_replayable=sample.n_replayable,
        n_with_chance=sample.n_with_chance,
        first_at_s=sample.first_at.timestamp() if sample.first_at else None,
        last_at_s=sample.last_at.timestamp() if sample.last_at else None,
        started_at_s=now.timestamp(),
    )
    job_write(placement.store_id, "off-policy", token, "job", msgspec.json.encode(job))
    return _advance(placement, version, token, job, _State(0, Slots()))


def off_policy_continue(*, store: Store, token: str) -> OffPolicy:
    """Answer some more of the sample. Two looks at the same time do the same work once each.

    Raises
    ------
    OffPolicyGone
        The token is of another store, too old, or Valkey has lost it; or the placement or the
        version was deleted meanwhile.
    NoPreview, InvalidStrategyError, StoreUnavailable
    """
    packed_job = packed_state = None
    if _TOKEN.fullmatch(token):
        packed_job = job_read(store.pk, "off-policy", token, "job")
        packed_state = job_read(store.pk, "off-policy", token, "state")
    if packed_job is None or packed_state is None:
        raise OffPolicyGone("This replay is too old. Ask for a new one.")
    job = msgspec.json.decode(packed_job, type=_Job)
    placement = Placement.objects.filter(store=store, pk=job.placement_id).first()
    version = (
        StrategyVersion.objects.filter(store=store, pk=job.version_id)
        .select_related("strategy")
        .first()
    )
    if placement is None or version is None:
        raise OffPolicyGone("What was replayed is gone. Ask for a new one.")
    state = msgspec.json.decode(packed_state, type=_State)
    return _advance(placement, version, token, job, state)


def _advance(
    placement: Placement, version: StrategyVersion, token: str, job: _Job, state: _State
) -> OffPolicy:
    runtime, served = _ways(placement, version)
    until = monotonic() + SLICE_S
    while state.place < len(job.answers) and monotonic() < until:
        answer = job.answers[state.place]
        shown = _answered_again(placement, runtime, served, answer)
        state.slots.add(
            shopper=answer.shopper_external_id or answer.recommendation_id,
            product_ids=answer.product_ids,
            propensities=answer.propensities,
            clicked=answer.clicked,
            shown=shown,
        )
        state.place += 1
    job_write(placement.store_id, "off-policy", token, "state", msgspec.json.encode(state))
    return OffPolicy(
        token=token,
        placement=placement,
        version=version,
        n_done=state.place,
        n_sample=len(job.answers),
        n_logged=job.n_logged,
        n_replayable=job.n_replayable,
        n_with_chance=job.n_with_chance,
        first_at=_at(job.first_at_s),
        last_at=_at(job.last_at_s),
        started_at=datetime.fromtimestamp(job.started_at_s, UTC),
        outcome=_outcome(state.slots) if state.place >= len(job.answers) else None,
    )


def _outcome(slots: Slots) -> Outcome:
    # Only here: SciPy is no part of what every web process keeps in memory.
    from analytics.results.off_policy import outcome_of

    return outcome_of(slots)


def _ways(placement: Placement, version: StrategyVersion) -> tuple[StoreRuntime, ServingPlacement]:
    """The placement with the strategy, without the places that it would leave to chance."""
    runtime, served = preview_runtime(store=placement.store, placement=placement.slug)
    document = msgspec.structs.replace(strategy_parse(version.document), exploration=0.0)
    strategy = ServingStrategy(version.pk, document, exclude=served.settings.exclude)
    apart = replace(runtime, contextual=Recent(N_CONTEXTUAL))
    return apart, ServingPlacement(served.settings, strategy)


def _answered_again(
    placement: Placement, runtime: StoreRuntime, served: ServingPlacement, answer: LoggedAnswer
) -> list[int]:
    """Product ids, by place, as many at most as were shown."""
    at = datetime.fromtimestamp(answer.delivered_at_s, UTC)
    request = logged_request(
        LoggedRequest(
            uuid.UUID(answer.recommendation_id),
            placement.pk,
            answer.shopper_external_id,
            answer.device,
            answer.context,
        )
    )
    state: SessionState = NO_STATE
    if answer.shopper_external_id is not None:
        # A moment before: what the answer led to wasn't known yet.
        state = session_as_of(
            store_id=placement.store_id,
            shopper_external_id=answer.shopper_external_id,
            at=at - timedelta(milliseconds=1),
        )
    found = recommend_placement(
        runtime,
        served,
        request,
        state,
        limit=len(answer.product_ids),
        shown=set(),
        now_s=answer.delivered_at_s,
        seed=uuid.UUID(answer.recommendation_id).int,
    )
    ids: list[int] = runtime.snapshot.product_ids[np.array(found.rows, np.int64)].tolist()
    return ids


def _at(unix_s: float | None) -> datetime | None:
    return None if unix_s is None else datetime.fromtimestamp(unix_s, UTC)
