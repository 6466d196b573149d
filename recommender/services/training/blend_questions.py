"""What shoppers were looking for, as questions to a strategy: from history, or from what was clicked."""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

import numpy as np

from catalog.models.events import EventType
from recommender.engine.offline.learned_blend import Query
from recommender.engine.offline.learned_blend_updates import Impression
from recommender.engine.offline.sessions import SILENCE_S
from recommender.engine.types import Candidates, Int32Array, Int64Array
from recommender.models import Placement
from recommender.selectors.blend import shopper_external_ids
from recommender.selectors.logged_answers import LoggedAnswer
from recommender.selectors.logged_requests import LoggedRequest
from recommender.selectors.serving_settings import PlacementSettings, StoreSettings
from recommender.services.price_tag import logged_request
from recommender.services.session_rebuild import session_as_of
from recommender.services.training.trained import TrainingData
from recommender.serving.blend_step import situation_of
from recommender.serving.blends import log_prices
from recommender.serving.context import IS_VIEW, Context
from recommender.serving.page_context import page_context
from recommender.serving.request import RecommendationRequest
from recommender.serving.runtime import StoreRuntime
from recommender.serving.sources import SOURCES
from recommender.serving.strategy import InvalidStrategyError, ServingStrategy, strategy_parse
from recommender.stores.session_state import (
    N_ENTRIES,
    NO_STATE,
    SESSION_TYPES,
    SessionEntry,
    SessionState,
)

MAX_QUESTIONS = 1_500
_Page = Placement.PageType


@dataclass(frozen=True, slots=True)
class Place:
    """A placement that shows a strategy with a learned blend."""

    placement: PlacementSettings
    strategy: ServingStrategy


@dataclass(frozen=True, slots=True)
class Question:
    """A page view of the past. `wanted` are product ids."""

    at_s: int
    shopper_row: int
    before: int
    wanted: Int64Array
    product_ids: tuple[int, ...] = ()
    cart: tuple[int, ...] | None = None
    category_of: int | None = None


def learned_places(settings: StoreSettings) -> list[Place]:
    """Every placement with every strategy of a learned blend that it shows, to anybody."""
    places = []
    for placement in settings.placements:
        shown = {placement.strategy_version_id: placement.document}
        for experiment in settings.experiments:
            if not experiment.is_on(placement.placement_id):
                continue
            for variant in experiment.variants:
                version = variant.on(placement.placement_id)
                if version is not None:
                    shown[version.strategy_version_id] = version.document
        for version_id, document in shown.items():
            try:
                parsed = strategy_parse(document)
            except InvalidStrategyError:
                # Serving has reported it.
                continue
            if parsed.blend == "learned" and not placement.paused:
                strategy = ServingStrategy(version_id, parsed, exclude=placement.exclude)
                places.append(Place(placement, strategy))
    return places


