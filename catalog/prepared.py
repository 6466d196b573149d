"""Statements that PostgreSQL plans once per connection instead of with every call.

Worth it where planning costs more than the rest: a query over every partition of the event table is
planned in 4 ms and executed in 0.3. The plan is a general one, made without a look at the values, so
it must be good for all of them. PostgreSQL makes it anew when a partition comes or goes.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from weakref import WeakSet

import psycopg
from django.db import connection

_general: WeakSet[Any] = WeakSet()


class _Prepared(psycopg.Cursor[tuple[Any, ...]]):
    """Binds parameters on the server; Django's own cursor writes them into the statement."""

    def execute(
        self,
        query: Any,
        params: Any = None,
        *,
        prepare: bool | None = True,
        binary: bool | None = None,
    ) -> _Prepared:
        # Without a threshold, which Django doesn't set, psycopg prepares nothing.
        self.connection.prepare_threshold = 1
        try:
            done = super().execute(query, params, prepare=prepare, binary=binary)
            if connection.queries_logged:  # Django shows what it finds here
                self._query = self._convert_query(query, params)
            return done
        finally:
            self.connection.prepare_threshold = None


def rows_of_prepared(statement: str, parameters: Mapping[str, Any]) -> list[tuple[Any, ...]]:
    """Execute a statement that returns rows. It must have the same text each time.

    Errors are Django's, and it counts as one query.
    """
    connection.ensure_connection()
    raw: Any = connection.connection
    with connection.wrap_database_errors:
        if raw not in _general:
            # Concerns prepared statements only.
            raw.execute("SET plan_cache_mode = force_generic_plan")
            _general.add(raw)
        own: Any = _Prepared(raw)
    wrap = connection.make_debug_cursor if connection.queries_logged else connection.make_cursor
    with wrap(own) as cursor:
        cursor.execute(statement, parameters)
        return list(cursor.fetchall())
