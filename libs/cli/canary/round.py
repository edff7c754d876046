"""One round: the image is stored, found, fetched, sent by the archive, committed, and on request deleted."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory

import aiohttp

from gantry.cli.canary.phantom import SECONDARY_CAPTURE, Phantom
from gantry.cli.commit import ask as ask_commitment
from gantry.cli.files import DicomFile, look
from gantry.cli.http_words import words_of
from gantry.cli.identifiers import BOTH, encode, identifier
from gantry.cli.query import find_all
from gantry.cli.retrieve import FolderService, get_to
from gantry.cli.store import send_files
from gantry.common.clock import Clock
from gantry.common.dicom.standard.sop_classes import STUDY_ROOT_FIND, STUDY_ROOT_GET, STUDY_ROOT_MOVE
from gantry.common.errors import GantryError, PeerError
from gantry.common.net import Peer, connect, scu
from gantry.common.net.getting import get_contexts
from gantry.common.statuses import SUCCESS, status_words

STEPS = ("store", "find", "get", "move", "commit", "delete")
_LOOK_AGAIN = 0.25


class StepFailed(PeerError):
    """A step failed; the message says why."""


@dataclass(frozen=True, slots=True)
class StepResult:
    """One step: seconds; `why` it failed, "" if it did not."""

    step: str
    seconds: float
    why: str = ""


@dataclass(frozen=True, slots=True)
class Web:
    """The base URL of the archive's DICOMweb studies service, with a token if the archive needs one."""

    url: str
    token: str = ""


@dataclass(slots=True)
class Round:
    """One round. The image must be found within `deadline` seconds after the acknowledgement; the archive sends it to
    `destination`, which writes to the folder `received`; over `web` it is deleted."""

    peer: Peer
    clock: Clock
    timeout: float
    deadline: float
    steps: tuple[str, ...]
    destination: str = ""
    received: Path | None = None
    web: Web | None = None
    took: list[StepResult] = field(default_factory=list)

    async def run(self, made: Phantom) -> list[StepResult]:
        """Run all steps, in order. After a failure the steps that need the image are skipped."""
        ways: dict[str, Callable[[Phantom, DicomFile, Path], Awaitable[None]]] = {
            "store": self._store,
            "find": self._find,
            "get": self._get,
            "move": self._move,
            "commit": self._commit,
            "delete": self._delete,
        }
        with TemporaryDirectory(prefix="gantry-canary-") as name:
            file = look(made.write(Path(name)))
            assert isinstance(file, DicomFile)
            for step in self.steps:
                begun, why = self.clock.monotonic(), ""
                try:
                    await ways[step](made, file, Path(name))
                except (GantryError, OSError, aiohttp.ClientError, TimeoutError) as error:
                    why = words_of(error)
                self.took.append(StepResult(step, self.clock.monotonic() - begun, why))
                if why:
                    break
        return self.took

    async def _store(self, _: Phantom, file: DicomFile, __: Path) -> None:
        sent = await send_files(self.peer, [file], timeout=self.timeout)
        if sent.failures:
            raise StepFailed(sent.failures[0][1])

    async def _find(self, made: Phantom, _: DicomFile, __: Path) -> None:
        until = self.clock.monotonic() + self.deadline
        async with connect(self.peer, [(STUDY_ROOT_FIND, BOTH)]) as association:
            while True:
                query = identifier("IMAGE", _keys(made))
                matches, status, comment = await find_all(association, STUDY_ROOT_FIND, query, timeout=self.timeout)
                if status != SUCCESS:
                    raise StepFailed(": ".join(filter(None, (status_words(status), comment))))
                if len(matches) == 1:
                    return
                if self.clock.monotonic() >= until:
                    raise StepFailed(f"{len(matches)} images found, {self.deadline:g} s after the acknowledgement")
                await self.clock.sleep(_LOOK_AGAIN)

    async def _get(self, made: Phantom, file: DicomFile, folder: Path) -> None:
        (came := folder / "came").mkdir()
        service = FolderService(came, [SECONDARY_CAPTURE])
        contexts = get_contexts([SECONDARY_CAPTURE])
        await get_to(self.peer, service, contexts, STUDY_ROOT_GET, "IMAGE", _keys(made), timeout=self.timeout)
        if not service.received:
            raise StepFailed("nothing was received")
        _require_same(file, service.received[0])

    async def _move(self, made: Phantom, file: DicomFile, _: Path) -> None:
        assert self.received is not None
        final = None
        async with connect(self.peer, [(STUDY_ROOT_MOVE, BOTH)]) as association:
            context = scu.need_context(association, STUDY_ROOT_MOVE)
            query = encode(identifier("IMAGE", _keys(made)), context)
            responses = scu.move(association, STUDY_ROOT_MOVE, query, self.destination, timeout=self.timeout)
            async for response, _data in responses:
                final = response
        if final is None or final.status != SUCCESS:
            words = status_words(final.status) if final is not None else "no answer"
            comment = final.comment if final is not None else ""
            raise StepFailed(": ".join(filter(None, (words, comment))))
        path = self.received / f"{made.instance}.dcm"
        try:
            _require_same(file, path)
        finally:
            path.unlink(missing_ok=True)

    async def _commit(self, made: Phantom, _: DicomFile, __: Path) -> None:
        references = [(SECONDARY_CAPTURE, made.instance)]
        status, _transaction, report = await ask_commitment(
            self.peer, references, wait=self.deadline + self.timeout, timeout=self.timeout
        )
        if status:
            raise StepFailed(status_words(status))
        if report is None:
            raise StepFailed("no report on the same association")
        if report.get("FailedSOPSequence"):
            raise StepFailed(f"not committed: {int(report.FailedSOPSequence[0].FailureReason):04X}H")

    async def _delete(self, made: Phantom, _: DicomFile, __: Path) -> None:
        assert self.web is not None
        headers = {"Authorization": f"Bearer {self.web.token}"} if self.web.token else {}
        path = f"{self.web.url.rstrip('/')}/studies/{made.study}/series/{made.series}/instances/{made.instance}"
        limit = aiohttp.ClientTimeout(total=self.timeout)
        async with (
            aiohttp.ClientSession(headers=headers, timeout=limit) as session,
            session.delete(path, params={"reason": "canary"}, allow_redirects=False) as response,
        ):
            if response.status not in (200, 202, 204):
                raise StepFailed(f"the archive answered {response.status}")


def _keys(made: Phantom) -> list[str]:
    return [f"StudyInstanceUID={made.study}", f"SeriesInstanceUID={made.series}", f"SOPInstanceUID={made.instance}"]


def _require_same(sent: DicomFile, came: Path) -> None:
    got = look(came)
    if not isinstance(got, DicomFile):
        raise StepFailed(f"the received file is not valid: {got.reason}")
    if sent.path.read_bytes()[sent.offset :] != came.read_bytes()[got.offset :]:
        raise StepFailed("the received bytes differ from those sent")
