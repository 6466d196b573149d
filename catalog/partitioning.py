"""A migration operation for tables partitioned by a date."""

from __future__ import annotations

from typing import Any

from django.db import migrations
from django.db.backends.base.schema import BaseDatabaseSchemaEditor
from django.db.migrations.state import ProjectState


class CreatePartitionedModel(migrations.CreateModel):
    """`CreateModel` whose table is PARTITION BY RANGE, with a DEFAULT partition as safety net.

    Rows whose month has no partition yet land in `<table>_default`, so that an insert never fails
    for want of one; `catalog.services.partitions` makes the months ahead of time.
    """

    partition_key: str

    def __init__(self, *args: Any, partition_key: str, **kwargs: Any) -> None:
        self.partition_key = partition_key
        super().__init__(*args, **kwargs)

    def deconstruct(self) -> tuple[str, list[Any], dict[str, Any]]:
        name, args, kwargs = super().deconstruct()
        return name, list(args), {**kwargs, "partition_key": self.partition_key}

    def database_forwards(
        self,
        app_label: str,
        schema_editor: BaseDatabaseSchemaEditor,
        from_state: ProjectState,
        to_state: ProjectState,
    ) -> None:
        model = to_state.apps.get_model(app_label, self.name)
        if not self.allow_migrate_model(schema_editor.connection.alias, model):
            return
        sql, params = schema_editor.table_sql(model)
        table, key = map(schema_editor.quote_name, (model._meta.db_table, self.partition_key))
        schema_editor.execute(f"{sql} PARTITION BY RANGE ({key})", params or None)
        default = schema_editor.quote_name(f"{model._meta.db_table}_default")
        schema_editor.execute(f"CREATE TABLE {default} PARTITION OF {table} DEFAULT")
        indexes = schema_editor._model_indexes_sql(model)  # type: ignore[attr-defined]
        schema_editor.deferred_sql.extend(indexes)
