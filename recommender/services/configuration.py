"""A store's whole configuration as one file: what its members decided, without keys and people.

An import creates what is new, changes what differs and leaves the rest: it never deletes. Placements
and strategies and segments are known by their slug or key, rules by their name. What would happen is
shown before; then it happens in one transaction, or not at all.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec
from django.db import transaction
from django.utils import timezone

from catalog.models import Store, User
from catalog.services.audit import audit_record
from recommender.engine.weighting import EVENT_WEIGHTS
from recommender.models import Placement, Rule, Segment, Strategy
from recommender.selectors.content_weights import content_weights_row, weights_of
from recommender.selectors.event_weights import event_weights
from recommender.selectors.lab import lab_choice
from recommender.services.configuration_file import (
    SCHEMA,
    ChosenMethodEntry,
    Configuration,
    ContentWeightsEntry,
    PlacementEntry,
    RuleEntry,
    SegmentEntry,
    StrategyEntry,
)
from recommender.services.configuration_writing import (
    CHOSEN_METHOD_ENTRY,
    CONTENT_WEIGHTS_ENTRY,
    EVENT_WEIGHTS_ENTRY,
    learning_import,
    placements_import,
    rules_import,
    segments_import,
    strategies_import,
)
from recommender.services.content_weights import ContentWeightsRefused, content_weights_check
from recommender.services.event_weights import WeightsRefused
from recommender.services.lab_shelf import METHOD_OF, PROTOCOL_OF
from recommender.services.placements import (
    PlacementRefused,
)
from recommender.services.rules import RuleRefused
from recommender.services.segments import SegmentRefused
from recommender.services.strategies import settings_touch
from recommender.serving.rules import InvalidRuleError, rule_parse
from recommender.serving.segments import InvalidSegmentError, segment_parse
from recommender.serving.strategy import (
    InvalidStrategyError,
    strategy_parse,
)

MAX_BYTES = 1_000_000


class ConfigurationRefused(ValueError):
    """A file that can't be imported; `problems` say where and why."""

    def __init__(self, problems: Sequence[str]) -> None:
        self.problems = list(problems)
        super().__init__("; ".join(problems))


@dataclass(frozen=True, slots=True)
class Change:
    """One line of the plan. `verb` is "create", "change", "same" or "left"."""

    verb: str
    kind: str
    name: str
    before: Any = None
    after: Any = None


@dataclass(frozen=True, slots=True)
class Plan:
    """What an import would do now. `digest` is another one as soon as anything differs."""

    changes: tuple[Change, ...]

    @property
    def digest(self) -> str:
        told = msgspec.json.encode(
            [(each.verb, each.kind, each.name, each.before, each.after) for each in self.changes],
            order="deterministic",
        )
        return hashlib.sha256(told).hexdigest()

    def of(self, verb: str) -> list[Change]:
        return [each for each in self.changes if each.verb == verb]

    @property
    def does_something(self) -> bool:
        return any(each.verb in ("create", "change") for each in self.changes)


def configuration_export(*, store: Store) -> bytes:
    """The store's configuration as indented JSON. Eight queries."""
    configuration = Configuration(
        vitrine_configuration=SCHEMA,
        currency=store.currency,
        store=store.slug,
        exported_at=timezone.now(),
        strategies=tuple(_strategies(store).values()),
        placements=tuple(_placements(store).values()),
        segments=tuple(_segments(store).values()),
        rules=tuple(_rules(store)),
        event_weights=dict(event_weights(store_id=store.pk)),
        content_weights=_content_weights(store),
        chosen_method=_chosen_method(store),
    )
    return msgspec.json.format(msgspec.json.encode(configuration), indent=2)


def configuration_read(*, store: Store, raw: bytes) -> Configuration:
    """A file, checked as far as it can be without the store's products.

    Raises
    ------
    ConfigurationRefused
        Not a configuration, of a newer schema, or with errors: each with its place.
    """
    if len(raw) > MAX_BYTES:
        raise ConfigurationRefused([f"The file is larger than {MAX_BYTES // 1_000_000} MB."])
    try:
        loose = msgspec.json.decode(raw)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise ConfigurationRefused([f"The file isn't JSON: {error}."]) from error
    schema = loose.get("vitrine_configuration") if isinstance(loose, dict) else None
    if not isinstance(schema, int):
        raise ConfigurationRefused(["The file isn't a configuration of Vitrine."])
    if schema > SCHEMA:
        raise ConfigurationRefused(
            [f"The file has schema {schema}; this Vitrine reads up to {SCHEMA}. Update it first."]
        )
    try:
        read = msgspec.convert(loose, Configuration, strict=False)
    except msgspec.ValidationError as error:
        raise ConfigurationRefused([f"{error}."]) from error
    problems = _problems(store, read)
    if problems:
        raise ConfigurationRefused(problems)
    return read


