"""Makes the shop of the fault tests in the database of the environment, and prints its keys."""

from __future__ import annotations

import json
import sys

import django

N_PRODUCTS = 60
# Tasks of `tests.faults.tasks` say here when they began and when they were done.
TASK_LOG = """
CREATE TABLE fault_task_log (token text, step text, pid integer, at timestamptz DEFAULT now())
"""


def make() -> dict[str, object]:
    from django.core.management import call_command
    from django.db import connection

    call_command("migrate", verbosity=0)
    from catalog.contract.products import products_judge
    from catalog.models import ApiKey
    from catalog.services.keys import api_key_create
    from catalog.services.products import products_upsert
    from catalog.services.stores import store_create
    from catalog.tasks import prepare_partitions
    from recommender.services.strategies import store_recipes_install

    prepare_partitions()
    store = store_create(name="Corner shop", slug="corner", owner=None)
    store_recipes_install(store=store)
    products = [
        {
            "id": f"p{number}",
            "title": f"Product {number}",
            "price": "2.50",
            "category": f"Shelf {number % 6}",
            "availability": "in_stock",
        }
        for number in range(N_PRODUCTS)
    ]
    judged = products_judge([json.dumps(each).encode() for each in products], currency="USD")
    assert not judged.refused, judged.refused
    products_upsert(store_id=store.pk, drafts=judged.drafts)
    # The other one has the same products, and feeds that bring them.
    other = store_create(name="Other shop", slug="other", owner=None)
    store_recipes_install(store=other)
    products_upsert(store_id=other.pk, drafts=judged.drafts)
    with connection.cursor() as cursor:
        cursor.execute(TASK_LOG)
    return {
        "store_id": store.pk,
        "publishable": ApiKey.objects.get(store=store, kind="pk").publishable,
        "secret": api_key_create(store=store, kind="sk", name="Back office")[1],
        "other_id": other.pk,
        "other_secret": api_key_create(store=other, kind="sk", name="Back office")[1],
    }


if __name__ == "__main__":
    django.setup()
    sys.stdout.write(json.dumps(make()))
