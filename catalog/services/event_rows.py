"""Rows of the event table on their way to PostgreSQL, as it reads them fastest.

Two ways: JSON for a statement that can step over what is there already, and the text format of
COPY, which can't, but costs PostgreSQL half as much per row.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import date, datetime
from typing import Any
from uuid import UUID

import msgspec

from catalog.contract.events import EventDraft
from catalog.models import EventType
from catalog.services.shoppers import NOTE_SHOPPERS

TYPE_NUMBERS: dict[str, int] = {kind.label: kind.value for kind in EventType}

COPY_STATEMENT = """
COPY catalog_event (
    event_id, line, occurred_on, store_id, received_at, occurred_at, type, shopper_id, session_id,
    product_id, unknown_product, quantity, price_minor, list_price_minor, value_minor, order_id,
    query, page, rating, recommendation_id, consent, properties, is_bot
) FROM STDIN
"""

_COLUMNS = """
    store_id, event_id, line, occurred_on, type, shopper_id, session_id, product_id,
    unknown_product, quantity, price_minor, list_price_minor, value_minor, order_id, query, page,
    rating, recommendation_id, consent, properties, is_bot, occurred_at, received_at
"""
_VALUES = """
    %(store_id)s, event_id, line, "on", type, shopper, session, product,
    unknown, n, price, list_price, value, "order", query, page,
    rating, recommendation, consent, properties, bot, at, %(received_at)s
