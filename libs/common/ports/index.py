"""The search index port."""

from __future__ import annotations

from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import Any, Protocol, Self

from gantry.common.dicom.query.attributes import AttributeTable, Level
from gantry.common.dicom.query.matching import Cursor, Document, Query
from gantry.common.dicom.scan.layout import coercion_in
from gantry.common.lifecycle import Coercion, Correction, Corrections, DeletionState, Place, unpack_coercion


@dataclass(frozen=True, slots=True)
class InstanceEntry:
    """One receipt of one instance, as the indexer offers it to the index.

    `receipt` sorts by time (`gantry.common.ids.Receipt`). `attributes` maps tags (group << 16 | element) of all levels
    to their values in the DICOM JSON model (PS3.18 F.2), text already decoded, and coerced as `layout` says. `layout`
    is `gantry.common.dicom.scan.layout`, packed; empty where it is not known. `sender` is the AE title that the object
    came from; "" where it is not known.
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
    sender: str = ""


class Outcome(Enum):
    """What applying an entry did."""

    ADDED = "added"
    REDELIVERED = "redelivered"
    """This receipt was applied before; nothing changed."""
    REDUNDANT = "redundant"
    """Another receipt of the same bytes in the same transfer syntax; remembered, counted once."""
    CONFLICT = "conflict"
    """Other bytes of the same instance; the earliest receipt is current, the other is kept aside."""
    DELETED = "deleted"
    """The receipt was deleted, before or after it came: it is there for nobody."""


@dataclass(frozen=True, slots=True)
class Namesake:
    """An instance of another series that has the same SOP Instance UID: its series, and its current receipt."""

    study_instance_uid: str
    series_instance_uid: str
    receipt: str
    digest: str


@dataclass(frozen=True, slots=True)
class Applied:
    """The outcome for one entry; for a conflict the receipts and digests of both sides. The other kind of conflict: the
    earliest of the instances that have the same SOP Instance UID."""

    outcome: Outcome
    kept_receipt: str = ""
    kept_digest: str = ""
    aside_receipt: str = ""
    aside_digest: str = ""
    namesake: Namesake | None = None


@dataclass(frozen=True, slots=True)
class Location:
    """Where the current object of an instance is, and, as it was applied, where things lie in it. `aside` is how many
    receipts of other bytes are kept aside."""

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
    aside: int = 0
    corrections: tuple[Correction, ...] = ()
    """What applies to the instance, in this order (`gantry.common.lifecycle.effect_of`)."""
    original: bool = False
    """Asked for as it came: whatever was coerced or corrected does not apply."""

    @property
    def coercion(self) -> Coercion | None:
        """What was coerced on the way in, before all corrections; `layout` carries it."""
        return unpack_coercion(coercion_in(self.layout))

    @property
    def is_modified(self) -> bool:
        """Whether the instance is shown otherwise than its bytes say."""
        return not self.original and bool(self.corrections or coercion_in(self.layout))


@dataclass(frozen=True, slots=True)
class InstanceKey:
    """What tells an instance from all others of its partition. The SOP Instance UID alone should, but some modalities
    number badly (docs/decisions/0018-one-uid-in-two-series.md)."""

    study_instance_uid: str
    series_instance_uid: str
    sop_instance_uid: str


@dataclass(frozen=True, slots=True)
class KnownReceipt:
    """One receipt of an instance as the index knows it. `lost`: its object was found missing or damaged; `sender` and
    `data_set_offset` are "" and -1 where an earlier release wrote it."""

    id: str
    digest: str
    transfer_syntax_uid: str
    object_key: str
    data_set_offset: int = -1
    sender: str = ""
    lost: bool = False


@dataclass(frozen=True, slots=True)
class Loss:
    """A receipt whose object was found missing or damaged."""

    partition: str
    instance: InstanceKey
    receipt: str


@dataclass(frozen=True, slots=True)
class Decision:
    """What is added to the deletion state of a receipt."""

    partition: str
    instance: InstanceKey
    receipt: str
    deletion_state: DeletionState


@dataclass(frozen=True, slots=True)
class HoldChange:
    """A hold was placed, or released: on a study, or on a patient (`gantry.common.lifecycle.holder_of`), whose key
    stands where a Study Instance UID would."""

    partition: str
    study_instance_uid: str
    hold: str
    placed: bool


@dataclass(frozen=True, slots=True)
class StandingHolds:
    """The holds that stand on a study, or on a patient by his key (as in `HoldChange`), in order."""

    holder: str
    holds: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Marks:
    """What stands out of some studies: those of some holders (as in `HoldChange`) on which holds stand, and the UIDs of
    the studies of which receipts are kept aside, and of which something is rejected."""

    held: frozenset[str] = frozenset()
    conflicting: frozenset[str] = frozenset()
    rejected: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class CorrectionChange:
    """What is added to the corrections of a study, or of a patient (`gantry.common.lifecycle.patient_key`); the other
    of the two is ""."""

    partition: str
    study_instance_uid: str
    patient: str
    corrections: Corrections


@dataclass(frozen=True, slots=True)
class CorrectedStudy:
    """Everything that makes a study what it is shown as: the attributes of the patient, the study and the series of its
    earliest instance, as that says them, its own corrections, and those of each patient on the walk
    (`gantry.common.lifecycle.effect_of`), by key."""

    own: Mapping[int, Any]
    corrections: Corrections
    patients: Mapping[str, Corrections]


@dataclass(frozen=True, slots=True)
class OrphanedCorrections:
    """Corrections with values, by id, of a study, or of a patient (the other of the two is ""), of which nothing is
    there and nothing can come back."""

    study_instance_uid: str
    patient: str
    corrections: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class StudyAccess:
    """A study was accessed at a time in microseconds since the epoch."""

    partition: str
    study_instance_uid: str
    at: int


@dataclass(frozen=True, slots=True)
class Relocation:
    """The object of a receipt lies in another object store."""

    partition: str
    instance: InstanceKey
    receipt: str
    place: Place


@dataclass(frozen=True, slots=True)
class DecidedReceipt:
    """A receipt that something was decided about. `object_key` and `digest` are "" where nothing was heard of the
    object itself, or it is not hidden any more; `entry` is None then, and where it was forgotten."""

    instance: InstanceKey
    id: str
    deletion_state: DeletionState
    object_key: str = ""
    digest: str = ""
    entry: InstanceEntry | None = field(default=None, compare=False, repr=False)


class ReadIndex(Protocol):
    """The part of `SearchIndex` that answers others."""

    def find(self, query: Query, after: Cursor = ()) -> AsyncIterator[list[Document]]: ...

    async def total(self, query: Query) -> int: ...

    async def place_behind(self, query: Query, count: int) -> Cursor | None: ...

    def locate(self, query: Query) -> AsyncIterator[list[Location]]: ...

    async def current(self, partition: str, instances: Sequence[InstanceKey]) -> dict[InstanceKey, Location]: ...

    async def resolve(self, partition: str, sop_instance_uids: Sequence[str]) -> dict[str, list[Location]]: ...

    async def receipts(self, partition: str, instance: InstanceKey) -> list[KnownReceipt]: ...

    async def receipts_of(
        self, partition: str, instances: Sequence[InstanceKey]
    ) -> dict[InstanceKey, list[KnownReceipt]]: ...

    async def deletion_states(self, partition: str, receipts: Sequence[str]) -> dict[str, DeletionState]: ...

    async def decided_receipts(self, partition: str, receipts: Sequence[str]) -> dict[str, DecidedReceipt]: ...

    def find_decided(
        self, partition: str, study_instance_uid: str = "", sop_instance_uids: Collection[str] = ()
    ) -> AsyncIterator[list[DecidedReceipt]]: ...

    async def holds(self, partition: str, study_instance_uid: str) -> list[str]: ...

    def held(self, partition: str, after: str = "") -> AsyncIterator[list[StandingHolds]]: ...

    async def corrected(self, partition: str, study_instance_uid: str) -> CorrectedStudy | None: ...

    async def corrections(self, partition: str, study_instance_uid: str = "", patient: str = "") -> Corrections: ...
    async def last_access(self, partition: str, study_instance_uid: str) -> int: ...

    def conflicts(self, partition: str) -> AsyncIterator[list[str]]: ...

    async def places(self, partition: str, receipts: Sequence[str]) -> dict[str, Place]: ...

    async def stores_of(
        self, partition: str, level: Level, uids: Collection[tuple[str, ...]], stores: Collection[str]
    ) -> dict[tuple[str, ...], frozenset[str]]: ...

    async def marks_of(self, partition: str, studies: Collection[str], holders: Collection[str] = ()) -> Marks: ...

    async def count(self, partition: str) -> dict[str, int]: ...

    async def attributes(self) -> AttributeTable: ...


class SearchIndex(Protocol):
    """What is known of patients, studies, series and instances; can be thrown away and rebuilt.

    - `apply` is idempotent and does not depend on order: any sequence of the same entries, with repetitions, leads to
      the same documents and the same counts.
    - An instance is a SOP Instance UID in a series of a study; it is counted once. The same SOP Instance UID in another
      series is another instance, and each is told of the other (`Applied.namesake`).
    - The current bytes of an instance are those of its earliest receipt. They are read from the earliest receipt of
      these bytes that is not lost; from the earliest of all where every one is.
    - The attributes of a study or series are those of the earliest current instance in it, as corrections leave them. A
      study shows its own demographics. A patient is found by those of each of its studies, and shows the earliest that
      match. Which patient a study belongs to follows from its identity and the merges (`effect_of`).
    - What `apply` returned for is visible to the next `find` and `locate` of this index.
    - Matching is that of `gantry.common.dicom.query.matching`, to the letter.
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

    def find(self, query: Query, after: Cursor = ()) -> AsyncIterator[list[Document]]:
        """The matches of a query in pages, in a stable order; memory does not depend on how many there are. What is
        applied meanwhile may or may not be among them, and never makes another match appear twice or be missed. With
        the `place` of a document it begins behind that one, at any time, as if the listing had gone on; a place that is
        none of this query's is `NotUnderstood`.

        With an `order`, studies come in that of `gantry.common.dicom.query.ordering`, by any of its `STUDY_ORDERS`, and
        the series or instances of one study, which the query names, by any attribute; of a match whose own order
        changes meanwhile, neither is promised. Other orders are `NotUnderstood`. A page costs what it holds and what
        the conditions made it pass over, however deep in the listing it is."""

    async def total(self, query: Query) -> int:
        """How many documents `find` would give without a limit, exactly. Documents are read one by one only where the
        index cannot decide a condition by itself."""

    async def place_behind(self, query: Query, count: int) -> Cursor | None:
        """The place of the last of the first `count` documents that `find` gives, from which it can go on: a page deep
        in a listing costs a fraction of what is before it. None where the index cannot tell it without reading
        documents one by one, and where fewer match."""

    def locate(self, query: Query) -> AsyncIterator[list[Location]]:
        """The current objects of all instances below the matches of a query, in pages, grouped by study and series."""

    async def resolve(self, partition: str, sop_instance_uids: Sequence[str]) -> dict[str, list[Location]]:
        """The current objects of all instances of the named SOP Instance UIDs, the earliest receipt first; UIDs that
        are not known are left out."""

    async def current(self, partition: str, instances: Sequence[InstanceKey]) -> dict[InstanceKey, Location]:
        """The current objects of instances; those that are not known are left out."""

    async def receipts(self, partition: str, instance: InstanceKey) -> list[KnownReceipt]:
        """All receipts of an instance, the earliest first; none where it is not known."""

    async def receipts_of(
        self, partition: str, instances: Sequence[InstanceKey]
    ) -> dict[InstanceKey, list[KnownReceipt]]:
        """The same of many instances at once; those that are not known are left out."""

    async def lose(self, losses: Sequence[Loss]) -> None:
        """The objects of these receipts are missing or damaged. Idempotent and, with `apply`, independent of order but
        for receipts that are not known (yet), which are passed over. Durable and visible when it returns."""

    async def decide(self, decisions: Sequence[Decision]) -> None:
        """Join what was decided to the deletion states of receipts. One that is hidden by then is in no answer
        and no count, and other receipts of its instance are elected anew; one that is not hidden any more is what it
        was. Idempotent and, with `apply` and itself, independent of order: a receipt may be decided about before it is
        heard of. What is collected is forgotten but for its deletion state. Durable and visible when it returns."""

    async def deletion_states(self, partition: str, receipts: Sequence[str]) -> dict[str, DeletionState]:
        """What was decided about receipts; those that nothing was decided about are left out."""

    async def decided_receipts(self, partition: str, receipts: Sequence[str]) -> dict[str, DecidedReceipt]:
        """The same with what they were receipts of."""

    def find_decided(
        self, partition: str, study_instance_uid: str = "", sop_instance_uids: Collection[str] = ()
    ) -> AsyncIterator[list[DecidedReceipt]]:
        """All receipts that something was decided about, in pages, in order; of one study where it is named, and of
        that the receipts of some SOP Instance UIDs where those are named (a few thousand at most)."""

    async def hold(self, changes: Sequence[HoldChange]) -> None:
        """Note holds placed and released; a hold stands where it was placed and never released. Idempotent and
        independent of order."""

    async def holds(self, partition: str, study_instance_uid: str) -> list[str]:
        """The holds on a study, or on a patient by his key, that stand, in order."""

    def held(self, partition: str, after: str = "") -> AsyncIterator[list[StandingHolds]]:
        """The studies and patients on which holds stand, behind `after` in the order of their UIDs and keys, in
        pages."""

    async def note_accesses(self, accesses: Sequence[StudyAccess]) -> None:
        """Note when studies were accessed; the latest counts. Idempotent and independent of order."""

    async def last_access(self, partition: str, study_instance_uid: str) -> int:
        """When a study was accessed last, in microseconds since the epoch; 0 where that was never noted."""

    async def relocate(self, relocations: Sequence[Relocation]) -> None:
        """Note which object stores receipts' objects lie in; the latest place of each counts. Idempotent and, with
        `apply`, `decide` and itself, independent of order: a receipt may be relocated before it is heard of. Durable
        and visible when it returns."""

    async def places(self, partition: str, receipts: Sequence[str]) -> dict[str, Place]:
        """Which object stores receipts' objects lie in; those that were never relocated are left out."""

    async def stores_of(
        self, partition: str, level: Level, uids: Collection[tuple[str, ...]], stores: Collection[str]
    ) -> dict[tuple[str, ...], frozenset[str]]:
        """Those of some object stores in which anything of studies, series or instances lies. `uids` are their UIDs
        from the study's down to that of the `level`; what lies in none of the stores is left out, and so are receipts
        that are hidden."""

    async def marks_of(self, partition: str, studies: Collection[str], holders: Collection[str] = ()) -> Marks:
        """What stands out of studies, by their UIDs; `holders` are studies and patients of which holds are asked for.
        A rejection that was withdrawn is none."""

    async def correct(self, changes: Sequence[CorrectionChange]) -> None:
        """Join corrections. What they are about is found, shown, located and counted by them from then on, and is what
        it was once they are withdrawn. Idempotent and, with `apply`, `decide` and itself, independent of order: a study
        or a patient may be corrected before it is heard of. Durable and visible when it returns."""

    async def corrected(self, partition: str, study_instance_uid: str) -> CorrectedStudy | None:
        """What makes a study what it is shown as; None where it is not there."""

    async def corrections(self, partition: str, study_instance_uid: str = "", patient: str = "") -> Corrections:
        """All corrections of a study, or of a patient (merges included); known or not. The other of the two is ""."""

    def orphaned_corrections(self, partition: str) -> AsyncIterator[list[OrphanedCorrections]]:
        """Corrections whose values name somebody of whom nothing is left: of studies all receipts of which are
        collected, and of patients on the walk of no study that is there or may come back (of a merge, also those that
        it leads to). In pages."""

    def conflicts(self, partition: str) -> AsyncIterator[list[str]]:
        """The SOP Instance UIDs of which receipts are kept aside, or that several instances have; in pages, in order,
        each once."""

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
