"""Studies and instances as a source and a target list them, and their differences. Pure."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from gantry.cli.files import DicomFile

ATTRIBUTES = ("PatientID", "PatientName", "PatientBirthDate", "PatientSex", "AccessionNumber", "StudyDate")
"""The attributes of a study that are compared."""


@dataclass(frozen=True, slots=True)
class Study:
    """A study as one side lists it; `instances` is None if the side does not report the number."""

    uid: str
    attributes: Mapping[str, str]
    instances: int | None = None


@dataclass(frozen=True, slots=True)
class Instance:
    """An instance on one side; `file` if it is a file. `clash` says in words that the side also has another object with
    the same UID."""

    series: str
    sop_class_uid: str = ""
    file: DicomFile | None = None
    clash: str = ""


@dataclass(frozen=True, slots=True)
class Withheld:
    """An instance that a source does not supply, and why."""

    sop_instance_uid: str
    reason: str


Instances = Mapping[str, Instance]
"""Instances by SOP Instance UID."""


@dataclass(frozen=True, slots=True)
class Finding:
    """A difference between both sides, or an error. `kind`: missing, extra, different, failed; for files of a source
    also unreadable and skipped."""

    kind: str
    series: str
    instance: str
    detail: str = ""


@dataclass(slots=True)
class StudyComparison:
    """A study on both sides: what the target lacks, what it has in addition, and what differs."""

    missing: dict[str, Instance] = field(default_factory=dict)
    extra: dict[str, Instance] = field(default_factory=dict)
    different: list[Finding] = field(default_factory=list)

    def findings(self) -> list[Finding]:
        """All findings for a report."""
        lacking = [Finding("missing", instance.series, uid) for uid, instance in sorted(self.missing.items())]
        more = [Finding("extra", instance.series, uid) for uid, instance in sorted(self.extra.items())]
        return [*lacking, *more, *self.different]


class ImportSource(Protocol):
    """The source of an import."""

    def studies(self) -> AsyncIterator[Study]:
        """All studies, each at least once. Raises `GantryError` if they cannot be listed."""

    async def instances(self, study: str) -> Instances:
        """The instances of a study. Raises `GantryError`."""

    def fetch(self, study: str, wanted: Instances, folder: Path) -> AsyncIterator[list[DicomFile | Withheld]]:
        """Files of these instances, some at a time; those in `folder` may be deleted after each step. `Withheld` says
        why an instance is not available; an instance that is left out is not, either. Raises `ConnectionFailed` if the
        source is away, and `AssociationRejected`: the rest may be fetched later."""

    async def close(self) -> None:
        """Close all connections."""


def compare(source: Instances, target: Instances, study: Study, same: Study | None) -> StudyComparison:
    """Compare a study on both sides; `same` is None if the target does not have it."""
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
    """Compare a study by its attributes and its number of instances only."""
    if same is None:
        return [Finding("missing", "", "", "the whole study")]
    different = compare({}, {}, study, same).different
    if study.instances is not None and same.instances is not None and study.instances != same.instances:
        detail = f"NumberOfStudyRelatedInstances: source {study.instances}, target {same.instances}"
        different.append(Finding("different", "", "", detail))
    return different


def usual(name: str, value: str) -> str:
    """A normalised value for comparison: archives pad values, and leave out empty components at the end of a name."""
    value = value.strip(" \0")
    if name != "PatientName":
        return value
    groups = ["^".join(part.strip() for part in group.split("^")).rstrip("^") for group in value.split("=")]
    return "=".join(groups).rstrip("=")


def by_series(wanted: Instances) -> dict[str, list[str]]:
    """SOP Instance UIDs, grouped by series."""
    groups: dict[str, list[str]] = {}
    for uid, instance in wanted.items():
        groups.setdefault(instance.series, []).append(uid)
    return groups


def in_portions(uids: Sequence[str], size: int) -> list[Sequence[str]]:
    """UIDs in groups of `size`."""
    return [uids[start : start + size] for start in range(0, len(uids), size)]
