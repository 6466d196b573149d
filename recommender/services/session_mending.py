"""After Valkey was away: lists that survived may lack what happened meanwhile, and are dropped.

Every process that has met the outage does this for all shoppers of whom events came in since, not
only for those it failed to write itself: whoever wrote may be dead.
"""

from __future__ import annotations

import threading
import time
from datetime import UTC, datetime

import structlog
from django.db import DatabaseError, InterfaceError

from catalog.selectors.events import shoppers_changed_since
from catalog.selectors.shopper_links import persons_of
from recommender.services.session_rebuild import DATABASE_REST
from recommender.stores.client import StoreUnavailable, valkey
from recommender.stores.session_state import OUTAGE, sessions_forget, valkey_up_for_s

# An event is received a while before it is committed, and clocks of machines differ.
MARGIN_S = 60.0
# A process that begins wasn't there to see the outage. As long before as this, somebody was.
LOOK_BACK_S = 3_600.0

log = structlog.get_logger(__name__)
_mending = threading.Lock()


def sessions_mend() -> bool:
    """Drop the lists that may lack something. True if the lists can be trusted now.

    Costs a comparison as long as Valkey hasn't failed. After an outage one thread does it, in one
    query and a few commands; until then the others get False and ask PostgreSQL instead.
    """
    since_s, n_noted = OUTAGE.noted()
    if since_s is None:
        return True
    if valkey().is_away or DATABASE_REST.rests() or not _mending.acquire(blocking=False):
        return False
    try:
        with DATABASE_REST.attempt():
            n_dropped = _drop(datetime.fromtimestamp(since_s - MARGIN_S, UTC))
    except (StoreUnavailable, DatabaseError, InterfaceError):
        return False
    finally:
        _mending.release()
    OUTAGE.over(n_noted)
    log.info("sessions mended after an outage of Valkey", n_dropped=n_dropped)
    return True


def sessions_start() -> None:
    """To be called by a process that begins to serve.

    If Valkey isn't there, or has itself begun lately, events may have come in without it and the
    process that stored them may be gone: what it had in mind to mend has to be mended from here.
    """
    now_s = time.time()
    try:
        up_for_s = valkey_up_for_s()
    except StoreUnavailable:
        OUTAGE.note(since_s=now_s - LOOK_BACK_S)
        return
    if up_for_s < LOOK_BACK_S:
        OUTAGE.note(since_s=now_s - up_for_s - LOOK_BACK_S)


def _drop(since: datetime) -> int:
    n_dropped = 0
    for store_id, shoppers in shoppers_changed_since(since=since).items():
        persons = persons_of(store_id=store_id, external_ids=shoppers)
        members = {member for person in persons.values() for member in person.members}
        sessions_forget(store_id, members | set(shoppers))
        n_dropped += len(members | set(shoppers))
    return n_dropped
