"""The parts of the OpenAPI document that the calls of shoppers' pages name: bodies and answers."""

from __future__ import annotations

from catalog.api.schemas import Schema, an_id, price, ref, text
from catalog.contract import event_names, limits
from recommender.api.recommendations import MAX_PLACEMENTS, MAX_PRODUCTS
from recommender.serving.request import MAX_LIMIT
from recommender.serving.trace import REASON_WORDS

_TIME = {
    "oneOf": [
        {"type": "string", "format": "date-time"},
        {"type": "integer", "description": "Milliseconds since 1970"},
    ]
}
CONSENT = {"type": "string", "enum": ["granted", "denied", "unknown"], "default": "unknown"}
QA_WORDS = (
    "The token of a QA link: shows one variant of an experiment, and nothing is logged. A token that"
    " isn't the store's is ignored."
)
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
        "consent": CONSENT,
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
            "required": ["key", "variant"],
            "description": "What the shopper takes part in by this answer.",
            "properties": {
                "key": text(""),
                "variant": {
                    "type": ["string", "null"],
                    "description": "None where the list is made of two variants in turns.",
                },
                "qa": {
                    "type": "boolean",
                    "description": "True with the token of a QA link; missing otherwise.",
                },
            },
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
        "consent": CONSENT,
        "explain": {"type": "boolean", "description": "With a secret key only."},
        "why_not": {**_IDS, "description": "With `explain`: why are these not shown?"},
        "qa": text(QA_WORDS),
        "order": {
            "type": "string",
            "enum": ["given", "position"],
            "default": "given",
            "description": "Which placement chooses first: as given, or as the console says.",
        },
    },
}

COMPONENTS: dict[str, Schema] = {
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
    "ShopperErased": {
        "type": "object",
        "required": [
            "dry_run",
            "events",
            "impressions",
            "exposures",
            "links",
            "refused_events",
            "profile",
            "linked",
            "session_forgotten",
        ],
        "properties": {
            "dry_run": {"type": "boolean"},
            "events": {"type": "integer", "description": "Lines of events, deleted"},
            "impressions": {"type": "integer", "description": "Kept without the id"},
            "exposures": {"type": "integer", "description": "To experiments, deleted"},
            "links": {"type": "integer", "description": "Undone ones as well, deleted"},
            "refused_events": {"type": "integer", "description": "Kept for a look, deleted"},
            "profile": {"type": "boolean", "description": "Whether there was one"},
            "linked": {
                "type": "array",
                "items": {"type": "string"},
                "description": "Other ids of the same person; they stay",
            },
            "session_forgotten": {
                "type": "boolean",
                "description": "False: the memory of recent events was away; call again",
            },
        },
    },
    "ShopperExport": {
        "type": "object",
        "required": [
            "shopper_id",
            "store",
            "currency",
            "linked",
            "links",
            "exposures",
            "impressions",
            "refused_events",
            "events",
        ],
        "properties": {
            "shopper_id": {"type": "string"},
            "store": {"type": "string"},
            "currency": {"type": "string"},
            "linked": {"type": "array", "items": {"type": "string"}},
            "first_seen_at": {"type": "string", "format": "date-time"},
            "last_seen_at": {"type": "string", "format": "date-time"},
            "profile": {"type": "object"},
            **{
                name: {"type": "array", "items": {"type": "object"}}
                for name in ("links", "exposures", "impressions", "refused_events", "events")
            },
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
