"""`gantry find`."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import click
from pydicom.dataset import Dataset

from gantry.cli.identifiers import (
    BOTH,
    DEFAULT_KEYS,
    FEW_COLUMNS,
    LEVELS,
    decode,
    encode,
    identifier,
    keyword_named,
    shown,
    text,
)
from gantry.cli.output import json_option, print_columns, print_csv, print_json
from gantry.cli.peers import EXIT_FAILED, calls_a_peer
from gantry.common.dicom.standard.sop_classes import PATIENT_ROOT_FIND, STUDY_ROOT_FIND
from gantry.common.net import Association, Peer, connect, scu
from gantry.common.statuses import CANCELLED, CANNOT_UNDERSTAND, PENDING_WARNING, SUCCESS, is_pending, status_words

_EXTENDED = ("relational", "date-time", "fuzzy", "timezone", "multi-frame", "empty", "multiple")
"""The fields of PS3.4 table C.5-1, in their order."""
_NOT_SHOWN = ("QueryRetrieveLevel", "SpecificCharacterSet", "RetrieveAETitle", "InstanceAvailability")


@dataclass(slots=True)
class FindResult:
    """The answer of an archive: matches, the final status, and comments. `ignored`: the archive warned of unsupported
    optional keys (FF01H)."""

    matches: list[Dataset] = field(default_factory=list)
    status: int = CANNOT_UNDERSTAND
    comment: str = "no final response"
    ignored: bool = False
    warning: str = ""

    def ignored_keys(self, keys: Iterable[str]) -> list[str]:
        """Those of these keywords that the archive ignored: an unsupported optional key is not returned (PS3.4
        C.2.2.1.3)."""
        return [key for key in keys if self.ignored and not any(key in match for match in self.matches)]


async def ask(
    association: Association, root: str, query: Dataset, *, timeout: float, limit: int | None = None
) -> FindResult:
    """C-FIND. After `limit` matches C-CANCEL is sent."""
    context = scu.need_context(association, root)
    outcome = FindResult()
    async for response, data in scu.find(association, root, encode(query, context), timeout=timeout):
        comment = response.comment
        if not is_pending(response.status):
            outcome.status, outcome.comment = response.status, comment
            return outcome
        if response.status == PENDING_WARNING:
            outcome.ignored, outcome.warning = True, outcome.warning or comment
        if limit is None or len(outcome.matches) < limit:
            outcome.matches.append(decode(data, context))
            if len(outcome.matches) == limit:
                await association.cancel(context.id, response.responds_to)
    return outcome


async def find_all(
    association: Association, root: str, query: Dataset, *, timeout: float, limit: int | None = None
) -> tuple[list[Dataset], int, str]:
    """Matches, the final status and its error comment."""
    outcome = await ask(association, root, query, timeout=timeout, limit=limit)
    return outcome.matches, outcome.status, outcome.comment


def root_for(level: str, patient_root: bool, patient: str, study: str) -> str:
    """The information model: Study Root, unless the level or the user needs Patient Root."""
    return patient if patient_root or level == "PATIENT" else study


@click.command()
@calls_a_peer
@click.option("--level", "-l", type=click.Choice(LEVELS, case_sensitive=False), default="STUDY", show_default=True)
@click.option("--key", "-k", "keys", multiple=True, metavar="KEYWORD[=VALUE]", help="Match VALUE, or return it.")
@click.option("--patient-root", is_flag=True, help="Use the Patient Root model (default: Study Root).")
@click.option("--limit", type=int, help="Stop after so many matches.")
@click.option(
    "--extended",
    "-x",
    multiple=True,
    type=click.Choice([name for name in _EXTENDED if name != "multi-frame"]),
    help="Negotiate this kind of extended matching (PS3.4 C.5.1.1); may be given several times.",
)
@click.option("--wide", is_flag=True, help="Show all requested attributes, not only the most important columns.")
@click.option("--csv", "as_csv", is_flag=True, help="Print all requested attributes as CSV, values as encoded.")
@json_option
async def find(
    peer: Peer,
    level: str,
    keys: tuple[str, ...],
    patient_root: bool,
    limit: int | None,
    extended: tuple[str, ...],
    wide: bool,
    as_csv: bool,
    as_json: bool,
    timeout: float,
) -> int:
    """Search an archive (C-FIND).

    \b
    gantry find GANTRY@127.0.0.1 -k 'PatientName=DOE*' -k StudyDate=2024-01-01-
    gantry find GANTRY@127.0.0.1 -k StudyDate=-7d --wide
    gantry find GANTRY@127.0.0.1 -k StudyDate=today --csv > today.csv
    gantry find GANTRY@127.0.0.1 -l SERIES -k StudyInstanceUID=1.2.3 --json
    gantry find GANTRY@127.0.0.1 -x fuzzy -k 'PatientName=Mueller Joerg'
    gantry find GANTRY@127.0.0.1 -x relational -l SERIES -k RequestAttributesSequence.ScheduledProcedureStepID=S1
    """
    level = level.upper()
    root = root_for(level, patient_root, PATIENT_ROOT_FIND, STUDY_ROOT_FIND)
    keywords = [keyword_of(key) for key in keys]
    query = identifier(level, [*(k for k in DEFAULT_KEYS[level] if k not in keywords), *keys])
    offered = bytes(name in extended for name in _EXTENDED)
    async with connect(peer, [(root, BOTH)], extended=[(root, offered)] if extended else ()) as association:
        agreed = scu.need_context(association, root).extended
        for number, name in enumerate(_EXTENDED):
            if name in extended and agreed[number : number + 1] != b"\1":
                click.echo(f"gantry: the archive does not support {name} matching; the answer is without it", err=True)
        outcome = await ask(association, root, query, timeout=timeout, limit=limit)
    columns = [element.keyword for element in query if element.keyword not in _NOT_SHOWN]
    if as_json:
        for match in outcome.matches:
            print_json(match.to_json_dict())
    elif as_csv:
        print_csv(columns, [[text(match, column) for column in columns] for match in outcome.matches])
    else:
        if not wide:
            columns = [column for column in columns if column in FEW_COLUMNS[level] or column in keywords]
        if outcome.matches:
            print_columns(columns, [[shown(match, column) for column in columns] for match in outcome.matches])
        click.echo(f"{len(outcome.matches)} match{'' if len(outcome.matches) == 1 else 'es'}")
    return _conclude(outcome, level, keywords)


def _conclude(outcome: FindResult, level: str, keywords: Sequence[str]) -> int:
    """Print deviations from the request on standard error. Returns the exit code."""
    if outcome.ignored:
        names = ", ".join(outcome.ignored_keys(keywords)) or "some optional keys"
        comment = f": {outcome.warning}" if outcome.warning else ""
        click.echo(f"gantry: the archive ignored {names} ({status_words(PENDING_WARNING)}){comment}", err=True)
    if outcome.status in (SUCCESS, CANCELLED):
        return 0
    line = f"{status_words(outcome.status)}: {outcome.comment}" if outcome.comment else status_words(outcome.status)
    click.echo(f"gantry: the archive answered {line}", err=True)
    if level in ("SERIES", "IMAGE") and "single value" in outcome.comment:
        click.echo("gantry: -x relational searches this level without the keys of those above it", err=True)
    return EXIT_FAILED


def keyword_of(key: str) -> str:
    """The keyword of a command line key, or of the first sequence in its path."""
    return keyword_named(key.partition("=")[0].partition(".")[0].strip())
