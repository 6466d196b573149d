"""`GET /v1/placements/{slug}/recommendations` and `POST /v1/recommendations`.

Plain views off DRF's serializers: this is the hot path. What they accept and answer stands in the
same OpenAPI document (`recommender.api.openapi`).
"""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal
from urllib.parse import unquote_plus

import msgspec
from django.http import HttpRequest, HttpResponse

from catalog.api.authentication import authenticate, cors_headers, preflight_response
from catalog.api.bodies import body_read
from catalog.api.errors import ApiError, ErrorCode, InvalidRequest, MethodNotAllowed, NotFound
from recommender.api.fragment import page_fragment
from recommender.api.replay_clock import replay_at
from recommender.services.recommend import Page, UnknownPlacement, recommend
from recommender.serving.request import MAX_LIMIT, PlacementRequest, RecommendationRequest

MAX_BODY_BYTES = 64 * 1024
MAX_PLACEMENTS = 20
MAX_PRODUCTS = 200
MAX_PARAMETERS = 1_000

Text = Annotated[str, msgspec.Meta(min_length=1, max_length=128)]
LongText = Annotated[str, msgspec.Meta(max_length=400)]
Texts = Annotated[tuple[Text, ...], msgspec.Meta(max_length=MAX_PRODUCTS)]
Limit = Annotated[int, msgspec.Meta(ge=1, le=MAX_LIMIT)]

_TEXT_PARAMETERS = {
    "shopper_id": 128,
    "category": 400,
    "q": 300,
    "locale": 16,
    "device": 16,
    "session_id": 64,
}
_LIST_PARAMETERS = ("product_id", "cart", "exclude", "why_not")
_KNOWN = {"limit", "explain", "consent", "qa", *_TEXT_PARAMETERS, *_LIST_PARAMETERS}
_CONSENTS = ("granted", "denied", "unknown")


class PageContext(msgspec.Struct, frozen=True):
    product_ids: Texts = ()
    category: LongText | None = None
    q: Annotated[str, msgspec.Meta(max_length=300)] | None = None


class PlacementBody(msgspec.Struct, frozen=True):
    slug: Text
    limit: Limit | None = None


class PageBody(msgspec.Struct, frozen=True):
    """The body of `POST /v1/recommendations`."""

    placements: Annotated[
        tuple[PlacementBody, ...], msgspec.Meta(min_length=1, max_length=MAX_PLACEMENTS)
    ]
    shopper_id: Text | None = None
    session_id: Annotated[str, msgspec.Meta(max_length=64)] | None = None
    page: PageContext = PageContext()
    cart: Texts | None = None
    exclude: Texts = ()
    locale: Annotated[str, msgspec.Meta(max_length=16)] | None = None
    device: Annotated[str, msgspec.Meta(max_length=16)] | None = None
    consent: str = "unknown"
    explain: bool = False
    why_not: Texts = ()
    order: Literal["given", "position"] = "given"
    qa: str | None = None
    key: str | None = None


_decoder = msgspec.json.Decoder(PageBody)


def placement_recommendations(request: HttpRequest, slug: str) -> HttpResponse:
    """One placement."""
    if request.method == "OPTIONS":
        return preflight_response(request)
    if request.method != "GET":
        raise MethodNotAllowed("GET")
    key = authenticate(request)
    asked, limit = _from_query(request, explain_allowed=key.is_secret)
    placements = (PlacementRequest(slug=slug, limit=limit),)
    page = _recommend(key.store_id, asked, placements, at=replay_at(request, key))
    return _response(page.as_json()[0], cors_headers(request, key))


def placement_fragment(request: HttpRequest, slug: str) -> HttpResponse:
    """One placement as HTML, for shops that put it into the page on their server."""
    if request.method != "GET":
        raise MethodNotAllowed("GET")
    key = authenticate(request)
    asked, limit = _from_query(request, explain_allowed=False)
    page = _recommend(key.store_id, asked, (PlacementRequest(slug=slug, limit=limit),))
    response = HttpResponse(page_fragment(page), content_type="text/html; charset=utf-8")
    response.headers["Cache-Control"] = "no-store"
    return response


def page_recommendations(request: HttpRequest) -> HttpResponse:
    """Several placements of one page, de-duplicated in the order given."""
    if request.method == "OPTIONS":
        return preflight_response(request)
    if request.method != "POST":
        raise MethodNotAllowed("POST")
    body = _decode(body_read(request, limit=MAX_BODY_BYTES))
    key = authenticate(request, body_key=body.key)
    if body.explain and not key.is_secret:
        raise ApiError(ErrorCode.SECRET_KEY_REQUIRED, "`explain` needs a secret key.")
    if body.consent not in _CONSENTS:
        raise InvalidRequest(fields={"consent": f"must be one of {', '.join(_CONSENTS)}"})
    asked = RecommendationRequest(
        shopper_id=None if body.consent == "denied" else body.shopper_id,
        session_id=None if body.consent == "denied" else body.session_id,
        product_ids=body.page.product_ids,
        category=body.page.category or None,
        query=body.page.q or None,
        cart=body.cart,
        exclude=body.exclude,
        locale=body.locale,
        device=body.device,
        explain=body.explain,
        why_not=body.why_not,
        qa=body.qa,
    )
    _refuse_nul(asked)
    page = _recommend(
        key.store_id,
        asked,
        tuple(PlacementRequest(slug=each.slug, limit=each.limit) for each in body.placements),
        by_position=body.order == "position",
        at=replay_at(request, key),
    )
    answer = b'{"recommendations":[%b]}' % b",".join(page.as_json())
    return _response(answer, cors_headers(request, key))


