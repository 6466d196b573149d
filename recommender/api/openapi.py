"""The OpenAPI document: what the plain views accept and answer, added to that of DRF's views."""

from __future__ import annotations

from typing import Any

from drf_spectacular.utils import extend_schema
from drf_spectacular.views import SpectacularJSONAPIView, SpectacularSwaggerSplitView

from catalog.api import schemas
from catalog.api.schemas import SECURITY, Schema, an_id, error_codes, price, ref, text
from catalog.contract import event_names, limits
from recommender.api.recommendations import MAX_BODY_BYTES, MAX_PLACEMENTS, MAX_PRODUCTS
from recommender.serving.request import MAX_LIMIT
from recommender.serving.trace import REASON_WORDS

_TIME = {
    "oneOf": [
        {"type": "string", "format": "date-time"},
        {"type": "integer", "description": "Milliseconds since 1970"},
    ]
}
_CONSENT = {"type": "string", "enum": ["granted", "denied", "unknown"], "default": "unknown"}
_ALIASES = ", ".join(
    f"`{alias}` → `{name}`"
    for alias, name in (event_names.SEGMENT_ALIASES | event_names.GOOGLE_RETAIL_ALIASES).items()
)
_REASONS = "\n".join(f"* `{reason}`: {words}" for reason, words in REASON_WORDS.items())

_ITEM: Schema = {
    "type": "object",
    "required": ["product_id"],
    "properties": {
        "product_id": an_id("The shop's product id. `item_id` and `id` are read as well."),
        "quantity": {
            "type": "integer",
            "minimum": 1,
            "maximum": limits.MAX_QUANTITY,
            "default": 1,
        },
        "price": price("Paid for one."),
        "list_price": price("Before discounts, for one."),
    },
}

_EVENT: Schema = {
    "type": "object",
    "required": ["type", "shopper_id"],
    "description": f"At most {limits.ENTRY_MAX_BYTES // limits.KIB} KiB. Unknown members are"
    " ignored; custom ones belong into `properties`.",
    "properties": {
        "type": text(
            f"One of {', '.join(f'`{name}`' for name in event_names.EVENT_NAMES)}. Names of"
            f" Segment and Google Retail are read as well: {_ALIASES}."
        ),
        "event_id": text(
            "Makes a repetition harmless: an event with the same id and the same date of"
            " `occurred_at` (UTC) is stored once. A UUID, best a UUIDv7; other text becomes a UUID"
            " of the store. Without it the event can't be sent again safely.",
            limits.ID_MAX_CHARS,
        ),
        "shopper_id": an_id(
            "A pseudonym. With denied consent it is neither stored nor needed: the event is"
            " counted under one anonymous shopper, without its session."
        ),
        "session_id": text("The visit.", limits.SESSION_ID_MAX_CHARS),
        "occurred_at": {
            **_TIME,
            "description": "When it happened, by the sender's clock. Without it: when the UUIDv7"
            f" was made, else now. From browsers at most {limits.BROWSER_MAX_AGE.days} days ago;"
            " more than 24 hours ahead is refused.",
        },
        "items": {
            "type": "array",
            "items": ref("EventItem"),
            "maxItems": limits.EVENT_MAX_PRODUCTS,
            "description": "The products. A single one may stand in the event itself.",
        },
        "product_id": an_id("For an event with a single product."),
        "quantity": {"type": "integer", "minimum": 1, "maximum": limits.MAX_QUANTITY},
        "price": price("With `product_id`: paid for one."),
        "list_price": price("With `product_id`: before discounts, for one."),
        "currency": text("If it isn't the store's, the event is stored without prices.", 3),
        "order_id": an_id("For purchases. `transaction_id` is read as well."),
        "query": text("What was searched for. `search_term` is read as well. Cut at 300."),
        "page": text("Where it happened. Cut at 300 characters."),
        "rating": {"type": "number", "minimum": 0, "maximum": limits.MAX_RATING},
        "recommendation_id": text(
            "From the recommendation that led to it. One that this store didn't give out is left"
            " out, with a warning."
        ),
        "consent": _CONSENT,
        "properties": {
            "type": "object",
            "additionalProperties": True,
            "maxProperties": limits.EVENT_MAX_PROPERTIES,
        },
    },
}

_EVENTS_BODY: Schema = {
    "type": "object",
    "required": ["events"],
    "properties": {
        "key": text("The publishable key, for beacons, which can't send a header."),
        "sent_at": {
            **_TIME,
            "description": "The sender's clock now: times are corrected by its difference from"
            " ours.",
        },
        "events": {
            "type": "array",
            "items": ref("Event"),
            "minItems": 1,
            "maxItems": limits.SERVER_MAX_EVENTS,
        },
    },
    "example": {
        "sent_at": "2026-11-22T09:30:02Z",
        "events": [
            {
                "event_id": "019aa7a5-5c00-7000-8000-5b1f0e2d3c4b",
                "type": "add_to_cart",
                "shopper_id": "household-1",
                "occurred_at": "2026-11-22T09:30:00Z",
                "items": [{"product_id": "1082185", "quantity": 2, "price": "1.99"}],
            }
        ],
    },
}

