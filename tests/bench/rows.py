"""What is measured. Each row measures its contestants once and returns their figures."""

from __future__ import annotations

import asyncio
import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import uvloop

from gantry.cli.files import DicomFile, look, walk
from gantry.cli.identifiers import BOTH, encode, identifier
from gantry.cli.store import send_files
from gantry.common.dicom.standard.sop_classes import STORAGE_SOP_CLASSES, STUDY_ROOT_FIND, VERIFICATION
from gantry.common.net import Association, Peer, connect, scu
from gantry.common.net.client import associate
from gantry.common.ul.pdu import AssociateRequest, ProposedContext, encode_request
from tests.bench import contestants as field
from tests.bench import corpus
from tests.bench.contestants import Contestant
from tests.bench.machine import forget, settle
from tests.bench.senders import read_pdu

Starter = Callable[[], Contestant]


@dataclass(frozen=True)
class Figure:
    """One measurement; `cpu_ms` is the server's per object or response."""

    what: str
    who: str
    value: float
    unit: str
    cpu_ms: float = 0.0
    peak: float = 0.0


@contextmanager
def running(contestant: Contestant) -> Iterator[Contestant]:
    try:
        yield contestant
    finally:
        contestant.stop()


def filled(server: Contestant, files: list[DicomFile]) -> None:
    """Store files and wait until they can be found."""
    peer = Peer("127.0.0.1", server.port, "GANTRY", "BENCH")
    sent = asyncio.run(send_files(peer, files))
    if sent.stored != len(files):
        raise RuntimeError(f"{server.name} kept {sent.stored} of {len(files)}")
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        if len(asyncio.run(_find_all(peer, len(files)))) == len(files):
            return
        time.sleep(0.2)
    raise RuntimeError(f"{server.name} does not find what it stored")


async def _find_all(peer: Peer, expected: int) -> list[bytes]:
    answers: list[bytes] = []
    async with connect(peer, [(STUDY_ROOT_FIND, BOTH)]) as association:
        context = scu.need_context(association, STUDY_ROOT_FIND)
        for study in await _studies(association):
            query = encode(identifier("IMAGE", [*study, "SOPInstanceUID", "InstanceNumber"]), context)
            async for response, data in scu.find(association, STUDY_ROOT_FIND, query):
                if response.status & 0xFF00 == 0xFF00:
                    answers.append(data)
    return answers


async def _studies(association: Association) -> list[list[str]]:
    """Keys that name each series that is there."""
    from gantry.cli.query import find_all

    keys = []
    studies, _, _ = await find_all(association, STUDY_ROOT_FIND, identifier("STUDY", ["StudyInstanceUID"]), timeout=60)
    for study in studies:
        query = identifier("SERIES", [f"StudyInstanceUID={study.StudyInstanceUID}", "SeriesInstanceUID"])
        series, _, _ = await find_all(association, STUDY_ROOT_FIND, query, timeout=60)
        keys += [
            [f"StudyInstanceUID={study.StudyInstanceUID}", f"SeriesInstanceUID={s.SeriesInstanceUID}"] for s in series
        ]
    return keys


_FIND_KEYS = ("PatientName", "PatientID", "StudyDate", "StudyTime", "AccessionNumber", "Modality", "SOPInstanceUID")


def find(folder: Path, quick: bool) -> list[Figure]:
    """Responses at IMAGE level: one series of many instances, asked again and again."""
    count = 200 if quick else 1000
    files = [look(p) for p in walk([corpus.make(folder / "set", 100, 16)])]
    ours = [f for f in files if isinstance(f, DicomFile)]
    figures = []
    contestants: list[Starter] = [
        lambda: field.gantry(folder / "gantry"),
        lambda: field.orthanc(folder / "orthanc", sync=False),
    ]
    for start in contestants:
        with running(start()) as server:
            filled(server, ours)
            settle()
            figures.append(find_rate(server, count))
    process = _launch_pynetdicom_find(folder / "pynetdicom")
    with running(process) as server:
        figures.append(find_rate(server, count))
    return figures


