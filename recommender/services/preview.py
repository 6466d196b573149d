"""What a placement shows now, and what it would show after an edit that nobody has saved.

Both answers come from the request path itself, on what this process serves with: the same catalog,
models and rules, of which only the edited part is made anew, beside them. Nothing is published,
written or counted as delivered, and the runtime that shoppers are answered from isn't touched.
"""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from datetime import datetime
from time import perf_counter, time
from typing import Any

import msgspec

from catalog.models import Product, Shopper, Store
from recommender.models import StrategyVersion
from recommender.selectors.serving_settings import PlacementSettings, RuleSettings
from recommender.services.session_reading import session_state
from recommender.serving.pipeline import recommend_placement
from recommender.serving.placement import ServingPlacement
from recommender.serving.recent import Recent
from recommender.serving.request import Recommendation, RecommendationRequest
from recommender.serving.rule_compile import rule_compile
from recommender.serving.rule_index import ServingRules
from recommender.serving.rules import InvalidRuleError, rule_parse
from recommender.serving.runtime import RUNTIMES, StoreRuntime, runtime_rules
from recommender.serving.strategy import ServingStrategy, strategy_parse
from recommender.serving.trace import Step
from recommender.stores.session_state import NO_STATE, SessionState

# What isn't stored has no number.
UNSAVED_VERSION_ID = UNSAVED_PLACEMENT_ID = 0
# What a strategy leaves to chance falls the same way in both answers: only the edit differs.
PREVIEW_SEED = 1
# Answers that are the same for everybody, while an edit is replayed on many requests.
N_CONTEXTUAL = 2_000


class NoPreview(Exception):
    """There is nothing to preview; the text says why, for members."""


class StrategyEdit(msgspec.Struct, frozen=True, kw_only=True, tag="strategy"):
    """The document of a strategy as it is being edited."""

    document: dict[str, Any]


class PlacementEdit(msgspec.Struct, frozen=True, kw_only=True, tag="placement"):
    """Fields of `PlacementSettings` with their new values; the strategy by its version's key."""

    values: dict[str, Any] = {}
    strategy_version_id: int | None = None


class RuleEdit(msgspec.Struct, frozen=True, kw_only=True, tag="rule"):
    """A rule as it is being edited: a new one without `rule_id`, gone without a document.

    Times are Unix seconds. A rule that was switched off counts, while it is edited, as if it were
    on; where it stands among the others doesn't change, and a new one stands last.
    """

    rule_id: int | None = None
    name: str = "This rule"
    document: dict[str, Any] | None = None
    starts_s: float | None = None
    ends_s: float | None = None


AnyEdit = StrategyEdit | PlacementEdit | RuleEdit
# The key of a rule that has none yet.
UNSAVED_RULE_ID = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Who:
    """For whom and where a placement is previewed. Product ids are the shop's.

    Attributes
    ----------
    consent
        With "denied" the shopper isn't looked at, as in the shop.
    at
        The moment to answer for; None is now. The catalog and the models are those of now.
    why_not
        Products that the trace is to account for if they aren't shown.
    """

    shopper_id: str | None = None
    product_ids: tuple[str, ...] = ()
    cart: tuple[str, ...] | None = None
    category: str | None = None
    query: str | None = None
    device: str | None = None
    locale: str | None = None
    consent: str = "unknown"
    at: datetime | None = None
    why_not: tuple[str, ...] = ()

    def request(self) -> RecommendationRequest:
        return RecommendationRequest(
            shopper_id=None if self.consent == "denied" else self.shopper_id,
            product_ids=self.product_ids,
            category=self.category,
            query=self.query,
            cart=self.cart,
            locale=self.locale,
            device=self.device,
            explain=True,
            why_not=self.why_not,
        )


@dataclass(frozen=True, slots=True)
class Preview:
    """The same request answered twice, each answer with its trace.

    Attributes
    ----------
    then
        None without an edit.
    experiments
        The keys of those that run on the placement. The answers are those of shoppers outside them.
    why_not
        For each product asked about: why the answer with the edit (without one, that of now)
        doesn't show it. Products that are shown aren't in it.
    """

    now: Recommendation
    then: Recommendation | None
    runtime: StoreRuntime
    experiments: tuple[str, ...]
    why_not: dict[str, dict[str, Any]]
    took_ms: float


