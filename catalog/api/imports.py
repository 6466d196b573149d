"""`POST /v1/imports` and `GET /v1/imports/{id}`, for the shop's back office."""

from __future__ import annotations

from typing import Any

import msgspec
from django.conf import settings
from django.core.files.uploadedfile import UploadedFile
from django.db import transaction
from drf_spectacular.utils import OpenApiParameter, OpenApiResponse, extend_schema
from rest_framework import status
from rest_framework.parsers import JSONParser, MultiPartParser
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from catalog.api.bodies import body_read
from catalog.api.errors import ApiError, BodyTooLarge, ErrorCode, InvalidRequest, NotFound
from catalog.api.schemas import errors, ref
from catalog.feeds.mapping import MappingRefused, mapping_check
from catalog.feeds.rows import FeedRefused
from catalog.models import ProductImport, Store
from catalog.selectors.imports import import_find_of, problems_of
from catalog.selectors.keys import ResolvedKey
from catalog.services.feed_imports import (
    format_known,
    import_from_address,
    import_from_upload,
    import_hand_over,
    import_queue,
)

Job = ProductImport.Job

BODY_MAX_BYTES = 64 * 1024
# Problems that an answer carries; the console has the others.
PROBLEMS_ANSWERED = 100


class _Wanted(msgspec.Struct):
    """The members of the body, or the parts of a form."""

    url: str = ""
    format: str = ""
    mapping: dict[str, str] = {}
    dry_run: bool = False
    remove_vanished: bool = False


class ImportsView(APIView):
    """Begin an import."""

    secret_key_required = True
    parser_classes = (JSONParser, MultiPartParser)

    @extend_schema(
        operation_id="import_start",
        tags=["products"],
        summary="Import a product feed",
        description=(
            "Google Merchant XML or TSV, CSV or JSON Lines, by its address or as the part `file` of"
            " a form; gzip and zip are unpacked. It is read in the background: ask for its progress"
            " with the id of the answer. Products that the feed no longer has are taken out only"
            " with `remove_vanished`; if that were more than a fifth of the catalog, the import"
            " stops as `asking` until a member answers in the console."
        ),
        request={
            "application/json": ref("ImportBody"),
            "multipart/form-data": ref("ImportForm"),
        },
        responses={
            202: OpenApiResponse(ref("Import"), description="It has been queued"),
            **errors(400, 401, 403, 413, 415, 503),
        },
    )
    def post(self, request: Request) -> Response:
        key: ResolvedKey = request.auth  # type: ignore[assignment]
        store = Store.objects.get(pk=key.store_id)
        is_form = (request.content_type or "").startswith("multipart/")
        try:
            made = _from_form(request, store) if is_form else _from_json(request, store)
        except MappingRefused as refused:
            raise InvalidRequest(
                fields={f"mapping.{name}": text for name, text in refused.fields.items()}
            ) from refused
        except FeedRefused as refused:
            raise InvalidRequest(fields={"file" if is_form else "url": str(refused)}) from refused
        transaction.on_commit(lambda: import_hand_over(import_id=made.pk))
        return Response(_document(made), status=status.HTTP_202_ACCEPTED)


class ImportView(APIView):
    """How far one is."""

    secret_key_required = True

    @extend_schema(
        operation_id="import_progress",
        tags=["products"],
        summary="Progress and result of an import",
        parameters=[OpenApiParameter("import_id", int, "path", description="From the answer")],
        request=None,
        responses={
            200: OpenApiResponse(ref("Import"), description="Where it is"),
            **errors(401, 403, 404, 503),
        },
    )
    def get(self, request: Request, import_id: int) -> Response:
        key: ResolvedKey = request.auth  # type: ignore[assignment]
        found = import_find_of(store_id=key.store_id, import_id=import_id)
        if found is None:
            raise NotFound(f"There is no import {import_id}.")
        return Response(_document(found))


def _from_json(request: Request, store: Store) -> ProductImport:
    body = body_read(request._request, limit=BODY_MAX_BYTES)
    try:
        wanted = msgspec.json.decode(body, type=_Wanted)
    except msgspec.ValidationError as error:
        message, _, path = str(error).partition(" - at `$")
        raise InvalidRequest(fields={path.strip(".`") or "body": message}) from error
    except msgspec.DecodeError as error:
        raise ApiError(
            ErrorCode.NOT_JSON, f'Send {{"url": "https://…"}} as JSON: {error}.'
        ) from error
    _check(wanted)
    if not wanted.url:
        raise InvalidRequest(fields={"url": "is missing"})
    return import_from_address(
        store=store,
        user=None,
        url=wanted.url,
        job=_job(wanted),
        origin=ProductImport.Origin.API,
        format=wanted.format,
        mapping=wanted.mapping,
        remove_vanished=wanted.remove_vanished,
    )


def _from_form(request: Request, store: Store) -> ProductImport:
    """The length is looked at before a byte of the file is read."""
    length = request.META.get("CONTENT_LENGTH") or "0"
    if not length.isdigit() or int(length) > settings.IMPORT_MAX_BYTES + BODY_MAX_BYTES:
        raise BodyTooLarge(settings.IMPORT_MAX_BYTES)
    file = request.FILES.get("file")
    if not isinstance(file, UploadedFile):
        raise InvalidRequest(fields={"file": "is missing"})
    sent: dict[str, Any] = {
        name: request.POST[name]
        for name in ("format", "dry_run", "remove_vanished")
        if request.POST.get(name)
    }
    try:
        if request.POST.get("mapping"):
            sent["mapping"] = msgspec.json.decode(request.POST["mapping"].encode())
        wanted = msgspec.convert(sent, _Wanted, strict=False)
    except (msgspec.ValidationError, msgspec.DecodeError) as error:
        message, _, path = str(error).partition(" - at `$")
        raise InvalidRequest(fields={path.strip(".`") or "mapping": message}) from error
    _check(wanted)
    made = import_from_upload(
        store=store,
        user=None,
        name=file.name or "feed",
        chunks=file.chunks(),
        origin=ProductImport.Origin.API,
        format=wanted.format,
        mapping=wanted.mapping,
    )
    import_queue(product_import=made, job=_job(wanted), remove_vanished=wanted.remove_vanished)
    return made


def _check(wanted: _Wanted) -> None:
    if not format_known(wanted.format):
        raise InvalidRequest(fields={"format": "is none of ours; leave it out to have it found"})
    if wanted.mapping:
        mapping_check(wanted.mapping)


def _job(wanted: _Wanted) -> str:
    return Job.CHECK if wanted.dry_run else Job.IMPORT


def _document(found: ProductImport) -> dict[str, Any]:
    problems = list(problems_of(found)[:PROBLEMS_ANSWERED])
    return {
        "id": found.pk,
        "state": found.state,
        "dry_run": found.job == Job.CHECK,
        "step": found.step,
        "progress": round(found.progress, 3),
        "message": found.message,
        "rows": found.n_rows,
        "new": found.n_new,
        "changed": found.n_changed,
        "unchanged": found.n_unchanged,
        "vanished": found.n_vanished,
        "left_out": found.n_errors,
        "problems": [
            {
                "line": each.line,
                "column": each.column,
                "value": each.value,
                "reason": each.reason,
            }
            for each in problems
        ],
        "created_at": found.created_at,
        "finished_at": found.finished_at,
    }
