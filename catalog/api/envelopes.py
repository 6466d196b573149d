"""From the body of a batch to its entries."""

from __future__ import annotations

from catalog.api.errors import ApiError, ErrorCode, InvalidRequest
from catalog.contract.envelope import Envelope, EnvelopeRefused, envelope_parse


def batch_read(body: bytes, *, member: str) -> Envelope:
    """Cut a body into the entries of its list `member`, of which there is at least one."""
    try:
        envelope = envelope_parse(body, member=member)
    except EnvelopeRefused as error:
        if error.field:
            raise InvalidRequest(fields={error.field: str(error)}) from error
        raise ApiError(
            ErrorCode.NOT_JSON, f'Send {{"{member}": [...]}} as JSON; the body {error}.'
        ) from error
    if not envelope.entries:
        raise InvalidRequest(fields={member: "is empty"})
    return envelope
