"""`GET /v1/experiments/{key}/results`."""

from __future__ import annotations

import json

import jsonschema  # type: ignore[import-untyped]
import pytest
from django.test import Client

from analytics.results.document import results_read
from catalog.models import Store
from tests.console.results_fixture import keep, make_experiment, make_results

pytestmark = pytest.mark.django_db


def ask(client: Client, key: object, secret: str) -> tuple[int, dict[str, object]]:
    answer = client.get(
        f"/v1/experiments/{key}/results", headers={"Authorization": f"Bearer {secret}"}
    )
    return answer.status_code, answer.json()


def test_by_key_and_by_id_it_answers_the_documents_numbers(
    client: Client, store: Store, secret_key: str
) -> None:
    experiment = make_experiment(store)
    results = make_results(experiment)
    keep(experiment, results)
    for name in (experiment.key, experiment.pk):
        status, document = ask(client, name, secret_key)
        assert status == 200
        assert results_read(document) == results


def test_a_key_wins_over_an_id_that_looks_the_same(
    client: Client, store: Store, secret_key: str
) -> None:
    first = make_experiment(store)
    keep(first, make_results(first))
    named = make_experiment(store, key=str(first.pk))
    keep(named, make_results(named))
    assert ask(client, first.pk, secret_key)[1]["experiment_id"] == named.pk


def test_another_stores_experiment_is_not_found(
    client: Client, store: Store, other_store: Store, secret_key: str
) -> None:
    theirs = make_experiment(other_store)
    keep(theirs, make_results(theirs))
    for name in (theirs.key, theirs.pk, "nothing", "9" * 25):
        status, body = ask(client, name, secret_key)
        assert (status, body["error"]["code"]) == (404, "not_found")  # type: ignore[index]


def test_before_the_first_results_it_says_so(client: Client, store: Store, secret_key: str) -> None:
    status, body = ask(client, make_experiment(store).key, secret_key)
    assert status == 404
    assert "no results yet" in body["error"]["message"]  # type: ignore[index]


def test_a_publishable_key_is_refused(client: Client, store: Store, publishable_key: str) -> None:
    status, body = ask(client, make_experiment(store).key, publishable_key)
    assert (status, body["error"]["code"]) == (403, "secret_key_required")  # type: ignore[index]


def test_the_answer_is_as_the_openapi_document_says(
    client: Client, store: Store, secret_key: str
) -> None:
    described = json.loads(client.get("/v1/openapi.json").content)
    operation = described["paths"]["/v1/experiments/{key}/results"]["get"]
    schema = operation["responses"]["200"]["content"]["application/json"]["schema"]
    assert "headline" in schema["properties"]
    experiment = make_experiment(store)
    keep(experiment, make_results(experiment))
    validator = jsonschema.Draft202012Validator(schema)
    validator.validate(ask(client, experiment.key, secret_key)[1])
    assert list(validator.iter_errors({"key": 1}))
