"""The document of an instance after some of its receipts are hidden or restored (pure).

A decision brings each instance to the state that follows from its receipts and their deletion states, whatever the
document was: so a repeated decision, in any process, and after any crash, has the same result.
"""

from __future__ import annotations

from base64 import b64decode
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from gantry.common.adapters.election import Election
from gantry.common.adapters.opensearch.decision_documents import NOTHING, DecisionDocument
from gantry.common.adapters.opensearch.documents import (
    Hit,
    Source,
    instance_source,
    known_receipt,
    moved_receipts,
    readable_place,
    row_of,
    unpack,
)
from gantry.common.adapters.past_receipts import PastReceipt, bytes_of, is_coerced, with_entries
from gantry.common.dicom.query.attributes import AttributeTable
from gantry.common.ports.index import InstanceEntry, InstanceKey

WHOLE = (
    "partition",
    "study",
    "series",
    "uid",
    "live",
    "sop_class",
    "place",
    "attributes",
    "above",
    "aside",
    "receipts",
)
"""The fields of an instance's document from which an entry is made."""


@dataclass(frozen=True, slots=True)
class Settled:
    """The writes for an instance. First `keep`, entries for the receipts' own documents; then `source`, the instance's
    document; then `forget`, receipts whose entries are dropped, and `remove`, hidden receipts with documents beside the
    instance's."""

    source: Source
    keep: list[PastReceipt] = field(default_factory=list)
    forget: list[str] = field(default_factory=list)
    remove: list[str] = field(default_factory=list)


def current_entry(source: Source) -> InstanceEntry:
    """The entry of the current object of a live instance, which is that of the earliest receipt; without the place of
    its object."""
    place = source["place"]
    return InstanceEntry(
        source["partition"],
        min(source["receipts"]["near"])[0],
        source["study"],
        source["series"],
        source["uid"],
        source["sop_class"],
        place["transfer_syntax"],
        "",
        0,
        place["length"],
        place["digest"],
        unpack(source["attributes"]) | unpack(source["above"]),
        b64decode(place["layout"]),
    )


def displaced_entry(source: Source) -> InstanceEntry:
    """The entry of the earliest receipt of a live instance."""
    (known,) = with_entries([known_receipt(min(source["receipts"]["near"]))], [current_entry(source)])
    return known.entry


def aside_entries(entries: Iterable[InstanceEntry], election: Election, source: Source | None) -> list[InstanceEntry]:
    """Of new entries, and that of the receipt that was current before, those that have to be kept: one of all bytes
    but the current ones, where `source`, the instance's document before, does not tell of a receipt that keeps them;
    and each of which something was coerced, but the current one."""
    near = source["receipts"]["near"] if source is not None else []
    before = tuple(min(near)[1:3]) if near else ()
    contents = {tuple(row[1:3]) for row in near if tuple(row[1:3]) != before} | {tuple(election.current_side[1:])}
    aside = []
    for entry in sorted(entries, key=lambda entry: entry.receipt):
        has_own = is_coerced(entry) and entry.receipt != election.current_side.receipt
        if has_own or bytes_of(entry) not in contents:
            contents.add(bytes_of(entry))
            aside.append(entry)
    return aside


def settle(
    partition: str,
    instance: InstanceKey,
    source: Source | None,
    moved: Sequence[Hit],
    decision_documents: Mapping[str, DecisionDocument],
    table: AttributeTable,
) -> Settled:
    """`source` is the instance's document, `moved` what lies beside it, `decision_documents` the documents
    of its receipts and of those that were decided about."""
    near: list[Hit] = source["receipts"]["near"] if source is not None else []
    rows = {row[0]: row for row in (*moved, *near)}
    contents = [
        decision_document.entry
        for decision_document in decision_documents.values()
        if decision_document.entry is not None
    ]
    if source is not None and source["live"]:
        contents.append(current_entry(source))
    receipts = [known_receipt(row, lost=decision_documents.get(row[0], NOTHING).lost) for row in rows.values()]
    known = with_entries(receipts, contents)
    hidden = [receipt for receipt in known if _of(decision_documents, receipt).deletion_state.hidden]
    left = [receipt for receipt in known if not _of(decision_documents, receipt).deletion_state.hidden] + _back(
        decision_documents, rows
    )
    beside = {row[0] for row in moved} - {row[0] for row in near}
    return Settled(
        _source(left, beside, table) if left else _gone_instance(partition, instance),
        [*_without_entries(hidden, decision_documents), *_other_bytes(left, decision_documents)],
        [
            receipt
            for receipt, decision_document in decision_documents.items()
            if decision_document.deletion_state.collected and decision_document.kept
        ],
        [row[0] for row in moved if decision_documents.get(row[0], NOTHING).deletion_state.hidden],
    )


