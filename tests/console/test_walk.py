"""A walk over every address of the console, as every role, with the ids of another store.

A new address that changes something needs a line in `WRITERS`, and what to send in
tests/console/walk_forms.py; one that not everybody may read a line in `READERS`; a new parameter a
line in `VALUES` (tests/walk.py). Nothing else is kept by hand.
"""

from __future__ import annotations

from contextlib import nullcontext
from typing import Any

import pytest
from django.http import HttpResponse
from django.test import Client

from catalog.console.access import EDITORS, OWNERS, TESTERS
from catalog.models import AuditEntry, Member, Store
from tests.console.walk_forms import (
    ANSWERED,
    ECHOES,
    FORMS,
    LOG_ONLY,
    RECORDED,
    form_of,
    query_of,
)
from tests.walk import (
    METHODS,
    NO_METHOD,
    SHARED,
    UNSAFE,
    Address,
    World,
    addresses,
    browser,
    everything,
    furnished,
    methods_of,
    rows_of,
    strays,
    untouched,
    values_for,
    words_of,
)

pytestmark = pytest.mark.django_db

EVERYBODY = frozenset(Member.Role)

# Who may send something to an address that takes more than GET.
WRITERS: dict[str, frozenset[Any]] = {
    "console-events-replay": EDITORS,
    "console-weights-save": EDITORS,
    "console-similarity-save": EDITORS,
    "console-retrain": EDITORS,
    "console-lab-start": EDITORS,
    "console-lab-cancel": EDITORS,
    "console-lab-use": EDITORS,
    "console-run-confirm": EDITORS,
    "console-run-discard": EDITORS,
    "console-shopper-link": EDITORS,
    "console-shopper-unlink": EDITORS,
    "console-shopper-erase": OWNERS,
    "console-placement-new": EDITORS,
    "console-placement-edit": EDITORS,
    "console-placement-pause": EDITORS,
    "console-placement-resume": EDITORS,
    "console-strategy-new": EDITORS,
    "console-strategy-edit": EDITORS,
    "console-strategy-restore": EDITORS,
    "console-strategy-name": EDITORS,
    "console-campaign-new": EDITORS,
    "console-campaign": EDITORS,
    "console-campaign-fields": EDITORS,
    "console-campaign-move": EDITORS,
    "console-campaign-switch": EDITORS,
    "console-campaign-delete": EDITORS,
    "console-segment-new": EDITORS,
    "console-segment": EDITORS,
    "console-segment-delete": EDITORS,
    "console-configuration-look": EDITORS,
    "console-configuration-apply": EDITORS,
    "console-experiment-new": TESTERS,
    "console-experiment-edit": TESTERS,
    "console-experiment-fields": TESTERS,
    "console-experiment-delete": TESTERS,
    "console-experiment-start": TESTERS,
    "console-experiment-pause": TESTERS,
    "console-experiment-resume": TESTERS,
    "console-experiment-ramp": TESTERS,
    "console-experiment-stop": TESTERS,
    "console-experiment-decide": TESTERS,
    "console-experiment-note": TESTERS,
    "console-experiment-range": TESTERS,
    "console-experiment-group-new": TESTERS,
    "console-experiment-group-name": TESTERS,
    "console-experiment-group-delete": TESTERS,
    "console-holdout-save": TESTERS,
    "console-holdout-stop": TESTERS,
    "console-catalog-bulk": EDITORS,
    "console-import-upload": EDITORS,
    "console-import-address": EDITORS,
    "console-import-columns": EDITORS,
    "console-import-go": EDITORS,
    "console-import-answer": EDITORS,
    "console-import-cancel": EDITORS,
    "console-feed-create": EDITORS,
    "console-feed": EDITORS,
    "console-feed-run": EDITORS,
    "console-feed-columns": EDITORS,
    "console-feed-delete": EDITORS,
    "console-key-create": OWNERS,
    "console-key-revoke": OWNERS,
    "console-member-role": OWNERS,
    "console-member-remove": OWNERS,
    "console-invitation-create": OWNERS,
    "console-invitation-revoke": OWNERS,
}
# Forms that ask and change nothing, so that also those may send them who only look.
ASKING = frozenset(
    {
        "console-preview",
        "console-price-tags",
        "console-off-policy",
        "console-campaign-words",
        "console-experiment-plan",
        "console-import-preview",
        "console-picked",
    }
)
# Who may read an address that isn't for everybody.
READERS: dict[str, frozenset[Any]] = {
    "console-audit": EDITORS,
    "console-audit-export": EDITORS,
    "console-member": OWNERS,
    "console-shopper-export": OWNERS,
    "console-shopper-erase": OWNERS,
    # The forms of what only they may send.
    "console-placement-new": EDITORS,
    "console-placement-edit": EDITORS,
    "console-strategy-new": EDITORS,
    "console-strategy-edit": EDITORS,
    "console-experiment-new": TESTERS,
    "console-experiment-edit": TESTERS,
    "console-experiment-start": TESTERS,
    "console-experiment-ramp": TESTERS,
    "console-experiment-stop": TESTERS,
    "console-experiment-decide": TESTERS,
    "console-import-new": EDITORS,
    "console-import-columns": EDITORS,
    "console-feed": EDITORS,
}
# Outside of a store's pages: each is here because it has been thought about.
OUTSIDE = {
    "root",
    "healthz",
    "readyz",
    "metrics",
    "console-home",
    "console-store-new",
    "login",
    "logout",
    "invitation",
    *(f"shop:{name}" for name in (
        "home", "departments", "category", "search", "product", "cart", "cart-add", "cart-update",
        "checkout", "order", "shoppers", "shopper-switch", "tile",
    )),
}  # fmt: skip


