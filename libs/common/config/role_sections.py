"""Settings of roles: query, retrieve, commitment, orders, and the upkeep by the indexer role."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from pydantic import Field

from gantry.common.config.values import MIB, Count, Seconds, Section, setting

IssuerSystem = Annotated[str, Field(pattern=r"^[^=\\]{1,64}=[a-z][a-z0-9+.-]*:[^\s|]{1,200}$")]


class QuerySettings(Section):
    """The query role"""

    patient_root_needs_patient: bool = setting(
        False, "", "Refuse (A900H) searches of the Patient Root that name no patient, as PS3.4 C.4.1.2.1 has it"
    )
    fhir_systems: tuple[IssuerSystem, ...] = setting(
        (), "ISSUER=URI", "How [FHIR](fhir.md) calls an issuer of Patient IDs: `NORTH=urn:oid:1.2.36.146`"
    )


class Retrieve(Section):
    """C-MOVE and C-GET, and WADO"""

    metadata_memory: Annotated[int, Field(ge=MIB)] = setting(
        64 * MIB, "bytes", "Cache of instances' metadata, per process"
    )
    thumbnails: Path | None = setting(
        None, "folder", "Folder of the thumbnail cache; by default beside embedded objects, else a temporary folder"
    )
    thumbnail_space: Annotated[int, Field(ge=0)] = setting(
        256 * MIB, "bytes", "Size of that cache, per process; 0: none"
    )
    suboperation_retries: Annotated[int, Field(ge=0)] = setting(2, "retries", "Of a sub-operation that failed")
    retry_delay: Seconds = setting(2.0, "s", "Before the first retry; doubles")
    connect_timeout: Seconds = setting(10.0, "s", "TCP connection to a destination")
    associate_timeout: Seconds = setting(30.0, "s", "A destination's answer to A-ASSOCIATE-RQ")
    response_timeout: Seconds = setting(120.0, "s", "A destination's answer to a C-STORE sub-operation")
    window: Annotated[int, Field(ge=1, le=64)] = setting(
        4, "operations", "Sub-operations at once that are proposed to a destination (PS3.7 D.3.3.3); 1: not proposed"
    )
    read_ahead: Annotated[int, Field(ge=0)] = setting(
        32 * MIB, "bytes", "Objects read ahead for one association; 0: none"
    )
    read_ahead_total: Annotated[int, Field(ge=0)] = setting(128 * MIB, "bytes", "The same for all of a process")
    parallel_destinations: Count = setting(32, "associations", "C-MOVE associations a process may have open at once")
    parallel_per_destination: Count = setting(4, "associations", "The same to one destination")


class Commitment(Section):
    """Storage commitment"""

    max_references: Count = setting(250_000, "instances", "Per request; beyond it 0213H")
    in_flight_deadline: Seconds = setting(120.0, "s", "How long to wait for instances that are not in the index yet")
    read_retries: Annotated[int, Field(ge=0)] = setting(
        5, "retries", "Retries of a read while the object store is away; then 0110H"
    )
    parallel_checks: Count = setting(4, "objects", "Objects read back and digested at once")
    report_timeout: Seconds = setting(60.0, "s", "A peer's answer to N-EVENT-REPORT")
    same_association_wait: Annotated[float, Field(ge=0)] = setting(
        600.0, "s", "How long a report may use the requesting association while the peer keeps it open"
    )
    retry_first: Seconds = setting(10.0, "s", "Before the first retry of a report; doubles")
    retry_longest: Seconds = setting(3600.0, "s", "Longest wait between retries of a report")
    give_up: Annotated[float, Field(gt=0)] = setting(7.0, "days", "After which a report is abandoned")


class OrdersSettings(Section):
    """The orders role: orders, modality worklist, procedure steps, workitems"""

    verdict_within: Seconds = setting(
        10.0, "s", "How long a change of an order or procedure step may take; then it is refused for now (A700H, 503)"
    )
    start_within: Seconds = setting(
        5.0,
        "s",
        "How long a process that has other roles, too, waits for orders at its start; then they are read as it runs",
    )
    idle_days: Annotated[int, Field(ge=0)] = setting(
        30, "days", "A step that has not begun so long after its start time leaves the worklist; 0: never"
    )
    keep_days: Annotated[int, Field(ge=0)] = setting(
        0,
        "days",
        "Orders are erased when they were neither changed nor performed for so long, and have no future step "
        "([orders](orders.md#erasing)); 0: never by age",
    )
    workitem_days: Annotated[int, Field(ge=0)] = setting(
        90,
        "days",
        "Workitems are erased so long after they were completed or cancelled ([workitems](workitems.md)); 0: never",
    )
    erase_every: Annotated[float, Field(ge=0)] = setting(
        24 * 3600.0,
        "s",
        "Between two searches for orders and workitems to erase: by age, and if all studies of an order were deleted "
        "for good; 0: none",
    )
    erase_rate: Annotated[float, Field(gt=0)] = setting(
        20.0, "orders/s", "Orders examined and erased automatically, at most"
    )


class Upkeep(Section):
    """Sealing, sweeping and checks, so that the bucket is enough to restore from; runs with the indexer role"""

    archive: bool = setting(True, "", "Seal the log's events into segments in the object store")
    seal_every: Seconds = setting(10.0, "s", "Longest time until an event is sealed, if there are few")
    sweep_every: Annotated[float, Field(ge=0)] = setting(
        3600.0, "s", "Between sweeps for objects without an event; 0: never"
    )
    sweep_window: Seconds = setting(48 * 3600.0, "s", "How far back objects are swept; `gantry sweep --all` sweeps all")
    sweep_grace: Seconds = setting(900.0, "s", "Objects younger than this are not swept: their event may still follow")
    unfinished_after: Seconds = setting(24 * 3600.0, "s", "Unfinished uploads older than this are removed")
    verify_every: Annotated[float, Field(ge=0)] = setting(
        7 * 24 * 3600.0, "s", "From the end of a verification of all objects to the next one; 0: never"
    )
    verify_rate: Annotated[float, Field(ge=0)] = setting(
        20.0 * MIB, "bytes/s", "Read rate of verification at most; 0: no limit"
    )
    reconcile_every: Annotated[float, Field(ge=0)] = setting(
        24 * 3600.0, "s", "From the end of a comparison of all sealed events with the index to the next one; 0: never"
    )
    reconcile_rate: Annotated[float, Field(ge=0)] = setting(
        5000.0, "events/s", "Rate of comparison at most; 0: no limit"
    )
    usage_every: Annotated[float, Field(ge=0)] = setting(
        24 * 3600.0, "s", "From the end of a count of what is stored, by modality and sender, to the next one; 0: never"
    )
    usage_rate: Annotated[float, Field(ge=0)] = setting(5000.0, "instances/s", "Rate of counting at most; 0: no limit")
    report_every: Annotated[float, Field(ge=0)] = setting(
        15.0, "s", "Between two reports of each process, of any role, on its state (docs/operations.md); 0: none"
    )