@dataclass(frozen=True)
class Past:
    """All events of a store by shopper and time, cut into sessions.

    Attributes
    ----------
    ends : int64[n]
        Where the session of an event ends.
    begins : int64[s]
        Where sessions begin.
    """

    data: TrainingData
    shopper_rows: Int32Array
    item_ids: Int64Array
    types: Int32Array
    quantities: Int32Array
    times_s: Int64Array
    group_keys: Int64Array
    begins: Int64Array = field(repr=False)
    ends: Int64Array = field(repr=False)

    @classmethod
    def of(cls, data: TrainingData) -> Past:
        """One sort of all events."""
        events = data.events
        order = np.lexsort((events.times_s, events.shopper_rows))
        shoppers, times = events.shopper_rows[order], events.times_s[order]
        is_new = np.ones(len(order), np.bool_)
        is_new[1:] = (np.diff(shoppers) != 0) | (np.diff(times) > SILENCE_S)
        begins = is_new.nonzero()[0]
        closes = np.append(begins, len(order))[1:]
        return cls(
            data=data,
            shopper_rows=shoppers,
            item_ids=data.products.ids.ids[events.item_rows[order]],
            types=events.types[order].astype(np.int32),
            quantities=events.quantities[order],
            times_s=times,
            group_keys=events.group_keys[order],
            begins=begins,
            ends=np.repeat(closes, closes - begins),
        )

    def questions(self, page_type: str, *, since_s: int, seed: int) -> list[Question]:
        """What a page of this kind would have been asked since a moment, oldest first.

        Of a product page: what was looked at next, or bought in the same visit. Of a cart: one
        product of an order, the others in the cart. Of any other page: what was bought in a visit
        or, where nothing was, looked at, asked at its beginning.
        """
        random = np.random.default_rng(seed)
        if page_type == _Page.PRODUCT:
            found = self._views(since_s, random)
        elif page_type in (_Page.CART, _Page.CONFIRMATION):
            found = self._orders(since_s, random)
        else:
            found = self._visits(since_s, random, with_category=page_type == _Page.CATEGORY)
        return sorted(found, key=lambda question: question.at_s)

    def _views(self, since_s: int, random: np.random.Generator) -> Iterable[Question]:
        views = IS_VIEW[self.types] & (self.times_s >= since_s)
        views &= np.arange(len(views)) + 1 < self.ends
        for place in _some(views.nonzero()[0], random):
            own, later = int(self.item_ids[place]), slice(place + 1, int(self.ends[place]))
            items, types = self.item_ids[later], self.types[later]
            others = items != own
            if others.any():
                bought = items[others & (types == EventType.PURCHASE)]
                wanted = np.unique(np.append(bought, items[others][0]))
                yield self._question(place, place, wanted, product_ids=(own,))

    def _orders(self, since_s: int, random: np.random.Generator) -> Iterable[Question]:
        lines = (self.types == EventType.PURCHASE) & (self.times_s >= since_s)
        places = lines.nonzero()[0]
        keys = np.stack([self.shopper_rows[places], self.group_keys[places]])
        _, order_of = np.unique(keys, axis=1, return_inverse=True)
        order_of = order_of.reshape(-1)
        by_order = np.argsort(order_of, kind="stable")
        starts = np.searchsorted(order_of[by_order], np.arange(order_of.max(initial=-1) + 2))
        for order in _some(np.arange(len(starts) - 1), random):
            own = places[by_order[starts[order] : starts[order + 1]]]
            items = np.unique(self.item_ids[own])
            if len(items) >= 2:
                hidden = int(items[random.integers(len(items))])
                rest = tuple(items[items != hidden].tolist())
                # Whatever of this visit is known would give the answer away.
                before = int(self.begins[self.begins.searchsorted(own[0], "right") - 1])
                yield self._question(int(own[0]), before, np.array([hidden]), cart=rest)

    def _visits(
        self, since_s: int, random: np.random.Generator, *, with_category: bool
    ) -> Iterable[Question]:
        for place in _some(self.begins[self.times_s[self.begins] >= since_s], random):
            visit = slice(place, int(self.ends[place]))
            items, types = self.item_ids[visit], self.types[visit]
            bought = types == EventType.PURCHASE
            looked = IS_VIEW[types] | (types == EventType.ADD_TO_CART)
            wanted = np.unique(items[bought] if bought.any() else items[looked])
            if len(wanted):
                category_of = int(wanted[random.integers(len(wanted))]) if with_category else None
                yield self._question(place, place, wanted, category_of=category_of)

    def _question(
        self,
        place: int,
        before: int,
        wanted: Int64Array,
        *,
        product_ids: tuple[int, ...] = (),
        cart: tuple[int, ...] | None = None,
        category_of: int | None = None,
    ) -> Question:
        return Question(
            at_s=int(self.times_s[place]),
            shopper_row=int(self.shopper_rows[place]),
            before=before,
            wanted=wanted,
            product_ids=product_ids,
            cart=cart,
            category_of=category_of,
        )

    def state(self, question: Question) -> SessionState:
        """What was known of the shopper before."""
        first = int(self.shopper_rows.searchsorted(question.shopper_row))
        entries = [
            SessionEntry(int(self.times_s[i]), int(self.types[i]), int(self.item_ids[i]))
            for i in range(max(first, question.before - N_ENTRIES), question.before)
            if int(self.types[i]) in SESSION_TYPES
        ]
        return SessionState.of(entries) if entries else NO_STATE