@pytest.fixture
def ours(store: Store) -> World:
    return furnished(store)


@pytest.fixture
def theirs(other_store: Store) -> World:
    return furnished(other_store)


def send(client: Client, method: str, path: str, form: dict[str, Any] | None = None) -> Any:
    """The request as a browser sends it; a form goes with POST alone."""
    if method == "POST":
        return client.post(path, form or {})
    return client.generic(method, path)


def own_path(address: Address, world: World) -> str:
    return address.path(values_for(address, world)) + query_of(address.name, world)


def unsafe_methods(address: Address, world: World) -> frozenset[str]:
    return methods_of(address, owner_of(world), own_path(address, world)) & UNSAFE


def owner_of(world: World) -> Client:
    """A browser of the owner; the same one again, because logging in takes longer than asking."""
    if "the owner" not in world.clients:
        world.clients["the owner"] = browser(world.owner)
    return world.clients["the owner"]


# ------------------------------------------------------------------------------ another's store


def test_an_owner_of_one_store_reaches_nothing_of_another_by_any_address_and_method(
    ours: World, theirs: World
) -> None:
    client, before, wrong = browser(ours.owner), everything(), []
    for address in addresses("console"):
        ways = [values_for(address, theirs)]
        if set(address.parameters) - SHARED:
            # Their ids below the own address, and one's own ids below theirs.
            ways += [
                values_for(address, theirs, store=ours.store),
                values_for(address, ours, store=theirs.store),
            ]
        for path in (address.path(values) + query_of(address.name, theirs) for values in ways):
            answers = {
                method: send(client, method, path, form_of(address.name, theirs)).status_code
                for method in METHODS
            }
            if 404 not in answers.values() or not set(answers.values()) <= {404, 405}:
                wrong.append((path, answers))
        if everything() != before:
            wrong.append((address.route, {"it changed": differences(before)}))
            before = everything()
    assert not wrong


def test_ids_of_another_store_in_a_form_change_nothing_there(ours: World, theirs: World) -> None:
    client, before, wrong = browser(ours.owner), rows_of(theirs.store), []
    for address in addresses("console"):
        for method in unsafe_methods(address, ours):
            with untouched():
                answer = send(
                    client, method, own_path(address, ours), form_of(address.name, theirs)
                )
                said = words_of(answer)
                if rows_of(theirs.store) != before or answer.status_code >= 500:
                    wrong.append((address.name, answer.status_code))
                if links := strays():
                    wrong.append((address.name, f"ours points to theirs: {links}"))
                if theirs.store.name in said and address.name not in ECHOES:
                    wrong.append((address.name, "it names the other store"))
    assert not wrong


