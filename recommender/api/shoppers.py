"""`/v1/shoppers/{id}`: who a shopper is, everything held about it, and erasing it."""

from __future__ import annotations

import msgspec
from django.http import StreamingHttpResponse
from drf_spectacular.utils import OpenApiParameter, OpenApiResponse, extend_schema
from rest_framework import status
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from catalog.api.bodies import body_read
from catalog.api.errors import ApiError, ErrorCode, InvalidRequest, NotFound
from catalog.api.schemas import errors, ref
from catalog.contract.limits import ENTRY_MAX_BYTES, ID_MAX_CHARS
from catalog.contract.verdicts import Code, Refused, decode
from catalog.models import ShopperLink, Store
from catalog.selectors.keys import ResolvedKey
from catalog.services.shopper_links import LinkRefused
from recommender.selectors.shopper_held import shopper_export
from recommender.services.erasure import Erased, EraseRefused, shopper_erase
from recommender.services.identity import person_link, person_unlink


class LinkBody(msgspec.Struct, frozen=True):
    """Who the shopper is. Numbers are read as text, as everywhere in the API."""

    customer_id: str | int | None = None


_decoder = msgspec.json.Decoder(LinkBody)

_SHOPPER = OpenApiParameter(
    "shopper_id",
    str,
    "path",
    description="The shop's pseudonym, percent-encoded; it may contain slashes.",
)


class ShopperLinkView(APIView):
    """Who a shopper is."""

    secret_key_required = True

    @extend_schema(
        operation_id="shopper_link",
        tags=["shoppers"],
        summary="Link a guest to a customer",
        description=(
            "Call it when somebody logs in: from the next request on, the guest is recommended to"
            " as the customer, and what the guest did counts as done by the customer. A customer"
            " may have any number of guests and devices. The same call again changes nothing; a"
            " guest who was linked to another customer is taken from there. Both are made if they"
            " are new."
        ),
        parameters=[_SHOPPER],
        request={"application/json": ref("ShopperLinkBody")},
        responses={
            200: OpenApiResponse(ref("ShopperLink"), description="They are one person"),
            **errors(400, 401, 403, 413, 503),
        },
    )
    def post(self, request: Request, shopper_id: str) -> Response:
        key: ResolvedKey = request.auth  # type: ignore[assignment]
        customer_id = _body(request).customer_id
        if customer_id is None:
            raise InvalidRequest(fields={"customer_id": "is missing"})
        try:
            link = person_link(
                store=Store.objects.get(pk=key.store_id),
                shopper_external_id=shopper_id,
                customer_external_id=str(customer_id),
                linked_by=ShopperLink.LinkedBy.API,
            )
        except LinkRefused as error:
            raise InvalidRequest(fields={error.field: str(error)}) from error
        return Response(
            {
                "shopper_id": shopper_id,
                "customer_id": str(customer_id),
                "linked_at": link.linked_at.isoformat(),
            }
        )

    @extend_schema(
        operation_id="shopper_unlink",
        tags=["shoppers"],
        summary="Undo a link",
        description="From the next request on, guest and customer each have their own past again.",
        parameters=[_SHOPPER],
        request=None,
        responses={204: OpenApiResponse(description="Undone"), **errors(401, 403, 404, 503)},
    )
    def delete(self, request: Request, shopper_id: str) -> Response:
        key: ResolvedKey = request.auth  # type: ignore[assignment]
        if len(shopper_id) > ID_MAX_CHARS or "\x00" in shopper_id:
            raise NotFound("There is no such shopper.")
        if (
            person_unlink(store=Store.objects.get(pk=key.store_id), shopper_external_id=shopper_id)
            is None
        ):
            raise NotFound(f"The shopper {shopper_id!r} isn't linked to a customer.")
        return Response(status=status.HTTP_204_NO_CONTENT)


class ShopperView(APIView):
    """A shopper."""

    secret_key_required = True

    @extend_schema(
        operation_id="shopper_erase",
        tags=["shoppers"],
        summary="Erase a shopper",
        description=(
            "Deletes the events, links, exposures and profile of one id, and takes the id off the"
            " recommendations that were delivered to it. Other ids of the same person stay: erase"
            " each of `linked`. With `dry_run` nothing is changed, and the answer says what would"
            " be. Trained models forget what they learned from it at the next full training."
        ),
        parameters=[
            _SHOPPER,
            OpenApiParameter("dry_run", bool, "query", description="Only count; default false."),
        ],
        request=None,
        responses={
            200: OpenApiResponse(ref("ShopperErased"), description="Erased, or counted"),
            **errors(400, 401, 403, 404, 503),
        },
    )
    def delete(self, request: Request, shopper_id: str) -> Response:
        asked = request.query_params.get("dry_run", "false").lower()
        if asked not in _FLAGS:
            raise InvalidRequest(fields={"dry_run": "is true or false"})
        try:
            erased = shopper_erase(
                store=_store(request),
                external_id=_checked(shopper_id),
                dry_run=_FLAGS[asked],
            )
        except EraseRefused as error:
            raise InvalidRequest(fields={"shopper_id": str(error)}) from error
        if erased is None:
            raise NotFound(f"Nothing is held about the shopper {shopper_id!r}.")
        return Response(erased_as_json(erased))


class ShopperExportView(APIView):
    """Everything held about a shopper."""

    secret_key_required = True

    @extend_schema(
        operation_id="shopper_export",
        tags=["shoppers"],
        summary="Export everything held about a shopper",
        description=(
            "Events, delivered recommendations, exposures to experiments, links and profile of one"
            " id, as one JSON document. Ask for each of `linked` as well to have all of a person."
        ),
        parameters=[_SHOPPER],
        responses={
            200: OpenApiResponse(ref("ShopperExport"), description="All of it"),
            **errors(401, 403, 404, 503),
        },
    )
    def get(self, request: Request, shopper_id: str) -> StreamingHttpResponse:
        document = shopper_export(store=_store(request), external_id=_checked(shopper_id))
        if document is None:
            raise NotFound(f"Nothing is held about the shopper {shopper_id!r}.")
        return StreamingHttpResponse(document, content_type="application/json")


def erased_as_json(erased: Erased) -> dict[str, object]:
    """The answer of `DELETE /v1/shoppers/{id}`."""
    return {
        "dry_run": erased.dry_run,
        "events": erased.n_events,
        "impressions": erased.n_impressions,
        "exposures": erased.n_exposures,
        "links": erased.n_links,
        "refused_events": erased.n_refused,
        "profile": erased.had_profile,
        "linked": list(erased.linked),
        "session_forgotten": erased.sessions_forgotten,
    }


_FLAGS = {"true": True, "1": True, "false": False, "0": False}


def _store(request: Request) -> Store:
    key: ResolvedKey = request.auth  # type: ignore[assignment]
    return Store.objects.get(pk=key.store_id)


def _checked(shopper_id: str) -> str:
    if len(shopper_id) > ID_MAX_CHARS or "\x00" in shopper_id:
        raise NotFound("There is no such shopper.")
    return shopper_id


def _body(request: Request) -> LinkBody:
    raw = body_read(request._request, limit=ENTRY_MAX_BYTES)
    try:
        return decode(_decoder, raw)
    except Refused as error:
        if error.code == Code.NOT_JSON:
            raise ApiError(
                ErrorCode.NOT_JSON, f'Send {{"customer_id": …}} as JSON; the body {error.message}.'
            ) from error
        raise InvalidRequest(fields={error.field or "body": error.message}) from error