_EVENTS_ANSWER: Schema = {
    "type": "object",
    "required": ["accepted", "duplicate", "rejected"],
    "properties": {
        "accepted": {"type": "integer", "description": "Stored, and durable"},
        "duplicate": {"type": "integer", "description": "Stored before"},
        "rejected": {"type": "array", "items": ref("Remark")},
        "warnings": {
            "type": "array",
            "items": ref("Remark"),
            "description": "What was left out of accepted events. Missing if there is nothing.",
        },
    },
}

_ITEM_CARD: Schema = {
    "type": "object",
    "required": ["product_id", "position", "title", "price", "currency", "source"],
    "properties": {
        "product_id": text("The shop's product id."),
        "position": {"type": "integer", "minimum": 1},
        "title": text(""),
        "url": text(""),
        "image_url": text(""),
        "price": text("", example="12.50"),
        "list_price": {"type": ["string", "null"], "example": "15.00"},
        "currency": text("ISO 4217", 3),
        "source": text("Which source found it."),
    },
}

_RECOMMENDATION: Schema = {
    "type": "object",
    "required": ["recommendation_id", "placement", "title", "items", "fallback", "reason"],
    "properties": {
        "recommendation_id": text("Signed. Send it back with the events that it leads to."),
        "placement": text("Its slug."),
        "title": text("For shoppers."),
        "experiment": {
            "type": ["object", "null"],
            "properties": {"key": text(""), "variant": text("")},
        },
        "items": {"type": "array", "items": ref("RecommendedItem")},
        "fallback": {
            "type": ["string", "null"],
            "description": "The fallback source that had to fill.",
        },
        "reason": {
            "type": ["string", "null"],
            "enum": [*[str(reason) for reason in REASON_WORDS], None],
            "description": f"Why the strategy alone wasn't enough.\n\n{_REASONS}",
        },
        "trace": {
            "type": "object",
            "description": "With `explain`: each step, and why each product is shown or not.",
        },
    },
}

_IDS: Schema = {
    "type": "array",
    "items": {"type": "string", "minLength": 1, "maxLength": limits.ID_MAX_CHARS},
    "maxItems": MAX_PRODUCTS,
}

_PAGE_BODY: Schema = {
    "type": "object",
    "required": ["placements"],
    "properties": {
        "key": text("The publishable key, where no header can be sent."),
        "shopper_id": text("A pseudonym.", limits.ID_MAX_CHARS),
        "session_id": text("The visit.", limits.SESSION_ID_MAX_CHARS),
        "page": {
            "type": "object",
            "properties": {
                "product_ids": {**_IDS, "description": "Products in view."},
                "category": text("Path of the category in view.", 400),
                "q": text("What was searched for.", limits.TEXT_MAX_CHARS),
            },
        },
        "cart": {**_IDS, "description": "Without it the cart is taken from recent events."},
        "exclude": {**_IDS, "description": "Never to be shown in this answer."},
        "placements": {
            "type": "array",
            "minItems": 1,
            "maxItems": MAX_PLACEMENTS,
            "items": {
                "type": "object",
                "required": ["slug"],
                "properties": {
                    "slug": text("", limits.ID_MAX_CHARS, minLength=1),
                    "limit": {"type": "integer", "minimum": 1, "maximum": MAX_LIMIT},
                },
            },
        },
        "locale": text("", 16),
        "device": text("", 16),
        "consent": _CONSENT,
        "explain": {"type": "boolean", "description": "With a secret key only."},
        "why_not": {**_IDS, "description": "With `explain`: why are these not shown?"},
        "order": {
            "type": "string",
            "enum": ["given", "position"],
            "default": "given",
            "description": "Which placement chooses first: as given, or as the console says.",
        },
    },
}

_COMPONENTS: dict[str, Schema] = {
    "Event": _EVENT,
    "EventItem": _ITEM,
    "EventsBody": _EVENTS_BODY,
    "EventsAnswer": _EVENTS_ANSWER,
    "RecommendedItem": _ITEM_CARD,
    "Recommendation": _RECOMMENDATION,
    "PageBody": _PAGE_BODY,
    "ShopperLinkBody": {
        "type": "object",
        "required": ["customer_id"],
        "properties": {"customer_id": an_id("Who the shopper turned out to be.")},
    },
    "ShopperLink": {
        "type": "object",
        "required": ["shopper_id", "customer_id", "linked_at"],
        "properties": {
            "shopper_id": {"type": "string"},
            "customer_id": {"type": "string"},
            "linked_at": {"type": "string", "format": "date-time"},
        },
    },
    "PageAnswer": {
        "type": "object",
        "required": ["recommendations"],
        "properties": {
            "recommendations": {"type": "array", "items": ref("Recommendation")},
        },
    },
}


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
    _query("consent", "Denied: the shopper isn't looked at.", _CONSENT),
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
    described.update(schemas.COMPONENTS)
    described.update(_COMPONENTS)
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
