"""Our ids for the shop's product ids, kept in the process: every event asks for them."""

from __future__ import annotations

from collections.abc import Iterable

from django.db import connection

from catalog.memory import Bounded

MAX_REMEMBERED = 50_000
# A product keeps its id when the shop deletes it and brings it back. Only who removes the row by
# hand could make a remembered id wrong, and not for longer than this.
FRESH_S = 300.0

_remembered: Bounded[tuple[int, str], int] = Bounded(MAX_REMEMBERED, FRESH_S)


def product_ids_by_external(*, store_id: int, external_ids: Iterable[str]) -> dict[str, int]:
    """Our ids for those of the shop's that the catalog knows. One query, none if all are remembered.

    What the catalog doesn't know isn't remembered: it may come with the next import.
    """
    found: dict[str, int] = {}
    missing = []
    for external_id in external_ids:
        product_id = _remembered.get((store_id, external_id))
        if product_id is None:
            missing.append(external_id)
        else:
            found[external_id] = product_id
    if missing:
        with connection.cursor() as cursor:
            cursor.execute(
                "SELECT external_id, id FROM catalog_product"
                " WHERE store_id = %s AND external_id = ANY(%s)",
                (store_id, missing),
            )
            for external_id, product_id in cursor.fetchall():
                found[external_id] = product_id
                _remembered.put((store_id, external_id), product_id)
    return found


def product_ids_forget() -> None:
    """Ask PostgreSQL for every product again: after rows were removed, and in tests."""
    _remembered.clear()