def preview(*, store: Store, placement: str, who: Who, edit: AnyEdit | None = None) -> Preview:
    """Answer one placement as it is and as it would be. One Valkey round trip; at most three queries.

    Raises
    ------
    NoPreview
        The placement doesn't serve, or the edit points at something that the store hasn't got.
    InvalidStrategyError, InvalidRuleError
        The edit can't be understood; the message says where and why.
    """
    started = perf_counter()
    runtime, served = preview_runtime(store=store, placement=placement)
    state = _state(store, who)
    now_s = time() if who.at is None else who.at.timestamp()
    outside = served.outside()
    now = _answer(runtime, outside, who, state, now_s)
    then = None
    if edit is not None:
        edited_runtime, edited = edit_apply(
            store=store, runtime=runtime, placement=outside, edit=edit
        )
        then = _answer(edited_runtime, edited, who, state, now_s)
    return Preview(
        now=now,
        then=then,
        runtime=runtime,
        experiments=tuple(each.key for each in served.experiments),
        why_not=_why_not(store, now if then is None else then),
        took_ms=(perf_counter() - started) * 1000,
    )


def preview_new_placement(*, store: Store, who: Who, edit: PlacementEdit) -> Preview:
    """Answer a placement that isn't stored: `now` is what it would show. Costs as `preview`.

    Raises
    ------
    NoPreview
        No strategy is chosen, or none of this store.
    """
    started = perf_counter()
    runtime = RUNTIMES.get(store.pk)
    if runtime is None:
        raise NoPreview("This store isn't served yet. It is within a second of being made.")
    if edit.strategy_version_id is None:
        raise NoPreview("Choose a strategy to see what it would show.")
    blank = PlacementSettings(
        placement_id=UNSAVED_PLACEMENT_ID,
        slug="",
        title="",
        page_type="",
        n_products=0,
        n_minimum=0,
        paused=False,
        strategy_version_id=UNSAVED_VERSION_ID,
        strategy_name="",
        document={},
    )
    placement = ServingPlacement(*_placement_with(store, blank, edit))
    apart = replace(runtime, contextual=Recent(N_CONTEXTUAL))
    now_s = time() if who.at is None else who.at.timestamp()
    answer = _answer(apart, placement, who, _state(store, who), now_s)
    return Preview(
        now=answer,
        then=None,
        runtime=runtime,
        experiments=(),
        why_not=_why_not(store, answer),
        took_ms=(perf_counter() - started) * 1000,
    )


def preview_runtime(*, store: Store, placement: str) -> tuple[StoreRuntime, ServingPlacement]:
    """What this process serves a placement with. Raises NoPreview."""
    runtime = RUNTIMES.get(store.pk)
    served = runtime.placements.get(placement) if runtime is not None else None
    if runtime is None or served is None:
        raise NoPreview(
            "This placement isn't served yet. A new one follows within a second of being saved."
        )
    return runtime, served


def edit_apply(
    *, store: Store, runtime: StoreRuntime, placement: ServingPlacement, edit: AnyEdit
) -> tuple[StoreRuntime, ServingPlacement]:
    """The runtime and the placement with an edit, beside those that serve.

    Only what the edit changes is compiled. Answers that the runtime keeps for everybody are not
    shared: they belong to what is saved.
    """
    apart = replace(runtime, contextual=Recent(N_CONTEXTUAL))
    if isinstance(edit, RuleEdit):
        return replace(apart, rules=_rules_with(runtime, edit)), placement
    if isinstance(edit, StrategyEdit):
        return apart, _with_strategy(placement, UNSAVED_VERSION_ID, edit.document)
    settings, strategy = _placement_with(store, placement.settings, edit)
    return apart, replace(placement, settings=settings, strategy=strategy)


def _placement_with(
    store: Store, settings: PlacementSettings, edit: PlacementEdit
) -> tuple[PlacementSettings, ServingStrategy]:
    """The settings of a placement with an edit, and the strategy that they name. At most one query."""
    known = {each.name for each in fields(settings)}
    values = {name: value for name, value in edit.values.items() if name in known}
    edited = replace(settings, **values)
    version_id, document = edited.strategy_version_id, edited.document
    if edit.strategy_version_id not in (None, version_id):
        version = StrategyVersion.objects.filter(store=store, pk=edit.strategy_version_id).first()
        if version is None:
            raise NoPreview("The chosen strategy is not of this store.")
        version_id, document = version.pk, version.document
    strategy = ServingStrategy(version_id, strategy_parse(document), exclude=edited.exclude)
    return replace(edited, document=document), strategy


