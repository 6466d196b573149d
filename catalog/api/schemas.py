"""What catalog contributes to the OpenAPI document: errors, verdicts, products, keys."""

from __future__ import annotations

from typing import Any

from drf_spectacular.extensions import OpenApiAuthenticationExtension
from drf_spectacular.utils import OpenApiResponse

from catalog.api.errors import ERRORS
from catalog.contract import limits
from catalog.contract.products import AVAILABILITIES
from catalog.contract.verdicts import CODES

Schema = dict[str, Any]

SECURITY = "apiKey"


def ref(name: str) -> Schema:
    return {"$ref": f"#/components/schemas/{name}"}


def text(description: str, max_chars: int | None = None, **more: Any) -> Schema:
    limit = {} if max_chars is None else {"maxLength": max_chars}
    return {"type": "string", "description": description, **limit, **more}


def an_id(description: str) -> Schema:
    """An id from outside; numbers are read as text."""
    return {
        "oneOf": [{"type": "string", "maxLength": limits.ID_MAX_CHARS}, {"type": "integer"}],
        "description": description,
    }


def price(description: str) -> Schema:
    return {
        "oneOf": [{"type": "string", "example": "12.50"}, {"type": "number"}],
        "description": f"{description} In the store's currency, as text or number.",
    }


def errors(*statuses: int) -> dict[int, OpenApiResponse]:
    """The refusals of a call, with their codes, for a view of Django REST framework."""
    return {
        status: OpenApiResponse(ref("Error"), description=error_codes(status))
        for status in statuses
    }


def error_codes(status: int) -> str:
    codes = [
        f"`{code}`: {meaning}" for code, (number, meaning) in ERRORS.items() if number == status
    ]
    return "\n\n".join(codes)


_VERDICT_CODES = "\n".join(f"* `{code}`: {meaning}" for code, meaning in CODES.items())

# As `ProductImport.State` has them.
IMPORT_STATES = [
    "draft", "queued", "checking", "checked", "asking", "importing", "done", "failed", "cancelled",
]  # fmt: skip
_IMPORT_OPTIONS: Schema = {
    "format": {
        "type": "string",
        "enum": ["google_xml", "google_tsv", "csv", "json_lines"],
        "description": "Found out if left out.",
    },
    "mapping": {
        "type": "object",
        "additionalProperties": {"type": "string"},
        "description": "Column of the feed by field: `id`, `title`, `price`, …,"
        " `attributes.<name>`. Guessed from the names of the columns if left out.",
        "example": {"id": "sku", "title": "name", "attributes.colour": "farbe"},
    },
    "dry_run": {"type": "boolean", "default": False, "description": "Count, change nothing."},
    "remove_vanished": {
        "type": "boolean",
        "default": False,
        "description": "Take products out of the catalog that the feed no longer has.",
    },
}