def _recommend(
    store_id: int,
    asked: RecommendationRequest,
    placements: tuple[PlacementRequest, ...],
    *,
    by_position: bool = False,
    at: datetime | None = None,
) -> Page:
    try:
        return recommend(
            store_id=store_id,
            request=asked,
            placements=placements,
            by_position=by_position,
            at=at,
        )
    except UnknownPlacement as error:
        raise NotFound(f"This store has no placement {str(error)!r}.") from error


def _response(body: bytes, headers: dict[str, str]) -> HttpResponse:
    response = HttpResponse(body, content_type="application/json")
    response.headers["Cache-Control"] = "no-store"
    for name, value in headers.items():
        response.headers[name] = value
    return response


def _decode(raw: bytes) -> PageBody:
    try:
        return _decoder.decode(raw)
    except msgspec.ValidationError as error:
        # "Expected `str` of length <= 128 - at `$.shopper_id`"
        message, _, path = str(error).partition(" - at `$")
        field = path.strip("`.") or "body"
        raise InvalidRequest(fields={field: message}) from error
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise ApiError(ErrorCode.NOT_JSON) from error


def _from_query(
    request: HttpRequest, *, explain_allowed: bool
) -> tuple[RecommendationRequest, int | None]:
    query = _query_read(request.META.get("QUERY_STRING", ""))
    wrong = {name[:80]: "is not a parameter of this call" for name in query if name not in _KNOWN}
    texts: dict[str, str | None] = dict.fromkeys(_TEXT_PARAMETERS)
    lists: dict[str, tuple[str, ...]] = dict.fromkeys(_LIST_PARAMETERS, ())
    for name, values in query.items():
        if name in _TEXT_PARAMETERS:
            longest = _TEXT_PARAMETERS[name]
            if len(values[-1]) > longest:
                n_characters = f"{len(values[-1]):,}"
                wrong[name] = f"has {n_characters} characters, at most {longest} are allowed"
            texts[name] = values[-1] or None
        elif name in _LIST_PARAMETERS:
            lists[name] = tuple(filter(None, values))
            if len(values) > MAX_PRODUCTS:
                wrong[name] = f"is given {len(values)} times, at most {MAX_PRODUCTS} are allowed"
            elif max(map(len, values)) > 128:
                wrong[name] = "a product id has at most 128 characters"
    limit = _limit(query["limit"][-1], wrong) if "limit" in query else None
    consent = query["consent"][-1] if "consent" in query else "unknown"
    if consent not in _CONSENTS:
        wrong["consent"] = f"must be one of {', '.join(_CONSENTS)}"
    explain = "explain" in query and query["explain"][-1] in ("1", "true")
    if explain and not explain_allowed:
        raise ApiError(ErrorCode.SECRET_KEY_REQUIRED, "`explain` needs a secret key.")
    if wrong:
        raise InvalidRequest(fields=wrong)
    denied = consent == "denied"
    asked = RecommendationRequest(
        shopper_id=None if denied else texts["shopper_id"],
        session_id=None if denied else texts["session_id"],
        product_ids=lists["product_id"],
        category=texts["category"],
        query=texts["q"],
        cart=lists["cart"] if "cart" in query else None,
        exclude=lists["exclude"],
        locale=texts["locale"],
        device=texts["device"],
        explain=explain,
        why_not=lists["why_not"],
        qa=query["qa"][-1] if "qa" in query else None,
    )
    _refuse_nul(asked)
    return asked, limit


def _query_read(raw: str) -> dict[str, list[str]]:
    """The values of every parameter. A fifth of the time of `request.GET`, with the same result."""
    if raw.count("&") > MAX_PARAMETERS:
        raise InvalidRequest(fields={"query": f"at most {MAX_PARAMETERS} parameters are allowed"})
    if not raw.isascii():
        # Not escaped by the sender: WSGI hands the bytes on as if they were Latin-1.
        raw = raw.encode("latin-1", "replace").decode(errors="replace")
    query: dict[str, list[str]] = {}
    for pair in raw.split("&"):
        if pair:
            name, _, value = pair.partition("=")
            if "%" in pair or "+" in pair:
                name, value = unquote_plus(name), unquote_plus(value)
            query.setdefault(name, []).append(value)
    return query


def _limit(text: str, wrong: dict[str, str]) -> int | None:
    if not text:
        return None
    # `isdigit` and `isascii`: int() would take "１２" and "1_2" too.
    if not (text.isascii() and text.isdigit() and len(text) <= 3 and 1 <= int(text) <= MAX_LIMIT):
        wrong["limit"] = f"must be a whole number from 1 to {MAX_LIMIT}"
        return None
    return int(text)


def _refuse_nul(asked: RecommendationRequest) -> None:
    """PostgreSQL can't hold a NUL character, and these are logged with the impression."""
    for name, value in (
        ("shopper_id", asked.shopper_id),
        ("session_id", asked.session_id),
        ("device", asked.device),
    ):
        if value is not None and "\x00" in value:
            raise InvalidRequest(fields={name: "must not contain a NUL character"})
