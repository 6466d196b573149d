"""Every address of the project, as the resolver knows it, and how to fill its parameters.

Nothing here is a list of addresses. What a new address may need is an entry in one of three tables,
and the walks (`tests/console/test_walk.py`, `tests/api/test_walk.py`) say which: here in `VALUES`
how to fill a parameter; there who may send what.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, cast

from django.apps import apps
from django.db import connection, models, transaction
from django.http import HttpResponse
from django.test import Client
from django.urls import URLPattern, URLResolver, get_resolver
from django.urls.resolvers import RegexPattern, RoutePattern
from django.utils import timezone

from analytics.services.off_policy import off_policy_start
from catalog.models import (
    ApiKey,
    EventType,
    FeedFormat,
    ImportProblem,
    Invitation,
    Member,
    ProductFeed,
    ProductImport,
    QuarantinedEvent,
    Store,
    User,
)
from catalog.services.feed_files import feed_keep
from catalog.services.feed_imports import import_look
from catalog.services.invitations import invitation_create
from recommender.models import (
    EventWeights,
    ExclusionGroup,
    Experiment,
    LabRun,
    Placement,
    Rule,
    Segment,
    Strategy,
    StrategyVersion,
)
from recommender.services.preview import PlacementEdit
from recommender.services.price_tag import price_tag_start
from recommender.services.recipes import RECIPES
from recommender.services.strategies import strategy_version_create
from tests.console.conftest import Shop, furnish
from tests.console.results_fixture import keep, make_results
from tests.factories import make_event, make_experiment, make_shopper

METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")
UNSAFE = frozenset({"POST", "PUT", "PATCH", "DELETE"})
# A view that looks at the method answers it with 405 and the methods it takes.
NO_METHOD = "BREW"
OWN_APPS = ("catalog", "recommender", "analytics")


# ----------------------------------------------------------------------------------- addresses


@dataclass(frozen=True, slots=True)
class Address:
    """One pattern of the resolver. `name` has its namespace; `parameters` are in order."""

    name: str
    parts: tuple[RoutePattern | RegexPattern, ...]
    view: Callable[..., Any]

    @property
    def route(self) -> str:
        return "/" + "".join(str(part) for part in self.parts)

    @property
    def parameters(self) -> tuple[str, ...]:
        found: list[str] = []
        for part in self.parts:
            if isinstance(part, RoutePattern):
                found += part.converters
            else:
                found += part.regex.groupindex
        return tuple(found)

    @property
    def area(self) -> str:
        """console: the pages of a store; api; admin; outside: everything else."""
        if "store" in self.parameters:
            return "console"
        first = self.route.split("/")[1]
        return {"v1": "api", "admin": "admin"}.get(first, "outside")

    @property
    def roles(self) -> frozenset[str] | None:
        """The roles that `member_page` lets in; None for a view that nobody guards with it."""
        return cast("frozenset[str] | None", getattr(self.view, "member_roles", None))

    def path(self, values: dict[str, str]) -> str:
        text = ""
        for part in self.parts:
            piece = str(part)
            if isinstance(part, RegexPattern):
                piece = re.sub(r"\(\?P<(\w+)>[^)]*\)", r"<\1>", piece).strip("^$")
            text += re.sub(r"<(?:[^<>:]+:)?(\w+)>", lambda match: values[match[1]], piece)
        return f"/{text}"


def addresses(area: str) -> list[Address]:
    found = [address for address in _walk(get_resolver(), (), ()) if address.area == area]
    assert found, area
    return found


def _walk(
    resolver: URLResolver, spaces: tuple[str, ...], parts: tuple[RoutePattern | RegexPattern, ...]
) -> Iterator[Address]:
    for pattern in resolver.url_patterns:
        here = (*parts, cast("RoutePattern | RegexPattern", pattern.pattern))
        if isinstance(pattern, URLResolver):
            inner = (*spaces, pattern.namespace) if pattern.namespace else spaces
            yield from _walk(pattern, inner, here)
        else:
            assert isinstance(pattern, URLPattern)
            yield Address(":".join((*spaces, pattern.name or "")), here, pattern.callback)


# ------------------------------------------------------------------------------------- a store


@dataclass(frozen=True, slots=True)
class World:
    """A store with one of everything that an address can name, called as nothing elsewhere is."""

    store: Store
    shop: Shop
    owner: User
    second: Member
    key: ApiKey
    invitation: Invitation
    placement: Placement
    strategy: Strategy
    version: StrategyVersion
    rule: Rule
    segment: Segment
    feed: ProductFeed
    product_import: ProductImport
    quarantined: QuarantinedEvent
    price_tag: str
    off_policy: str
    paused: Placement
    asking: ProductImport
    tests: Tests
    lab: LabRun
    comparing: LabRun
    clients: dict[str, Client] = field(default_factory=dict)

    def client(self, role: str) -> Client:
        """A browser of a member with this role."""
        if role not in self.clients:
            user = User.objects.create_user(f"{role}@{self.store.slug}.example", "a-long-password")
            Member.objects.create(store=self.store, user=user, role=role)
            self.clients[role] = browser(user)
        return self.clients[role]


@dataclass(frozen=True, slots=True)
class Tests:
    """Experiments of a store in each state, a hold-out, and an empty exclusion group."""

    draft: Experiment
    running: Experiment
    paused: Experiment
    holdout: Experiment
    group: ExclusionGroup


def browser(user: User | None = None, **options: Any) -> Client:
    """A client that takes a crash for the answer 500, as a browser does."""
    client = Client(raise_request_exception=False, **options)
    if user is not None:
        client.force_login(user)
    return client


def furnished(store: Store) -> World:
    """Put one of everything into a store."""
    shop, slug, now = furnish(store), store.slug, timezone.now()
    owner = User.objects.get(memberships__store=store, memberships__role=Member.Role.OWNER)
    second = Member.objects.create(
        store=store,
        user=User.objects.create_user(f"second@{slug}.example", "a-long-password"),
        role=Member.Role.MERCHANT,
    )
    strategy = Strategy.objects.create(store=store, key=f"{slug}-only", name=f"{store.name} only")
    version = strategy_version_create(
        strategy=strategy, document=shop.placement.strategy_version.document
    )
    placement = Placement.objects.create(
        store=store,
        slug=f"{slug}-only",
        name=f"{store.name} only",
        page_type=Placement.PageType.HOME,
        strategy_version=version,
    )
    # An older version is restored with a newer one behind it.
    strategy_version_create(strategy=strategy, document=NEWER)
    feed = ProductFeed.objects.create(
        store=store,
        name=slug,
        url="https://feeds.example/a.csv",
        format=FeedFormat.CSV,
        mapping={"id": "id", "title": "title"},
    )
    product_import = ProductImport.objects.create(
        store=store, feed=feed, origin=ProductImport.Origin.URL, name=slug, url=feed.url, n_errors=1
    )
    feed_keep(product_import=product_import, chunks=[b"id,title\n1,Stolen\n"])
    import_look(product_import=product_import)
    ImportProblem.objects.create(product_import=product_import, line=2, reason="No title")
    EventWeights.objects.create(store=store, weights={"view_item": 0.2})
    make_event(
        store,
        make_shopper(store, f"{slug}-alone"),
        shop.products[1],
        type=EventType.ADD_TO_CART,
        at=now - timedelta(minutes=3),
    )
    return World(
        store=store,
        shop=shop,
        owner=owner,
        second=second,
        key=ApiKey.objects.filter(store=store).latest("pk"),
        invitation=invitation_create(store=store, role="viewer", note=slug, actor=owner)[0],
        placement=placement,
        strategy=strategy,
        version=version,
        rule=_last_rule(store),
        segment=Segment.objects.create(
            store=store, key=f"{slug}-only", name=slug, document=SEGMENT
        ),
        feed=feed,
        product_import=product_import,
        quarantined=QuarantinedEvent.objects.create(
            store=store, code="unknown_type", message="No such type", payload={"type": slug}
        ),
        price_tag=price_tag_start(
            store=store,
            placements=[placement],
            edit=PlacementEdit(values={"n_products": 1}),
            now=now,
        ).token,
        off_policy=off_policy_start(placement=placement, version=version, now=now).token,
        paused=Placement.objects.create(
            store=store,
            slug=f"{slug}-paused",
            name=f"{store.name} paused",
            page_type=Placement.PageType.HOME,
            strategy_version=version,
            paused=True,
        ),
        asking=ProductImport.objects.create(
            store=store,
            origin=ProductImport.Origin.URL,
            name=slug,
            url=feed.url,
            state=ProductImport.State.ASKING,
        ),
        tests=_tests(store, placement, shop.placement, version),
        lab=LabRun.objects.create(
            store=store, state=LabRun.State.DONE, settings=LAB, document=LAB_DOCUMENT
        ),
        # Can be cancelled, and is no reason not to start another one: its process has died.
        comparing=LabRun.objects.create(
            store=store,
            state=LabRun.State.RUNNING,
            settings=LAB,
            heartbeat_at=now - timedelta(hours=1),
        ),
    )


def _tests(store: Store, placement: Placement, other: Placement, version: StrategyVersion) -> Tests:
    """On two placements, so that the draft can be started; nobody is held out in fact."""
    state, slug = Experiment.State, store.slug
    arms = [None, version]
    running = make_experiment(store, [other], arms, key=f"{slug}-running")
    keep(running, make_results(running))
    return Tests(
        draft=make_experiment(store, [placement], arms, state=state.DRAFT, key=f"{slug}-draft"),
        running=running,
        paused=make_experiment(store, [other], arms, state=state.PAUSED, key=f"{slug}-paused"),
        holdout=make_experiment(
            store, kind=Experiment.Kind.HOLDOUT, weights=[0.001, 0.999], key=f"{slug}-hold-out"
        ),
        group=ExclusionGroup.objects.create(store=store, name=f"{slug} group", seed=slug),
    )


def _last_rule(store: Store) -> Rule:
    """The last of two, so that it can be moved up."""
    Rule.objects.create(store=store, name=f"{store.slug} first", document=RULE, position=0)
    return Rule.objects.create(store=store, name=store.slug, document=RULE, position=1)


NEWER: dict[str, Any] = {"sources": [{"source": "new_arrivals", "weight": 1}]}
RULE: dict[str, Any] = {
    "action": {"type": "exclude"},
    "target": {"product_ids": ["nothing"]},
    "condition": {},
}
SEGMENT: dict[str, Any] = {"type": "new", "days": 1}
LAB: dict[str, Any] = {"protocol": "next-purchases", "methods": [], "minutes": 1, "seed": 1}
LAB_DOCUMENT: dict[str, Any] = {
    "board": {
        "rows": [
            {
                "key": "bestsellers",
                "title": "Popularity, decayed",
                "family": "popularity",
                "source": "bestsellers",
                "parameters": {},
                "metrics": {"recall@20": {"value": 0.5, "low": 0.4, "high": 0.6}},
                "metrics_without_repeats": {},
                "fit_s": 0.1,
                "peak_mb": 1.0,
                "query_us": {"p50": 9.0, "p99": 20.0},
                "missing": None,
                "n_queries": 9,
                "tried": 0,
            }
        ]
    }
}

# What these say is the same in all stores: with them there is nothing of another to ask for.
SHARED = frozenset({"store", "recipe", "kind", "dimension", "table", "source"})

# How to fill a parameter: by its name alone, or by the name of the address and its own.
VALUES: dict[str | tuple[str, str], Callable[[World], object]] = {
    "store": lambda world: world.store.slug,
    "product_id": lambda world: world.shop.products[0].pk,
    "shopper_id": lambda world: world.shop.shoppers[1].pk,
    **{
        (address, "shopper_id"): lambda world: world.shop.shoppers[1].external_id
        for address in ("v1-shopper", "v1-shopper-export")
    },
    "run_id": lambda world: world.shop.held.pk,
    "lab_id": lambda world: world.lab.pk,
    ("console-lab-cancel", "lab_id"): lambda world: world.comparing.pk,
    "key_id": lambda world: world.key.pk,
    "member_id": lambda world: world.second.pk,
    "invitation_id": lambda world: world.invitation.pk,
    "slug": lambda world: world.placement.slug,
    "rule_id": lambda world: world.rule.pk,
    "segment_id": lambda world: world.segment.pk,
    "feed_id": lambda world: world.feed.pk,
    "import_id": lambda world: world.product_import.pk,
    "strategy_id": lambda world: world.strategy.pk,
    "key": lambda world: world.strategy.key,
    ("console-price-tag", "token"): lambda world: world.price_tag,
    ("console-off-policy-run", "token"): lambda world: world.off_policy,
    # What can be resumed is paused, and what is answered has asked.
    ("console-placement-resume", "slug"): lambda world: world.paused.slug,
    ("console-import-answer", "import_id"): lambda world: world.asking.pk,
    ("console-import-cancel", "import_id"): lambda world: world.asking.pk,
    "group_id": lambda world: world.tests.group.pk,
    **{
        (f"console-experiment{page}", "key"): lambda world: world.tests.running.key
        for page in (
            "",
            "-setup",
            "-links",
            "-history",
            "-pause",
            "-ramp",
            "-stop",
            "-decide",
            "-fresh",
            "-csv",
            "-json",
            "-note",
            "-range",
        )
    },
    **{
        (f"console-experiment-{page}", "key"): lambda world: world.tests.draft.key
        for page in ("edit", "delete", "start")
    },
    ("console-experiment-resume", "key"): lambda world: world.tests.paused.key,
    "recipe": lambda _: RECIPES[0].slug,
    "kind": lambda _: "product",
    "dimension": lambda _: "placement",
    "table": lambda _: "days",
    "source": lambda _: "also_viewed",
    "version_id": lambda world: world.version.pk,
    # The API speaks of the merchant's own ids.
    "external_id": lambda world: world.shop.products[0].external_id,
    ("v1-experiment-results", "key"): lambda world: world.tests.running.key,
    ("v1-shopper-link", "shopper_id"): lambda world: world.shop.shoppers[1].external_id,
    # The token opens the door by itself, so that a walk has a wrong one.
    ("invitation", "token"): lambda _: "a-token-that-nobody-was-given",
    # The demo shop: no store of the walks is one.
    ("shop:category", "slug_path"): lambda _: "mugs",
    ("shop:order", "order_id"): lambda _: "order-1",
    # The operator's pages.
    "object_id": lambda world: world.store.pk,
    "content_type_id": lambda _: 1,
    "app_label": lambda _: "catalog",
    "url": lambda _: "nowhere",
}


def values_for(address: Address, world: World, *, store: Store | None = None) -> dict[str, str]:
    """A value for each parameter, out of `world`; the store may be another one."""
    values = {}
    for parameter in address.parameters:
        value = VALUES.get((address.name, parameter)) or VALUES.get(parameter)
        assert value is not None, (
            f"{address.name or address.route} has a parameter <{parameter}> that the walk can't"
            " fill: add it to VALUES in tests/walk.py, with an id that only one store has."
        )
        values[parameter] = str(value(world))
    if store is not None:
        values["store"] = store.slug
    return values


# What views answered: it is the same in every store, and a walk asks for it again and again.
_METHODS: dict[str, frozenset[str]] = {}


def methods_of(address: Address, client: Client, path: str) -> frozenset[str]:
    """The methods that a view says it takes, asked with one that doesn't exist. Asked once.

    A view that doesn't look takes that one, too: `NO_METHOD` is among the answer then.
    """
    if address.route not in _METHODS:
        with untouched():
            answer = client.generic(NO_METHOD, path)
        if answer.status_code == 404:
            return frozenset()
        methods = {"GET", "POST", NO_METHOD}
        if answer.status_code == 405:
            methods = {method.strip() for method in answer.headers["Allow"].split(",")}
        _METHODS[address.route] = frozenset(methods)
    return _METHODS[address.route]


class untouched:  # noqa: N801  # reads as a word: with untouched()
    """Whatever is written inside is taken back at the end."""

    def __enter__(self) -> None:
        self._atomic = transaction.atomic()
        self._atomic.__enter__()

    def __exit__(self, *exception: Any) -> None:
        transaction.set_rollback(True)
        self._atomic.__exit__(*exception)


def words_of(answer: HttpResponse) -> str:
    """The whole answer, streamed or not."""
    content = b"".join(answer) if answer.streaming else answer.content
    return content.decode("utf-8", "replace")


# --------------------------------------------------------------------------------------- facts


def everything() -> dict[str, tuple[int, str]]:
    """Number of rows and a checksum of every table of ours."""
    return _sums({model._meta.db_table: "true" for model in _models()})


def rows_of(store: Store) -> dict[str, tuple[int, str]]:
    """Number and checksum of the rows of one store in every table of ours."""
    return _sums({model._meta.db_table: _belongs(model, store.pk) for model in _models()})


def strays() -> list[str]:
    """Links from a row of one store to a row of another, as "table.column"."""
    parts = []
    for model in _models():
        for link in model._meta.get_fields():
            if not isinstance(link, models.ForeignKey):
                continue
            names = [
                {f.name for f in each._meta.get_fields()} for each in (model, link.related_model)
            ]
            if link.related_model is not Store and all("store" in each for each in names):
                table, other = model._meta.db_table, link.related_model._meta.db_table
                parts.append(
                    f"SELECT '{table}.{link.column}' WHERE EXISTS (SELECT 1 FROM {table} t"
                    f" JOIN {other} o ON o.id = t.{link.column} WHERE o.store_id <> t.store_id)"
                )
    with connection.cursor() as cursor:
        cursor.execute(" UNION ALL ".join(parts))
        return [row[0] for row in cursor.fetchall()]


def _models() -> list[type[models.Model]]:
    return [model for app in OWN_APPS for model in apps.get_app_config(app).get_models()]


def _belongs(model: type[models.Model], store_id: int) -> str:
    """The condition for a row `t` of a model to be the store's, by the shortest way."""
    if model is Store:
        return f"t.id = {store_id}"
    if model is User:
        return f"t.id IN (SELECT user_id FROM catalog_member WHERE store_id = {store_id})"
    links = [
        field
        for field in model._meta.get_fields()
        if isinstance(field, models.ForeignKey) and field.related_model is not User
    ]
    for link in links:
        if link.related_model is Store:
            return f"t.{link.column} = {store_id}"
    for link in links:
        related = link.related_model
        inner = _belongs(related, store_id)
        return f"t.{link.column} IN (SELECT t.id FROM {related._meta.db_table} t WHERE {inner})"
    raise AssertionError(f"{model.__name__} belongs to no store: the design wants it to.")


def _sums(conditions: dict[str, str]) -> dict[str, tuple[int, str]]:
    # When somebody logged in last is no fact of a store.
    parts = [
        f"SELECT '{table}', count(*), coalesce(md5(string_agg(row, '|' ORDER BY row)), '')"
        f" FROM (SELECT (to_jsonb(t) - 'last_login')::text AS row FROM {table} t"
        f" WHERE {condition}) rows"
        for table, condition in conditions.items()
    ]
    with connection.cursor() as cursor:
        cursor.execute(" UNION ALL ".join(parts))
        return {table: (count, checksum) for table, count, checksum in cursor.fetchall()}
