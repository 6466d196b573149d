"""What the walk over the console sends, and what comes of it where it may be sent.

Each form is good enough to be done for an owner in the store that it was made for: only so does it
prove something that the same form is refused to others. `RECORDED` and `ANSWERED` say how to tell
that it was done, and an address that changes something stands in one of them.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from urllib.parse import urlencode

import msgspec
from django.core.files.uploadedfile import SimpleUploadedFile

from recommender.services.configuration import (
    configuration_export,
    configuration_plan,
    configuration_read,
)
from tests.walk import World

Form = dict[str, Any]

PLACEMENT: Form = {
    "name": "Stolen",
    "title": "Stolen",
    "page_type": "home",
    "n_products": "5",
    "n_minimum": "1",
    "below_minimum": "fill",
    "position": "0",
}
STRATEGY: Form = {"source-trending": "70", "source-bestsellers": "30", "diversity": "20"}


def _rule(world: World) -> Form:
    return {
        "name": "Stolen",
        "action": "exclude",
        "when": "placements",
        "placements": [world.placement.slug],
        "meant": "product_ids",
        "product_ids": "\n".join(product.external_id for product in world.shop.products),
    }


def _experiment_range(world: World) -> Form:
    """The one day on which the test of the walk began."""
    day = world.tests.running.started_at
    assert day is not None
    return {"first": f"{day:%Y-%m-%d}", "last": f"{day:%Y-%m-%d}"}


def _experiment(world: World) -> Form:
    """A test of the strategy that everybody has against the store's own."""
    placement, shown = world.placement, world.shop.placement.strategy_version_id
    return {
        "name": "Stolen",
        "kind": "ab",
        "placements": [str(placement.pk)],
        "arm": ["a", "b"],
        "arm_name-a": "Control",
        "arm_weight-a": "1",
        "arm_name-b": "Stolen",
        "arm_weight-b": "1",
        f"arm_version-b-{placement.pk}": str(shown),
        "coverage": "100",
        "primary_metric": "conversion_rate",
        "smallest_lift": "5",
        "planned_days": "14",
    }


def _configuration(world: World) -> bytes:
    """The store's own configuration with its placement under another name."""
    exported = msgspec.json.decode(configuration_export(store=world.store))
    for placement in exported["placements"]:
        if placement["slug"] == world.placement.slug:
            placement["name"] = "Stolen"
    return msgspec.json.encode(exported)


def _configuration_to_apply(world: World) -> Form:
    raw = _configuration(world)
    read = configuration_read(store=world.store, raw=raw)
    plan = configuration_plan(store=world.store, configuration=read)
    return {"configuration": raw.decode(), "digest": plan.digest}


def _feed(world: World) -> SimpleUploadedFile:
    lines = ["id,title,price", *(f"{p.external_id},Stolen,0.01" for p in world.shop.products)]
    return SimpleUploadedFile("feed.csv", "\n".join(lines).encode())


def nothing(_: World) -> Form:
    """The address says it all."""
    return {}


