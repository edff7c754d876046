"""What a test asks of an archive, wherever that runs. Everything blocks until it is done."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import Callable, Coroutine, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, TypeVar

from pydicom.dataset import Dataset

from gantry.cli.files import DicomFile, look, walk
from gantry.cli.identifiers import BOTH, identifier
from gantry.cli.query import find_all
from gantry.cli.store import send_files
from gantry.common.clock import SystemClock
from gantry.common.dicom.standard.sop_classes import STUDY_ROOT_FIND, VERIFICATION
from gantry.common.net import Association, Peer, connect, scu
from gantry.testing.security import Security
from gantry.testing.studies import MadeStudy, make_study

T = TypeVar("T")
OURS = "GANTRY_TEST"
"""The AE title that seeding and searching is done under."""
_TIME = SystemClock()


class Client:
    """An archive that answers at `host` and `port` under `ae_title`."""

    host = "127.0.0.1"
    port = 0
    http_port = 0
    ae_title = "GANTRY"
    security: Security | None = None
    """Certificates and a token, where the archive wants them."""

    @property
    def address(self) -> str:
        """AE@HOST:PORT, as `gantry store` and its like take it."""
        return f"{self.ae_title}@{self.host}:{self.port}"

    @property
    def http_url(self) -> str:
        """Where health and metrics are, and what else speaks HTTP; without a slash at the end."""
        return f"http://{self.host}:{self.http_port}"

    def echo(self) -> None:
        """C-ECHO. Raises `PeerError` where the archive does not answer."""

        async def ask() -> None:
            async with connect(self._peer, [(VERIFICATION, BOTH)]) as association:
                await scu.echo(association, timeout=10.0)

        _run(ask)

    def make_study(self, modality: str = "CT", instances: int = 1, **details: Any) -> MadeStudy:
        """Make up a study (`gantry.testing.make_study`, which names the details), store it, and return when all of it
        can be found."""
        study = make_study(modality, instances, **details)
        with tempfile.TemporaryDirectory(prefix="gantry-study-") as folder:
            self.seed(*study.write(folder))
        return study

    def wait_for(
        self, *, study: str, instances: int = 1, series: str | None = None, seconds: float = 60.0
    ) -> list[str]:
        """Return when so many instances of a study, or of one of its series, can be found: their SOP Instance UIDs.
        `TimeoutError` after `seconds`, which says how many there were."""
        uids: set[str] = set()

        async def wait() -> None:
            nonlocal uids
            async with connect(self._peer, [(STUDY_ROOT_FIND, BOTH)]) as association:
                while len(uids) < instances:
                    uids = await _instances(association, study, series)
                    if len(uids) < instances:
                        await _TIME.sleep(0.05)

        async def wait_within() -> None:
            try:
                async with asyncio.timeout(seconds):
                    await wait()
            except TimeoutError:
                words = f"{len(uids)} of {instances} instances of study {study} after {seconds:g} s"
                raise TimeoutError(words) from None

        _run(wait_within)
        return sorted(uids)

    def seed(self, *paths: str | Path, seconds: float = 60.0) -> list[DicomFile]:
        """Store DICOM files, and folders of them, and return when all of them can be found. What is no DICOM file is
        left out. Raises `FileNotFoundError` for a path that is not there, `ValueError` where there is no DICOM file at
        all, `RuntimeError` where the archive refuses one, `TimeoutError` after `seconds`."""
        roots = [Path(path) for path in paths]
        for path in roots:
            if not path.exists():
                raise FileNotFoundError(f"{path}: no such file or folder to seed from")
        files = [file for file in map(look, walk(roots)) if isinstance(file, DicomFile)]
        if not files:
            raise ValueError(f"no DICOM file in {', '.join(map(str, roots)) or 'nothing'}")
        sent = _run(lambda: send_files(self._peer, files))
        if sent.failures:
            raise RuntimeError(f"the archive refused {len(sent.failures)} of {len(files)} files: {sent.failures[0]}")
        self.wait_found([file.sop_instance_uid for file in files], seconds)
        return files

    def find(self, level: str, *keys: str) -> list[Dataset]:
        """C-FIND in the Study Root model, relational or not as the archive has it: `find("STUDY", "PatientID=P1",
        "StudyInstanceUID")`. Raises `RuntimeError` with the status where it fails."""

        async def ask() -> tuple[list[Dataset], int, str]:
            async with connect(self._peer, [(STUDY_ROOT_FIND, BOTH)]) as association:
                return await find_all(association, STUDY_ROOT_FIND, identifier(level, list(keys)), timeout=30.0)

        matches, status, comment = _run(ask)
        if status:
            raise RuntimeError(f"C-FIND failed with {status:04X}H: {comment}")
        return matches

    def wait_found(self, sop_instance_uids: Sequence[str], seconds: float = 60.0) -> None:
        """Return when the archive can find these instances; `TimeoutError` after `seconds`."""

        async def wait() -> None:
            missing = set(sop_instance_uids)
            async with asyncio.timeout(seconds), connect(self._peer, [(STUDY_ROOT_FIND, BOTH)]) as association:
                while missing:
                    for study in await _matches(association, "STUDY", "StudyInstanceUID"):
                        missing -= await _instances(association, str(study.StudyInstanceUID))
                    if missing:
                        await _TIME.sleep(0.05)

        _run(wait)

    @property
    def _peer(self) -> Peer:
        tls = self.security.client_context() if self.security is not None else None
        return Peer(self.host, self.port, self.ae_title, OURS, tls=tls)


async def _matches(association: Association, level: str, *keys: str) -> list[Dataset]:
    matches, _, _ = await find_all(association, STUDY_ROOT_FIND, identifier(level, list(keys)), timeout=30.0)
    return matches


async def _instances(association: Association, study: str, series: str | None = None) -> set[str]:
    uids: set[str] = set()
    within = f"StudyInstanceUID={study}"
    wanted = [within, "SeriesInstanceUID" if series is None else f"SeriesInstanceUID={series}"]
    for series_match in await _matches(association, "SERIES", *wanted):
        keys = within, f"SeriesInstanceUID={series_match.SeriesInstanceUID}", "SOPInstanceUID"
        uids |= {str(match.SOPInstanceUID) for match in await _matches(association, "IMAGE", *keys)}
    return uids


def _run(call: Callable[[], Coroutine[Any, Any, T]]) -> T:
    """In a thread of its own: the test may have an event loop."""
    with ThreadPoolExecutor(1) as elsewhere:
        return elsewhere.submit(lambda: asyncio.run(call())).result()
