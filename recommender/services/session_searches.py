"""What a search says about taste: the few products that it finds first."""

from __future__ import annotations

import time
from collections.abc import Iterable
from functools import lru_cache

import structlog
from django.db import DatabaseError, InterfaceError

from catalog.models import EventType
from catalog.selectors.products import products_searched_first
from recommender.stores.session_state import SessionEntry

N_FOUND = 5
# Of a shopper, at once: what was looked for before that is in the session through what was found.
MAX_SEARCHES = 3
MAX_QUERY_CHARS = 100
FRESH_S = 300

log = structlog.get_logger(__name__)


def search_entries(*, store_id: int, searches: Iterable[tuple[int, str]]) -> list[SessionEntry]:
    """Session entries of searches (Unix seconds, words), at most `N_FOUND` for each.

    One query for each query that wasn't looked up in the last minutes. A search that the database
    can't answer just now says nothing; it never fails the caller.
    """
    entries: list[SessionEntry] = []
    for at_s, query in searches:
        words = " ".join(query[:MAX_QUERY_CHARS].lower().split())
        try:
            found = _found(store_id, words, int(time.monotonic() / FRESH_S))
        except (DatabaseError, InterfaceError) as error:
            log.warning("a search is left out of the session", error=str(error))
            break
        entries += [SessionEntry(at_s, EventType.SEARCH, product_id) for product_id in found]
    return entries


@lru_cache(maxsize=4096)
def _found(store_id: int, words: str, age: int) -> tuple[int, ...]:
    return tuple(products_searched_first(store_id=store_id, query=words, limit=N_FOUND))
