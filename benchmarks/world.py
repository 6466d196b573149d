"""The shop that is measured: 100,000 products, 2.1 million event lines, trained, with an experiment on.

It is made of the demo shop in a data folder of its own, with servers of its own (`bench` below the
data folder), so that neither the demo nor a merchant's store sees a benchmark's traffic. It is kept
between runs. What a run adds (events, shoppers, impressions) is taken away before the next one.
"""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field, replace
from datetime import datetime, timedelta
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from django.db import connection
from django.db.models import Max
from django.utils import timezone

from benchmarks.report import BenchmarkError
from catalog.models import ApiKey, Event, EventType, Product, Shopper, Store, User
from catalog.selectors.keys import publishable_key
from catalog.services.keys import api_key_create
from catalog.services.partitions import partitions_ensure
from recommender.config import programs
from recommender.config.env import PROJECT_DIR, Environment
from recommender.management.commands.up import collect_static, migrate
from recommender.models import Artifact, Experiment, Placement, Run, Strategy
from recommender.services.experiments import (
    ArmDraft,
    ExperimentDraft,
    experiment_create,
    experiment_start,
)
from recommender.services.recipes import RECIPES
from recommender.services.strategies import store_recipes_install, strategy_version_create
from recommender.serving.strategy import strategy_digest
from recommender.stores.client import valkey

VERSION = 1
STORE = "bench"
EMAIL = "bench@example.com"
N_PRODUCTS = 100_000
# Orders are moved to end in the week of the import; after two more the sessions are history.
KEEPS = timedelta(days=14)
VIEW_DAYS = 60

Say = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Built:
    """What was made, and where the facts of the world end."""

    version: int
    built_at: str
    seconds: float
    newest_received_at: str
    last_shopper_id: int
    n_products: int
    n_event_lines: int
    n_shoppers: int
    recipes: str = ""
    trained_by: str = ""


@dataclass
class World:
    """The store, ready to be measured."""

    env: Environment
    store: Store
    built: Built
    own_valkey: bool
    rng: np.random.Generator = field(default_factory=lambda: np.random.default_rng(2026))

    @cached_property
    def key(self) -> str:
        """The publishable key."""
        return publishable_key(self.store)

    @cached_property
    def secret_key(self) -> str:
        """A new secret key; older ones of benchmarks are forgotten."""
        ApiKey.objects.filter(store=self.store, kind=ApiKey.Kind.SECRET).delete()
        return api_key_create(store=self.store, kind=ApiKey.Kind.SECRET, name="Benchmark")[1]

    @cached_property
    def owner(self) -> User:
        return User.objects.get(email=EMAIL)

    @cached_property
    def shoppers(self) -> list[str]:
        """All known shoppers, the most recent first."""
        return list(
            Shopper.objects.filter(store=self.store, pk__lte=self.built.last_shopper_id)
            .order_by("-last_seen_at", "pk")
            .values_list("external_id", flat=True)
        )

    @cached_property
    def _bought(self) -> list[str]:
        """Products as often as they were bought lately: popular ones come often."""
        with connection.cursor() as cursor:
            cursor.execute(
                "SELECT product.external_id FROM catalog_event AS event"
                " JOIN catalog_product AS product ON product.id = event.product_id"
                " WHERE event.store_id = %s AND event.type = %s AND event.occurred_at > %s"
                " ORDER BY event.event_id, event.line",
                [self.store.pk, EventType.PURCHASE, self._newest - timedelta(days=90)],
            )
            return [external_id for (external_id,) in cursor.fetchall()]

    @cached_property
    def _newest(self) -> Any:
        with connection.cursor() as cursor:
            cursor.execute(
                "SELECT max(occurred_at) FROM catalog_event WHERE store_id = %s", [self.store.pk]
            )
            return cursor.fetchone()[0]

    @cached_property
    def prices(self) -> dict[str, int]:
        found = Product.objects.filter(store=self.store).values_list("external_id", "price_minor")
        return {external_id: price_minor or 0 for external_id, price_minor in found}

    @cached_property
    def categories(self) -> list[str]:
        return sorted(
            set(Product.objects.filter(store=self.store).values_list("category_path", flat=True))
            - {""}
        )

    def products(self, n: int, *, rare_share: float = 0.1) -> list[str]:
        """Draw products: mostly as often as they are bought, some from the whole catalog."""
        popular = self.rng.integers(0, len(self._bought), n)
        whole = list(self.prices)
        rare = self.rng.integers(0, len(whole), n)
        is_rare = self.rng.random(n) < rare_share
        return [whole[rare[i]] if is_rare[i] else self._bought[popular[i]] for i in range(n)]

    def known_shoppers(self, n: int) -> list[str]:
        """Draw shoppers; a few come much more often than the rest (Zipf with exponent 0.7)."""
        weights = 1.0 / np.arange(1, len(self.shoppers) + 1) ** 0.7
        rows = self.rng.choice(len(self.shoppers), n, p=weights / weights.sum())
        return [self.shoppers[row] for row in rows]


