"""Logging in and out, and the store to begin with."""

from __future__ import annotations

from ipaddress import IPv6Address

import pytest
from axes.models import AccessAttempt, AccessFailureLog, AccessLog
from django.test import Client, RequestFactory
from django.views.defaults import server_error
from pytest_django import Settings

from catalog.models import Member, Store, User
from recommender.config.env import from_environ
from recommender.config.programs import web
from tests.conftest import MemberClient

PASSWORD = "a-long-password"


def log_in(client: Client, email: str, password: str) -> int:
    return client.post("/console/login/", {"username": email, "password": password}).status_code


def test_a_member_of_one_store_begins_with_its_overview(
    client: Client, owner: User, store: Store
) -> None:
    assert log_in(client, " Owner@Shop.example", PASSWORD) == 302
    answer = client.get("/console/", follow=True)
    assert answer.redirect_chain == [(f"/console/{store.slug}/overview/", 302)]


def test_a_member_of_two_stores_is_asked_which(
    client: Client, owner: User, store: Store, other_store: Store
) -> None:
    Member.objects.create(store=other_store, user=owner, role=Member.Role.VIEWER)
    client.force_login(owner)
    content = client.get("/console/").content.decode()
    assert f"/console/{store.slug}/overview/" in content
    assert f"/console/{other_store.slug}/overview/" in content


def test_somebody_without_a_store_is_told_what_to_do(client: Client, store: Store) -> None:
    client.force_login(User.objects.create_user("new@shop.example", PASSWORD))
    answer = client.get("/console/")
    assert answer.status_code == 200
    content = answer.content.decode()
    assert "Ask an owner of your store for an invitation" in content
    assert store.name not in content


def test_a_wrong_password_keeps_the_address_and_says_so(client: Client, owner: User) -> None:
    answer = client.post("/console/login/", {"username": owner.email, "password": "wrong"})
    content = answer.content.decode()
    assert answer.status_code == 200
    assert 'role="alert"' in content
    assert f'value="{owner.email}"' in content
    assert "_auth_user_id" not in client.session


def test_an_unknown_address_is_answered_like_a_wrong_password(client: Client, owner: User) -> None:
    known = client.post("/console/login/", {"username": owner.email, "password": "wrong"})
    unknown = client.post("/console/login/", {"username": "no@one.example", "password": "wrong"})
    message = "This e-mail address and password don&#x27;t belong together."
    assert message in known.content.decode()
    assert message in unknown.content.decode()


def test_ten_wrong_passwords_lock_the_login_with_a_clear_word(
    client: Client, owner: User, settings: Settings
) -> None:
    settings.AXES_ENABLED = True
    for _ in range(settings.AXES_FAILURE_LIMIT):
        log_in(client, owner.email, "wrong")
    answer = client.post("/console/login/", {"username": owner.email, "password": PASSWORD})
    assert answer.status_code == 429
    assert "Login is locked for a while" in answer.content.decode()
    assert "15 min" in answer.content.decode()
    assert "_auth_user_id" not in client.session


def test_neither_a_table_nor_a_log_holds_the_address_of_who_signs_in(
    client: Client,
    owner: User,
    settings: Settings,
    caplog: pytest.LogCaptureFixture,
    capfd: pytest.CaptureFixture[str],
) -> None:
    caplog.set_level("DEBUG")
    settings.AXES_ENABLED = True
    settings.AXES_VERBOSE = True

    def sign_in(password: str, forwarded_for: str) -> int:
        form = {"username": owner.email, "password": password}
        headers = {"X-Forwarded-For": forwarded_for}
        answer = client.post("/console/login/", form, headers=headers, REMOTE_ADDR="10.0.0.1")
        return answer.status_code

    for _ in range(settings.AXES_FAILURE_LIMIT):
        sign_in("wrong", "1.1.1.1, 8.8.4.4")
    assert sign_in(PASSWORD, "1.1.1.1, 8.8.4.4") == 429
    # From elsewhere behind the same proxy it goes on, and is written down with a pseudonym, too.
    assert sign_in(PASSWORD, "8.8.8.8") == 302
    (attempt,) = AccessAttempt.objects.all()
    (entry,) = AccessLog.objects.all()
    assert IPv6Address(attempt.ip_address).is_private
    assert attempt.ip_address != entry.ip_address
    everything = " ".join(
        str(row)
        for model in (AccessAttempt, AccessLog, AccessFailureLog)
        for row in model.objects.values()
    )
    everything += caplog.text + " ".join(map(str, (record.__dict__ for record in caplog.records)))
    everything += "".join(capfd.readouterr())
    assert owner.email in everything
    for address in ("8.8.4.4", "8.8.8.8", "10.0.0.1"):
        assert address not in everything


def test_granian_writes_no_access_log() -> None:
    assert "--no-access-log" in web(from_environ({})).command


def test_logging_out_takes_a_post(client: Client, owner: User) -> None:
    client.force_login(owner)
    assert client.get("/console/logout/").status_code == 405
    assert "_auth_user_id" in client.session
    assert client.post("/console/logout/").status_code == 302
    assert "_auth_user_id" not in client.session


def test_an_address_without_a_page_says_so_in_the_shape_of_the_console(client: Client) -> None:
    answer = client.get("/console/nowhere/at/all/")
    assert answer.status_code == 404
    assert "There is nothing at this address" in answer.content.decode()


def test_the_page_of_an_error_needs_neither_request_nor_database(rf: RequestFactory) -> None:
    answer = server_error(rf.get("/console/"))
    assert answer.status_code == 500
    assert b"Something broke on our side" in answer.content


def test_a_stale_form_says_what_to_do(owner: User) -> None:
    answer = Client(enforce_csrf_checks=True).post("/console/login/", {"username": "a"})
    assert answer.status_code == 403
    assert b"This form has gone stale" in answer.content


def test_a_role_that_is_too_small_is_named(store: Store, member_client: MemberClient) -> None:
    viewer = member_client(store, Member.Role.VIEWER)
    answer = viewer.post(f"/console/{store.slug}/models/retrain/", {"family": "content"})
    assert answer.status_code == 403
    page = answer.content.decode()
    assert "Your role in Corner shop is viewer; this needs merchant or owner." in page


@pytest.mark.parametrize("target", ["https://evil.example/", "//evil.example/"])
def test_the_login_sends_nobody_to_another_site(client: Client, owner: User, target: str) -> None:
    answer = client.post(
        f"/console/login/?next={target}",
        {"username": owner.email, "password": PASSWORD, "next": target},
    )
    assert answer.headers["Location"] == "/console/"
