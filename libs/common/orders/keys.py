"""What an order is known by."""

from __future__ import annotations

from urllib.parse import quote

from gantry.common.dicom.standard.tags import (
    ACCESSION_NUMBER,
    FILLER_ORDER_NUMBER_IMAGING_SERVICE_REQUEST,
    ISSUER_OF_ACCESSION_NUMBER_SEQUENCE,
    LOCAL_NAMESPACE_ENTITY_ID,
    REQUESTED_PROCEDURE_ID,
    UNIVERSAL_ENTITY_ID,
)
from gantry.common.orders.model import Attributes, first, items


def order_key(attributes: Attributes) -> str:
    """The key of an order, "" where it has none: its Accession Number, with its issuer behind "@" where that is said;
    else its Filler Order Number, else its Requested Procedure ID, each marked as such. Values are quoted as in URLs, so
    that two different orders never have one key."""
    accession = first(attributes, ACCESSION_NUMBER)
    if accession:
        issuer = _issuer(attributes)
        return _quoted(accession) + (f"@{_quoted(issuer)}" if issuer else "")
    for prefix, tag in (("filler", FILLER_ORDER_NUMBER_IMAGING_SERVICE_REQUEST), ("procedure", REQUESTED_PROCEDURE_ID)):
        number = first(attributes, tag)
        if number:
            return f"{prefix}:{_quoted(number)}"
    return ""


def _quoted(text: str) -> str:
    """As in URLs; so are dots alone, which a client would take for a place in the path (RFC 3986 5.2.4)."""
    return quote(text, safe="") if text.strip(".") else "%2E" * len(text)


def _issuer(attributes: Attributes) -> str:
    """PS3.3 10.14: the local name of an assigning authority, else its universal one."""
    for item in items(attributes, ISSUER_OF_ACCESSION_NUMBER_SEQUENCE):
        return first(item, LOCAL_NAMESPACE_ENTITY_ID) or first(item, UNIVERSAL_ENTITY_ID)
    return ""
