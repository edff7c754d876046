"""Settings of roles: query, retrieve, commitment, and the upkeep that goes with the indexer."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from pydantic import Field

from gantry.common.config.values import MIB, Count, Seconds, Section, setting

IssuerSystem = Annotated[str, Field(pattern=r"^[^=\\]{1,64}=[a-z][a-z0-9+.-]*:[^\s|]{1,200}$")]


class QuerySettings(Section):
    """The query role."""

    patient_root_needs_patient: bool = setting(
        False, "", "Refuse (A900H) searches of the Patient Root that name no patient, as PS3.4 C.4.1.2.1 has it"
    )
    fhir_systems: tuple[IssuerSystem, ...] = setting(
        (), "ISSUER=URI", "How [FHIR](fhir.md) calls an issuer of Patient IDs: `NORTH=urn:oid:1.2.36.146`"
    )


class Retrieve(Section):
    """C-MOVE and C-GET, and WADO"""

    metadata_memory: Annotated[int, Field(ge=MIB)] = setting(
        64 * MIB, "bytes", "Metadata of instances kept, per process"
    )
    thumbnails: Path | None = setting(
        None, "folder", "Where thumbnails are kept; by default beside embedded objects, else a temporary one"
    )
    thumbnail_space: Annotated[int, Field(ge=0)] = setting(
        256 * MIB, "bytes", "Thumbnails kept there by a process; 0: none"
    )
    suboperation_retries: Annotated[int, Field(ge=0)] = setting(2, "retries", "Of a sub-operation that failed")
    retry_delay: Seconds = setting(2.0, "s", "Before the first retry; doubles")
    connect_timeout: Seconds = setting(10.0, "s", "TCP connection to a destination")
    associate_timeout: Seconds = setting(30.0, "s", "A destination's answer to A-ASSOCIATE-RQ")
    response_timeout: Seconds = setting(120.0, "s", "A destination's answer to a C-STORE sub-operation")
    window: Annotated[int, Field(ge=1, le=64)] = setting(
        4, "operations", "Sub-operations a destination is asked to take at once (PS3.7 D.3.3.3); 1: it is not asked"
    )
    read_ahead: Annotated[int, Field(ge=0)] = setting(
        32 * MIB, "bytes", "Objects held for one association before their turn; 0: none"
    )
    read_ahead_total: Annotated[int, Field(ge=0)] = setting(128 * MIB, "bytes", "The same for all of a process")
    parallel_destinations: Count = setting(32, "associations", "C-MOVE associations a process may have open at once")
    parallel_per_destination: Count = setting(4, "associations", "of them to one destination")


class Commitment(Section):
    """Storage commitment"""

    max_references: Count = setting(250_000, "instances", "Per request; beyond it 0213H")
    in_flight_deadline: Seconds = setting(120.0, "s", "How long to wait for instances that are not in the index yet")
    read_retries: Annotated[int, Field(ge=0)] = setting(5, "retries", "Where the object store is away; then 0110H")
    parallel_checks: Count = setting(4, "objects", "Objects read back and digested at once")
    report_timeout: Seconds = setting(60.0, "s", "A peer's answer to N-EVENT-REPORT")
    same_association_wait: Annotated[float, Field(ge=0)] = setting(
        600.0, "s", "How long a report may use the requesting association while the peer keeps it open"
    )
    retry_first: Seconds = setting(10.0, "s", "Before the first retry of a report; doubles")
    retry_longest: Seconds = setting(3600.0, "s", "Longest wait between retries of a report")
    give_up: Annotated[float, Field(gt=0)] = setting(7.0, "days", "After which a report is given up")


class OrdersSettings(Section):
    """The orders role: orders, modality worklist, procedure steps, workitems"""

    verdict_within: Seconds = setting(
        10.0, "s", "A change of an order or a procedure step is decided on so soon, or refused for now (A700H, 503)"
    )
    start_within: Seconds = setting(
        5.0, "s", "A process that plays other roles, too, waits so long for orders to be read; then they come later"
    )
    idle_days: Annotated[int, Field(ge=0)] = setting(
        30, "days", "Steps that should have begun so long ago and did not are on no worklist any more; 0: for ever"
    )
    keep_days: Annotated[int, Field(ge=0)] = setting(
        0,
        "days",
        "Orders are erased when nothing was asked of them or performed for them for so long, and no step is to come "
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
        "Between two looks for orders and workitems to erase: by age, and where all studies of an order were deleted "
        "for good; 0: none",
    )
    erase_rate: Annotated[float, Field(gt=0)] = setting(
        20.0, "orders/s", "So many are looked at, and erased, by themselves at most"
    )


class Upkeep(Section):
    """What keeps the bucket enough: sealed facts and the sweeper; runs with the indexer role"""

    archive: bool = setting(True, "", "Seal the log's facts into segments in the object store")
    seal_every: Seconds = setting(10.0, "s", "A fact is sealed that late at most, where few come")
    sweep_every: Annotated[float, Field(ge=0)] = setting(
        3600.0, "s", "Between sweeps for objects without an event; 0: never"
    )
    sweep_window: Seconds = setting(48 * 3600.0, "s", "Objects of so long ago are swept; `gantry sweep --all` for all")
    sweep_grace: Seconds = setting(900.0, "s", "Objects younger than this may be on their way")
    unfinished_after: Seconds = setting(24 * 3600.0, "s", "Uploads begun before that and not ended are removed")
    verify_every: Annotated[float, Field(ge=0)] = setting(
        7 * 24 * 3600.0, "s", "From the end of a verification of all objects to the next one; 0: never"
    )
    verify_rate: Annotated[float, Field(ge=0)] = setting(
        20.0 * MIB, "bytes/s", "Verification reads so fast at most; 0: as fast as it goes"
    )
    reconcile_every: Annotated[float, Field(ge=0)] = setting(
        24 * 3600.0, "s", "From the end of a comparison of all sealed facts with the index to the next one; 0: never"
    )
    reconcile_rate: Annotated[float, Field(ge=0)] = setting(
        5000.0, "facts/s", "They are compared so fast at most; 0: as fast as it goes"
    )
    usage_every: Annotated[float, Field(ge=0)] = setting(
        24 * 3600.0, "s", "From the end of a count of what is stored, by modality and sender, to the next one; 0: never"
    )
    usage_rate: Annotated[float, Field(ge=0)] = setting(
        5000.0, "instances/s", "They are counted so fast at most; 0: as fast as it goes"
    )
    report_every: Annotated[float, Field(ge=0)] = setting(
        15.0, "s", "Between two reports of each process, of any role, on how it is (docs/operations.md); 0: none"
    )
