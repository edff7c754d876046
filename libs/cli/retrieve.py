"""`gantry move` and `gantry get`."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import click
from pydicom.multival import MultiValue

from gantry.cli.identifiers import BOTH, LEVELS, encode, identifier
from gantry.cli.output import json_option, print_json
from gantry.cli.peers import EXIT_FAILED, Verb, calls_a_peer
from gantry.cli.query import find_all, root_for
from gantry.common.dicom.encoding.part10 import file_meta
from gantry.common.dicom.standard.sop_classes import (
    PATIENT_ROOT_FIND,
    PATIENT_ROOT_GET,
    PATIENT_ROOT_MOVE,
    STUDY_ROOT_FIND,
    STUDY_ROOT_GET,
    STUDY_ROOT_MOVE,
)
from gantry.common.dimse import Command, CommandField, Element
from gantry.common.errors import PeerError
from gantry.common.ids import is_uid
from gantry.common.net import Peer, Request, Service, Sink, connect, scu
from gantry.common.net.getting import get_contexts, get_objects, usual_classes
from gantry.common.statuses import CANNOT_UNDERSTAND, SUCCESS, UNRECOGNISED_OPERATION, status_words
from gantry.common.ul import Ability

_UNIQUE_KEYS = {
    "PATIENT": "PatientID",
    "STUDY": "StudyInstanceUID",
    "SERIES": "SeriesInstanceUID",
    "IMAGE": "SOPInstanceUID",
}


def _counts(command: Command) -> dict[str, int]:
    return {
        "remaining": command.number(Element.REMAINING_SUB_OPERATIONS),
        "completed": command.number(Element.COMPLETED_SUB_OPERATIONS),
        "failed": command.number(Element.FAILED_SUB_OPERATIONS),
        "warning": command.number(Element.WARNING_SUB_OPERATIONS),
    }


def _tell(command: Command | None, as_json: bool, keys: Sequence[str], absent: Sequence[str]) -> int:
    """Print the result. Returns the exit code. Nothing found is a failure, since a typo in a UID must not look like
    success; so is each of several UIDs that the archive does not have (`absent`)."""
    if command is None:
        click.echo("gantry: the archive gave no final response", err=True)
        return EXIT_FAILED
    counts, status = _counts(command), command.status
    comment = command.comment
    if as_json:
        print_json({"status": f"{status:04X}", **counts})
    else:
        click.echo(f"{status_words(status)}: " + ", ".join(f"{n} {category}" for category, n in counts.items()))
    if status and comment:
        click.echo(f"gantry: {comment}", err=True)
    if not status and not any(counts.values()):
        click.echo(f"gantry: the archive has nothing that matches {', '.join(keys)}", err=True)
        return EXIT_FAILED
    if absent:
        click.echo(f"gantry: the archive has nothing that matches {', '.join(absent)}", err=True)
    return EXIT_FAILED if status or absent else 0


async def _absent(peer: Peer, level: str, keys: Sequence[str], root: str, timeout: float) -> list[str]:
    """Those of several UIDs to retrieve that the archive does not have; empty if it does not answer. `root` is the
    model to search. The counts of a retrieval include existing objects only (PS3.4 C.4.3.1.4)."""
    keyword = _UNIQUE_KEYS[level]
    values = identifier(level, keys).get(keyword)
    if not isinstance(values, MultiValue):
        return []
    try:
        async with connect(peer, [(root, BOTH)]) as association:
            matches, status, _ = await find_all(association, root, identifier(level, keys), timeout=timeout)
    except PeerError:
        return []
    uids = {str(match.get(keyword, "")) for match in matches}
    return [] if status else [f"{keyword}={uid}" for uid in values if uid not in uids]


_selects = (
    click.option("--level", "-l", type=click.Choice(LEVELS, case_sensitive=False), default="STUDY", show_default=True),
    click.option("--key", "-k", "keys", multiple=True, required=True, metavar="KEYWORD=VALUE"),
    click.option("--patient-root", is_flag=True, help="Use the Patient Root model (default: Study Root)."),
)


def _selection(command: Verb) -> Verb:
    for option in reversed(_selects):
        command = option(command)
    return command


@click.command()
@calls_a_peer
@click.option(
    "--to",
    "destination",
    required=True,
    metavar="AETITLE",
    help="AE title of the destination; the archive must know it.",
)
@_selection
@json_option
async def move(
    peer: Peer,
    destination: str,
    level: str,
    keys: tuple[str, ...],
    patient_root: bool,
    as_json: bool,
    timeout: float,
) -> int:
    """Ask an archive to send objects to another AE (C-MOVE)."""
    root = root_for(level, patient_root, PATIENT_ROOT_MOVE, STUDY_ROOT_MOVE)
    final: Command | None = None
    async with connect(peer, [(root, BOTH)]) as association:
        context = scu.need_context(association, root)
        query = encode(identifier(level.upper(), keys), context)
        async for response, _ in scu.move(association, root, query, destination, timeout=timeout):
            final = response
    searched = root_for(level.upper(), patient_root, PATIENT_ROOT_FIND, STUDY_ROOT_FIND)
    return _tell(final, as_json, keys, await _absent(peer, level.upper(), keys, searched, timeout))


class FolderService:
    """A storage SCP that writes received objects into a folder, one file per instance, each complete or absent."""

    def __init__(self, folder: Path, sop_classes: Sequence[str]) -> None:
        self.abilities = {uid: Ability() for uid in sop_classes}
        self.received: list[Path] = []
        self._folder = folder

    def receive(self, request: Request) -> Sink:
        return _FileSink(self._folder, request)

    async def perform(self, request: Request) -> None:
        sink = request.sink
        if not isinstance(sink, _FileSink) or request.command.field != CommandField.C_STORE_RQ:
            await request.fail(UNRECOGNISED_OPERATION, "only C-STORE is served here")
            return
        path = sink.finish()
        if path is None:
            await request.fail(CANNOT_UNDERSTAND, "the SOP instance UID is not a UID")
            return
        self.received.append(path)
        await request.respond(SUCCESS)


class _FileSink:
    def __init__(self, folder: Path, request: Request) -> None:
        command = request.command
        uid = command.sop_instance_uid
        self._final = folder / f"{uid}.dcm" if is_uid(uid) else None
        if self._final is not None:
            self._part = folder / f".{uid}.part"
            self._file = self._part.open("wb")
            self._file.write(file_meta(command.sop_class_uid, uid, request.context.transfer_syntax))

    def write(self, views: Sequence[memoryview]) -> bool:
        if self._final is not None:
            self._file.writelines(views)
        return True

    async def ready(self) -> None:
        return None

    async def discard(self) -> None:
        if self._final is not None:
            self._file.close()
            self._part.unlink(missing_ok=True)

    def finish(self) -> Path | None:
        if self._final is not None:
            self._file.close()
            self._part.replace(self._final)
        return self._final


async def classes_of(peer: Peer, level: str, keys: Sequence[str], timeout: float) -> list[str]:
    """The SOP classes of the objects to retrieve, from SOP Classes in Study or the instances themselves; empty if the
    archive does not report them."""
    counts: Counter[str] = Counter()
    root = root_for(level, level == "PATIENT", PATIENT_ROOT_FIND, STUDY_ROOT_FIND)
    if level in ("PATIENT", "STUDY"):
        query = identifier("STUDY", [*keys, "SOPClassesInStudy"] + ([] if _names(keys) else ["StudyInstanceUID"]))
    else:
        query = identifier("IMAGE", [*keys, "SOPClassUID"])
    try:
        async with connect(peer, [(root, BOTH)]) as association:
            matches, _, _ = await find_all(association, root, query, timeout=timeout)
    except PeerError:
        return []
    for match in matches:
        value = match.get("SOPClassesInStudy") or match.get("SOPClassUID") or []
        counts.update([value] if isinstance(value, str) else value)
    return [uid for uid, _ in counts.most_common() if uid]


def _names(keys: Sequence[str]) -> bool:
    return any(key.startswith("StudyInstanceUID") for key in keys)


async def get_to(
    peer: Peer,
    service: Service,
    contexts: Sequence[tuple[str, Sequence[str]]],
    root: str,
    level: str,
    keys: Sequence[str],
    *,
    timeout: float,
) -> Command | None:
    """C-GET into a service. Returns the final response."""
    query = identifier(level, keys)
    return await get_objects(peer, service, contexts, root, lambda cx: encode(query, cx), timeout=timeout)


@click.command()
@calls_a_peer
@click.option("--out", "-o", "folder", default=".", show_default=True, type=click.Path(file_okay=False, path_type=Path))
@_selection
@json_option
async def get(
    peer: Peer,
    folder: Path,
    level: str,
    keys: tuple[str, ...],
    patient_root: bool,
    as_json: bool,
    timeout: float,
) -> int:
    """Fetch objects from an archive into a folder (C-GET), as they are stored if the archive can send them so."""
    level = level.upper()
    folder.mkdir(parents=True, exist_ok=True)  # noqa: ASYNC240 - nothing else runs yet
    root = root_for(level, patient_root, PATIENT_ROOT_GET, STUDY_ROOT_GET)
    classes = await classes_of(peer, level, keys, timeout) or usual_classes()
    service = FolderService(folder, classes)
    loop = asyncio.get_running_loop()
    started = loop.time()
    final = await get_to(peer, service, get_contexts(classes), root, level, keys, timeout=timeout)
    if not as_json:
        seconds = max(loop.time() - started, 1e-6)
        click.echo(f"{len(service.received)} files in {folder} ({len(service.received) / seconds:.0f}/s)")
    searched = root_for(level, patient_root, PATIENT_ROOT_FIND, STUDY_ROOT_FIND)
    return _tell(final, as_json, keys, await _absent(peer, level, keys, searched, timeout))