def _of(decision_documents: Mapping[str, DecisionDocument], receipt: PastReceipt) -> DecisionDocument:
    return decision_documents.get(receipt.entry.receipt, NOTHING)


def _back(decision_documents: Mapping[str, DecisionDocument], rows: Mapping[str, Hit]) -> list[PastReceipt]:
    """The receipts that are no longer hidden."""
    return [
        PastReceipt(decision_document.entry, decision_document.lost)
        for receipt, decision_document in decision_documents.items()
        if decision_document.entry is not None and receipt not in rows and not decision_document.deletion_state.hidden
    ]


def _without_entries(
    hidden: Iterable[PastReceipt], decision_documents: Mapping[str, DecisionDocument]
) -> list[PastReceipt]:
    """Hidden receipts whose documents lack something that is needed to restore them."""
    return [
        receipt
        for receipt in hidden
        if not (decision_document := _of(decision_documents, receipt)).deletion_state.collected
        and (not decision_document.kept or receipt.lost > decision_document.lost)
    ]


def _other_bytes(left: Sequence[PastReceipt], decision_documents: Mapping[str, DecisionDocument]) -> list[PastReceipt]:
    """Of all bytes but the current ones, one receipt that has to keep its entry, where none does; and each of which
    something was coerced, but the current one, where it does not."""
    earliest: dict[tuple[str, str], PastReceipt] = {}
    for receipt in sorted(left, key=_when):
        earliest.setdefault(bytes_of(receipt.entry), receipt)
    contents = {bytes_of(receipt.entry) for receipt in left if _of(decision_documents, receipt).kept}
    if left:
        contents.add(bytes_of(min(left, key=_when).entry))
    first = min(map(_when, left), default="")
    own = {
        _when(receipt): receipt
        for receipt in left
        if is_coerced(receipt.entry) and _when(receipt) != first and not _of(decision_documents, receipt).kept
    }
    contents |= {bytes_of(receipt.entry) for receipt in own.values()}
    return [*own.values(), *[receipt for bytes_, receipt in earliest.items() if bytes_ not in contents]]


def _when(receipt: PastReceipt) -> str:
    return receipt.entry.receipt


def _gone_instance(partition: str, instance: InstanceKey) -> Source:
    """The document of an instance that is gone: a writer with outdated data meets it."""
    return {
        "partition": partition,
        "uid": instance.sop_instance_uid,
        "live": False,
        "study": instance.study_instance_uid,
        "series": instance.series_instance_uid,
        "aside": 0,
        "receipts": {"near": [], "moved": 0, "moved_aside": 0},
    }


def _source(left: Sequence[PastReceipt], beside: set[str], table: AttributeTable) -> Source:
    """The document of an instance of which receipts are `left`. Those `beside` it stay there, except the two that
    decide (`gantry.common.adapters.election`)."""
    current = min(left, key=_when)
    aside = [receipt for receipt in left if bytes_of(receipt.entry) != bytes_of(current.entry)]
    deciding = {current.entry.receipt, min((_when(receipt) for receipt in aside), default="")}
    near = [
        row_of(receipt.entry, lost=receipt.lost) for receipt in left if receipt.entry.receipt not in beside - deciding
    ]
    moved_aside = sum(receipt.entry.receipt in beside - deciding for receipt in aside)
    receipts = {"near": near, "moved": len(left) - len(near), "moved_aside": moved_aside}
    source = instance_source(current.entry, table)
    readable = readable_place((row_of(receipt.entry, lost=receipt.lost) for receipt in left), receipts)
    return {**source, "place": {**source["place"], **readable}, "aside": len(aside), "receipts": receipts}


def moves(source: Source | None) -> bool:
    """Whether an instance has receipts beside its document."""
    return moved_receipts(source) > 0