FORMS: dict[str, Callable[[World], Form]] = {
    "console-placement-new": lambda world: {
        **PLACEMENT,
        "slug": "brand-new",
        "strategy": world.version.pk,
    },
    "console-placement-edit": lambda world: {**PLACEMENT, "strategy": world.version.pk},
    "console-placement-pause": nothing,
    "console-placement-resume": nothing,
    "console-strategy-new": lambda _: {**STRATEGY, "name": "Stolen"},
    "console-strategy-edit": lambda world: {
        **STRATEGY,
        "base": world.strategy.versions.count(),
        "note": "Stolen",
        "placements": [world.placement.slug],
    },
    "console-strategy-restore": lambda world: {"number": str(world.version.number)},
    "console-strategy-name": lambda _: {"name": "Stolen"},
    "console-campaign-new": _rule,
    "console-campaign": _rule,
    "console-campaign-fields": lambda world: {**_rule(world), "add_meant": "brands"},
    "console-campaign-words": _rule,
    "console-campaign-move": lambda _: {"up": "1"},
    "console-campaign-switch": nothing,
    "console-campaign-delete": nothing,
    "console-segment-new": lambda _: {"name": "New", "kind": "new", "days": "3"},
    "console-segment": lambda _: {"name": "Newer", "kind": "new", "days": "3"},
    "console-segment-delete": nothing,
    "console-configuration-look": lambda world: {
        "file": SimpleUploadedFile("configuration.json", _configuration(world))
    },
    "console-configuration-apply": _configuration_to_apply,
    "console-experiment-new": _experiment,
    "console-experiment-edit": _experiment,
    "console-experiment-plan": _experiment,
    "console-experiment-fields": lambda world: {**_experiment(world), "change": "add_arm"},
    "console-experiment-delete": nothing,
    "console-experiment-start": nothing,
    "console-experiment-pause": nothing,
    "console-experiment-resume": nothing,
    "console-experiment-ramp": lambda _: {"coverage": "50", "weight-a": "1", "weight-b": "1"},
    "console-experiment-stop": nothing,
    "console-experiment-decide": lambda _: {"choice": "keep", "reason": "Stolen"},
    "console-experiment-note": lambda _: {"note": "Stolen"},
    "console-experiment-range": _experiment_range,
    "console-experiment-group-new": lambda _: {"name": "Stolen"},
    "console-experiment-group-name": lambda _: {"name": "Stolen"},
    "console-experiment-group-delete": nothing,
    "console-holdout-save": lambda world: {"share": "15", "was": str(world.tests.holdout.pk)},
    "console-holdout-stop": nothing,
    "console-preview": lambda world: {
        **STRATEGY,
        "preview_placement": world.placement.slug,
        "preview_shopper": world.shop.shoppers[0].external_id,
    },
    "console-price-tags": lambda _: STRATEGY,
    "console-off-policy": lambda world: {
        "placement": world.placement.slug,
        "version": world.placement.strategy_version_id,
    },
    "console-events-replay": lambda world: {"id": str(world.quarantined.pk)},
    "console-weights-save": lambda _: {"restore": "1"},
    "console-similarity-save": lambda _: {"text": "50", "attributes": "20", "own_vectors": "0"},
    "console-retrain": lambda _: {"family": "content"},
    "console-lab-start": lambda _: {
        "protocol": "next-purchases",
        "methods": ["bestsellers"],
        "minutes": "1",
    },
    "console-lab-cancel": nothing,
    "console-lab-use": lambda _: {"method": "bestsellers"},
    "console-run-confirm": nothing,
    "console-run-discard": nothing,
    "console-shopper-link": lambda world: {"customer_id": world.shop.shoppers[0].external_id},
    "console-shopper-erase": lambda _: {},
    "console-shopper-unlink": lambda world: {"back": str(world.shop.shoppers[0].pk)},
    "console-catalog-bulk": lambda world: {
        "action": "hide",
        "product": [str(product.pk) for product in world.shop.products],
        "confirmed": "1",
    },
    "console-import-upload": lambda world: {"file": _feed(world)},
    "console-import-address": lambda _: {"url": "https://feeds.example/all.csv"},
    "console-import-columns": lambda _: {"field-id": "id", "field-title": "title"},
    "console-picked": lambda world: {"chosen": world.shop.products[0].external_id},
    "console-import-preview": lambda _: {"field-id": "id", "field-title": "title"},
    "console-import-go": nothing,
    "console-import-answer": lambda _: {"decision": "keep"},
    "console-import-cancel": nothing,
    "console-feed-create": lambda _: {"every": "day"},
    "console-feed": lambda _: {
        "name": "Feed",
        "url": "https://feeds.example/b.csv",
        "every": "day",
    },
    "console-feed-run": nothing,
    "console-feed-columns": nothing,
    "console-feed-delete": nothing,
    "console-key-create": lambda _: {"kind": "sk", "name": "Stolen"},
    "console-key-revoke": nothing,
    "console-member-role": lambda _: {"role": "owner"},
    "console-member-remove": nothing,
    "console-invitation-create": lambda _: {"role": "owner", "note": "Stolen"},
    "console-invitation-revoke": nothing,
}
# What a form says in its address: which editor it stands beside.
QUERIES: dict[str, Callable[[World], Form]] = {
    "console-preview": lambda world: {"kind": "strategy", "subject": world.strategy.pk},
    "console-price-tags": lambda world: {"kind": "strategy", "subject": world.strategy.pk},
}
# What the audit log says when it was done.
RECORDED: dict[str, str] = {
    "console-placement-new": "placement.create",
    "console-placement-edit": "placement.edit",
    "console-placement-pause": "placement.pause",
    "console-placement-resume": "placement.resume",
    "console-strategy-new": "strategy.create",
    "console-strategy-edit": "strategy.edit",
    "console-strategy-restore": "strategy.restore",
    "console-strategy-name": "strategy.rename",
    "console-campaign-new": "rule.create",
    "console-campaign": "rule.edit",
    "console-campaign-move": "rule.move",
    "console-campaign-switch": "rule.disable",
    "console-campaign-delete": "rule.delete",
    "console-segment-new": "segment.create",
    "console-segment": "segment.edit",
    "console-segment-delete": "segment.delete",
    "console-configuration-apply": "configuration.import",
    "console-experiment-new": "experiment.create",
    "console-experiment-edit": "experiment.edit",
    "console-experiment-delete": "experiment.delete",
    "console-experiment-start": "experiment.start",
    "console-experiment-pause": "experiment.pause",
    "console-experiment-resume": "experiment.resume",
    "console-experiment-ramp": "experiment.ramp",
    "console-experiment-stop": "experiment.stop",
    "console-experiment-decide": "experiment.decide",
    "console-experiment-note": "experiment.note",
    "console-experiment-range": "experiment.range",
    "console-experiment-group-new": "exclusion_group.create",
    "console-experiment-group-name": "exclusion_group.rename",
    "console-experiment-group-delete": "exclusion_group.delete",
    "console-holdout-save": "holdout.change",
    "console-holdout-stop": "holdout.stop",
    "console-events-replay": "quarantine.replay",
    "console-weights-save": "event_weights.save",
    "console-similarity-save": "content_weights.save",
    "console-retrain": "model.retrain",
    "console-lab-start": "lab.start",
    "console-lab-cancel": "lab.cancel",
    "console-lab-use": "strategy.create",
    "console-run-confirm": "model.confirm",
    "console-run-discard": "model.discard",
    "console-shopper-erase": "shopper.erase",
    "console-shopper-link": "shopper.link",
    "console-shopper-unlink": "shopper.unlink",
    "console-catalog-bulk": "product.hide",
    "console-import-upload": "import.create",
    "console-import-address": "import.create",
    "console-import-columns": "import.check",
    "console-import-go": "import.start",
    "console-import-answer": "import.answer",
    "console-import-cancel": "import.cancel",
    "console-feed-create": "feed.create",
    "console-feed": "feed.edit",
    "console-feed-run": "import.create",
    "console-feed-columns": "import.create",
    "console-feed-delete": "feed.delete",
    "console-key-create": "key.create",
    "console-key-revoke": "key.revoke",
    "console-member-role": "member.role",
    "console-member-remove": "member.remove",
    "console-invitation-create": "invitation.create",
    "console-invitation-revoke": "invitation.revoke",
}
# What changes nothing but the log itself.
LOG_ONLY = frozenset({"console-experiment-note"})
# What the answer says where nothing is changed by it.
ANSWERED: dict[str, str] = {
    "console-campaign-fields": "Brand",
    "console-campaign-words": "never show",
    "console-configuration-look": "What the file would do",
    "console-experiment-plan": "Not enough data for a plan",
    "console-experiment-fields": "Variant C",
    "console-preview": "With your edit",
    "console-price-tags": "Nobody asked for",
    "console-off-policy": "What the log says",
    "console-picked": "mug 0",
    "console-import-preview": "Stolen",
}
# They show a member what the member sent, whatever it names.
ECHOES = frozenset({"console-configuration-look", "console-picked"})


def form_of(name: str, world: World) -> Form:
    """The form of an address, made for `world`, for whatever store it is sent to."""
    form = FORMS.get(name)
    return {} if form is None else form(world)


def query_of(name: str, world: World) -> str:
    """The part of the address from the question mark on; mostly there is none."""
    query = QUERIES.get(name)
    return "" if query is None else f"?{urlencode(query(world))}"
