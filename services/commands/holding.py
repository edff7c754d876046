"""`gantry hold`: while a hold is in force, nothing of its study or patient is deleted or collected."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import asdict
from pathlib import Path

import click

from gantry.cli.output import print_columns, print_json
from gantry.common.clock import SystemClock
from gantry.common.config.settings import Settings
from gantry.common.errors import ConfigError, NotFound
from gantry.common.telemetry.traces import new_trace
from gantry.services.commands.lifecycle import run_for_each
from gantry.services.commands.on_stores import deletions_of, options, run, show
from gantry.services.commands.reasons import reason_option
from gantry.services.lifecycle.deletions import Deletions, DeletionTarget, Done
from gantry.services.lifecycle.hold_facts import HoldFacts
from gantry.services.lifecycle.standing_holds import Hold, ReadHolds
from gantry.services.process.stores import Stores
from gantry.services.requester import Requester, this_user
from gantry.services.whereabouts.words import moment

_COLUMNS = ("placed", "on", "by", "reason")
_AT_ONCE = 100
"""Number of holders for whose holds the reasons are read together."""


@click.group()
def hold() -> None:
    """Place, release and list holds: while one is in force, nothing of its study or patient is deleted."""


def _held(command: Callable[..., None]) -> Callable[..., None]:
    """Add the arguments and options that name what is held."""
    command = click.option("--issuer", metavar="ISSUER", help="With --patient: only with this Issuer of Patient ID.")(
        command
    )
    command = click.option("--patient", metavar="ID", help="All studies of a Patient ID, including later ones.")(
        command
    )
    return click.argument("uids", metavar="[STUDY...]", nargs=-1)(command)


@hold.command()
@options
@_held
@reason_option
def place(
    config: Path | None,
    data: Path | None,
    as_json: bool,
    uids: tuple[str, ...],
    patient: str | None,
    issuer: str | None,
    reason: str,
) -> None:
    """Place a hold on studies, by their Study Instance UIDs, or on a patient.

    \b
        gantry hold place 1.2.3 --reason "a trial"
        gantry hold place --patient 4711 --issuer HOSPITAL --reason "a court"
    """
    requester = Requester(this_user(), reason, new_trace())
    _require_one_subject(uids, patient, issuer)

    async def on_patient(deletions: Deletions) -> Done:
        await deletions.place_patient_hold(patient or "", issuer or "", requester)
        return Done(1, await deletions.settle())

    async def on_study(deletions: Deletions, target: DeletionTarget) -> Done:
        await deletions.place_hold(_study(target), requester)
        return Done(1, settled=True)

    if patient is not None:
        _on_patient(config, data, as_json, "holds placed", on_patient)
    else:
        run_for_each(config, data, as_json, uids, "placed", on_study, "holds")


@hold.command()
@options
@_held
@reason_option
def release(
    config: Path | None,
    data: Path | None,
    as_json: bool,
    uids: tuple[str, ...],
    patient: str | None,
    issuer: str | None,
    reason: str,
) -> None:
    """Release all holds on studies, or those on a patient: give the same ID and issuer as when they were placed."""
    requester = Requester(this_user(), reason, new_trace())
    _require_one_subject(uids, patient, issuer)

    async def of_patient(deletions: Deletions) -> Done:
        return await deletions.release_patient_holds(patient or "", issuer or "", requester)

    async def of_study(deletions: Deletions, target: DeletionTarget) -> Done:
        return await deletions.release_holds(_study(target), requester)

    if patient is not None:
        _on_patient(config, data, as_json, "holds released", of_patient)
    else:
        run_for_each(config, data, as_json, uids, "released", of_study, "holds")


@hold.command("list")
@options
@click.argument("term", metavar="[STUDY|PATIENT-ID]", required=False)
def listed(config: Path | None, data: Path | None, as_json: bool, term: str | None) -> None:
    """List the holds in force: all, those on a study and its patient, or those on a Patient ID."""

    async def work(stores: Stores, settings: Settings) -> None:
        holds = ReadHolds(stores.index, HoldFacts(stores.objects, stores.log, SystemClock()))
        matches = await holds.of(term) if term else await _all(holds)
        if as_json:
            for hold in matches:
                print_json(asdict(hold))
        elif matches:
            print_columns(_COLUMNS, [_row(hold) for hold in matches])
        else:
            click.echo("no hold is in force")

    run(config, data, work)


async def _all(holds: ReadHolds) -> list[Hold]:
    matches, following = await holds.page("", _AT_ONCE)
    while following is not None:
        page, following = await holds.page(following, _AT_ONCE)
        matches += page
    return matches


def _row(hold: Hold) -> tuple[str, ...]:
    # A hold on a patient has a digest only: no list names the patient.
    on = hold.study_instance_uid or f"a patient ({hold.holder})"
    return moment(hold.at), on, hold.by or "?", hold.reason or "?"


def _require_one_subject(uids: tuple[str, ...], patient: str | None, issuer: str | None) -> None:
    if bool(uids) == (patient is not None):
        raise click.UsageError("give Study Instance UIDs, or a patient with --patient")
    if patient is not None and not patient.strip():
        raise click.BadParameter("the Patient ID is empty", param_hint="--patient")
    if issuer is not None and patient is None:
        raise click.UsageError("--issuer goes with --patient")


def _study(target: DeletionTarget) -> str:
    if target.series:
        raise NotFound("holds apply to whole studies: give the Study Instance UID")
    return target.study


def _on_patient(
    config: Path | None, data: Path | None, as_json: bool, word: str, step: Callable[[Deletions], Awaitable[Done]]
) -> None:
    async def work(stores: Stores, settings: Settings) -> None:
        try:
            done = await step(deletions_of(stores, settings))
        except NotFound as error:
            raise ConfigError("--patient", None, str(error)) from error
        # The ID is not printed, since output may be logged.
        show(as_json, {"patient": True, "settled": done.settled}, (word, ""), [("of the patient", "done")])

    run(config, data, work)