COMPONENTS: dict[str, Schema] = {
    "Error": {
        "type": "object",
        "required": ["error"],
        "properties": {
            "error": {
                "type": "object",
                "required": ["code", "message", "fields"],
                "properties": {
                    "code": {"type": "string", "enum": [code.value for code in ERRORS]},
                    "message": text("A sentence for the developer."),
                    "fields": {
                        "type": "object",
                        "additionalProperties": {"type": "string"},
                        "description": "What is wrong with which member or parameter.",
                    },
                },
            }
        },
    },
    "Remark": {
        "type": "object",
        "required": ["index", "code", "field", "message"],
        "properties": {
            "index": {"type": "integer", "description": "Position in the batch, from 0."},
            "code": {
                "type": "string",
                "enum": [code.value for code in CODES],
                "description": _VERDICT_CODES,
            },
            "field": text("The member at fault; empty for the entry as a whole."),
            "message": text("A sentence for the developer."),
        },
    },
    "Product": {
        "type": "object",
        "required": ["id", "title"],
        "description": "Names of a Google Merchant feed are read as well: `link`, `image_link`,"
        " `sale_price`, `product_type`, `quantity`, `custom_label_0` to `4`, `color`, `size`, …."
        f" At most {limits.PRODUCT_MAX_BYTES // limits.KIB} KiB.",
        "properties": {
            "id": an_id("The shop's product id."),
            "title": text("As shown to shoppers.", 300),
            "description": text("For content embeddings and search.", 10_000),
            "url": text("https://, http:// or a path of the shop.", 2_000),
            "image_url": text("https://, http:// or a path of the shop.", 2_000),
            "price": price("What it costs now. Without a price it is never recommended."),
            "list_price": price("What it cost before, to be crossed out."),
            "margin": price("What the shop earns with one."),
            "currency": text("ISO 4217. Must be the store's.", 3),
            "availability": {
                "type": "string",
                "enum": list(AVAILABILITIES),
                "default": "in_stock",
            },
            "stock_count": {"type": "integer", "minimum": 0, "maximum": 2**31 - 1},
            "brand": text("", 120),
            "category": {
                "oneOf": [
                    {"type": "string", "maxLength": 400, "example": "Home > Kitchen > Mugs"},
                    {"type": "array", "items": {"type": "string"}},
                ],
                "description": "The path from the widest level to the narrowest.",
            },
            "tags": {
                "type": "array",
                "items": {"type": "string", "maxLength": 60},
                "maxItems": limits.MAX_TAGS,
            },
            "attributes": {
                "type": "object",
                "additionalProperties": True,
                "maxProperties": limits.MAX_ATTRIBUTES,
            },
            "vector": {
                "type": "array",
                "items": {"type": "number"},
                "minItems": 1,
                "maxItems": limits.MAX_VECTOR,
                "description": (
                    "Of a picture or text model of your own. Only vectors of the same length can be"
                    " compared: send all of them from one model."
                ),
            },
            "published_at": text("ISO 8601.", format="date-time"),
        },
    },
    "ProductsBody": {
        "type": "object",
        "required": ["products"],
        "properties": {
            "products": {
                "type": "array",
                "items": ref("Product"),
                "minItems": 1,
                "maxItems": limits.MAX_PRODUCTS,
            }
        },
    },
    "ImportBody": {
        "type": "object",
        "required": ["url"],
        "properties": {"url": text("https:// or http://, without name and password.", 2_000)}
        | _IMPORT_OPTIONS,
    },
    "ImportForm": {
        "type": "object",
        "required": ["file"],
        "properties": {
            "file": {"type": "string", "format": "binary"},
            **_IMPORT_OPTIONS,
            "mapping": text("As in the JSON body, written as JSON."),
        },
    },
    "Import": {
        "type": "object",
        "required": ["id", "state", "progress", "problems"],
        "properties": {
            "id": {"type": "integer"},
            "state": {"type": "string", "enum": IMPORT_STATES},
            "dry_run": {"type": "boolean"},
            "step": text("What is being done."),
            "progress": {"type": "number", "minimum": 0, "maximum": 1},
            "message": text("Why it failed or was given up."),
            "rows": {"type": "integer", "description": "Read so far"},
            "new": {"type": "integer"},
            "changed": {"type": "integer"},
            "unchanged": {"type": "integer"},
            "vanished": {"type": "integer", "description": "In the catalog, not in the feed"},
            "left_out": {"type": "integer", "description": "Rows with a problem"},
            "problems": {
                "type": "array",
                "description": "The first 100; the console shows up to 1,000.",
                "items": {
                    "type": "object",
                    "required": ["line", "column", "value", "reason"],
                    "properties": {
                        "line": {"type": "integer"},
                        "column": text(""),
                        "value": text(""),
                        "reason": text("A sentence for people."),
                    },
                },
            },
            "created_at": text("", format="date-time"),
            "finished_at": {"type": ["string", "null"], "format": "date-time"},
        },
    },
    "ProductsAnswer": {
        "type": "object",
        "required": ["created", "updated", "unchanged", "rejected"],
        "properties": {
            "created": {"type": "integer"},
            "updated": {"type": "integer"},
            "unchanged": {"type": "integer"},
            "rejected": {"type": "array", "items": ref("Remark")},
        },
    },
}


class ApiKeyScheme(OpenApiAuthenticationExtension):  # type: ignore[no-untyped-call]
    """How `ApiKeyAuthentication` is described."""

    target_class = "catalog.api.authentication.ApiKeyAuthentication"
    name = SECURITY

    def get_security_definition(self, auto_schema: Any) -> Schema:
        return {
            "type": "http",
            "scheme": "bearer",
            "bearerFormat": "pk_… or sk_…",
            "description": "A publishable key (`pk_…`) belongs into the shop's pages; it may ask"
            " for recommendations and send events, from the web origins that it names. A secret"
            " key (`sk_…`) belongs to the shop's servers and is refused in a browser. Keys never"
            " stand in a URL.",
        }