def world_ensure(env: Environment, *, rebuild: bool, own_valkey: bool, say: Say) -> World:
    """Find the world and clean it, or make it if there is none, it is old, or it is unwanted."""
    migrate()
    collect_static(env.data_dir)
    stamp = env.data_dir / "run" / "bench-world.json"
    built = _read(stamp)
    why = _why_not(built, rebuild)
    if why:
        say(f"Making the store of the benchmarks ({why}); this takes two to four minutes.")
        stamp.unlink(missing_ok=True)
        built = _build(env, say)
        say(f"Made in {built.seconds:.0f} s.")
    assert built is not None
    store = Store.objects.get(slug=STORE)
    _runs_end(store)
    if built.recipes != _recipes_digest():
        say("The usual placements have changed: installing them anew.")
        _placements(store)
        built = replace(built, recipes=_recipes_digest())
    stamp.write_text(json.dumps(asdict(built), indent=1))
    _train_missing(env, store, say)
    if built.trained_by != _training_digest():
        say("The models were trained by other code than this: --rebuild trains them anew.")
    world = World(env, store, built, own_valkey)
    world_restore(world)
    return world


def world_restore(world: World) -> None:
    """Take away what benchmarks have added, and forget the sessions."""
    store_id, built = world.store.pk, world.built
    with connection.cursor() as cursor:
        cursor.execute(
            "DELETE FROM catalog_event WHERE store_id = %s AND received_at > %s",
            [store_id, built.newest_received_at],
        )
        n_events = cursor.rowcount
        cursor.execute(
            "DELETE FROM catalog_shopper WHERE store_id = %s AND id > %s",
            [store_id, built.last_shopper_id],
        )
        for table in ("recommender_impression", "recommender_exposure", "catalog_quarantinedevent"):
            cursor.execute(f"DELETE FROM {table} WHERE store_id = %s", [store_id])
        if n_events:
            cursor.execute("VACUUM (ANALYZE) catalog_event, catalog_shopper")
        cursor.execute("CHECKPOINT")
    _runs_end(world.store)
    if world.own_valkey:
        valkey().call("FLUSHALL")
    partitions_ensure(first=timezone.now().date(), last=timezone.now().date() + timedelta(days=40))


def manage(env: Environment, *arguments: str) -> None:
    """Run a management command in a process of its own, whose memory is free again afterwards."""
    connection.close()
    finished = subprocess.run(
        [sys.executable, str(PROJECT_DIR / "manage.py"), *arguments],
        env={**os.environ, **programs.child_environ(env)},
        stdin=subprocess.DEVNULL,
        check=False,
    )
    if finished.returncode != 0:
        raise BenchmarkError(f"`manage.py {arguments[0]}` failed; see above.")


# ------------------------------------------------------------------------------------------- building


def _read(stamp: Path) -> Built | None:
    try:
        return Built(**json.loads(stamp.read_text()))
    except (OSError, ValueError, TypeError):
        return None


def _why_not(built: Built | None, rebuild: bool) -> str:
    if built is None or not Store.objects.filter(slug=STORE).exists():
        return "there is none"
    if built.version != VERSION:
        return "it is of an older version"
    if rebuild:
        return "--rebuild"
    age = timezone.now() - datetime.fromisoformat(built.built_at)
    return f"it is {age.days} days old" if age > KEEPS else ""


def _runs_end(store: Store) -> None:
    """End what a benchmark that was cut off has left: it would block the next training."""
    active = Run.objects.filter(store=store, state__in=(Run.State.QUEUED, Run.State.RUNNING))
    active.update(state=Run.State.FAILED, message="A benchmark was cut off.")


