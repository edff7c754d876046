"""The import itself: for each study, the missing instances are fetched, sent, and searched for at the target."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TypeVar

from gantry.cli.files import DicomFile
from gantry.cli.importing.archive import DimseArchive
from gantry.cli.importing.job import ImportJob, StudyOutcome
from gantry.cli.importing.model import (
    Finding,
    ImportSource,
    Instance,
    Instances,
    Study,
    StudyComparison,
    Withheld,
    compare,
)
from gantry.cli.importing.pace import TransferPace
from gantry.cli.store import send_files
from gantry.common.clock import Clock
from gantry.common.errors import AssociationRejected, ConnectionFailed, GantryError, PeerError
from gantry.common.statuses import OUT_OF_RESOURCES, SUCCESS

T = TypeVar("T")
_LONGEST_PAUSE = 60.0
_LOOK_AGAIN = 0.5
_NOT_SHOWN = (
    "the target stored it, but does not list it: it may have another object of this UID (see gantry conflicts), or"
    " be behind with its index"
)
Tell = Callable[[Study, StudyOutcome], None]


@dataclass(frozen=True, slots=True)
class ImportOptions:
    """`parallel`: studies at once. `tries`: attempts per study in a run. `patience`: seconds to wait if source or
    target cannot be reached. `deadline`: seconds until sent instances must be found. `destination`: the source sends to
    this AE title, by C-MOVE. `spool`: folder for files in transit, else the system's."""

    dry_run: bool = False
    parallel: int = 2
    tries: int = 3
    patience: float = 600.0
    deadline: float = 60.0
    window: int = 4
    destination: str = ""
    spool: Path | None = None


@dataclass(slots=True)
class _Transfer:
    """The outcome for the missing instances of a study."""

    stored: set[str] = field(default_factory=set)
    bytes: int = 0
    failures: dict[str, str] = field(default_factory=dict)
    no_room: bool = False

    def has(self, uid: str) -> bool:
        """Whether the outcome for an instance is known."""
        return uid in self.stored or uid in self.failures


async def note_studies(job: ImportJob, source: ImportSource, clock: Clock, patience: float) -> bool:
    """Record all studies of the source in the job. Returns whether there are any. If the source goes away during the
    listing, it is listed again, for `patience` seconds. Raises `GantryError` if that fails, or it never answered."""
    furthest, until, pause = 0, 0.0, 1.0
    while True:
        seen = 0
        try:
            async for study in source.studies():
                job.see(study)
                seen += 1
            return seen > 0
        except (ConnectionFailed, AssociationRejected) as error:
            if seen > furthest:
                # Listing may take longer than `patience`, which begins when the source goes away.
                furthest, until, pause = seen, clock.monotonic() + patience, 1.0
            if not furthest or _lasting(error) or clock.monotonic() + pause > until:
                raise
        await clock.sleep(pause)
        pause = min(pause * 2, _LONGEST_PAUSE)


