"""Fixtures of all tests: two stores, their people and keys, and a clean Valkey."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import redis
from django.conf import settings
from django.test import Client

from catalog.models import ApiKey, Member, Store, User
from catalog.selectors.keys import keys_forget
from catalog.services.keys import api_key_create
from catalog.services.stores import store_create
from recommender.services.impression_log import IMPRESSIONS
from recommender.services.session_rebuild import DATABASE_REST
from recommender.services.strategies import store_recipes_install
from recommender.serving.runtime import RUNTIMES
from recommender.stores.limiter import limiter_forget
from recommender.stores.session_state import OUTAGE

MemberClient = Callable[..., Client]


@pytest.fixture(scope="session", autouse=True)
def artifact_folder() -> Iterator[Path]:
    """Artifacts of this process, gone at the end."""
    folder = Path(settings.ARTIFACT_DIR)
    folder.mkdir(parents=True, exist_ok=True)
    yield folder
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(autouse=True)
def fresh_process() -> Iterator[None]:
    """Nothing that a process remembers survives a test."""
    RUNTIMES.clear()
    IMPRESSIONS.clear()
    keys_forget()
    limiter_forget()
    OUTAGE.clear()
    DATABASE_REST.end()
    yield
    RUNTIMES.clear()
    keys_forget()


@pytest.fixture
def valkey_server() -> Iterator[redis.Redis]:
    """A client of the test's Valkey database, emptied before the test."""
    client = redis.Redis.from_url(settings.REDIS_URL)
    client.flushdb()
    yield client
    client.close()


@pytest.fixture
def owner(db: None) -> User:
    return User.objects.create_user("owner@shop.example", "a-long-password")


@pytest.fixture
def store(owner: User, valkey_server: redis.Redis) -> Store:
    """The store of most tests, with its usual placements."""
    created = store_create(name="Corner shop", slug="corner", owner=owner)
    store_recipes_install(store=created)
    return created


@pytest.fixture
def other_owner(db: None) -> User:
    return User.objects.create_user("owner@other.example", "a-long-password")


@pytest.fixture
def other_store(other_owner: User, valkey_server: redis.Redis) -> Store:
    """The neighbour that must never be seen."""
    created = store_create(name="Other shop", slug="other", owner=other_owner)
    store_recipes_install(store=created)
    return created


@pytest.fixture
def publishable_key(store: Store) -> str:
    return ApiKey.objects.get(store=store, kind=ApiKey.Kind.PUBLISHABLE).publishable


@pytest.fixture
def secret_key(store: Store) -> str:
    return api_key_create(store=store, kind=ApiKey.Kind.SECRET, name="Back office")[1]


@pytest.fixture
def member_client(db: None) -> MemberClient:
    """`member_client(store, role)` is a browser of a new member with that role."""

    def make(store: Store, role: str = Member.Role.OWNER) -> Client:
        user = User.objects.create_user(f"{role}-{store.slug}@shop.example", "a-long-password")
        Member.objects.create(store=store, user=user, role=role)
        client = Client()
        client.force_login(user)
        return client

    return make