def _train_missing(env: Environment, store: Store, say: Say) -> None:
    """Train the families that the store was made without: they are newer than it."""
    serving = Artifact.objects.filter(store=store, serving=True).values_list("family", flat=True)
    missing = sorted(set(Run.Family.values) - set(serving))
    if not missing:
        return
    from recommender.services.training.execution import FAMILIES

    for family in missing:
        if family in FAMILIES:
            say(f"Training {family}, which there was not.")
            manage(env, "train", "--store", store.slug, "--family", family)


def _build(env: Environment, say: Say) -> Built:
    started = time.monotonic()
    _forget(say)
    manage(
        *(env, "demo_import", "--whole-year"),
        *("--store-slug", STORE, "--email", EMAIL, "--password", "bench-vitrine"),
    )
    store = Store.objects.get(slug=STORE)
    say("Adding products, their orders, and what was looked at")
    with connection.cursor() as cursor:
        for statement in (*_catalog_statements(), *_event_statements()):
            cursor.execute(
                statement,
                {"store": store.pk, "n_products": N_PRODUCTS, "view_days": VIEW_DAYS,
                 "purchase": EventType.PURCHASE, "view": EventType.VIEW_ITEM},
            )  # fmt: skip
    _placements(store)
    manage(env, "train", "--store", STORE)
    manage(env, "rollups", "--store", STORE)
    return _built(store, seconds=time.monotonic() - started)


def _built(store: Store, *, seconds: float) -> Built:
    with connection.cursor() as cursor:
        cursor.execute("VACUUM (ANALYZE)")
        cursor.execute(
            "SELECT count(*), max(received_at) FROM catalog_event WHERE store_id = %s", [store.pk]
        )
        n_event_lines, newest = cursor.fetchone()
    shoppers = Shopper.objects.filter(store=store)
    return Built(
        version=VERSION,
        built_at=timezone.now().isoformat(),
        seconds=seconds,
        newest_received_at=newest.isoformat(),
        last_shopper_id=shoppers.aggregate(last=Max("pk"))["last"],
        n_products=Product.objects.filter(store=store).count(),
        n_event_lines=n_event_lines,
        n_shoppers=shoppers.count(),
        recipes=_recipes_digest(),
        trained_by=_training_digest(),
    )


def _forget(say: Say) -> None:
    """Drop the world before, with the rows that no foreign key would take along."""
    store = Store.objects.filter(slug=STORE).first()
    if store is None:
        return
    say("Dropping the one before")
    with connection.cursor() as cursor:
        cursor.execute("DELETE FROM catalog_event WHERE store_id = %s", [store.pk])
        cursor.execute("DELETE FROM recommender_impression WHERE store_id = %s", [store.pk])
        cursor.execute("DELETE FROM recommender_exposure WHERE store_id = %s", [store.pk])
    Experiment.objects.filter(store=store).delete()
    Placement.objects.filter(store=store).delete()
    Strategy.objects.filter(store=store).delete()
    store.delete()


def columns(model: type[Any], **replaced: str) -> tuple[str, str]:
    """The columns of a table, and what to select for them: themselves, but for those replaced."""
    names = [each.column for each in model._meta.concrete_fields if each.column != "id"]
    unknown = replaced.keys() - set(names)
    if unknown:
        raise BenchmarkError(f"{model.__name__} has no columns {sorted(unknown)} any more.")
    return ", ".join(names), ", ".join(replaced.get(name, f"source.{name}") for name in names)