def find_rate(server: Contestant, count: int) -> Figure:
    async def ask() -> float:
        peer = Peer("127.0.0.1", server.port, "GANTRY", "BENCH")
        async with connect(peer, [(STUDY_ROOT_FIND, BOTH)]) as association:
            context = scu.need_context(association, STUDY_ROOT_FIND)
            key = (await _studies(association))[0]
            query = encode(identifier("IMAGE", [*key, *_FIND_KEYS]), context)
            responses = 0
            started = time.perf_counter()
            while responses < count:
                async for _ in scu.find(association, STUDY_ROOT_FIND, query):
                    responses += 1
            return responses / (time.perf_counter() - started)

    before = server.usage()
    rate = asyncio.run(ask())
    after = server.usage()
    return Figure("C-FIND, IMAGE level", server.name, rate, "responses/s", (after.cpu - before.cpu) * 1000 / count)


def _launch_pynetdicom_find(folder: Path) -> Contestant:
    command = lambda port: [sys.executable, "-m", "tests.bench.pynetdicom_find", str(port)]  # noqa: E731
    return field._launch("pynetdicom SCP", folder, command)


def _retrievers(folder: Path, port: int) -> list[Starter]:
    return [
        lambda: field.gantry(folder / "gantry", destination_port=port),
        lambda: field.dcmqrscp(folder / "dcmqrscp", destination_port=port),
        lambda: field.orthanc(folder / "orthanc", sync=False, destination_port=port),
    ]


def dicom_files(folder: Path) -> list[DicomFile]:
    """The objects of a set."""
    return [f for f in map(look, walk([folder])) if isinstance(f, DicomFile)]


def move(folder: Path, quick: bool) -> list[Figure]:
    """C-MOVE of CT to a destination that drops what it gets (our engine): from the disk, then from the page cache."""
    count = 60 if quick else 400
    files = dicom_files(corpus.make(folder / "set", count, corpus.CT))
    figures = []
    for index in range(3):
        with running(field.gantry_engine(folder / f"destination{index}", keep=False)) as destination:
            with running(_retrievers(folder, destination.port)[index]()) as server:
                filled(server, files)
                forget()
                for words in ("C-MOVE, from the disk", "C-MOVE, again"):
                    before = server.usage()
                    seconds = retrieve(server.port, "movescu", "-aem", "DEST")
                    after = server.usage()
                    figures.append(retrieved(words, server, count, seconds, after.cpu - before.cpu, after.peak))
    return figures


def get(folder: Path, quick: bool) -> list[Figure]:
    """C-GET of so many CT to DCMTK's getscu, which leaves Nagle's algorithm on, after they were stored."""
    count = 40 if quick else 200
    files = dicom_files(corpus.make(folder / "set", count, corpus.CT))
    figures = []
    for start in _retrievers(folder, 0):
        with running(start()) as server:
            filled(server, files)
            out = folder / "got"
            out.mkdir(exist_ok=True)
            settle()
            before = server.usage()
            seconds = retrieve(server.port, "getscu", "-od", str(out))
            after = server.usage()
            figures.append(retrieved("C-GET", server, count, seconds, after.cpu - before.cpu, after.peak))
    return figures


def retrieve(port: int, tool: str, *arguments: str) -> float:
    """How long a tool of DCMTK's takes to fetch each study."""
    environment = {k: v for k, v in os.environ.items() if k != "TCP_NODELAY"}
    studies = asyncio.run(_study_uids(port))
    started = time.perf_counter()
    for uid in studies:
        keys = ["-k", "QueryRetrieveLevel=STUDY", "-k", f"StudyInstanceUID={uid}"]
        subprocess.run(
            [tool, "-S", "-aec", "GANTRY", *arguments, *keys, "127.0.0.1", str(port)],
            check=True,
            env=environment,
            capture_output=True,
        )
    return time.perf_counter() - started


