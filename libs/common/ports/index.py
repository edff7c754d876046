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
    """One receipt of one instance, as the indexer passes it to the index.

    `receipt` sorts by time (`gantry.common.ids.Receipt`). `attributes` maps tags (group << 16 | element) of all levels
    to their values in the DICOM JSON model (PS3.18 F.2), text already decoded, and coerced as `layout` says. `layout`
    is `gantry.common.dicom.scan.layout`, packed; empty if unknown. `sender` is the AE title that sent the object; "" if
    unknown.
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
    """The effect of applying an entry."""

    ADDED = "added"
    REDELIVERED = "redelivered"
    """This receipt was applied before; nothing changed."""
    REDUNDANT = "redundant"
    """Another receipt of the same bytes in the same transfer syntax; recorded, counted once."""
    CONFLICT = "conflict"
    """Other bytes of the same instance; the earliest receipt is current, the other is kept aside."""
    DELETED = "deleted"
    """The receipt was deleted, before or after it arrived: nobody sees it."""


@dataclass(frozen=True, slots=True)
class Namesake:
    """An instance in another series with the same SOP Instance UID: its series, and its current receipt."""

    study_instance_uid: str
    series_instance_uid: str
    receipt: str
    digest: str


@dataclass(frozen=True, slots=True)
class Applied:
    """The outcome for one entry. For a conflict of bytes it has the receipts and digests of both sides; for a conflict
    of UIDs the earliest of the instances with the same SOP Instance UID."""

    outcome: Outcome
    kept_receipt: str = ""
    kept_digest: str = ""
    aside_receipt: str = ""
    aside_digest: str = ""
    namesake: Namesake | None = None


@dataclass(frozen=True, slots=True)
class Location:
    """The current object of an instance and its layout, as applied. `aside` counts the receipts of other bytes that are
    kept aside."""

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
    """The object is requested as it arrived: coercion and corrections do not apply."""

    @property
    def coercion(self) -> Coercion | None:
        """What was coerced on arrival, before all corrections; it is part of `layout`."""
        return unpack_coercion(coercion_in(self.layout))

    @property
    def is_modified(self) -> bool:
        """Whether the instance is shown with other values than those in its bytes."""
        return not self.original and bool(self.corrections or coercion_in(self.layout))


@dataclass(frozen=True, slots=True)
class InstanceKey:
    """The key of an instance in its partition. The SOP Instance UID alone should be enough, but some modalities reuse
    UIDs (docs/decisions/0018-one-uid-in-two-series.md)."""

    study_instance_uid: str
    series_instance_uid: str
    sop_instance_uid: str


@dataclass(frozen=True, slots=True)
class KnownReceipt:
    """One receipt of an instance in the index. `lost`: its object was found missing or damaged. `sender` and
    `data_set_offset` are "" and -1 if an earlier release wrote the receipt."""

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
    """A decision that is added to the deletion state of a receipt."""

    partition: str
    instance: InstanceKey
    receipt: str
    deletion_state: DeletionState


@dataclass(frozen=True, slots=True)
class HoldChange:
    """A hold was placed or released: on a study, or on a patient, whose key takes the place of the Study Instance UID
    (`gantry.common.lifecycle.holder_of`)."""

    partition: str
    study_instance_uid: str
    hold: str
    placed: bool


@dataclass(frozen=True, slots=True)
class StandingHolds:
    """The holds in force on a study, or on a patient by key (as in `HoldChange`), in order."""

    holder: str
    holds: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Marks:
    """The marks of some studies: the holders (as in `HoldChange`) with holds in force, and the UIDs of the studies with
    receipts kept aside, and of those with something rejected."""

    held: frozenset[str] = frozenset()
    conflicting: frozenset[str] = frozenset()
    rejected: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class CorrectionChange:
    """A correction that is added to those of a study, or of a patient (`gantry.common.lifecycle.patient_key`); the
    other of the two is ""."""

    partition: str
    study_instance_uid: str
    patient: str
    corrections: Corrections


@dataclass(frozen=True, slots=True)
class CorrectedStudy:
    """Everything that determines how a study is shown: the attributes of patient, study and series in its earliest
    instance, its own corrections, and the corrections of each patient on the walk
    (`gantry.common.lifecycle.effect_of`), by key."""

    own: Mapping[int, Any]
    corrections: Corrections
    patients: Mapping[str, Corrections]


@dataclass(frozen=True, slots=True)
class OrphanedCorrections:
    """Corrections with values, by id, of a study, or of a patient (the other of the two is ""), of which nothing is
    left and nothing can come back."""

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
    """The object of a receipt is in another object store."""

    partition: str
    instance: InstanceKey
    receipt: str
    place: Place


@dataclass(frozen=True, slots=True)
class DecidedReceipt:
    """A receipt with a decision. `object_key` and `digest` are "" if the receipt itself has not been applied, or is no
    longer hidden; `entry` is None then, and after the receipt was collected."""

    instance: InstanceKey
    id: str
    deletion_state: DeletionState
    object_key: str = ""
    digest: str = ""
    entry: InstanceEntry | None = field(default=None, compare=False, repr=False)


class ReadIndex(Protocol):
    """The part of `SearchIndex` that answers requests."""

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
    """What is known about patients, studies, series and instances; can be deleted and rebuilt.

    - `apply` is idempotent and does not depend on order: any sequence of the same entries, with repetitions, leads to
      the same documents and the same counts.
    - An instance is a SOP Instance UID in a series of a study; it is counted once. The same SOP Instance UID in another
      series is another instance, and each is reported with the other (`Applied.namesake`).
    - The current bytes of an instance are those of its earliest receipt. They are read from the earliest receipt of
      these bytes that is not lost; if all are lost, from the earliest.
    - The attributes of a study or series are those of the earliest current instance in it, after corrections. A
      study shows its own demographics. A patient is found by those of each of its studies, and shows the earliest that
      match. Which patient a study belongs to follows from its identity and the merges (`effect_of`).
    - Entries are visible to the next `find` and `locate` of this index once `apply` returns.
    - Matching is that of `gantry.common.dicom.query.matching`, to the letter.
    - The searchable attributes are fixed when an index is made (`attributes`). Other attributes of an entry are left
      out; an attribute that an entry lacks is not found. `successor` may be made for other attributes.
    - `successor` is another, empty index of the same kind beside this one. `take_over` replaces the index in use with
      it, at once and for every process, and `discard` removes the one that is then not in use.
    - An index that is away or refuses is `DependencyUnavailable`.
    """

    async def apply(self, entries: Sequence[InstanceEntry]) -> list[Applied]:
        """Add entries; returns one result each, in their order. All of them are durable when it returns. After an error
        any of them may be durable, and the caller applies them again. An entry that can never be applied raises
        `EntryRefused`, which names it; the others can be applied without it."""

    def find(self, query: Query, after: Cursor = ()) -> AsyncIterator[list[Document]]:
        """The matches of a query in pages, in a stable order; memory does not depend on how many there are. Entries
        applied meanwhile may or may not be among them, and never make another match appear twice or be missed. With
        the `place` of a document the listing continues behind it, at any time, as if it had never stopped; a place of
        another query is `NotUnderstood`.

        With an `order`, studies come in that of `gantry.common.dicom.query.ordering`, by any of its `STUDY_ORDERS`, and
        the series or instances of one study, which the query names, by any attribute; of a match whose own order
        changes meanwhile, neither is promised. Other orders are `NotUnderstood`. A page costs what it holds and what
        the conditions made it pass over, however deep in the listing it is."""

    async def total(self, query: Query) -> int:
        """How many documents `find` would return without a limit, exactly. Documents are read one by one only if the
        index cannot decide a condition by itself."""

    async def place_behind(self, query: Query, count: int) -> Cursor | None:
        """The place of document number `count` (from 1) of those that `find` returns, where it can continue: a page
        deep in a listing costs a fraction of the pages before it. None if the index would have to read documents one by
        one, and if fewer match."""

    def locate(self, query: Query) -> AsyncIterator[list[Location]]:
        """The current objects of all instances below the matches of a query, in pages, grouped by study and series."""

    async def resolve(self, partition: str, sop_instance_uids: Sequence[str]) -> dict[str, list[Location]]:
        """The current objects of all instances with these SOP Instance UIDs, the earliest receipt first; unknown UIDs
        are left out."""

    async def current(self, partition: str, instances: Sequence[InstanceKey]) -> dict[InstanceKey, Location]:
        """The current objects of instances; unknown instances are left out."""

    async def receipts(self, partition: str, instance: InstanceKey) -> list[KnownReceipt]:
        """All receipts of an instance, the earliest first; empty if it is unknown."""

    async def receipts_of(
        self, partition: str, instances: Sequence[InstanceKey]
    ) -> dict[InstanceKey, list[KnownReceipt]]:
        """The same for many instances at once; unknown instances are left out."""

    async def lose(self, losses: Sequence[Loss]) -> None:
        """Mark the objects of these receipts as missing or damaged. Idempotent and, with `apply`, independent of order,
        except that receipts which are not known (yet) are skipped. Durable and visible when it returns."""

    async def decide(self, decisions: Sequence[Decision]) -> None:
        """Add decisions to the deletion states of receipts. A receipt that is now hidden is in no answer and no count,
        and the current receipt of its instance is elected again; a receipt that is no longer hidden is as before.
        Idempotent and, with `apply` and itself, independent of order: a decision may come before its receipt. Of a
        collected receipt only the deletion state is retained. Durable and visible when it returns."""

    async def deletion_states(self, partition: str, receipts: Sequence[str]) -> dict[str, DeletionState]:
        """The deletion states of receipts; receipts without a decision are left out."""

    async def decided_receipts(self, partition: str, receipts: Sequence[str]) -> dict[str, DecidedReceipt]:
        """The same with the objects and entries of the receipts."""

    def find_decided(
        self, partition: str, study_instance_uid: str = "", sop_instance_uids: Collection[str] = ()
    ) -> AsyncIterator[list[DecidedReceipt]]:
        """All receipts with a decision, in pages, in order; only those of one study if it is named, and of that study
        only those of some SOP Instance UIDs if these are named (a few thousand at most)."""

    async def hold(self, changes: Sequence[HoldChange]) -> None:
        """Record holds placed and released; a hold is in force if it was placed and never released. Idempotent and
        independent of order."""

    async def holds(self, partition: str, study_instance_uid: str) -> list[str]:
        """The holds in force on a study, or on a patient by key, in order."""

    def held(self, partition: str, after: str = "") -> AsyncIterator[list[StandingHolds]]:
        """The studies and patients with holds in force, behind `after` in the order of UIDs and keys, in pages."""

    async def note_accesses(self, accesses: Sequence[StudyAccess]) -> None:
        """Record when studies were accessed; the latest access counts. Idempotent and independent of order."""

    async def last_access(self, partition: str, study_instance_uid: str) -> int:
        """When a study was accessed last, in microseconds since the epoch; 0 if that was never recorded."""

    async def relocate(self, relocations: Sequence[Relocation]) -> None:
        """Record which object stores hold the objects of receipts; the latest place of each counts. Idempotent and,
        with `apply`, `decide` and itself, independent of order: a relocation may come before its receipt. Durable and
        visible when it returns."""

    async def places(self, partition: str, receipts: Sequence[str]) -> dict[str, Place]:
        """Which object stores hold the objects of receipts; receipts that were never relocated are left out."""

    async def stores_of(
        self, partition: str, level: Level, uids: Collection[tuple[str, ...]], stores: Collection[str]
    ) -> dict[tuple[str, ...], frozenset[str]]:
        """Which of `stores` hold anything of some studies, series or instances. `uids` are their UIDs from the study's
        down to that of the `level`. Those with nothing in these stores are left out, and so are hidden receipts."""

    async def marks_of(self, partition: str, studies: Collection[str], holders: Collection[str] = ()) -> Marks:
        """The marks of studies, by their UIDs; `holders` are the studies and patients whose holds are requested.
        Withdrawn rejections do not count."""

    async def correct(self, changes: Sequence[CorrectionChange]) -> None:
        """Add corrections. Studies and patients are found, shown, located and counted with them from then on, and as
        before once they are withdrawn. Idempotent and, with `apply`, `decide` and itself, independent of order: a
        correction may come before its study or patient. Durable and visible when it returns."""

    async def corrected(self, partition: str, study_instance_uid: str) -> CorrectedStudy | None:
        """What determines how a study is shown; None if there is no such study."""

    async def corrections(self, partition: str, study_instance_uid: str = "", patient: str = "") -> Corrections:
        """All corrections of a study or patient (merges included), known or unknown. The other of the two is ""."""

    def orphaned_corrections(self, partition: str) -> AsyncIterator[list[OrphanedCorrections]]:
        """Corrections with values of which nothing is left: those of studies whose receipts are all collected, and
        those of patients that are on the walk of no study that exists or may come back (for a merge, also the patients
        that it leads to). In pages."""

    def conflicts(self, partition: str) -> AsyncIterator[list[str]]:
        """The SOP Instance UIDs with receipts kept aside, or with several instances; in pages, in order, each once."""

    async def count(self, partition: str) -> dict[str, int]:
        """How many "patients", "studies", "series", "instances", and "aside" (conflicting receipts) there are."""

    async def attributes(self) -> AttributeTable:
        """The searchable attributes of the index in use."""

    async def successor(self, attributes: AttributeTable) -> Self:
        """A new empty index beside this one, for a rebuild. The remains of an earlier successor are removed."""

    async def take_over(self) -> None:
        """Replace the index that this is the successor of, from now on. Entries that were applied only to the old index
        are no longer known: apply again what arrived meanwhile."""

    async def discard(self) -> None:
        """Remove this successor, or the index that it replaced, after a delay for searches in progress there. Call it
        before `close`."""

    async def check(self) -> None:
        """Return if the index answers now; `DependencyUnavailable` otherwise."""

    async def close(self) -> None:
        """Release the resources."""
