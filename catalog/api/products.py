"""`PUT /v1/products` and `DELETE /v1/products/{id}`, for the shop's back office."""

from __future__ import annotations

from typing import Any

from drf_spectacular.utils import OpenApiParameter, OpenApiResponse, extend_schema
from rest_framework import status
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from catalog.api.bodies import body_read
from catalog.api.envelopes import batch_read
from catalog.api.errors import ApiError, ErrorCode, NotFound
from catalog.api.schemas import errors, ref
from catalog.contract.limits import ID_MAX_CHARS, MAX_PRODUCTS, PRODUCTS_MAX_BYTES
from catalog.contract.products import products_judge
from catalog.selectors.keys import ResolvedKey
from catalog.services.products import product_delete, products_upsert


class ProductsView(APIView):
    """Create and replace."""

    secret_key_required = True

    @extend_schema(
        operation_id="products_upsert",
        tags=["products"],
        summary="Create or replace products",
        description=(
            f"Up to {MAX_PRODUCTS:,} products. Each replaces what the shop said about it before;"
            " members' own decisions (hidden products) stay. Names of a Google Merchant feed are"
            " read as well. Each product is judged by itself."
        ),
        request={"application/json": ref("ProductsBody")},
        responses={
            200: OpenApiResponse(ref("ProductsAnswer"), description="What became of them"),
            **errors(400, 401, 403, 413, 503),
        },
    )
    def put(self, request: Request) -> Response:
        key: ResolvedKey = request.auth  # type: ignore[assignment]
        body = body_read(request._request, limit=PRODUCTS_MAX_BYTES)
        raw_products = batch_read(body, member="products").entries
        if len(raw_products) > MAX_PRODUCTS:
            raise ApiError(
                ErrorCode.TOO_MANY_PRODUCTS,
                f"{len(raw_products):,} products; at most {MAX_PRODUCTS:,} per request.",
            )
        judged = products_judge(raw_products, currency=key.currency)
        done = products_upsert(store_id=key.store_id, drafts=judged.drafts)
        answer: dict[str, Any] = {
            "created": done.created,
            "updated": done.updated,
            "unchanged": done.unchanged,
            "rejected": [
                {
                    "index": each.index,
                    "code": each.code,
                    "field": each.field,
                    "message": each.message,
                }
                for each in judged.refused
            ],
        }
        return Response(answer)


class ProductView(APIView):
    """One product."""

    secret_key_required = True

    @extend_schema(
        operation_id="product_delete",
        tags=["products"],
        summary="Delete a product",
        description="It is never recommended again, and stays in the history of events.",
        parameters=[OpenApiParameter("external_id", str, "path", description="The shop's id")],
        request=None,
        responses={204: OpenApiResponse(description="Deleted"), **errors(401, 403, 404, 503)},
    )
    def delete(self, request: Request, external_id: str) -> Response:
        key: ResolvedKey = request.auth  # type: ignore[assignment]
        if len(external_id) > ID_MAX_CHARS or "\x00" in external_id:
            raise NotFound("There is no such product.")
        if not product_delete(store_id=key.store_id, external_id=external_id):
            raise NotFound(f"There is no product {external_id!r}.")
        return Response(status=status.HTTP_204_NO_CONTENT)