def _rules_with(runtime: StoreRuntime, edit: RuleEdit) -> ServingRules | None:
    """The rules with the edit: those that it leaves alone are taken as they serve."""
    serving, stored = runtime.rules, rules_edited(runtime, edit)
    edited_id = None
    if edit.document is not None:
        edited_id = edit.rule_id if edit.rule_id is not None else UNSAVED_RULE_ID
    if serving is None:
        rules = runtime_rules(runtime, stored)
        for problem in rules.problems if rules is not None else ():
            if problem.rule_id == edited_id:
                raise InvalidRuleError(problem.words)
        return rules
    compiled = {rule.rule_id: rule for rule in serving.rules}
    if edited_id is not None:
        compiled[edited_id] = rule_compile(
            next(rule for rule in stored if rule.rule_id == edited_id),
            runtime.snapshot,
            placements=[placement.slug for placement in runtime.settings.placements],
            segments=serving.segments,
            now_s=int(time()),
        )
    # What couldn't be compiled when it was saved can't now.
    return ServingRules(
        [compiled[rule.rule_id] for rule in stored if rule.rule_id in compiled],
        serving.problems,
        segments=serving.segments,
        snapshot=runtime.snapshot,
        time_zone=runtime.settings.time_zone,
        compiled_s=serving.compiled_s,
    )


def rules_edited(runtime: StoreRuntime, edit: RuleEdit) -> list[RuleSettings]:
    """The store's rules with an edit, in their order. Raises InvalidRuleError."""
    stored = list(runtime.settings.rules)
    if edit.document is None:
        return [rule for rule in stored if rule.rule_id != edit.rule_id]
    rule_parse(edit.document)
    edited = RuleSettings(
        edit.rule_id if edit.rule_id is not None else UNSAVED_RULE_ID,
        edit.name,
        edit.document,
        edit.starts_s,
        edit.ends_s,
    )
    if all(rule.rule_id != edited.rule_id for rule in stored):
        return [*stored, edited]
    return [edited if rule.rule_id == edited.rule_id else rule for rule in stored]


def _with_strategy(
    placement: ServingPlacement, version_id: int, document: dict[str, Any]
) -> ServingPlacement:
    exclude = placement.settings.exclude
    strategy = ServingStrategy(version_id, strategy_parse(document), exclude=exclude)
    return replace(
        placement, strategy=strategy, settings=replace(placement.settings, document=document)
    )


def _state(store: Store, who: Who) -> SessionState:
    """The shopper's recent state; nothing of somebody whom the store has never seen.

    Reading the state of an unknown shopper would leave a note of them in Valkey.
    """
    shopper_id = who.request().shopper_id
    if shopper_id is None:
        return NO_STATE
    if not Shopper.objects.filter(store=store, external_id=shopper_id).exists():
        return NO_STATE
    return session_state(store_id=store.pk, shopper_id=shopper_id)


def _answer(
    runtime: StoreRuntime,
    placement: ServingPlacement,
    who: Who,
    state: SessionState,
    now_s: float,
) -> Recommendation:
    return recommend_placement(
        runtime,
        placement,
        who.request(),
        state,
        limit=None,
        shown=set(),
        now_s=now_s,
        seed=PREVIEW_SEED,
    )


def _why_not(store: Store, answer: Recommendation) -> dict[str, dict[str, Any]]:
    """The trace's reasons, the ones of the catalog told apart with a look at the product."""
    if answer.trace is None:
        return {}
    reasons = {product: dict(told) for product, told in answer.trace.dropped.items()}
    off = [
        product
        for product, told in reasons.items()
        if told["step"] == Step.ELIGIBILITY and "causes" not in told
    ]
    if off:
        for product in Product.objects.filter(store=store, external_id__in=off):
            causes = product_shortcomings(product)
            if causes:
                reasons[product.external_id]["why"] = "; ".join(causes)
    return reasons


def product_shortcomings(product: Product) -> list[str]:
    """Why a product is never recommended, each a half-sentence; empty if it may be."""
    found = []
    if product.deleted_at is not None:
        found.append("it was deleted from the catalog")
    if product.hidden:
        found.append("it is hidden by a member")
    if product.availability == Product.Availability.OUT_OF_STOCK:
        found.append("it is out of stock")
    elif product.stock_count is not None and product.stock_count <= 0:
        found.append(f"it is out of stock (stock {product.stock_count})")
    if product.price_minor is None:
        found.append("it has no price")
    elif product.price_minor <= 0:
        found.append("its price is 0")
    return found