"""
# Rows go in by primary key, so that two posts of the same events wait for each other instead of
# blocking each other for good. A shopper who was erased a moment ago has no id to be stored under.
# The first line decides whether the event is new. The others follow only if it is, or a repetition
# with another basket would add to what is stored.
_ROWS = """
row_of AS MATERIALIZED (
    SELECT event_id, coalesce(line, 0) AS line, "on", at, type, {shopper}, session, product,
        unknown, coalesce(n, 1) AS n, price, list_price, value, "order", query, page, rating,
        recommendation, consent, properties, coalesce(bot, false) AS bot
    FROM json_to_recordset(%(rows)s::json) AS sent (
        event_id uuid, line smallint, "on" date, type smallint, who text, shopper bigint,
        session text, product bigint, unknown text, n integer, price bigint, list_price bigint,
        value bigint, "order" text, query text, page text, rating float8, recommendation uuid,
        consent smallint, properties jsonb, bot boolean, at timestamptz
    )
    {joined}
)
"""
_LINES = f"""
fresh AS (
    INSERT INTO catalog_event ({_COLUMNS})
    SELECT {_VALUES} FROM row_of
    WHERE line = 0 {{still}}
    ORDER BY event_id, "on"
    ON CONFLICT DO NOTHING
    RETURNING event_id
), others AS (
    INSERT INTO catalog_event ({_COLUMNS})
    SELECT {_VALUES} FROM row_of JOIN fresh USING (event_id)
    WHERE line > 0
    ORDER BY event_id, line, "on"
    ON CONFLICT DO NOTHING
)
"""
# Shoppers by our id.
INSERT_STATEMENT = "WITH {}, {} SELECT event_id FROM fresh".format(
    _ROWS.format(shopper="shopper", joined=""),
    _LINES.format(
        still="AND EXISTS (SELECT FROM catalog_shopper AS known WHERE known.id = row_of.shopper)"
    ),
)
# Shoppers by the shop's id. They are noted, all of them before the first event because of its ORDER
# BY, and come back behind the events.
NOTE_AND_INSERT_STATEMENT = """
WITH {}, {}, {}
SELECT event_id, NULL::text, NULL::bigint, NULL::boolean FROM fresh
UNION ALL SELECT NULL, external_id, id, is_new FROM noted
""".format(
    NOTE_SHOPPERS,
    _ROWS.format(
        shopper="noted.id AS shopper", joined="JOIN noted ON noted.external_id = sent.who"
    ),
    _LINES.format(still=""),
)


class _Row(msgspec.Struct, omit_defaults=True):
    """One row in short names."""

    event_id: UUID
    on: date
    at: datetime
    type: int
    shopper: int | None = None
    who: str | None = None
    line: int = 0
    session: str | None = None
    product: int | None = None
    unknown: str | None = None
    n: int = 1
    price: int | None = None
    list_price: int | None = None
    value: int | None = None
    order: str | None = None
    query: str | None = None
    page: str | None = None
    rating: float | None = None
    recommendation: UUID | None = None
    consent: int | None = None
    properties: dict[str, Any] | None = None
    bot: bool = False


def rows_as_json(
    drafts: Iterable[EventDraft],
    *,
    shopper_ids: Mapping[str, int] | None,
    product_ids: Mapping[str, int],
) -> str:
    """All lines of the events for `INSERT_STATEMENT`; without shopper ids for the one that notes."""
    rows = []
    for draft in drafts:
        who = draft.shopper_external_id
        for number, line in enumerate(draft.lines):
            external_id, price = line.product_external_id, line.price_minor
            product_id = None if external_id is None else product_ids.get(external_id)
            rows.append(
                _Row(
                    event_id=draft.event_id,
                    line=number,
                    on=draft.occurred_on,
                    at=draft.occurred_at,
                    type=TYPE_NUMBERS[draft.type],
                    shopper=shopper_ids[who] if shopper_ids else None,
                    who=None if shopper_ids else who,
                    session=draft.session_id,
                    product=product_id,
                    unknown=external_id if product_id is None else None,
                    n=line.quantity,
                    price=price,
                    list_price=line.list_price_minor,
                    value=None if price is None else price * line.quantity,
                    order=draft.order_id,
                    query=draft.query,
                    page=draft.page,
                    rating=draft.rating,
                    recommendation=draft.recommendation_id,
                    consent=draft.consent,
                    # Once per event: a purchase of fifty products doesn't repeat them fifty times.
                    properties=draft.properties if number == 0 else None,
                    bot=draft.is_bot,
                )
            )
    return msgspec.json.encode(rows).decode()


def rows_as_copy_text(
    drafts: Iterable[EventDraft],
    *,
    store_id: int,
    received_at: datetime,
    shopper_ids: Mapping[str, int],
    product_ids: Mapping[str, int],
) -> bytes:
    """All lines of the events for `COPY_STATEMENT`, by primary key."""
    received = received_at.isoformat()
    rows: list[str] = []
    for draft in drafts:
        # The id in 32 digits sorts as PostgreSQL sorts it.
        key = f"{draft.event_id.int:032x}"
        happened = f"{draft.occurred_on}\t{store_id}\t{received}\t{draft.occurred_at.isoformat()}"
        who = f"{TYPE_NUMBERS[draft.type]}\t{shopper_ids[draft.shopper_external_id]}\t" + _text(
            draft.session_id
        )
        rating, recommendation_id = draft.rating, draft.recommendation_id
        about = (
            f"{_text(draft.order_id)}\t{_text(draft.query)}\t{_text(draft.page)}"
            f"\t{_NULL if rating is None else rating}"
            f"\t{_NULL if recommendation_id is None else recommendation_id}"
            f"\t{_NULL if draft.consent is None else draft.consent}"
        )
        bot = "t" if draft.is_bot else "f"
        for number, line in enumerate(draft.lines):
            external_id, price = line.product_external_id, line.price_minor
            product_id = None if external_id is None else product_ids.get(external_id)
            known = product_id is not None
            product = f"{product_id}\t{_NULL}" if known else f"{_NULL}\t{_text(external_id)}"
            list_price = line.list_price_minor
            money = (
                f"{_NULL if price is None else price}"
                f"\t{_NULL if list_price is None else list_price}"
                f"\t{_NULL if price is None else price * line.quantity}"
            )
            properties = _NULL
            if number == 0 and draft.properties is not None:
                properties = _text(msgspec.json.encode(draft.properties).decode())
            # A line number in three digits, so that the text sorts by it too.
            rows.append(
                f"{key}\t{number:03}\t{happened}\t{who}\t{product}\t{line.quantity}\t{money}"
                f"\t{about}\t{properties}\t{bot}\n"
            )
    rows.sort()
    return "".join(rows).encode()


_NULL = r"\N"
_ESCAPES = str.maketrans({"\\": r"\\", "\t": r"\t", "\n": r"\n", "\r": r"\r"})


def _text(text: str | None) -> str:
    """A text as COPY reads it."""
    if text is None:
        return _NULL
    # Nearly every text is plain, and this look is cheaper than the replacement.
    if "\\" not in text and text.isprintable():
        return text
    return text.translate(_ESCAPES)