def configuration_plan(*, store: Store, configuration: Configuration) -> Plan:
    """What importing would create, change, and leave as it is. Eight queries, nothing is written."""
    changes: list[Change] = []
    strategies, placements, segments = _strategies(store), _placements(store), _segments(store)
    rules = {entry.name: entry for entry in reversed(_rules(store))}
    for kind, known, wanted in (
        ("segment", segments, {each.key: each for each in configuration.segments}),
        ("strategy", strategies, {each.key: each for each in configuration.strategies}),
        ("placement", placements, {each.slug: each for each in configuration.placements}),
        ("rule", rules, {each.name: each for each in configuration.rules}),
    ):
        changes += _compared(kind, known, wanted)
    weights = {**EVENT_WEIGHTS, **configuration.event_weights}
    current = dict(event_weights(store_id=store.pk))
    if configuration.event_weights:
        verb = "same" if weights == current else "change"
        changes.append(Change(verb, *EVENT_WEIGHTS_ENTRY, current, weights))
    for (kind, name), known_one, wanted_one in (
        (CONTENT_WEIGHTS_ENTRY, _content_weights(store), configuration.content_weights),
        (CHOSEN_METHOD_ENTRY, _chosen_method(store), configuration.chosen_method),
    ):
        changes += _compared(
            kind,
            {} if known_one is None else {name: known_one},
            {} if wanted_one is None else {name: wanted_one},
        )
    return Plan(tuple(changes))


def configuration_import(
    *, store: Store, configuration: Configuration, digest: str, member: User | None
) -> Plan:
    """Do what the plan with this digest says, in one transaction; each change is audited.

    Raises
    ------
    ConfigurationRefused
        Somebody changed something since the plan was made, or an entry is refused; then nothing is
        changed.
    """
    try:
        with transaction.atomic():
            Store.objects.select_for_update().get(pk=store.pk)
            plan = configuration_plan(store=store, configuration=configuration)
            if plan.digest != digest:
                raise ConfigurationRefused(
                    ["Something was changed meanwhile. Look at what would happen now."]
                )
            touched = {(each.kind, each.name) for each in plan.changes if each.verb != "same"}
            segments_import(store, configuration, touched, member)
            strategies_import(store, configuration, touched, member)
            placements_import(store, configuration, touched, member)
            rules_import(store, configuration, touched, member)
            learning_import(store, configuration, touched, member)
            audit_record(
                store=store,
                actor=member,
                action="configuration.import",
                subject=f"Configuration of {configuration.store or 'a store'}",
                after={
                    verb: [f"{each.kind} {each.name}" for each in plan.of(verb)]
                    for verb in ("create", "change")
                },
            )
            settings_touch(store_id=store.pk)
    except (
        ContentWeightsRefused,
        PlacementRefused,
        RuleRefused,
        SegmentRefused,
        WeightsRefused,
    ) as error:
        raise ConfigurationRefused([str(error)]) from error
    return plan


def _compared(
    kind: str, known: Mapping[str, msgspec.Struct], wanted: Mapping[str, msgspec.Struct]
) -> Iterable[Change]:
    for name, entry in wanted.items():
        after = msgspec.to_builtins(entry)
        if name not in known:
            yield Change("create", kind, name, None, after)
        else:
            before = msgspec.to_builtins(known[name])
            yield Change("same" if before == after else "change", kind, name, before, after)
    for name in known.keys() - wanted.keys():
        yield Change("left", kind, name)