def differences(before: dict[str, tuple[int, str]]) -> list[str]:
    return [table for table, sums in everything().items() if sums != before[table]]


# ------------------------------------------------------------------------------------ strangers


def test_a_stranger_is_sent_to_the_login_page_and_changes_nothing(theirs: World) -> None:
    client, before, wrong = browser(), everything(), []
    for address in addresses("console"):
        path = own_path(address, theirs)
        answers = {
            method: send(client, method, path, form_of(address.name, theirs)) for method in METHODS
        }
        statuses = {method: answer.status_code for method, answer in answers.items()}
        doors = [answer for answer in answers.values() if answer.status_code == 302]
        if not doors or not set(statuses.values()) <= {302, 405}:
            wrong.append((path, statuses))
        if not all(door.headers["Location"].startswith("/console/login/") for door in doors):
            wrong.append((path, statuses))
    assert not wrong
    assert everything() == before


def test_somebody_without_a_store_finds_nothing(theirs: World, ours: World) -> None:
    """A member who was removed, with the tab still open."""
    client = ours.client(Member.Role.VIEWER)
    Member.objects.filter(user__email=f"viewer@{ours.store.slug}.example").delete()
    before = everything()
    for address in addresses("console"):
        for method in METHODS:
            path = own_path(address, ours)
            status = send(client, method, path, form_of(address.name, ours)).status_code
            assert status in (404, 405), (method, path, status)
    assert everything() == before


# ---------------------------------------------------------------------------------------- roles


def test_every_address_that_changes_something_says_who_may(ours: World) -> None:
    wrong = []
    for address in addresses("console"):
        if address.roles is None:
            wrong.append(f"{address.name}: its view isn't guarded by member_page.")
            continue
        methods = methods_of(address, owner_of(ours), own_path(address, ours))
        if NO_METHOD in methods or not methods:
            wrong.append(
                f"{address.name} doesn't say which methods it takes: put require_safe,"
                " require_POST or require_http_methods before its member_page."
            )
        if methods & UNSAFE and address.name not in WRITERS and address.name not in ASKING:
            wrong.append(
                f"{address.name} takes {', '.join(sorted(methods & UNSAFE))}: add who may to"
                " WRITERS in tests/console/test_walk.py, or to ASKING if it changes nothing."
            )
            continue
        allowed: set[Any] = set()
        if methods & UNSAFE:
            allowed |= WRITERS.get(address.name, EVERYBODY)
        if "GET" in methods:
            allowed |= READERS.get(address.name, EVERYBODY)
        if address.roles != allowed:
            wrong.append(
                f"{address.name} opens for {sorted(address.roles)}, and should for"
                f" {sorted(allowed)}: correct its member_page, or WRITERS and READERS in"
                " tests/console/test_walk.py."
            )
    names = {address.name for address in addresses("console")}
    wrong += [
        f"{name} is in a table of the walk, but there is no such address."
        for name in sorted({*WRITERS, *READERS, *FORMS, *ASKING, *RECORDED, *ANSWERED} - names)
    ]
    assert not wrong


def test_viewers_change_nothing_marketers_experiments_and_merchants_no_keys_and_no_people() -> None:
    for name, roles in WRITERS.items():
        assert Member.Role.VIEWER not in roles, name
        if not name.startswith(("console-experiment-", "console-holdout-")):
            assert Member.Role.MARKETER not in roles, name
        if any(word in name for word in ("-key", "-member", "-invitation")):
            assert roles == OWNERS, name


@pytest.mark.parametrize("role", Member.Role.values)
def test_a_role_is_refused_what_it_must_not_do_and_nothing_else(ours: World, role: str) -> None:
    client = ours.client(role)
    before, wrong = everything(), []
    for address in addresses("console"):
        path = own_path(address, ours)
        for method in methods_of(address, owner_of(ours), path) & {"GET", *UNSAFE}:
            table = READERS if method == "GET" else WRITERS
            may = role in table.get(address.name, EVERYBODY)
            writes = may and method != "GET" and address.name not in ASKING
            # What must change nothing isn't taken back: all of it is looked at in the end.
            with untouched() if writes else nullcontext():
                status = send(client, method, path, form_of(address.name, ours)).status_code
            if may and (status in (403, 404, 405) or status >= 500):
                wrong.append((method, path, status, "should be allowed"))
            if not may and status != 403:
                wrong.append((method, path, status, "should be refused"))
    assert not wrong
    assert not differences(before), "something that asks, or was refused, changed these tables"


