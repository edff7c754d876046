"""Commands for corrections: `gantry correct`, `uncorrect`, `assign`, `merge`, `unmerge`, `change-id` and `history`."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click

from gantry.cli.output import print_columns, print_table
from gantry.common.clock import SystemClock
from gantry.common.config.settings import Settings
from gantry.common.dicom.encoding.values import text_of
from gantry.common.dicom.standard.dictionary import keyword_of_tag
from gantry.common.errors import ConfigError, Conflicting, NotFound, NotUnderstood
from gantry.common.ids import DEFAULT_PARTITION
from gantry.common.lifecycle.correctable import element_of
from gantry.common.lifecycle.identity import PatientIdentity
from gantry.common.runtime.walks import study_at
from gantry.common.telemetry.traces import new_trace
from gantry.services.commands.on_stores import options, run, show
from gantry.services.commands.reasons import reason_option
from gantry.services.corrections import CorrectionDesk, CorrectionResult
from gantry.services.lifecycle.history import History, HistoryEntry, history_of, patient_entries
from gantry.services.process.stores import Stores
from gantry.services.requester import Requester, this_user

Step = Callable[[CorrectionDesk], Awaitable[CorrectionResult]]
_issuer = click.option("--issuer", default="", metavar="ISSUER", help="Issuer of that Patient ID, if it has one.")


@click.command()
@options
@click.argument("uids", metavar="[STUDY [SERIES]]", nargs=-1)
@click.option("--patient", default="", metavar="ID", help="Correct this patient in all studies, including later ones.")
@_issuer
@click.option(
    "--set", "values", multiple=True, metavar="KEYWORD=VALUE", help="An attribute; empty it if VALUE is left out."
)
@reason_option
def correct(
    config: Path | None,
    data: Path | None,
    as_json: bool,
    uids: tuple[str, ...],
    patient: str,
    issuer: str,
    values: tuple[str, ...],
    reason: str,
) -> None:
    """Correct attributes of a study, of one series of it, or of a patient.

    From then on everybody finds and gets the corrected values; the stored bytes stay as they are, and Original
    Attributes Sequence has the previous values. Undo it for a study with `gantry uncorrect`, for a patient with
    `gantry unmerge ID --correction CORRECTION`.

    \b
        gantry correct 1.2.3 --set AccessionNumber=A100 --set "StudyDescription=Skull" --reason "wrong order"
        gantry correct --patient P1 --set "PatientName=DOE^JANE" --reason "misspelt"
    """
    if bool(uids) == bool(patient) or len(uids) > 2:
        raise click.UsageError("give a study (and a series of it), or a --patient")
    requester, elements = _requester(reason), values_option_of(values)
    if patient:
        identity = _identity(patient, issuer)
        _step(config, data, as_json, patient, lambda desk: desk.correct_patient(identity, elements, requester))
    else:
        _step(config, data, as_json, uids[0], lambda desk: desk.correct_study(uids[0], elements, requester, *uids[1:]))


@click.command()
@options
@click.argument("study")
@click.argument("correction")
@reason_option
def uncorrect(config: Path | None, data: Path | None, as_json: bool, study: str, correction: str, reason: str) -> None:
    """Undo a correction of a study; `gantry history STUDY` lists the ids."""
    requester = _requester(reason)
    _step(
        config, data, as_json, study, lambda desk: desk.withdraw_from_study(study, correction, requester), "taken back"
    )


@click.command()
@options
@click.argument("study")
@click.option("--patient", required=True, metavar="ID", help="The right patient of the study.")
@_issuer
@reason_option
def assign(
    config: Path | None, data: Path | None, as_json: bool, study: str, patient: str, issuer: str, reason: str
) -> None:
    """Assign a study to another patient, if the wrong one was chosen at the modality. The study then shows the
    demographics of that patient, if the patient is known. Undo it with `gantry uncorrect`."""
    requester, identity = _requester(reason), _identity(patient, issuer)
    _step(config, data, as_json, study, lambda desk: desk.assign_study(study, identity, requester))


@click.command()
@options
@click.argument("prior")
@click.option("--prior-issuer", default="", help="Issuer of the prior Patient ID, where there is one.")
@click.option("--into", required=True, metavar="ID", help="The patient that survives.")
@_issuer
@reason_option
def merge(
    config: Path | None,
    data: Path | None,
    as_json: bool,
    prior: str,
    prior_issuer: str,
    into: str,
    issuer: str,
    reason: str,
) -> None:
    """Merge a patient into another one: from then on all studies of PRIOR, including later ones, belong to the other.

    \b
        gantry merge P1 --into P2 --reason "the same person"
        gantry unmerge P1 --reason "two persons after all"
    """
    requester, patient, other = _requester(reason), _identity(prior, prior_issuer), _identity(into, issuer)
    _step(config, data, as_json, prior, lambda desk: desk.merge(patient, other, requester))


@click.command(name="change-id")
@options
@click.argument("prior")
@click.option("--prior-issuer", default="", help="Issuer of the prior Patient ID, where there is one.")
@click.option("--to", "new", required=True, metavar="ID", help="The new Patient ID, which no patient has yet.")
@_issuer
@reason_option
def change_id(
    config: Path | None,
    data: Path | None,
    as_json: bool,
    prior: str,
    prior_issuer: str,
    new: str,
    issuer: str,
    reason: str,
) -> None:
    """Change a Patient ID in all studies, including later ones. Undo it with `gantry unmerge`."""
    requester, patient, other = _requester(reason), _identity(prior, prior_issuer), _identity(new, issuer)
    _step(config, data, as_json, prior, lambda desk: desk.rename(patient, other, requester))


@click.command()
@options
@click.argument("patient")
@_issuer
@click.option("--correction", default="", metavar="ID", help="This correction or merge; without it the last merge.")
@reason_option
def unmerge(
    config: Path | None, data: Path | None, as_json: bool, patient: str, issuer: str, correction: str, reason: str
) -> None:
    """Undo a merge or a change of ID of PATIENT (the prior one), or with --correction a correction of a patient: all
    values are as before."""
    requester, identity = _requester(reason), _identity(patient, issuer)
    _step(
        config,
        data,
        as_json,
        patient,
        lambda desk: desk.withdraw_from_patient(identity, correction, requester),
        "taken back",
    )


@click.command()
@options
@click.argument("study", default="")
@click.option("--patient", default="", metavar="ID", help="In place of STUDY: a Patient ID.")
@_issuer
@click.option("--at", "moment", type=click.DateTime(["%Y-%m-%d", "%Y-%m-%dT%H:%M:%S"]), help="As of this time, UTC.")
def history(
    config: Path | None,
    data: Path | None,
    as_json: bool,
    study: str,
    patient: str,
    issuer: str,
    moment: datetime | None,
) -> None:
    """Show the corrections of a study: what, when, by whom and why, and its values now, or at an earlier time. With
    --patient, show the corrections and merges of a patient, also of a patient without a study here."""
    until = None if moment is None else int(moment.replace(tzinfo=UTC).timestamp() * 1e6)
    if bool(study) == bool(patient):
        raise click.UsageError("give a STUDY or a --patient")
    if patient:
        _patient_history(config, data, as_json, _identity(patient, issuer), until)
        return

    async def work(stores: Stores, settings: Settings) -> None:
        known = await study_at(stores.index, DEFAULT_PARTITION, study, until)
        if known is None:
            raise ConfigError(study, None, "no such study")
        history = history_of(study, known, until)
        if as_json:
            click.echo(json.dumps(history.as_json()))
            return
        if history.entries:
            print_columns(
                ("correction", "when", "what", "by", "why", "values"), [_row(entry) for entry in history.entries]
            )
            click.echo("")
        print_table(("attribute", "received", "shown"), _compared(history))

    run(config, data, work)


def _patient_history(
    config: Path | None, data: Path | None, as_json: bool, patient: PatientIdentity, until: int | None
) -> None:
    async def work(stores: Stores, settings: Settings) -> None:
        entries = patient_entries(await stores.index.corrections(DEFAULT_PARTITION, patient=patient.key), until)
        if as_json:
            click.echo(json.dumps([entry.as_json() for entry in entries]))
        elif entries:
            print_columns(("correction", "when", "what", "by", "why", "values"), [_row(entry) for entry in entries])
        else:
            click.echo("nothing was corrected of this patient (with another issuer?)")

    run(config, data, work)


def _row(entry: HistoryEntry) -> tuple[str, ...]:
    correction = entry.correction
    erased = "erased"
    values = (
        erased
        if correction.values is None
        else ", ".join(f"{_name(n)}={_words(e)}" for n, e in correction.values.items())
    )
    back = entry.withdrawal
    state = "" if back is None else f" (taken back {_when(back.at)} by {back.by}: {back.reason})"
    return correction.id, _when(correction.at), entry.kind + state, correction.by, correction.reason, values


def _compared(history: History) -> list[tuple[str, str, str]]:
    names = sorted({*history.received, *history.shown})
    rows = [(_name(name), _words(history.received.get(name)), _words(history.shown.get(name))) for name in names]
    return [row for row in rows if row[1] or row[2]]


def _name(tag: str) -> str:
    return keyword_of_tag(int(tag, 16)) or tag


def _words(element: Any) -> str:
    if not element:
        return ""
    values = element.get("Value", [])
    return f"{len(values)} items" if element["vr"] == "SQ" else "\\".join(text_of(value) for value in values)


def _when(at: int) -> str:
    return datetime.fromtimestamp(at / 1e6, UTC).strftime("%Y-%m-%d %H:%M:%S")


def _requester(reason: str) -> Requester:
    return Requester(this_user(), reason, new_trace())


def _identity(patient: str, issuer: str) -> PatientIdentity:
    try:
        return PatientIdentity(patient.strip(), issuer.strip())
    except NotUnderstood as error:
        raise click.BadParameter(str(error)) from error


def values_option_of(options: tuple[str, ...]) -> dict[str, Any]:
    """The attributes given by `--set`, in the DICOM JSON model. Raises `click.BadParameter`."""
    values: dict[str, Any] = {}
    for option in options:
        keyword, equals, text = option.partition("=")
        if not equals:
            raise click.BadParameter(f"{option!r} is not KEYWORD=VALUE", param_hint="--set")
        try:
            name, element = element_of(keyword.strip(), text.split("\\") if text else [])
        except NotUnderstood as error:
            raise click.BadParameter(str(error), param_hint="--set") from error
        values[name] = element
    return values


def _step(
    config: Path | None, data: Path | None, as_json: bool, subject: str, step: Step, word: str = "in effect"
) -> None:
    async def work(stores: Stores, settings: Settings) -> None:
        desk = CorrectionDesk(stores.objects, stores.log, stores.index, SystemClock())
        try:
            made = await step(desk)
        except (NotFound, NotUnderstood, Conflicting) as error:
            raise ConfigError(subject, None, str(error)) from error
        state = word if made.settled else "published; the indexers are behind or not running, and will apply it"
        values = {"correction": made.correction, "settled": made.settled}
        show(as_json, values, ("correction", "state"), [(made.correction, state)])

    run(config, data, work)