def _some(places: Int64Array, random: np.random.Generator) -> list[int]:
    if len(places) > MAX_QUESTIONS:
        places = random.choice(places, MAX_QUESTIONS, replace=False)
    chosen: list[int] = places.tolist()
    return chosen


class Asker:
    """Asks the sources of a place what they would have answered."""

    def __init__(self, runtime: StoreRuntime) -> None:
        self.runtime = runtime
        self.log_prices = log_prices(runtime.snapshot)

    def queries(self, place: Place, past: Past, questions: Sequence[Question]) -> list[Query]:
        """One query to find the shoppers' ids."""
        shopper_ids = past.data.shoppers.shopper_ids
        names = shopper_external_ids(
            store_id=past.data.store_id,
            shopper_ids={int(shopper_ids[each.shopper_row]) for each in questions},
        )
        asked = []
        for question in questions:
            shopper = names.get(int(shopper_ids[question.shopper_row]))
            request = self._request(question, shopper)
            context = self._context(place, request, past.state(question), question.at_s)
            wanted = self.runtime.snapshot.rows_of(question.wanted)
            asked.append(
                Query(
                    self._parts(place, context),
                    situation_of(context, self.log_prices),
                    wanted[wanted >= 0],
                )
            )
        return asked

    def impressions(
        self, places: Sequence[Place], answers: Iterable[tuple[int, LoggedAnswer]]
    ) -> list[Impression]:
        """Logged answers with clicks; two queries each."""
        place_of = {each.placement.placement_id: each for each in places}
        store_id = self.runtime.settings.store_id
        return [
            self._impression(store_id, place_of[placement_id], answer)
            for placement_id, answer in answers
        ]

    def _impression(self, store_id: int, place: Place, answer: LoggedAnswer) -> Impression:
        at = datetime.fromtimestamp(answer.delivered_at_s, UTC)
        request = logged_request(
            LoggedRequest(
                uuid.UUID(answer.recommendation_id),
                place.placement.placement_id,
                answer.shopper_external_id,
                answer.device,
                answer.context,
            )
        )
        state = NO_STATE
        if answer.shopper_external_id is not None:
            # A moment before: what the answer led to wasn't known yet.
            state = session_as_of(
                store_id=store_id,
                shopper_external_id=answer.shopper_external_id,
                at=at - timedelta(milliseconds=1),
            )
        context = self._context(place, request, state, int(answer.delivered_at_s))
        shown = np.array(answer.product_ids, np.int64)
        chances = np.ones(len(shown), np.float32)
        chances[: len(answer.propensities)] = answer.propensities[: len(shown)]
        return Impression(
            parts=self._parts(place, context),
            situation=situation_of(context, self.log_prices),
            shown=self.runtime.snapshot.rows_of(shown),
            clicked=np.isin(shown, np.array(answer.clicked, np.int64)),
            propensities=np.clip(chances, 1e-6, 1.0),
        )

    def _request(self, question: Question, shopper: str | None) -> RecommendationRequest:
        snapshot = self.runtime.snapshot

        def external(ids: tuple[int, ...]) -> tuple[str, ...]:
            rows = snapshot.rows_of(np.array(ids, np.int64))
            return tuple(snapshot.external_ids[row] for row in rows.tolist() if row >= 0)

        category = None
        if question.category_of is not None:
            row = int(snapshot.rows_of(np.array([question.category_of], np.int64))[0])
            category = (snapshot.category_path(row) or None) if row >= 0 else None
        return RecommendationRequest(
            shopper_id=shopper,
            product_ids=external(question.product_ids),
            cart=None if question.cart is None else external(question.cart),
            category=category,
        )

    def _context(
        self, place: Place, request: RecommendationRequest, state: SessionState, at_s: int
    ) -> Context:
        return page_context(
            self.runtime, place.placement, place.strategy, request, state, set(), at_s, None
        )

    def _parts(self, place: Place, context: Context) -> list[tuple[str, Candidates]]:
        parts = []
        for name in place.strategy.names:
            found = SOURCES[name].find(context).candidates
            # As the blend does it: what may not be shown takes no place.
            kept = context.allowed(found.rows) & (found.scores > 0)
            part = Candidates(found.rows[kept], found.scores[kept], found.because[kept])
            parts.append((name, part))
        return parts