class Import:
    """One run of a job."""

    def __init__(
        self,
        job: ImportJob,
        source: ImportSource,
        target: DimseArchive,
        pace: TransferPace,
        clock: Clock,
        options: ImportOptions,
        tell: Tell,
    ) -> None:
        """`tell` is called after each study."""
        self._job = job
        self._source = source
        self._target = target
        self._pace = pace
        self._clock = clock
        self._options = options
        self._tell = tell
        self._refusals = 0

    async def run(self) -> None:
        """Process every remaining study; studies that fail are tried again at the end."""
        for attempt in range(self._options.tries):
            left = iter(list(self._job.left(compared=self._options.dry_run)))
            if attempt:
                await self._clock.sleep(min(_LONGEST_PAUSE, 5.0 * attempt) if self._options.patience else 0)
            async with asyncio.TaskGroup() as group:
                for _ in range(self._options.parallel):
                    group.create_task(self._work(left))
            if not any(self._job.left(compared=self._options.dry_run)):
                return

    async def _work(self, left: Iterator[Study]) -> None:
        for study in left:
            try:
                outcome = await self._look_at(study)
            except (GantryError, OSError) as error:
                outcome = StudyOutcome(study.instances or 0, 0, reason=str(error) or type(error).__name__)
            done = "compared" if self._options.dry_run else "done"
            failed = bool(outcome.reason) or not (self._options.dry_run or outcome.whole)
            self._job.tell(study.uid, "failed" if failed else done, outcome)
            self._tell(study, outcome)

    async def _look_at(self, study: Study) -> StudyOutcome:
        await self._pace.begin()
        source = await self._patiently(lambda: self._source.instances(study.uid))
        if not source and study.instances != 0:
            # The folder may not be mounted now, or the server may list fewer: the study is not done.
            return StudyOutcome(study.instances or 0, 0, reason="the source lists none of its instances now")
        target, same = await self._look_into_target(study.uid)
        comparison = _compare(source, target, study, same)
        if self._options.dry_run or not comparison.missing:
            return StudyOutcome(len(source), len(target), findings=comparison.findings())
        if self._options.destination:
            moved = await self._move(study, comparison.missing)
        else:
            moved = await self._through(study, comparison.missing)
            await self._make_room(moved)
        now, same = await self._wait_until_shown(study.uid, moved.stored)
        left = _compare(source, now, study, same)
        for uid in moved.stored & set(left.missing):
            moved.failures[uid] = _NOT_SHOWN
        failed = [Finding("failed", source[uid].series, uid, why) for uid, why in sorted(moved.failures.items())]
        findings = [
            finding
            for finding in left.findings()
            if finding.kind != "missing" or finding.instance not in moved.failures
        ]
        taken = set(now) & set(comparison.missing) if self._options.destination else moved.stored - set(moved.failures)
        return StudyOutcome(len(source), len(target), len(taken), moved.bytes, [*failed, *findings])

    async def _look_into_target(self, uid: str) -> tuple[Instances, Study | None]:
        same = await self._patiently(lambda: self._target.study(uid))
        return (await self._patiently(lambda: self._target.instances(uid)) if same is not None else {}), same

    async def _wait_until_shown(self, uid: str, wanted: set[str]) -> tuple[Instances, Study | None]:
        """The target's list of a study, as soon as it has all of `wanted`, or at the deadline."""
        until = self._clock.monotonic() + self._options.deadline
        while True:
            target, same = await self._look_into_target(uid)
            if wanted <= set(target) or self._clock.monotonic() >= until:
                return target, same
            await self._clock.sleep(_LOOK_AGAIN)

    async def _through(self, study: Study, missing: Mapping[str, Instance]) -> _Transfer:
        """Fetch files of these instances and send them, some at a time. If the source goes away, wait for it."""
        transfer = _Transfer()
        until, pause = self._clock.monotonic() + self._options.patience, 1.0
        while rest := {uid: instance for uid, instance in missing.items() if not transfer.has(uid)}:
            before = len(rest)
            try:
                await self._fetch(study.uid, rest, transfer)
                break
            except (ConnectionFailed, AssociationRejected) as error:
                if sum(not transfer.has(uid) for uid in missing) < before:
                    until, pause = self._clock.monotonic() + self._options.patience, 1.0
                if _lasting(error) or self._clock.monotonic() + pause > until:
                    for uid in rest:
                        if not transfer.has(uid):
                            transfer.failures[uid] = f"the source: {error}"
                    break
            await self._clock.sleep(pause)
            pause = min(pause * 2, _LONGEST_PAUSE)
        for uid in missing:
            if not transfer.has(uid):
                transfer.failures[uid] = "the source did not send it"
        return transfer

    async def _fetch(self, study: str, wanted: Mapping[str, Instance], transfer: _Transfer) -> None:
        with TemporaryDirectory(prefix="gantry-import-", dir=self._options.spool) as name:
            fetched = self._source.fetch(study, wanted, Path(name))
            while True:
                await self._pace.begin()
                came = await anext(fetched, None)
                if came is None:
                    return
                files = [file for file in came if isinstance(file, DicomFile)]
                await self._send([file for file in files if file.sop_instance_uid in wanted], transfer)
                for arrival in came:
                    if isinstance(arrival, Withheld):
                        transfer.failures.setdefault(arrival.sop_instance_uid, f"the source: {arrival.reason}")
                    elif arrival.path.parent == Path(name):
                        arrival.path.unlink(missing_ok=True)

    async def _send(self, files: list[DicomFile], transfer: _Transfer) -> None:
        if not files:
            return

        def done(file: DicomFile, status: int | None) -> None:
            if status is not None and (status == SUCCESS or status >> 12 == 0xB):
                transfer.stored.add(file.sop_instance_uid)
            elif status is not None and status >> 8 == OUT_OF_RESOURCES >> 8:
                transfer.no_room = True

        target, window, timeout = self._target.peer, self._options.window, self._target.timeout
        try:
            sent = await self._patiently(lambda: send_files(target, files, window=window, timeout=timeout, done=done))
        except (ConnectionFailed, AssociationRejected) as error:
            # We have waited for the target; the loop that fetches from the source must not wait again.
            raise PeerError(f"the target: {error}") from error
        names = {file.path: file.sop_instance_uid for file in files}
        transfer.failures |= {names[path]: f"the target: {why}" for path, why in sent.failures}
        transfer.bytes += sent.bytes
        self._pace.passed(sent.bytes)

    async def _make_room(self, transfer: _Transfer) -> None:
        """Wait while the target has no room, with growing pauses, so that the source does not send files in vain."""
        self._refusals = self._refusals + 1 if transfer.no_room and not transfer.stored else 0
        if self._refusals and self._options.patience:
            await self._clock.sleep(min(_LONGEST_PAUSE, 2.0 ** min(self._refusals, 6)))

    async def _move(self, study: Study, missing: Mapping[str, Instance]) -> _Transfer:
        source = self._source
        if not isinstance(source, DimseArchive):
            raise GantryError("only an archive can send by C-MOVE")
        why = await self._patiently(lambda: source.move(study.uid, missing, self._options.destination))
        target, _ = await self._wait_until_shown(study.uid, set(missing) if not why else set())
        reason = f"C-MOVE: {why}" if why else "the source says that it sent it, but the target does not list it"
        return _Transfer(failures={uid: reason for uid in missing if uid not in target})

    async def _patiently(self, ask: Callable[[], Awaitable[T]]) -> T:
        """The answer of `ask`; if the peer cannot be reached, it is called again, with growing pauses."""
        until, pause = self._clock.monotonic() + self._options.patience, 1.0
        while True:
            try:
                return await ask()
            except (ConnectionFailed, AssociationRejected) as error:
                if _lasting(error) or self._clock.monotonic() + pause > until:
                    raise
            await self._clock.sleep(pause)
            pause = min(pause * 2, _LONGEST_PAUSE)


def _lasting(error: ConnectionFailed | AssociationRejected) -> bool:
    return isinstance(error, AssociationRejected) and not error.retryable


def _compare(source: Instances, target: Instances, study: Study, same: Study | None) -> StudyComparison:
    """Compare a study on both sides, and check that the source lists all of it: some archives limit their matches."""
    comparison = compare(source, target, study, same)
    if study.instances is not None and len(source) < study.instances:
        detail = f"NumberOfStudyRelatedInstances: the source counts {study.instances}, and lists {len(source)}"
        comparison.different.append(Finding("different", "", "", detail))
    return comparison
