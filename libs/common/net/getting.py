"""C-GET as SCU (PS3.4 C.4.3): which contexts are proposed in the SCP role, and a service that receives the objects."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from gantry.common.dicom.standard.sop_classes import STORAGE_SOP_CLASSES
from gantry.common.dicom.standard.transfer_syntaxes import (
    DEFLATED_EXPLICIT_LITTLE_ENDIAN,
    EXPLICIT_BIG_ENDIAN,
    EXPLICIT_LITTLE_ENDIAN,
    HTJ2K_LOSSLESS,
    IMPLICIT_LITTLE_ENDIAN,
    JPEG_2000,
    JPEG_2000_LOSSLESS,
    JPEG_BASELINE,
    JPEG_EXTENDED,
    JPEG_LOSSLESS,
    JPEG_LOSSLESS_SV1,
    JPEG_LS_LOSSLESS,
    JPEG_LS_NEAR_LOSSLESS,
    MPEG4_HIGH_41,
    RLE_LOSSLESS,
)
from gantry.common.dimse import Command
from gantry.common.net import scu
from gantry.common.net.client import Peer, connect
from gantry.common.net.service import Service
from gantry.common.ul import AcceptedContext, RoleSelection

_ASKING = (EXPLICIT_LITTLE_ENDIAN, IMPLICIT_LITTLE_ENDIAN)
_TRANSFER_SYNTAXES = (
    EXPLICIT_LITTLE_ENDIAN,
    IMPLICIT_LITTLE_ENDIAN,
    DEFLATED_EXPLICIT_LITTLE_ENDIAN,
    EXPLICIT_BIG_ENDIAN,
    JPEG_BASELINE,
    JPEG_EXTENDED,
    JPEG_LOSSLESS,
    JPEG_LOSSLESS_SV1,
    JPEG_LS_LOSSLESS,
    JPEG_LS_NEAR_LOSSLESS,
    JPEG_2000_LOSSLESS,
    JPEG_2000,
    MPEG4_HIGH_41,
    HTJ2K_LOSSLESS,
    RLE_LOSSLESS,
)
MOST_CONTEXTS = 127
"""An association has 128 (PS3.8 7.1.1.13); one is for C-GET itself."""


def get_contexts(classes: Sequence[str]) -> list[tuple[str, tuple[str, ...]]]:
    """Each class in each transfer syntax by itself if there is room, so that objects arrive as they are stored; else
    one context per class, uncompressed first."""
    if classes and len(classes) * len(_TRANSFER_SYNTAXES) <= MOST_CONTEXTS:
        return [(uid, (syntax,)) for uid in classes for syntax in _TRANSFER_SYNTAXES]
    return [(uid, _TRANSFER_SYNTAXES) for uid in list(classes)[:MOST_CONTEXTS]]


def usual_classes() -> list[str]:
    """The SOP classes that are proposed to an archive that does not say which ones it has."""
    return list(STORAGE_SOP_CLASSES.values())[:MOST_CONTEXTS]


async def get_objects(
    peer: Peer,
    service: Service,
    contexts: Sequence[tuple[str, Sequence[str]]],
    sop_class: str,
    encoded: Callable[[AcceptedContext], bytes],
    *,
    timeout: float,
) -> Command | None:
    """C-GET into a service, on an association of its own; `encoded` is the identifier in the context of `sop_class`.
    Returns the final response. Raises a `PeerError`, `ContextNotAccepted` among them."""
    roles = [RoleSelection(uid, False, True) for uid in dict.fromkeys(uid for uid, _ in contexts)]
    final: Command | None = None
    async with connect(peer, [*contexts, (sop_class, _ASKING)], roles=roles, services=[service]) as association:
        identifier = encoded(scu.need_context(association, sop_class))
        async for response, _ in scu.get(association, sop_class, identifier, timeout=timeout):
            final = response
    return final
