"""`gantry find`."""

from __future__ import annotations

import click
from pydicom.dataset import Dataset

from libs.cli.identifiers import BOTH, DEFAULT_KEYS, LEVELS, decode, encode, identifier, text
from libs.cli.output import json_option, print_json, print_table, status_words
from libs.cli.peers import EXIT_FAILED, calls_a_peer
from libs.common.dimse import Element
from libs.common.net import Association, Peer, connect, scu

_EXTENDED = ("relational", "date-time", "fuzzy", "timezone", "multi-frame", "empty", "multiple")
"""The fields of PS3.4 table C.5-1, in their order."""
_NOT_SHOWN = ("QueryRetrieveLevel", "SpecificCharacterSet", "RetrieveAETitle", "InstanceAvailability")


async def find_all(
    association: Association, root: str, query: Dataset, *, timeout: float, limit: int | None = None
) -> tuple[list[Dataset], int, str]:
    """Matches, the final status and its error comment. Past `limit` matches the peer is asked to stop (C-CANCEL)."""
    context = scu.need_context(association, root)
    matches: list[Dataset] = []
    async for response, data in scu.find(association, root, encode(query, context), timeout=timeout):
        if response.status & 0xFF00 == 0xFF00:
            if limit is None or len(matches) < limit:
                matches.append(decode(data, context))
                if len(matches) == limit:
                    await association.cancel(context.id, response.responds_to)
            continue
        return matches, response.status, response.text(Element.ERROR_COMMENT)
    return matches, 0xC000, "no final response"


def root_for(level: str, patient_root: bool, patient: str, study: str) -> str:
    """The information model to ask: Study Root unless the level or the user asks for Patient Root."""
    return patient if patient_root or level == "PATIENT" else study


@click.command()
@calls_a_peer
@click.option("--level", "-l", type=click.Choice(LEVELS, case_sensitive=False), default="STUDY", show_default=True)
@click.option("--key", "-k", "keys", multiple=True, metavar="KEYWORD[=VALUE]", help="Match VALUE, or return it.")
@click.option("--patient-root", is_flag=True, help="Ask the Patient Root model (default: Study Root).")
@click.option("--limit", type=int, help="Stop after so many matches.")
@click.option(
    "--extended",
    "-x",
    multiple=True,
    type=click.Choice([name for name in _EXTENDED if name != "multi-frame"]),
    help="Ask for this kind of matching beyond the basic ones (PS3.4 C.5.1.1); may be given several times.",
)
@json_option
async def find(
    peer: Peer,
    level: str,
    keys: tuple[str, ...],
    patient_root: bool,
    limit: int | None,
    extended: tuple[str, ...],
    as_json: bool,
    timeout: float,
) -> int:
    """Search an archive (C-FIND).

    \b
    gantry find GANTRY@127.0.0.1 -k 'PatientName=DOE*' -k StudyDate=20240101-
    gantry find GANTRY@127.0.0.1 -l SERIES -k StudyInstanceUID=1.2.3 --json
    gantry find GANTRY@127.0.0.1 -x fuzzy -k 'PatientName=Mueller Joerg'
    gantry find GANTRY@127.0.0.1 -x relational -l SERIES -k RequestAttributesSequence.ScheduledProcedureStepID=S1
    """
    level = level.upper()
    root = root_for(level, patient_root, scu.PATIENT_ROOT_FIND, scu.STUDY_ROOT_FIND)
    named = {key.partition("=")[0] for key in keys}
    query = identifier(level, [*(k for k in DEFAULT_KEYS[level] if k not in named), *keys])
    offered = bytes(name in extended for name in _EXTENDED)
    async with connect(peer, [(root, BOTH)], extended=[(root, offered)] if extended else ()) as association:
        agreed = scu.need_context(association, root).extended
        for number, name in enumerate(_EXTENDED):
            if name in extended and agreed[number : number + 1] != b"\1":
                click.echo(f"gantry: the archive does not do {name} matching; the answer is without it", err=True)
        matches, status, comment = await find_all(association, root, query, timeout=timeout, limit=limit)
    if as_json:
        for match in matches:
            print_json(match.to_json_dict())
    else:
        columns = [element.keyword for element in query if element.keyword not in _NOT_SHOWN]
        if matches:
            print_table(columns, [[text(match, column) for column in columns] for match in matches])
        click.echo(f"{len(matches)} match{'' if len(matches) == 1 else 'es'}")
    if status not in (0x0000, 0xFE00):
        click.echo(f"gantry: the archive answered {status_words(status)}: {comment}", err=True)
        return EXIT_FAILED
    return 0
