"""The parts of an imported configuration, each written as its own editor would, audited.

All within the transaction of `configuration_import`; `touched` names by kind and name what differs.
"""

from __future__ import annotations

from collections.abc import Set
from typing import Any, TypeAlias

from django.db import transaction

from catalog.models import Store, User
from catalog.services.audit import audit_record
from recommender.engine.weighting import EVENT_WEIGHTS
from recommender.models import Placement, Rule, Segment, Strategy
from recommender.services.configuration_file import Configuration
from recommender.services.content_weights import content_weights_save
from recommender.services.event_weights import event_weights_save
from recommender.services.lab import lab_choose
from recommender.services.lab_shelf import METHOD_OF
from recommender.services.placements import (
    PlacementFields,
    placement_create,
    placement_edit,
    placement_pause,
)
from recommender.services.rules import rule_create, rule_edit, rule_switch
from recommender.services.segments import segment_create, segment_edit
from recommender.services.strategies import strategy_version_create
from recommender.services.training.runs import run_hand_over
from recommender.serving.rules import rule_json, rule_parse
from recommender.serving.segments import segment_json, segment_parse
from recommender.serving.strategy import strategy_digest, strategy_parse

Touched: TypeAlias = Set[tuple[str, str]]
# Of which a store has one: kind and name in a plan.
EVENT_WEIGHTS_ENTRY = ("event weights", "Event weights")
CONTENT_WEIGHTS_ENTRY = ("content weights", "What makes products similar")
CHOSEN_METHOD_ENTRY = ("chosen method", "The Lab's choice")
# Kinds that shoppers see when a training is through, and nothing of before.
TRAINED_KINDS = frozenset({CONTENT_WEIGHTS_ENTRY[0], CHOSEN_METHOD_ENTRY[0]})


def segments_import(
    store: Store, read: Configuration, touched: Touched, member: User | None
) -> None:
    known = {each.key: each for each in Segment.objects.filter(store=store)}
    for entry in read.segments:
        if ("segment", entry.key) not in touched:
            continue
        stored = segment_json(segment_parse(entry.document))
        if entry.key in known:
            segment_edit(segment=known[entry.key], name=entry.name, document=stored, member=member)
        else:
            segment_create(
                store=store, key=entry.key, name=entry.name, document=stored, member=member
            )


def strategies_import(
    store: Store, read: Configuration, touched: Touched, member: User | None
) -> None:
    """New versions; placements that show the strategy's latest version go on to the new one."""
    for entry in read.strategies:
        if ("strategy", entry.key) not in touched:
            continue
        strategy, created = Strategy.objects.get_or_create(
            store=store,
            key=entry.key,
            defaults={"name": entry.name, "description": entry.description},
        )
        before = None if created else {"name": strategy.name, "description": strategy.description}
        strategy.name, strategy.description = entry.name, entry.description
        strategy.save()
        latest = strategy.versions.order_by("-number").first()
        digest = strategy_digest(strategy_parse(entry.document))
        if latest is None or latest.digest != digest:
            version = strategy_version_create(
                strategy=strategy, document=entry.document, note="Imported", author=member
            )
            if latest is not None:
                Placement.objects.filter(store=store, strategy_version=latest).update(
                    strategy_version=version
                )
        audit_record(
            store=store,
            actor=member,
            action="strategy.create" if created else "strategy.edit",
            subject=entry.name,
            subject_key=entry.key,
            before=before,
            after={"name": entry.name, "document": entry.document},
        )


def placements_import(
    store: Store, read: Configuration, touched: Touched, member: User | None
) -> None:
    known = {
        each.slug: each for each in Placement.objects.filter(store=store).select_related("store")
    }
    for entry in read.placements:
        if ("placement", entry.slug) not in touched:
            continue
        placement = known.get(entry.slug)
        strategy = Strategy.objects.get(store=store, key=entry.strategy)
        shown = placement.strategy_version if placement is not None else None
        if shown is None or shown.strategy_id != strategy.pk:
            shown = strategy.versions.order_by("-number").first()
        fields = PlacementFields(
            name=entry.name,
            title=entry.title,
            page_type=entry.page_type,
            n_products=entry.n_products,
            n_minimum=entry.n_minimum,
            below_minimum=entry.below_minimum,
            position=entry.position,
            strategy_version_id=shown.pk if shown is not None else None,
            title_by_locale=entry.title_by_locale,
            exclude=entry.exclude,
        )
        if placement is None:
            placement = placement_create(store=store, slug=entry.slug, fields=fields, actor=member)
        else:
            placement_edit(placement=placement, fields=fields, actor=member)
        placement_pause(placement=placement, paused=entry.paused, actor=member)


def rules_import(store: Store, read: Configuration, touched: Touched, member: User | None) -> None:
    known: dict[str, Rule] = {}
    for rule in Rule.objects.filter(store=store).order_by("-position", "-pk"):
        known[rule.name] = rule
    for entry in read.rules:
        if ("rule", entry.name) not in touched:
            continue
        fields: dict[str, Any] = {
            "name": entry.name,
            "note": entry.note,
            "document": rule_json(rule_parse(entry.document)),
            "starts_at": entry.starts_at,
            "ends_at": entry.ends_at,
        }
        if entry.name not in known:
            rule_create(store=store, member=member, enabled=entry.enabled, **fields)
            continue
        edited = rule_edit(rule=known[entry.name], member=member, **fields)
        if edited.enabled != entry.enabled:
            rule_switch(rule=edited, on=entry.enabled, member=member)


def learning_import(
    store: Store, read: Configuration, touched: Touched, member: User | None
) -> None:
    """What events and contents weigh, and the Lab's choice; what learns from them is trained."""
    if EVENT_WEIGHTS_ENTRY in touched:
        weights = {**EVENT_WEIGHTS, **read.event_weights}
        event_weights_save(store=store, weights=weights, member=member)
    if CONTENT_WEIGHTS_ENTRY in touched and read.content_weights is not None:
        content_weights_save(store=store, weights=read.content_weights.weights(), member=member)
    chosen = read.chosen_method
    if CHOSEN_METHOD_ENTRY in touched and chosen is not None:
        training = lab_choose(
            store=store,
            method=chosen.method,
            title=METHOD_OF[chosen.method].title,
            protocol=chosen.protocol,
            parameters=chosen.parameters,
            actor=member,
        )
        if training is not None:
            transaction.on_commit(lambda: run_hand_over(run=training))
