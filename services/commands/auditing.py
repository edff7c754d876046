"""`gantry audit`: who saw a patient or a study, and other audit records."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from gantry.cli.output import print_columns, print_json
from gantry.common.audit import AuditEntry, AuditKind
from gantry.common.audit.fhir import audit_event
from gantry.common.audit.messages import audit_message, patients_of, studies_of
from gantry.common.clock import SystemClock
from gantry.common.config.settings import Settings
from gantry.common.events import AuditRecorded
from gantry.services.auditing.matching import AuditQuestion
from gantry.services.auditing.reading import AuditAnswer, AuditReader
from gantry.services.commands.on_stores import options, run, this_trail
from gantry.services.commands.where import since_option
from gantry.services.operations.audit import as_json as record_as_json
from gantry.services.process.stores import Stores
from gantry.services.requester import this_user
from gantry.services.whereabouts.words import moment

_FORMS = ("table", "json", "fhir", "xml")


@click.group()
def audit() -> None:
    """Show who accessed, changed, sent, requested or was refused what (docs/audit.md).

    Reads the stores of the archive, beside its services. Reading is recorded, too.
    """


def _report_options(command: Callable[..., None]) -> Callable[..., None]:
    command = click.option("--form", type=click.Choice(_FORMS), default="table", show_default=True)(command)
    command = click.option(
        "--most", type=click.IntRange(1), default=1000, show_default=True, help="Show the last so many."
    )(command)
    return options(since_option("30d")(command))


@audit.command()
@_report_options
@click.argument("term", metavar="PATIENT-ID|STUDY-UID")
def who(config: Path | None, data: Path | None, as_json: bool, since: int, most: int, form: str, term: str) -> None:
    """Show who saw, changed, received or requested a patient or a study."""
    _read(config, data, "json" if as_json else form, since, AuditQuestion(about=term, most=most))


@audit.command(name="list")
@_report_options
@click.option("--by", "requestor", default="", help="Only records of this AE title, token or person.")
@click.option(
    "--kind",
    "kinds",
    multiple=True,
    type=click.Choice([kind.word for kind in AuditKind]),
    help="Only records of these kinds.",
)
def list_(
    config: Path | None,
    data: Path | None,
    as_json: bool,
    since: int,
    most: int,
    form: str,
    requestor: str,
    kinds: tuple[str, ...],
) -> None:
    """List audit records."""
    question = AuditQuestion(requestor=requestor, kinds=frozenset(kinds), most=most)
    _read(config, data, "json" if as_json else form, since, question)


def _read(config: Path | None, data: Path | None, form: str, since: int, question: AuditQuestion) -> None:
    async def work(stores: Stores, settings: Settings) -> None:
        clock = SystemClock()
        begin = clock.now_us() - since * 1_000_000
        terms = AuditQuestion(
            begin, about=question.about, requestor=question.requestor, kinds=question.kinds, most=question.most
        )
        answer = await AuditReader(stores.objects, stores.log, stores.index, clock).find(terms)
        _show(answer, form)
        trail = this_trail(settings)
        words = question.about or question.requestor or ",".join(sorted(question.kinds))
        query = words.encode()
        trail.add(
            AuditEntry(AuditKind.LOG_USED, "gantry audit", this_user(), "person", query=query, query_class="audit")
        )
        await trail.close(stores.log)

    run(config, data, work, any_index=True, on_record=False)


def _show(answer: AuditAnswer, form: str) -> None:
    if form == "table":
        rows = [_row(record) for record in answer.records]
        if not rows:
            click.echo("no audit records")
        else:
            print_columns(("at", "who", "from", "what", "times", "outcome", "patient", "study"), rows)
    for record in answer.records if form != "table" else ():
        if form == "xml":
            click.echo(audit_message(record).decode())
        else:
            made: dict[str, Any] = audit_event(record) if form == "fhir" else record_as_json(record)
            print_json(made)
    if answer.more:
        click.echo("earlier records are left out: use --most", err=True)


def _row(record: AuditRecorded) -> tuple[str, ...]:
    operation = f"{record.kind} ({record.operation})" + (
        f" to {record.peer}" if record.kind == AuditKind.SENT.word else ""
    )
    outcome = "ok" if not record.outcome else record.why or "failed"
    patients = ", ".join(patient for patient, _ in patients_of(record)) or "-"
    studies = ", ".join(studies_of(record)) or "-"
    requestor = record.requestor or "-"
    return moment(record.at), requestor, record.address or "-", operation, str(record.times), outcome, patients, studies
