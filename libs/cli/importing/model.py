"""What a source and a target say of a study, and how they differ. Pure."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from gantry.cli.files import DicomFile

ATTRIBUTES = ("PatientID", "PatientName", "PatientBirthDate", "PatientSex", "AccessionNumber", "StudyDate")
"""Of a study: compared on both sides."""


@dataclass(frozen=True, slots=True)
class Study:
    """A study as one side lists it; `instances` is None where it does not say how many it has."""

    uid: str
    attributes: Mapping[str, str]
    instances: int | None = None


@dataclass(frozen=True, slots=True)
class Instance:
    """Where an instance is on one side; `file` where it is a file. `clash` says in words that the side has another
    object under the same UID, too."""

    series: str
    sop_class_uid: str = ""
    file: DicomFile | None = None
    clash: str = ""


@dataclass(frozen=True, slots=True)
class Withheld:
    """An instance that a source does not give, and why."""

    sop_instance_uid: str
    reason: str


Instances = Mapping[str, Instance]
"""By SOP Instance UID."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that is not the same on both sides, or that went wrong. `kind`: missing, extra, different, failed; of
    the files of a source also unreadable and skipped."""

    kind: str
    series: str
    instance: str
    detail: str = ""


@dataclass(slots=True)
class StudyComparison:
    """A study on both sides: what the target lacks, what it has in addition, and what is not the same."""

    missing: dict[str, Instance] = field(default_factory=dict)
    extra: dict[str, Instance] = field(default_factory=dict)
    different: list[Finding] = field(default_factory=list)

    def findings(self) -> list[Finding]:
        """All of it, as it goes into a report."""
        lacking = [Finding("missing", instance.series, uid) for uid, instance in sorted(self.missing.items())]
        more = [Finding("extra", instance.series, uid) for uid, instance in sorted(self.extra.items())]
        return [*lacking, *more, *self.different]


class ImportSource(Protocol):
    """What is imported from."""

    def studies(self) -> AsyncIterator[Study]:
        """All studies, each at least once. Raises `GantryError` if they cannot be listed."""

    async def instances(self, study: str) -> Instances:
        """The instances of a study. Raises `GantryError`."""

    def fetch(self, study: str, wanted: Instances, folder: Path) -> AsyncIterator[list[DicomFile | Withheld]]:
        """Files of these instances, some at a time; those in `folder` may be deleted after each step. What does not
        come was not to be had; `Withheld` says why. Raises `ConnectionFailed` where the source is away, and
        `AssociationRejected`: the rest may be asked for later."""

    async def close(self) -> None:
        """End what is open."""


def compare(source: Instances, target: Instances, study: Study, same: Study | None) -> StudyComparison:
    """A study on both sides; `same` is None where the target does not have it."""
    comparison = StudyComparison()
    for uid, instance in source.items():
        other = target.get(uid)
        if other is None:
            comparison.missing[uid] = instance
        elif instance.series and other.series and instance.series != other.series:
            comparison.different.append(
                Finding("different", instance.series, uid, f"SeriesInstanceUID: target {other.series}")
            )
        if instance.clash:
            comparison.different.append(Finding("different", instance.series, uid, instance.clash))
    comparison.extra = {uid: instance for uid, instance in target.items() if uid not in source}
    if same is not None:
        comparison.different += [
            Finding("different", "", "", f"{name}: source {study.attributes[name]!r}, target {value!r}")
            for name in ATTRIBUTES
            if name in study.attributes
            and (value := same.attributes.get(name, "")) is not None
            and usual(name, study.attributes[name]) != usual(name, value)
        ]
    return comparison


def compare_counts(study: Study, same: Study | None) -> list[Finding]:
    """A study of which only its attributes and the number of its instances are known, on both sides."""
    if same is None:
        return [Finding("missing", "", "", "the whole study")]
    different = compare({}, {}, study, same).different
    if study.instances is not None and same.instances is not None and study.instances != same.instances:
        detail = f"NumberOfStudyRelatedInstances: source {study.instances}, target {same.instances}"
        different.append(Finding("different", "", "", detail))
    return different


def usual(name: str, value: str) -> str:
    """A value as it is compared: archives pad it, and leave out the empty end of a name."""
    value = value.strip(" \0")
    if name != "PatientName":
        return value
    groups = ["^".join(part.strip() for part in group.split("^")).rstrip("^") for group in value.split("=")]
    return "=".join(groups).rstrip("=")


def by_series(wanted: Instances) -> dict[str, list[str]]:
    """SOP Instance UIDs by their series."""
    groups: dict[str, list[str]] = {}
    for uid, instance in wanted.items():
        groups.setdefault(instance.series, []).append(uid)
    return groups


def in_portions(uids: Sequence[str], size: int) -> list[Sequence[str]]:
    """The same, `size` at a time."""
    return [uids[start : start + size] for start in range(0, len(uids), size)]
