"""The OpenAPI document: what the plain views accept and answer, added to that of DRF's views."""

from __future__ import annotations

from typing import Any

from drf_spectacular.utils import extend_schema
from drf_spectacular.views import SpectacularJSONAPIView, SpectacularSwaggerSplitView

from catalog.api import schemas as catalog_schemas
from catalog.api.schemas import SECURITY, Schema, error_codes, ref
from catalog.contract import limits
from recommender.api.recommendations import MAX_BODY_BYTES, MAX_PRODUCTS
from recommender.api.schemas import COMPONENTS, CONSENT, QA_WORDS
from recommender.serving.request import MAX_LIMIT


def _query(name: str, description: str, schema: Schema, *, repeatable: bool = False) -> Schema:
    if repeatable:
        schema = {"type": "array", "items": schema, "maxItems": MAX_PRODUCTS}
    return {
        "name": name,
        "in": "query",
        "description": description,
        "schema": schema,
        **({"explode": True} if repeatable else {}),
    }


_ID_TEXT: Schema = {"type": "string", "maxLength": limits.ID_MAX_CHARS}

_PLACEMENT_PARAMETERS: list[Schema] = [
    {
        "name": "slug",
        "in": "path",
        "required": True,
        "description": "The placement, as the console calls it.",
        "schema": {"type": "string", "pattern": "^[-0-9A-Za-z_]{1,80}$"},
    },
    _query("shopper_id", "A pseudonym.", _ID_TEXT),
    _query("session_id", "The visit.", {"type": "string", "maxLength": 64}),
    _query("product_id", "A product in view.", _ID_TEXT, repeatable=True),
    _query("cart", "A product in the cart.", _ID_TEXT, repeatable=True),
    _query("exclude", "A product not to be shown.", _ID_TEXT, repeatable=True),
    _query("category", "Path of the category in view.", {"type": "string", "maxLength": 400}),
    _query("q", "What was searched for.", {"type": "string", "maxLength": 300}),
    _query(
        "limit",
        "At most so many products.",
        {"type": "integer", "minimum": 1, "maximum": MAX_LIMIT},
    ),
    _query("locale", "", {"type": "string", "maxLength": 16}),
    _query("device", "", {"type": "string", "maxLength": 16}),
    _query("consent", "Denied: the shopper isn't looked at.", CONSENT),
    _query("qa", QA_WORDS, {"type": "string"}),
    _query("explain", "With a secret key only.", {"type": "string", "enum": ["1", "true"]}),
    _query("why_not", "With `explain`: why isn't it shown?", _ID_TEXT, repeatable=True),
]

# Reasons are told by the JSON calls; a page that is put together has nowhere to show them.
_FRAGMENT_PARAMETERS = [
    each for each in _PLACEMENT_PARAMETERS if each["name"] not in ("explain", "why_not")
]


def _answers(status: int, name: str, description: str, *refusals: int) -> dict[str, Schema]:
    return {str(status): _content(description, name), **_refusals(*refusals)}


def _refusals(*statuses: int) -> dict[str, Schema]:
    return {str(status): _content(error_codes(status), "Error") for status in statuses}


def _content(description: str, name: str) -> Schema:
    return {
        "description": description,
        "content": {"application/json": {"schema": ref(name)}},
    }


def _body(name: str, *content_types: str) -> Schema:
    return {
        "required": True,
        "content": {content_type: {"schema": ref(name)} for content_type in content_types},
    }


_PATHS: dict[str, dict[str, Schema]] = {
    "/v1/placements/{slug}/recommendations": {
        "get": {
            "operationId": "placement_recommendations",
            "tags": ["recommendations"],
            "summary": "Recommendations for one placement",
            "parameters": _PLACEMENT_PARAMETERS,
            "security": [{SECURITY: []}],
            "responses": _answers(
                200, "Recommendation", "The products, in order", 400, 401, 403, 404, 503
            ),
        }
    },
    "/v1/placements/{slug}/fragment": {
        "get": {
            "operationId": "placement_fragment",
            "tags": ["recommendations"],
            "summary": "Recommendations for one placement as HTML",
            "description": "For pages that are put together on a server, which sends the key in the"
            " header. Without products the answer is empty, so that the page has no empty box.",
            "parameters": _FRAGMENT_PARAMETERS,
            "security": [{SECURITY: []}],
            "responses": {
                "200": {
                    "description": "A `section` with a heading and a list of links, or nothing",
                    "content": {"text/html": {"schema": {"type": "string"}}},
                },
                **_refusals(400, 401, 403, 404, 503),
            },
        }
    },
    "/v1/recommendations": {
        "post": {
            "operationId": "page_recommendations",
            "tags": ["recommendations"],
            "summary": "Recommendations for several placements of a page",
            "description": "No product is shown twice; the placements are filled in the order"
            f" given, or in that of the console (`order`). At most {MAX_BODY_BYTES // limits.KIB} KiB.",
            "requestBody": _body("PageBody", "application/json"),
            "security": [{SECURITY: []}, {}],
            "responses": _answers(
                200, "PageAnswer", "One answer per placement", 400, 401, 403, 404, 413, 503
            ),
        }
    },
    "/v1/events": {
        "post": {
            "operationId": "events_send",
            "tags": ["events"],
            "summary": "Tell what shoppers did",
            "description": (
                f"With a publishable key 1 to {limits.BROWSER_MAX_EVENTS} events in at most"
                f" {limits.BROWSER_MAX_BYTES // limits.KIB} KiB; with a secret key 1 to"
                f" {limits.SERVER_MAX_EVENTS:,} in at most {limits.SERVER_MAX_BYTES // limits.MIB}"
                " MiB. Each event is judged by itself. 202 is sent after the accepted ones are"
                " durable. After 503 nothing was stored, and the same body may be sent again."
            ),
            "requestBody": _body("EventsBody", "application/json", "text/plain"),
            "security": [{SECURITY: []}, {}],
            "responses": _answers(
                202, "EventsAnswer", "What became of them", 400, 401, 403, 413, 503
            ),
        }
    },
}


def plain_views_add(result: Any, **_context: Any) -> Any:
    """drf-spectacular's postprocessing hook."""
    components = result.setdefault("components", {})
    described = components.setdefault("schemas", {})
    described.update(catalog_schemas.COMPONENTS)
    described.update(COMPONENTS)
    result["paths"] = dict(sorted({**result.get("paths", {}), **_PATHS}.items()))
    return result


class OpenApiDocument(SpectacularJSONAPIView):
    """`/v1/openapi.json`."""

    custom_settings = {
        "OAS_VERSION": "3.1.1",
        "POSTPROCESSING_HOOKS": ["recommender.api.openapi.plain_views_add"],
        "SWAGGER_UI_SETTINGS": {},
    }

    @extend_schema(exclude=True)
    def get(self, *args: Any, **kwargs: Any) -> Any:
        return super().get(*args, **kwargs)  # type: ignore[no-untyped-call]


class DocumentationPage(SpectacularSwaggerSplitView):
    """`/v1/docs`: the same for people. Its script comes from a URL of its own, as the CSP asks."""

    url_name = "v1-openapi"
    title = "Vitrine API"
    # The answer to OPTIONS would be rendered with the page's template, which it has no values for.
    http_method_names = ("get", "head")