async def _study_uids(port: int) -> list[str]:
    from gantry.cli.query import find_all

    async with connect(Peer("127.0.0.1", port, "GANTRY", "BENCH"), [(STUDY_ROOT_FIND, BOTH)]) as association:
        query = identifier("STUDY", ["StudyInstanceUID"])
        matches, _, _ = await find_all(association, STUDY_ROOT_FIND, query, timeout=60)
    return [str(match.StudyInstanceUID) for match in matches]


def retrieved(words: str, server: Contestant, count: int, seconds: float, cpu: float, peak: int) -> Figure:
    """The figure of that."""
    return Figure(words, server.name, count / seconds, "objects/s", cpu * 1000 / count, peak)


def send(folder: Path, quick: bool) -> list[Figure]:
    """Sending CT to the same receiver (our engine): `gantry store` against DCMTK's tools."""
    count = 100 if quick else 800
    data = corpus.make(folder / "set", count, corpus.CT)
    figures = []
    with running(field.gantry_engine(folder / "engine")) as server:
        senders = {
            "gantry store": [sys.executable, "-m", "gantry", "store", f"GANTRY@127.0.0.1:{server.port}", str(data)],
            "storescu": ["storescu", "-aec", "GANTRY", "+sd", "127.0.0.1", str(server.port), str(data)],
            "dcmsend": ["dcmsend", "-aec", "GANTRY", "+sd", "127.0.0.1", str(server.port), str(data)],
        }
        environment = {**os.environ, "TCP_NODELAY": "1", "PYTHONPATH": str(field.ROOT)}
        for name, command in senders.items():
            settle()
            started = time.perf_counter()
            subprocess.run(command, check=True, env=environment, capture_output=True)
            figures.append(
                Figure("sending, process start included", name, count / (time.perf_counter() - started), "objects/s")
            )
        figures.append(
            Figure("sending, association only", "gantry store", uvloop.run(_send(server.port, data)), "objects/s")
        )
    return figures


async def _send(port: int, data: Path) -> float:
    files = dicom_files(data)
    settle()
    started = time.perf_counter()
    await send_files(Peer("127.0.0.1", port, "GANTRY", "BENCH"), files, window=4)
    return len(files) / (time.perf_counter() - started)


def idle(folder: Path, quick: bool) -> list[Figure]:
    """Processor time of 1,000 idle associations."""

    async def hold(port: int) -> float:
        peer = Peer("127.0.0.1", port, "GANTRY", "BENCH", associate_timeout=60)
        held = [await associate(peer, [(VERIFICATION, BOTH)]) for _ in range(1000)]
        before = server.usage().cpu
        await asyncio.sleep(2 if quick else 10)
        used = server.usage().cpu - before
        for association in held:
            association.abort("done")
        return used / (2 if quick else 10) * 100

    with running(field.gantry_engine(folder / "engine")) as server:
        return [Figure("1,000 idle associations", "gantry engine", asyncio.run(hold(server.port)), "% of a core")]


class _Zeros:
    """A made-up data set: a header, then pixel data of any size."""

    def __init__(self, head: bytes, size: int) -> None:
        self._head, self.length = head, len(head) + size
        self._sent = 0

    async def readinto(self, buffers: object) -> int:
        done = 0
        for buffer in buffers:  # type: ignore[attr-defined]
            if self._sent + done >= self.length:
                break
            if self._sent + done < len(self._head):
                part = self._head[self._sent + done :][: len(buffer)]
                buffer[: len(part)] = part
                done += len(part)
                if len(part) < len(buffer):
                    rest = min(len(buffer) - len(part), self.length - self._sent - done)
                    done += rest
            else:
                done += min(len(buffer), self.length - self._sent - done)
        self._sent += done
        return done

    async def close(self) -> None: ...