def _catalog_statements() -> Sequence[str]:
    """Everything is on the shelf, and products that sold are there again under other names."""
    names, values = columns(
        Product,
        external_id="'twin-' || source.external_id",
        title="left(source.title || (ARRAY[' twin pack', ' large', ' small', ' family size',"
        " ' organic'])[1 + abs(hashtext(source.external_id)) %% 5], 300)",
        url="source.url || '?twin'",
        price_minor="greatest(1, (source.price_minor"
        " * (80 + abs(hashtext(source.external_id)) %% 45)) / 100)",
        updated_at="now()",
    )
    return (
        (
            "UPDATE catalog_product SET hidden = false, availability = 'in_stock',"
            " price_minor = coalesce(nullif(price_minor, 0), 199), updated_at = now()"
            " WHERE store_id = %(store)s AND (hidden OR availability <> 'in_stock'"
            " OR coalesce(price_minor, 0) = 0)"
        ),
        f"""
        INSERT INTO catalog_product ({names})
        SELECT {values} FROM catalog_product AS source
        WHERE source.store_id = %(store)s AND source.id IN (
            SELECT product_id FROM catalog_event
            WHERE store_id = %(store)s AND product_id IS NOT NULL
            GROUP BY product_id HAVING count(*) >= 20
        )
        ORDER BY hashtext(source.external_id)
        LIMIT greatest(0, %(n_products)s
            - (SELECT count(*) FROM catalog_product WHERE store_id = %(store)s))
        """,
        "UPDATE catalog_store SET catalog_version = catalog_version + 1 WHERE id = %(store)s",
    )


def _event_statements() -> Sequence[str]:
    """Half of a product's order lines are also its twin's; recent lines were looked at before."""
    names, twins = columns(Event, product_id="twin.id", line="(source.line + 5000)::smallint")
    _, views = columns(
        Event,
        event_id="md5(source.event_id::text || source.line)::uuid",
        line="0::smallint",
        type="%(view)s::smallint",
        occurred_at="source.occurred_at - make_interval(mins => 2 + source.line %% 25)",
        occurred_on="((source.occurred_at - make_interval(mins => 2 + source.line %% 25))"
        " AT TIME ZONE 'UTC')::date",
        session_id="left('visit-' || source.order_id, 64)",
        order_id="NULL",
        quantity="1",
        value_minor="NULL",
        received_at="now()",
    )
    return (
        f"""
        INSERT INTO catalog_event ({names})
        SELECT {twins} FROM catalog_event AS source
        JOIN catalog_product AS product ON product.id = source.product_id
        JOIN catalog_product AS twin
          ON twin.store_id = product.store_id
         AND twin.external_id = 'twin-' || product.external_id
        WHERE source.store_id = %(store)s AND hashtext(source.event_id::text) %% 2 = 0
        """,
        f"""
        INSERT INTO catalog_event ({names})
        SELECT {views} FROM catalog_event AS source
        WHERE source.store_id = %(store)s AND source.type = %(purchase)s
          AND source.product_id IS NOT NULL
          AND source.occurred_at > (
              SELECT max(occurred_at) FROM catalog_event WHERE store_id = %(store)s
          ) - make_interval(days => %(view_days)s)
        ON CONFLICT DO NOTHING
        """,
        "ANALYZE catalog_product, catalog_event",
    )


def _placements(store: Store) -> None:
    """The usual placements; half of the shoppers see the home page's row with more variety."""
    Experiment.objects.filter(store=store).delete()
    Placement.objects.filter(store=store).delete()
    Strategy.objects.filter(store=store).delete()
    store_recipes_install(store=store)
    placement = Placement.objects.get(store=store, slug="home-for-you")
    control = placement.strategy_version
    challenger = strategy_version_create(
        strategy=control.strategy,
        document={**control.document, "diversity": 0.6},
        note="For the benchmark's experiment",
    )
    draft = ExperimentDraft(
        name="More variety on the home page",
        kind=Experiment.Kind.AB,
        hypothesis="",
        placement_ids=(placement.pk,),
        arms=(
            ArmDraft("a", "As it is", 1.0, {None: control.pk}),
            ArmDraft("b", "More variety", 1.0, {None: challenger.pk}),
        ),
    )
    experiment = experiment_create(store=store, draft=draft, actor=None)
    experiment_start(experiment=experiment, actor=None, now=timezone.now())


def _recipes_digest() -> str:
    """Changes when the placements that a new store gets do."""
    words = [f"{recipe.slug} {strategy_digest(recipe.document)}" for recipe in RECIPES]
    return hashlib.sha256("\n".join(words).encode()).hexdigest()


def _training_digest() -> str:
    """Changes when the code that trains does."""
    digest = hashlib.sha256()
    for folder in ("recommender/engine", "recommender/services/training"):
        for path in sorted((PROJECT_DIR / folder).rglob("*.py")):
            digest.update(path.read_bytes())
    return digest.hexdigest()