def test_every_form_is_done_for_its_owner_and_written_down_with_who_did_it(ours: World) -> None:
    """Otherwise that the same form is refused to somebody else would prove nothing."""
    client, before, wrong = browser(ours.owner), everything(), []
    for address in addresses("console"):
        for method in unsafe_methods(address, ours):
            recorded, answered = RECORDED.get(address.name), ANSWERED.get(address.name)
            assert address.name in FORMS, (
                f"{method} {address.route}: add a form to FORMS in tests/console/walk_forms.py,"
                " one that is good enough to be done; `nothing` if the address says it all."
            )
            assert (recorded is None) != (answered is None), (
                f"{method} {address.route}: add to RECORDED in tests/console/walk_forms.py what the"
                " audit log says then, or to ANSWERED what the answer says if nothing is changed."
            )
            with untouched():
                last = AuditEntry.objects.order_by("-pk").values_list("pk", flat=True).first() or 0
                form = form_of(address.name, ours)
                answer = send(client, method, own_path(address, ours), form)
                changed = set(differences(before))
                entries = AuditEntry.objects.filter(pk__gt=last)
                said = list(entries.filter(store=ours.store).values_list("action", "actor"))
                if answered is not None:
                    done = answer.status_code == 200 and answered in words_of(answer)
                    done = done and not changed
                else:
                    done = answer.status_code in (200, 302) and (recorded, ours.owner.pk) in said
                    elsewhere = bool(changed - {"catalog_store", "catalog_auditentry"})
                    done = done and elsewhere != (address.name in LOG_ONLY)
                if not done or len(said) != entries.count():
                    wrong.append((address.name, answer.status_code, said, changed))
    assert not wrong


def test_every_form_is_refused_without_its_token(ours: World) -> None:
    client = browser(ours.owner, enforce_csrf_checks=True)
    before, n_refused = everything(), 0
    for address in [*addresses("console"), *addresses("outside")]:
        path = own_path(address, ours)
        for method in METHODS:
            if method not in UNSAFE:
                continue
            answer = send(client, method, path, form_of(address.name, ours))
            assert answer.status_code in (403, 405), (method, path, answer.status_code)
            n_refused += answer.status_code == 403
    assert n_refused >= len(WRITERS)
    assert everything() == before


# --------------------------------------------------------------------------- outside of a store


def test_every_address_outside_of_a_store_has_been_thought_about() -> None:
    assert {address.name for address in addresses("outside")} == OUTSIDE


@pytest.mark.parametrize("role", [None, Member.Role.VIEWER, Member.Role.OWNER])
def test_nothing_outside_of_the_stores_pages_reaches_into_another_store(
    ours: World, theirs: World, role: str | None
) -> None:
    client = browser() if role is None else ours.client(role)
    before = rows_of(theirs.store)
    for address in addresses("outside"):
        for method in METHODS:
            with untouched():
                answer = send(client, method, own_path(address, theirs), {"slug": "other"})
                assert answer.status_code != 500, (method, address.route)
                assert theirs.store.name not in words_of(answer), (method, address.route)
                assert rows_of(theirs.store) == before, (method, address.route)


def test_the_operators_pages_are_closed_to_owners_of_stores(ours: World) -> None:
    client, before = browser(ours.owner), everything()
    for address in addresses("admin"):
        if address.name in ("admin:login", "admin:logout", "admin:jsi18n"):
            continue
        for method in METHODS:
            answer: HttpResponse = send(client, method, own_path(address, ours))
            where = (method, address.route, answer.status_code)
            assert answer.status_code in (302, 403, 404, 405), where
            if answer.status_code == 302:
                assert "/admin/login/" in answer.headers["Location"], where
    assert everything() == before