def big(folder: Path, quick: bool) -> list[Figure]:
    """One object of 2 GB, durable: rate and the archive's peak memory."""
    from tests.support.objects import data_set, file_bytes

    size = (1 << 28) if quick else (2 << 30)
    ds = data_set(size=2)
    ds.NumberOfFrames = size // (2048 * 2048 * 2)
    ds.Rows = ds.Columns = 2048
    del ds.PixelData
    whole = file_bytes(ds)
    from gantry.common.dicom.encoding.part10 import parse_meta

    head = whole[parse_meta(whole).data_set_offset :] + b"\xe0\x7f\x10\0OW\0\0" + size.to_bytes(4, "little")

    async def one(port: int) -> float:
        peer = Peer("127.0.0.1", port, "GANTRY", "BENCH")
        async with connect(peer, [(ds.SOPClassUID, ["1.2.840.10008.1.2.1"])]) as association:
            context = scu.need_context(association, ds.SOPClassUID)
            source = _Zeros(head, size)
            started = time.perf_counter()
            response = await scu.store(association, context, ds.SOPInstanceUID, source, source.length, timeout=300)
            if response.status:
                raise RuntimeError(f"{response}")
            return size / 1e6 / (time.perf_counter() - started)

    with running(field.gantry(folder / "gantry")) as server:
        rate = asyncio.run(one(server.port))
        return [Figure(f"one object of {size / 1e9:.1f} GB", "gantry", rate, "MB/s", peak=server.usage().peak)]


def connects(folder: Path, quick: bool) -> list[Figure]:
    """100 simultaneous associations with a C-ECHO each: until the last is released."""

    async def one(peer: Peer) -> None:
        async with connect(peer, [(VERIFICATION, BOTH)]) as association:
            await scu.echo(association)

    async def all_(port: int) -> float:
        peer = Peer("127.0.0.1", port, "GANTRY", "BENCH", associate_timeout=60)
        started = time.perf_counter()
        await asyncio.gather(*(one(peer) for _ in range(100)))
        return (time.perf_counter() - started) * 1000

    figures = []
    contestants: list[Starter] = [
        lambda: field.gantry(folder / "gantry"),
        lambda: field.storescp(folder / "fork", fork=True),
        lambda: field.orthanc(folder / "orthanc", sync=False),
    ]
    for start in contestants:
        with running(start()) as server:
            figures.append(Figure("100 at once", server.name, asyncio.run(all_(server.port)), "ms"))
    return figures


def associations(folder: Path, quick: bool) -> list[Figure]:
    """Associations per second with 2 and with 101 presentation contexts, one after the other, over a raw socket."""
    figures = []
    count = 50 if quick else 200
    contestants: list[Starter] = [
        lambda: field.gantry(folder / "gantry"),
        lambda: field.storescp(folder / "fork", fork=True),
        lambda: field.orthanc(folder / "orthanc", sync=False),
        lambda: field.pynetdicom_storescp(folder / "pynetdicom"),
    ]
    for contexts in (2, 101):
        for start in contestants:
            with running(start()) as server:
                rate = raw_associations(server.port, contexts, count if server.name != "pynetdicom storescp" else 20)
                figures.append(Figure(f"{contexts} contexts", server.name, rate, "associations/s"))
    return figures


def raw_associations(port: int, contexts: int, count: int) -> float:
    classes = list(STORAGE_SOP_CLASSES.values())
    proposed = tuple(ProposedContext(2 * i + 1, classes[i % len(classes)], BOTH) for i in range(contexts))
    request = encode_request(AssociateRequest("GANTRY", "BENCH", 16384, "1.2.3", "BENCH", contexts=proposed))
    started = time.perf_counter()
    for _ in range(count):
        with socket.create_connection(("127.0.0.1", port)) as sock:
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            sock.sendall(request)
            if read_pdu(sock)[0] != 2:
                raise RuntimeError("not accepted")
            sock.sendall(b"\5\0\0\0\0\4\0\0\0\0")
            if read_pdu(sock)[0] != 6:
                raise RuntimeError("not released")
    return count / (time.perf_counter() - started)