def _problems(store: Store, read: Configuration) -> list[str]:
    problems: list[str] = []
    for kind, names in (
        ("strategies", [each.key for each in read.strategies]),
        ("placements", [each.slug for each in read.placements]),
        ("segments", [each.key for each in read.segments]),
        ("rules", [each.name for each in read.rules]),
    ):
        problems += [f"{kind}: “{name}” is there twice." for name in _twice(names)]
    for n, strategy in enumerate(read.strategies):
        try:
            strategy_parse(strategy.document)
        except InvalidStrategyError as error:
            problems.append(f"strategies[{n}] “{strategy.key}”: {error}")
    for n, segment in enumerate(read.segments):
        try:
            segment_parse(segment.document)
        except InvalidSegmentError as error:
            problems.append(f"segments[{n}] “{segment.key}”: {error}")
    for n, rule in enumerate(read.rules):
        try:
            rule_parse(rule.document)
        except InvalidRuleError as error:
            problems.append(f"rules[{n}] “{rule.name}”: {error}")
    problems += _learning_problems(read)
    known = {each.key for each in read.strategies}
    known |= set(Strategy.objects.filter(store=store).values_list("key", flat=True))
    problems += [
        f"placements[{n}] “{placement.slug}”: there is no strategy “{placement.strategy}”."
        for n, placement in enumerate(read.placements)
        if placement.strategy not in known
    ]
    amounts = msgspec.json.encode((read.rules, read.segments))
    if read.currency != store.currency and b"_minor" in amounts:
        problems.append(
            f"currency: amounts are in {read.currency}, and the store sells in {store.currency}."
        )
    return problems


def _learning_problems(read: Configuration) -> list[str]:
    problems: list[str] = []
    if read.content_weights is not None:
        try:
            content_weights_check(read.content_weights.weights())
        except ContentWeightsRefused as error:
            problems.append(f"content_weights: {error}")
    chosen = read.chosen_method
    if chosen is not None and chosen.method not in METHOD_OF:
        problems.append(f"chosen_method: this Vitrine has no method “{chosen.method}”.")
    if chosen is not None and chosen.protocol not in PROTOCOL_OF:
        problems.append(f"chosen_method: the Lab has no question “{chosen.protocol}”.")
    return problems


def _twice(names: Sequence[str]) -> list[str]:
    return sorted({name for name in names if names.count(name) > 1})


def _strategies(store: Store) -> dict[str, StrategyEntry]:
    """Those that have a version, with their latest one."""
    found = {}
    for strategy in (
        Strategy.objects.filter(store=store).prefetch_related("versions").order_by("pk")
    ):
        latest = max(strategy.versions.all(), key=lambda version: version.number, default=None)
        if latest is not None:
            found[strategy.key] = StrategyEntry(
                strategy.key, strategy.name, latest.document, strategy.description
            )
    return found


def _placements(store: Store) -> dict[str, PlacementEntry]:
    placements = Placement.objects.filter(store=store).select_related("strategy_version__strategy")
    return {
        each.slug: PlacementEntry(
            slug=each.slug,
            name=each.name,
            page_type=each.page_type,
            n_products=each.n_products,
            n_minimum=each.n_minimum,
            strategy=each.strategy_version.strategy.key,
            title=each.title,
            below_minimum=each.below_minimum,
            position=each.position,
            paused=each.paused,
            title_by_locale=each.title_by_locale,
            exclude=each.exclude,
        )
        for each in placements.order_by("pk")
    }


def _segments(store: Store) -> dict[str, SegmentEntry]:
    found = Segment.objects.filter(store=store).order_by("pk")
    return {each.key: SegmentEntry(each.key, each.name, each.document) for each in found}


def _rules(store: Store) -> list[RuleEntry]:
    return [
        RuleEntry(each.name, each.document, each.note, each.starts_at, each.ends_at, each.enabled)
        for each in Rule.objects.filter(store=store).order_by("position", "pk")
    ]


def _content_weights(store: Store) -> ContentWeightsEntry | None:
    row = content_weights_row(store_id=store.pk)
    return None if row is None else ContentWeightsEntry(**weights_of(row))


def _chosen_method(store: Store) -> ChosenMethodEntry | None:
    """None too for a method that is gone: it can't be trained, so nobody could import it."""
    choice = lab_choice(store_id=store.pk)
    if choice is None or choice.method not in METHOD_OF or choice.protocol not in PROTOCOL_OF:
        return None
    return ChosenMethodEntry(choice.method, choice.protocol, choice.parameters)
