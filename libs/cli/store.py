"""`gantry echo` and `gantry store`."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import click

from gantry.cli.files import DicomFile, FileSource, Skipped, look, walk
from gantry.cli.output import json_option, print_json, printable, progress_bar
from gantry.cli.peers import EXIT_FAILED, calls_a_peer
from gantry.common.dicom.standard.sop_classes import VERIFICATION
from gantry.common.dicom.standard.transfer_syntaxes import EXPLICIT_LITTLE_ENDIAN, IMPLICIT_LITTLE_ENDIAN
from gantry.common.errors import AssociationAborted, GantryError, PeerTimeout
from gantry.common.net import Association, Peer, connect, scu
from gantry.common.statuses import status_words

_MAX_CONTEXTS = 128


@click.command()
@calls_a_peer
@json_option
async def echo(peer: Peer, as_json: bool, timeout: float) -> int:
    """Verify that a DICOM peer answers (C-ECHO)."""
    loop = asyncio.get_running_loop()
    started = loop.time()
    async with connect(peer, [(VERIFICATION, [IMPLICIT_LITTLE_ENDIAN, EXPLICIT_LITTLE_ENDIAN])]) as association:
        status = await scu.echo(association, timeout=timeout)
    if as_json:
        seconds = round(loop.time() - started, 4)
        print_json(
            {
                "ae_title": peer.called_ae_title,
                "host": peer.host,
                "port": peer.port,
                "status": f"{status:04X}",
                "seconds": seconds,
            }
        )
    else:
        click.echo(f"{peer.called_ae_title}@{peer.host}:{peer.port}: {status_words(status)}")
    return EXIT_FAILED if status else 0


@dataclass(slots=True)
class StoreResult:
    """The results: counts by status, and the failed files with status or reason."""

    statuses: Counter[int] = field(default_factory=Counter)
    failures: list[tuple[Path, str]] = field(default_factory=list)
    bytes: int = 0

    @property
    def stored(self) -> int:
        """Files that the peer stored, with or without a warning."""
        return sum(n for status, n in self.statuses.items() if status == 0 or status >> 12 == 0xB)


def _batches(files: Sequence[DicomFile]) -> list[list[DicomFile]]:
    """The files in order, cut where an association would need more than 128 presentation contexts."""
    batches: list[list[DicomFile]] = [[]]
    contexts: set[tuple[str, str]] = set()
    for file in files:
        contexts.add((file.sop_class_uid, file.transfer_syntax_uid))
        if len(contexts) > _MAX_CONTEXTS:
            contexts = {(file.sop_class_uid, file.transfer_syntax_uid)}
            batches.append([])
        batches[-1].append(file)
    return [batch for batch in batches if batch]


async def send_files(
    peer: Peer,
    files: Sequence[DicomFile],
    *,
    window: int = 1,
    timeout: float = 120.0,
    done: Callable[[DicomFile, int | None], None] = lambda _file, _status: None,
) -> StoreResult:
    """Send files over as many associations as their presentation contexts need; `done` is called for each file with its
    status or None. Raises a `PeerError` only if no association can be established at all."""
    sent = StoreResult()
    for batch in _batches(files):
        contexts = list(dict.fromkeys((f.sop_class_uid, (f.transfer_syntax_uid,)) for f in batch))
        async with connect(peer, contexts, window=window) as association:
            waiting = iter(batch)
            async with asyncio.TaskGroup() as group:
                for _ in range(association.window):
                    group.create_task(_send_all(association, waiting, sent, timeout, done))
    return sent


async def _send_all(
    association: Association,
    files: Iterator[DicomFile],
    sent: StoreResult,
    timeout: float,
    done: Callable[[DicomFile, int | None], None],
) -> None:
    for file in files:
        await _send(association, file, sent, timeout, done)


async def _send(
    association: Association,
    file: DicomFile,
    sent: StoreResult,
    timeout: float,
    done: Callable[[DicomFile, int | None], None],
) -> None:
    status: int | None = None
    try:
        context = scu.need_context(association, file.sop_class_uid, file.transfer_syntax_uid)
        source = FileSource(file)
        try:
            response = await scu.store(
                association, context, file.sop_instance_uid, source, file.length, timeout=timeout
            )
        finally:
            await source.close()
        status = response.status
        sent.statuses[status] += 1
        sent.bytes += file.length
        if status and status >> 12 != 0xB:
            sent.failures.append((file.path, ": ".join(filter(None, (status_words(status), response.comment)))))
    except (AssociationAborted, PeerTimeout) as error:
        sent.failures.append((file.path, str(error)))
    except GantryError as error:
        sent.failures.append((file.path, str(error)))
    except OSError as error:
        sent.failures.append((file.path, error.strerror or str(error)))
    done(file, status)


@click.command()
@calls_a_peer
@click.argument("paths", nargs=-1, required=True, type=click.Path(exists=True, path_type=Path))
@click.option("--window", default=4, show_default=True, help="Objects in transit at once, if the peer agrees.")
@json_option
async def store(peer: Peer, paths: tuple[Path, ...], window: int, as_json: bool, timeout: float) -> int:
    """Send files and folders to an archive (C-STORE)."""
    skipped: list[Skipped] = []
    looked = [look(path) for path in walk(paths, skipped.append)]
    files = [f for f in looked if isinstance(f, DicomFile)]
    skipped += [f for f in looked if isinstance(f, Skipped)]
    for skip in skipped:
        click.echo(f"skipped {printable(str(skip.path))}: {skip.reason}", err=True)
    if not files:
        click.echo("gantry: no DICOM files to send", err=True)
        return EXIT_FAILED
    loop = asyncio.get_running_loop()
    started = loop.time()
    with progress_bar("sending", len(files), quiet=as_json) as bar:

        def done(file: DicomFile, status: int | None) -> None:
            bar.advance()
            if as_json:
                words = None if status is None else f"{status:04X}"
                print_json({"path": str(file.path), "sop_instance_uid": file.sop_instance_uid, "status": words})

        sent = await send_files(peer, files, window=window, timeout=timeout, done=done)
    seconds = max(loop.time() - started, 1e-6)
    if not as_json:
        for path, why in sent.failures:
            click.echo(f"failed {printable(str(path))}: {printable(why)}", err=True)
        click.echo(
            f"{sent.stored} of {len(files)} stored, {len(sent.failures)} failed, {len(skipped)} skipped; "
            f"{sent.bytes / 1e6:.1f} MB in {seconds:.1f} s ({sent.stored / seconds:.0f}/s)"
        )
    unreadable = any(skip.unreadable for skip in skipped)
    return EXIT_FAILED if sent.failures or sent.stored < len(files) or unreadable else 0
