"""Campaigns that pause themselves before they sell what isn't there, or earns nothing.

What a campaign means is worked out by the very code that serves it, on the products as they are in
PostgreSQL, block by block: a worker needs no copy of the catalog.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime

import numpy as np
from django.db import transaction

from catalog.services.audit import audit_record
from recommender.engine.types import BoolArray
from recommender.models import Rule
from recommender.selectors.catalog_rows import ProductRow, catalog_rows, catalog_rows_named
from recommender.selectors.rules import campaigns_guarded
from recommender.services.strategies import settings_touch, store_lock
from recommender.serving.rule_compile import target_mask
from recommender.serving.rules import InvalidRuleError, Pin, RuleDocument, Target, rule_parse
from recommender.serving.snapshot import CatalogSnapshot, snapshot_apply


@dataclass(slots=True)
class _Measured:
    """Stock and margin of what a campaign means: of each product if it names them, else in all."""

    stocks: list[tuple[int, str]] = field(default_factory=list)
    margins: list[tuple[float, str]] = field(default_factory=list)

    def add(self, row: ProductRow, margin: float) -> None:
        if row.availability == "out_of_stock" or not row.shown:
            self.stocks.append((0, row.title))
        elif row.stock_count is not None:
            self.stocks.append((max(row.stock_count, 0), row.title))
        if not np.isnan(margin):
            self.margins.append((margin, row.title))


def campaigns_guard(*, now: datetime) -> list[Rule]:
    """Pause every campaign that counts now and whose products fell below what a member set.

    Returns those that were paused; a member resumes them. Twice at the same time, it pauses once.
    """
    by_store: dict[int, list[tuple[Rule, RuleDocument]]] = defaultdict(list)
    for rule in campaigns_guarded(now=now):
        try:
            document = rule_parse(rule.document)
        except InvalidRuleError:
            continue
        by_store[rule.store_id].append((rule, document))
    paused = []
    for store_id, campaigns in by_store.items():
        measured = _measure(store_id, [document for _, document in campaigns], now)
        for (rule, document), found in zip(campaigns, measured, strict=True):
            reason = pause_reason(document, found)
            if reason and _pause(rule, reason, now):
                paused.append(rule)
    return paused


def pause_reason(document: RuleDocument, found: _Measured) -> str:
    """Why a campaign has to pause, in a sentence; empty if it needn't.

    What isn't known of a product is no reason.
    """
    guard = document.guard
    if guard is None:
        return ""
    named = _named_products(document) is not None
    floor = guard.stop_when_stock_below
    if floor is not None and found.stocks:
        stock, title = min(found.stocks)
        if named and stock < floor:
            return f"The stock of “{title}” is {stock:,}, below {floor:,}."
        total = sum(each for each, _ in found.stocks)
        if not named and total < floor:
            return f"The stock of all its products is {total:,}, below {floor:,}."
    least = guard.stop_when_margin_below
    if least is not None and found.margins:
        margin, title = min(found.margins)
        if named and margin < least:
            return f"The margin of “{title}” is {margin:.1f} %, below {least:g} %."
        mean = sum(each for each, _ in found.margins) / len(found.margins)
        if not named and mean < least:
            return f"The mean margin of its products is {mean:.1f} %, below {least:g} %."
    return ""


def _measure(store_id: int, documents: Sequence[RuleDocument], now: datetime) -> list[_Measured]:
    """By campaign. One query for those that name products, one per block of products for others."""
    measured = [_Measured() for _ in documents]
    names = {place: _named_products(document) for place, document in enumerate(documents)}
    named = sorted({each for own in names.values() for each in own or ()})
    if named:
        rows = catalog_rows_named(store_id=store_id, external_ids=named)
        for place, document in enumerate(documents):
            wanted = set(names[place] or ())
            _add(measured[place], document, [row for row in rows if row.external_id in wanted], now)
    others = [place for place, own in names.items() if own is None]
    if others:
        for block in catalog_rows(store_id=store_id):
            for place in others:
                shown = [row for row in block if row.shown]
                _add(measured[place], documents[place], shown, now)
    return measured


def _add(
    measured: _Measured, document: RuleDocument, rows: list[ProductRow], now: datetime
) -> None:
    if not rows:
        return
    snapshot = snapshot_apply(CatalogSnapshot.empty(), rows)
    means = _meant(document, snapshot, now)
    for place in means.nonzero()[0].tolist():
        measured.add(rows[place], float(snapshot.margin_percent[place]))


def _meant(document: RuleDocument, snapshot: CatalogSnapshot, now: datetime) -> BoolArray:
    action = document.action
    target = Target(product_ids=action.product_ids) if isinstance(action, Pin) else document.target
    return target_mask(target, snapshot, now_s=int(now.timestamp()))


def _named_products(document: RuleDocument) -> Iterable[str] | None:
    """The products that the rule names one by one; None if it means them by what they are."""
    if isinstance(document.action, Pin):
        return document.action.product_ids
    return document.target.product_ids or None


def _pause(rule: Rule, reason: str, now: datetime) -> bool:
    with transaction.atomic():
        store_lock(rule.store_id)
        paused = Rule.objects.filter(
            pk=rule.pk, store_id=rule.store_id, enabled=True, paused_at=None
        ).update(paused_at=now, paused_reason=reason[:300])
        if not paused:
            return False
        audit_record(
            store=rule.store,
            actor=None,
            action="rule.pause",
            subject=rule.name,
            subject_key=str(rule.pk),
            before={"paused": ""},
            after={"paused": reason},
        )
        settings_touch(store_id=rule.store_id)
    rule.paused_at, rule.paused_reason = now, reason
    return True
