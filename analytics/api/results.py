"""`GET /v1/experiments/{key or id}/results`: the numbers of the results page."""

from __future__ import annotations

from typing import Any

import msgspec
from drf_spectacular.utils import OpenApiParameter, OpenApiResponse, extend_schema
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from analytics.results.document import Results
from analytics.selectors.snapshots import experiment_snapshot
from catalog.api.errors import NotFound
from catalog.api.schemas import errors
from catalog.selectors.keys import ResolvedKey


def _plain(schema: dict[str, Any], parts: dict[str, Any]) -> dict[str, Any]:
    """The schema of the document with its parts inside of it: it names nothing but itself."""
    if "$ref" in schema:
        return _plain(parts[schema["$ref"].rsplit("/", 1)[-1]], parts)
    return {
        name: _plain(value, parts)
        if isinstance(value, dict)
        else [_plain(each, parts) if isinstance(each, dict) else each for each in value]
        if isinstance(value, list)
        else value
        for name, value in schema.items()
    }


def results_schema() -> dict[str, Any]:
    """JSON Schema of the answer, made from the document's own types."""
    (schema,), parts = msgspec.json.schema_components([Results], ref_template="#/{name}")
    return _plain(schema, parts)


class ExperimentResultsView(APIView):
    """The latest results, as the page shows them; computed every five minutes."""

    secret_key_required = True

    @extend_schema(
        operation_id="experiment_results",
        tags=["experiments"],
        summary="Results of an experiment",
        description="Verdict, health, scorecard, exposures, series, funnel, segments and power, as"
        " the console's results page shows them. Changes are shares (0.05 is +5 %), money is in"
        " minor units. A value that isn't known is null, with the reason in `missing`; it is never"
        " 0. Needs a secret key.",
        parameters=[
            OpenApiParameter(
                "key",
                str,
                OpenApiParameter.PATH,
                description="The experiment's key, or its id.",
            )
        ],
        responses={
            200: OpenApiResponse(results_schema(), description="The document"),
            **errors(400, 401, 403, 404, 503),
        },
    )
    def get(self, request: Request, key: str) -> Response:
        resolved: ResolvedKey = request.auth  # type: ignore[assignment]
        found, document = experiment_snapshot(store_id=resolved.store_id, key_or_id=key)
        if not found:
            raise NotFound(f"There is no experiment {key}.")
        if document is None:
            raise NotFound("There are no results yet: nobody was exposed, or it wasn't started.")
        return Response(document, headers={"Cache-Control": "no-store"})
