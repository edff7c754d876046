"""Which presentation contexts a set of objects needs, and through which accepted one an object can be sent (pure)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from gantry.common.dicom.standard.transfer_syntaxes import (
    DEFLATED_EXPLICIT_LITTLE_ENDIAN,
    EXPLICIT_BIG_ENDIAN,
    EXPLICIT_LITTLE_ENDIAN,
    GE_PRIVATE,
    IMPLICIT_LITTLE_ENDIAN,
)
from gantry.common.net import Association
from gantry.common.ports.index import Location
from gantry.common.ul import AcceptedContext
from gantry.services.retrieve.pixels.codecs import DECODED

UNCOMPRESSED = (EXPLICIT_LITTLE_ENDIAN, IMPLICIT_LITTLE_ENDIAN)
_REWRITTEN = frozenset((*UNCOMPRESSED, DEFLATED_EXPLICIT_LITTLE_ENDIAN, EXPLICIT_BIG_ENDIAN, GE_PRIVATE))
"""Transfer syntaxes that are not compressed, or only deflated as a whole: conversion rewrites the elements."""
_MAX_CONTEXTS = 128

Context = tuple[str, tuple[str, ...]]


def contexts_for(sop_class: str, transfer_syntax: str) -> tuple[Context, ...]:
    """The contexts to propose for objects of one SOP class and stored transfer syntax: the stored syntax by itself, so
    that the peer cannot prefer another, and the uncompressed ones that we can convert it to."""
    if transfer_syntax in UNCOMPRESSED:
        other = UNCOMPRESSED[transfer_syntax == EXPLICIT_LITTLE_ENDIAN]
        return (sop_class, (transfer_syntax,)), (sop_class, (other,))
    return (sop_class, (transfer_syntax,)), (sop_class, UNCOMPRESSED)


def batches(locations: Sequence[Location]) -> Iterator[tuple[list[Context], list[Location]]]:
    """The objects in order, cut so that each batch needs at most 128 contexts (PS3.8 9.3.2.2)."""
    contexts: dict[Context, None] = {}
    batch: list[Location] = []
    for location in locations:
        needed = contexts_for(location.sop_class_uid, location.transfer_syntax_uid)
        if len(contexts) + sum(cx not in contexts for cx in needed) > _MAX_CONTEXTS:
            yield list(contexts), batch
            contexts, batch = {}, []
        contexts.update(dict.fromkeys(needed))
        batch.append(location)
    if batch:
        yield list(contexts), batch


def _usable(association: Association, sop_class: str) -> Iterable[AcceptedContext]:
    for cx in association.contexts.values():
        ours = cx.requestor_is_scu if association.is_requestor else cx.requestor_is_scp
        if ours and cx.abstract_syntax == sop_class:
            yield cx


def choose(association: Association, location: Location) -> AcceptedContext | None:
    """The context for an object: one with its stored transfer syntax, else one with a syntax it can be converted to."""
    best = None
    for cx in _usable(association, location.sop_class_uid):
        if cx.transfer_syntax == location.transfer_syntax_uid:
            return cx
        if cx.transfer_syntax in UNCOMPRESSED and convertible(location.transfer_syntax_uid):
            best = best or cx
    return best


def convertible(transfer_syntax: str) -> bool:
    """Whether objects of this transfer syntax can be converted to uncompressed Little Endian; a codestream may still be
    refused."""
    return transfer_syntax in _REWRITTEN or transfer_syntax in DECODED
