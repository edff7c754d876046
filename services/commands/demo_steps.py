"""The steps of `gantry demo`: each uses a real association with the archive, and counts correct results."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import click

from gantry.cli.commit import ask
from gantry.cli.files import DicomFile
from gantry.cli.identifiers import BOTH, encode, identifier
from gantry.cli.output import progress_bar
from gantry.cli.query import find_all
from gantry.cli.retrieve import FolderService, get_to
from gantry.cli.store import send_files
from gantry.common.clock import Clock
from gantry.common.dicom.encoding.part10 import parse_meta
from gantry.common.dicom.scan.scanner import Scan
from gantry.common.dicom.standard.sop_classes import PATIENT_ROOT_FIND, STUDY_ROOT_FIND, STUDY_ROOT_GET, STUDY_ROOT_MOVE
from gantry.common.net import Peer, connect, scu
from gantry.common.net.getting import get_contexts

US, THEM = "DEMO", "DEMO_DEST"
_SEARCHABLE_WITHIN = 60.0


@dataclass(slots=True)
class DemoObject:
    file: DicomFile
    scan: Scan


@dataclass(slots=True)
class DemoReport:
    """One row per step: its name, how many of how many succeeded, and whether all did."""

    rows: list[tuple[str, str, str]] = field(default_factory=list)
    differences: list[str] = field(default_factory=list)

    def row(self, step: str, done: int, expected: int, seconds: float) -> None:
        ok = done == expected
        self.rows.append((step, f"{done} of {expected}", f"{'ok' if ok else 'DIFFERS'}, {seconds:.2f} s"))
        if not ok:
            self.differences.append(f"{step}: {done} of {expected}")


@dataclass(frozen=True, slots=True)
class DemoRun:
    """The archive, the folder for files, the objects, and the second AE's folder."""

    peer: Peer
    folder: Path
    objects: list[DemoObject]
    moved: FolderService
    clock: Clock

    async def steps(self, report: DemoReport) -> None:
        """Run all steps, with a row for each."""
        steps = (
            ("store (C-STORE)", self._store),
            ("searchable", self._searchable),
            ("find PATIENT level", self._find_patients),
            ("find STUDY level", self._find_studies),
            ("find SERIES level", self._find_series),
            ("find IMAGE level", self._find_images),
            ("fetch (C-GET)", self._get),
            ("move (C-MOVE)", self._move),
            ("commitment", self._commit),
        )
        for name, step in steps:
            started = self.clock.monotonic()
            done, expected = await step()
            report.row(name, done, expected, self.clock.monotonic() - started)

    async def _store(self) -> tuple[int, int]:
        with progress_bar("storing", len(self.objects)) as bar:
            sent = await send_files(
                self.peer, [o.file for o in self.objects], done=lambda _file, _status: bar.advance()
            )
        for path, why in sent.failures:
            click.echo(f"gantry: {path}: {why}", err=True)
        return sent.stored, len(self.objects)

    async def _values(self, level: str, keys: Sequence[str], keyword: str) -> list[str]:
        """The values of one attribute among the matches."""
        root = PATIENT_ROOT_FIND if level == "PATIENT" else STUDY_ROOT_FIND
        async with connect(self.peer, [(root, BOTH)]) as association:
            matches, _, _ = await find_all(association, root, identifier(level, [*keys, keyword]), timeout=60.0)
        return [str(match.get(keyword, "")) for match in matches]

    async def _searchable(self) -> tuple[int, int]:
        deadline = self.clock.monotonic() + _SEARCHABLE_WITHIN
        while True:
            async with connect(self.peer, [(STUDY_ROOT_FIND, BOTH)]) as association:
                query = identifier("STUDY", ["StudyInstanceUID", "NumberOfStudyRelatedInstances"])
                matches, _, _ = await find_all(association, STUDY_ROOT_FIND, query, timeout=60.0)
            count = sum(int(match.NumberOfStudyRelatedInstances or 0) for match in matches)
            if count >= len(self.objects) or self.clock.monotonic() > deadline:
                return count, len(self.objects)
            await self.clock.sleep(0.05)

    async def _find_patients(self) -> tuple[int, int]:
        expected = set(await self._values("STUDY", [], "PatientID"))
        return len(expected & set(await self._values("PATIENT", [], "PatientID"))), len(expected)

    async def _find_studies(self) -> tuple[int, int]:
        expected = {o.scan.study_instance_uid for o in self.objects}
        return len(expected & set(await self._values("STUDY", [], "StudyInstanceUID"))), len(expected)

    async def _find_series(self) -> tuple[int, int]:
        expected = {(o.scan.study_instance_uid, o.scan.series_instance_uid) for o in self.objects}
        pairs = set()
        for study in {study for study, _ in expected}:
            pairs |= {
                (study, series)
                for series in await self._values("SERIES", [f"StudyInstanceUID={study}"], "SeriesInstanceUID")
            }
        return len(expected & pairs), len(expected)

    async def _find_images(self) -> tuple[int, int]:
        by_series: dict[tuple[str, str], set[str]] = defaultdict(set)
        for o in self.objects:
            by_series[o.scan.study_instance_uid, o.scan.series_instance_uid].add(o.scan.sop_instance_uid)
        count = 0
        for (study, series), uids in by_series.items():
            keys = [f"StudyInstanceUID={study}", f"SeriesInstanceUID={series}"]
            count += len(uids & set(await self._values("IMAGE", keys, "SOPInstanceUID")))
        return count, len(self.objects)

    async def _get(self) -> tuple[int, int]:
        same = 0
        studies = by_study(self.objects)
        with progress_bar("fetching", len(studies)) as bar:
            for study, members in studies.items():
                classes = list({o.file.sop_class_uid for o in members})
                service = FolderService(made(self.folder / "got" / study), classes)
                pairs = {(o.file.sop_class_uid, (o.file.transfer_syntax_uid,)) for o in members}
                contexts = list(pairs) if len(pairs) < 127 else get_contexts(classes)
                keys = [f"StudyInstanceUID={study}"]
                await get_to(self.peer, service, contexts, STUDY_ROOT_GET, "STUDY", keys, timeout=120.0)
                same += equal(members, service.received)
                bar.advance()
        return same, len(self.objects)

    async def _move(self) -> tuple[int, int]:
        studies = list(by_study(self.objects))
        with progress_bar("moving", len(studies)) as bar:
            async with connect(self.peer, [(STUDY_ROOT_MOVE, BOTH)]) as association:
                context = scu.need_context(association, STUDY_ROOT_MOVE)
                for study in studies:
                    query = encode(identifier("STUDY", [f"StudyInstanceUID={study}"]), context)
                    async for response, _ in scu.move(association, STUDY_ROOT_MOVE, query, THEM):
                        final = response
                    if final is None or final.status:
                        comment = "" if final is None else final.comment
                        click.echo(f"gantry: move of a study failed: {comment}", err=True)
                    bar.advance()
        return equal(self.objects, self.moved.received), len(self.objects)

    async def _commit(self) -> tuple[int, int]:
        references = [(o.file.sop_class_uid, o.file.sop_instance_uid) for o in self.objects]
        status, _, report = await ask(self.peer, references, wait=120.0, timeout=60.0)
        if status or report is None:
            click.echo(f"gantry: storage commitment: status {status:04X}H, no report", err=True)
            return 0, len(self.objects)
        return len(report.get("ReferencedSOPSequence") or []), len(self.objects)


def data_set(path: Path, offset: int) -> bytes:
    """The data set's bytes in a file."""
    with path.open("rb") as file:
        file.seek(offset)
        return file.read()


def made(folder: Path) -> Path:
    """The folder, created if missing."""
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def by_study(objects: list[DemoObject]) -> dict[str, list[DemoObject]]:
    studies: dict[str, list[DemoObject]] = defaultdict(list)
    for o in objects:
        studies[o.scan.study_instance_uid].append(o)
    return studies


def equal(objects: list[DemoObject], received: Sequence[Path]) -> int:
    """How many data sets were received byte for byte."""
    files = {path.stem: path for path in received}
    equal = 0
    for o in objects:
        path = files.get(o.scan.sop_instance_uid)
        if path is None:
            click.echo(f"gantry: {o.file.path.name} was not received", err=True)
            continue
        ours = data_set(o.file.path, o.file.offset)
        whole = path.read_bytes()
        theirs = whole[parse_meta(whole).data_set_offset :]
        if ours == theirs:
            equal += 1
        else:
            click.echo(f"gantry: {o.file.path.name} was received with other bytes", err=True)
    return equal
