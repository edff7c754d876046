"""The search index port."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import Any, Protocol, Self

from libs.common.dicom.attributes import AttributeTable
from libs.common.dicom.matching import Document, Place, Query


@dataclass(frozen=True, slots=True)
class InstanceEntry:
    """One receipt of one instance, as the indexer offers it to the index.

    `receipt` sorts by time (`libs.common.ids.Receipt`). `attributes` maps tags (group << 16 | element) of all levels
    to their values in the DICOM JSON model (PS3.18 F.2), text already decoded. `layout` is `libs.common.dicom.layout`,
    packed; empty where it is not known.
    """

    partition: str
    receipt: str
    study_instance_uid: str
    series_instance_uid: str
    sop_instance_uid: str
    sop_class_uid: str
    transfer_syntax_uid: str
    object_key: str
    data_set_offset: int
    data_set_length: int
    digest: str
    attributes: Mapping[int, Any] = field(default_factory=dict)
    layout: bytes = b""


class Outcome(Enum):
    """What applying an entry did."""

    ADDED = "added"
    REDELIVERED = "redelivered"
    """This receipt was applied before; nothing changed."""
    REDUNDANT = "redundant"
    """Another receipt of the same bytes in the same transfer syntax; remembered, counted once."""
    CONFLICT = "conflict"
    """Other bytes under the same SOP Instance UID; the earliest receipt is current, the other is kept aside."""


@dataclass(frozen=True, slots=True)
class Applied:
    """The outcome for one entry, and for a conflict the receipts and digests of both sides."""

    outcome: Outcome
    kept_receipt: str = ""
    kept_digest: str = ""
    aside_receipt: str = ""
    aside_digest: str = ""


@dataclass(frozen=True, slots=True)
class Location:
    """Where the current object of an instance is, and, as it was applied, where things lie in it."""

    study_instance_uid: str
    series_instance_uid: str
    sop_instance_uid: str
    sop_class_uid: str
    transfer_syntax_uid: str
    object_key: str
    data_set_offset: int
    data_set_length: int
    digest: str
    layout: bytes = b""


class SearchIndex(Protocol):
    """What is known of patients, studies, series and instances; can be thrown away and rebuilt.

    - `apply` is idempotent and does not depend on order: any sequence of the same entries, with repetitions, leads to
      the same documents and the same counts.
    - The current object of an instance is that of its earliest receipt; an instance is counted once.
    - The attributes of a patient, study or series are those of the earliest current instance in it.
    - What `apply` returned for is visible to the next `find` and `locate` of this index.
    - Matching is that of `libs.common.dicom.matching`, to the letter.
    - What can be searched is fixed when an index is made (`attributes`): entries may bring more, which is left out, or
      less, which is not found then. `successor` may be made for other attributes.
    - `successor` is another index of the same kind, empty and beside this one; `take_over` puts it in the place of the
      one that is in use, at once and for every process, and `discard` removes what is not in use then.
    - An index that is away or refuses is `DependencyUnavailable`.
    """

    async def apply(self, entries: Sequence[InstanceEntry]) -> list[Applied]:
        """Take entries in; one result each, in their order. All of them are durable when it returns; after an error any
        of them may be, and applying them again is how to go on. An entry that can never be taken is an `EntryRefused`
        that says which; the others are taken when they are applied without it."""

    def find(self, query: Query, after: Place = ()) -> AsyncIterator[list[Document]]:
        """The matches of a query in pages, in a stable order; memory does not depend on how many there are. What is
        applied meanwhile may or may not be among them, and never makes another match appear twice or be missed. With
        the `place` of a document it begins behind that one, at any time, as if the listing had gone on; a place that is
        none of this query's is `NotUnderstood`."""

    def locate(self, query: Query) -> AsyncIterator[list[Location]]:
        """The current objects of all instances below the matches of a query, in pages, grouped by study and series."""

    async def resolve(self, partition: str, sop_instance_uids: Sequence[str]) -> dict[str, Location]:
        """The current objects of the named instances; those that are not known are left out."""

    async def count(self, partition: str) -> dict[str, int]:
        """How many "patients", "studies", "series", "instances", and "aside" (conflicting receipts) there are."""

    async def attributes(self) -> AttributeTable:
        """What the index in use was made for."""

    async def successor(self, attributes: AttributeTable) -> Self:
        """A new empty index beside this one, for building anew. What is left of an earlier one is removed."""

    async def take_over(self) -> None:
        """Answer from now on in the place of the index that this is the successor of. What was applied to that one and
        not to this one is no longer known: apply again what came in meanwhile."""

    async def discard(self) -> None:
        """Remove this successor, or the index that it took over from, once what is under way there has had its time.
        Before `close`."""

    async def check(self) -> None:
        """Return if the index answers now; `DependencyUnavailable` otherwise."""

    async def close(self) -> None:
        """Give the resources back."""
