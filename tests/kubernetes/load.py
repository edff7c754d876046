"""Senders that store without end and send again what was not acknowledged, and what became of their images."""

from __future__ import annotations

import asyncio
import re
import threading
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

from pydicom.uid import generate_uid

from gantry.cli.files import DicomFile
from gantry.cli.identifiers import BOTH, identifier
from gantry.cli.query import find_all
from gantry.cli.store import send_files
from gantry.common.dicom.standard.sop_classes import STUDY_ROOT_FIND
from gantry.common.errors import PeerError
from gantry.common.net import Peer, connect
from tests.support.objects import data_set, write

_IMAGES, _SIZE = 4, 64


@dataclass
class Sender:
    """A modality: one small study after the other, each on an association of its own; what fails is sent again."""

    peer: Peer
    folder: Path
    pause: float = 0.1
    files: dict[str, list[DicomFile]] = field(default_factory=dict)
    """By Study Instance UID."""
    acknowledged: set[str] = field(default_factory=set)
    statuses: Counter[str] = field(default_factory=Counter)
    troubles: Counter[str] = field(default_factory=Counter)
    """Associations that could not be had, or ended before their time, by what the sender saw."""
    slowest: float = 0.0
    stopping: bool = False

    @property
    def left(self) -> list[DicomFile]:
        """What was not acknowledged yet."""
        return [f for files in self.files.values() for f in files if f.sop_instance_uid not in self.acknowledged]

    async def run(self) -> None:
        """Send until `stopping`, and then what is left."""
        number = 0
        while not self.stopping:
            study, series = generate_uid(), generate_uid()
            number += 1
            self.files[study] = [
                write(self.folder, data_set(study=study, series=series, number=n, size=_SIZE, patient=f"P{number % 5}"))
                for n in range(_IMAGES)
            ]
            await self._attempt()
        async with asyncio.timeout(90):
            while self.left:
                await self._attempt()

    async def _attempt(self) -> None:
        started = time.monotonic()
        unanswered = 0

        def done(file: DicomFile, status: int | None) -> None:
            nonlocal unanswered
            if status is None:
                unanswered += 1
            else:
                self.statuses[f"{status:04X}H"] += 1
            if status == 0x0000:
                self.acknowledged.add(file.sop_instance_uid)

        try:
            sent = await send_files(self.peer, self.left, timeout=45.0, done=done)
            if unanswered:
                self.troubles[f"cut: {sent.failures[-1][1]}"] += 1
        except PeerError as error:
            self.troubles[f"{type(error).__name__}: {error}"] += 1
        self.slowest = max(self.slowest, time.monotonic() - started)
        await asyncio.sleep(self.pause if not self.left else 1.0)


class Load:
    """Several senders in a thread of their own, for as long as a `with` lasts."""

    def __init__(self, peer: Peer, folder: Path, senders: int = 2, pause: float = 0.1) -> None:
        self.peer = peer
        self.senders = [Sender(peer, folder / str(n), pause) for n in range(senders)]
        self._thread = threading.Thread(target=lambda: asyncio.run(self._run()), name="load")
        self._failure: BaseException | None = None

    async def _run(self) -> None:
        try:
            await asyncio.gather(*(sender.run() for sender in self.senders))
        except BaseException as error:
            self._failure = error

    def __enter__(self) -> Self:
        self.started = time.monotonic()
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        for sender in self.senders:
            sender.stopping = True
        self._thread.join()
        self.seconds = time.monotonic() - self.started

    @property
    def acknowledged(self) -> set[str]:
        """SOP Instance UIDs."""
        return {uid for sender in self.senders for uid in sender.acknowledged}

    @property
    def statuses(self) -> Counter[str]:
        return sum((sender.statuses for sender in self.senders), Counter())

    @property
    def troubles(self) -> Counter[str]:
        return sum((sender.troubles for sender in self.senders), Counter())

    def in_words(self) -> str:
        """What the senders saw, for the figures."""
        slowest = max(sender.slowest for sender in self.senders)
        return (
            f"{len(self.acknowledged)} images acknowledged in {self.seconds:.0f} s, "
            f"slowest association {slowest:.1f} s, "
            f"statuses {dict(self.statuses)}, troubles {dict(self.troubles)}"
        )

    def forget(self, study: str) -> None:
        """Ask for a study no more: it was deleted."""
        for sender in self.senders:
            for file in sender.files.pop(study, []):
                sender.acknowledged.discard(file.sop_instance_uid)

    def check_polite(self) -> None:
        """Senders saw success, rejections for now (2/3/1), and releases by the archive, between images, as it ends."""
        polite = r"cut: the association has ended( \(released\))?|.*rejected.*temporary congestion.*"
        assert not [trouble for trouble in self.troubles if not re.fullmatch(polite, trouble)], self.troubles
        assert set(self.statuses) <= {"0000H", "A700H"}, self.statuses

    def check(self, seconds: float = 90.0) -> None:
        """Every image was acknowledged, and every one is found exactly once; nothing else is in their studies."""
        assert self._failure is None, repr(self._failure)
        sent = {study: {f.sop_instance_uid for f in files} for s in self.senders for study, files in s.files.items()}
        assert self.acknowledged == set().union(*sent.values())
        asyncio.run(_check_found(self.peer, sent, seconds))


async def _check_found(peer: Peer, sent: dict[str, set[str]], seconds: float) -> None:
    deadline = time.monotonic() + seconds
    for study, instances in sent.items():
        while True:
            uids = await found(peer, study)
            if sorted(uids) == sorted(instances):
                break
            assert time.monotonic() < deadline, f"of {len(instances)} images of {study} these are found: {uids}"
            await asyncio.sleep(0.5)


async def found(peer: Peer, study: str) -> list[str]:
    """The SOP Instance UIDs of a study, each as often as it is found."""
    query = identifier("IMAGE", [f"StudyInstanceUID={study}", "SeriesInstanceUID", "SOPInstanceUID"])
    async with connect(peer, [(STUDY_ROOT_FIND, BOTH)]) as association:
        # Relational queries are not asked for: the study's one series first.
        series = identifier("SERIES", [f"StudyInstanceUID={study}", "SeriesInstanceUID"])
        matches, status, comment = await find_all(association, STUDY_ROOT_FIND, series, timeout=30.0)
        assert status == 0, comment
        uids = []
        for match in matches:
            query = identifier(
                "IMAGE", [f"StudyInstanceUID={study}", f"SeriesInstanceUID={match.SeriesInstanceUID}", "SOPInstanceUID"]
            )
            images, status, comment = await find_all(association, STUDY_ROOT_FIND, query, timeout=30.0)
            assert status == 0, comment
            uids += [str(image.SOPInstanceUID) for image in images]
    return uids
