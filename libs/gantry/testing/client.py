"""What a test asks of an archive, wherever that runs. Everything blocks until it is done."""

from __future__ import annotations

import asyncio
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
from gantry.common.net import Association, Peer, connect, scu

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
            async with connect(self._peer, [(scu.VERIFICATION, BOTH)]) as association:
                await scu.echo(association, timeout=10.0)

        _run(ask)

    def seed(self, *paths: str | Path, seconds: float = 60.0) -> list[DicomFile]:
        """Store DICOM files, and folders of them, and return when all of them can be found. What is no DICOM file is
        left out. Raises `FileNotFoundError` for a path that is not there, `ValueError` where there is no DICOM file at
        all, `RuntimeError` where the archive refuses one, `TimeoutError` after `seconds`."""
        given = [Path(path) for path in paths]
        for path in given:
            if not path.exists():
                raise FileNotFoundError(f"{path}: no such file or folder to seed from")
        files = [file for file in map(look, walk(given)) if isinstance(file, DicomFile)]
        if not files:
            raise ValueError(f"no DICOM file in {', '.join(map(str, given)) or 'nothing'}")
        sent = _run(lambda: send_files(self._peer, files))
        if sent.failures:
            raise RuntimeError(f"the archive refused {len(sent.failures)} of {len(files)} files: {sent.failures[0]}")
        self.wait_found([file.sop_instance_uid for file in files], seconds)
        return files

    def find(self, level: str, *keys: str) -> list[Dataset]:
        """C-FIND in the Study Root model, relational or not as the archive has it: `find("STUDY", "PatientID=P1",
        "StudyInstanceUID")`. Raises `RuntimeError` with the status where it fails."""

        async def ask() -> tuple[list[Dataset], int, str]:
            async with connect(self._peer, [(scu.STUDY_ROOT_FIND, BOTH)]) as association:
                return await find_all(association, scu.STUDY_ROOT_FIND, identifier(level, list(keys)), timeout=30.0)

        matches, status, comment = _run(ask)
        if status:
            raise RuntimeError(f"C-FIND failed with {status:04X}H: {comment}")
        return matches

    def wait_found(self, sop_instance_uids: Sequence[str], seconds: float = 60.0) -> None:
        """Return when the archive can find these instances; `TimeoutError` after `seconds`."""

        async def wait() -> None:
            missing = set(sop_instance_uids)
            async with asyncio.timeout(seconds), connect(self._peer, [(scu.STUDY_ROOT_FIND, BOTH)]) as association:
                while missing:
                    for study in await _matches(association, "STUDY", "StudyInstanceUID"):
                        missing -= await _instances(association, str(study.StudyInstanceUID))
                    if missing:
                        await _TIME.sleep(0.05)

        _run(wait)

    @property
    def _peer(self) -> Peer:
        return Peer(self.host, self.port, self.ae_title, OURS)


async def _matches(association: Association, level: str, *keys: str) -> list[Dataset]:
    matches, _, _ = await find_all(association, scu.STUDY_ROOT_FIND, identifier(level, list(keys)), timeout=30.0)
    return matches


async def _instances(association: Association, study: str) -> set[str]:
    found = set()
    within = f"StudyInstanceUID={study}"
    for series in await _matches(association, "SERIES", within, "SeriesInstanceUID"):
        keys = within, f"SeriesInstanceUID={series.SeriesInstanceUID}", "SOPInstanceUID"
        found |= {str(match.SOPInstanceUID) for match in await _matches(association, "IMAGE", *keys)}
    return found


def _run(call: Callable[[], Coroutine[Any, Any, T]]) -> T:
    """In a thread of its own: the test may have an event loop."""
    with ThreadPoolExecutor(1) as elsewhere:
        return elsewhere.submit(lambda: asyncio.run(call())).result()
