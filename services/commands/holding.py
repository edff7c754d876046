"""`gantry hold`: nothing of a study or of a patient is deleted or collected while a hold stands."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from pathlib import Path

import click

from gantry.common.config.settings import Settings
from gantry.common.errors import ConfigError, NotFound
from gantry.common.telemetry.traces import new_trace
from gantry.services.asked import Asked, this_user
from gantry.services.commands.lifecycle import each
from gantry.services.commands.on_stores import deletions_of, options, run, show
from gantry.services.commands.reasons import reason_option
from gantry.services.lifecycle.deletions import Deletions, Done, Target
from gantry.services.process.stores import Stores


@click.group()
def hold() -> None:
    """Holds on studies and patients: nothing of them is deleted or collected while one stands."""


def _held(command: Callable[..., None]) -> Callable[..., None]:
    """What is held, as arguments and options."""
    command = click.option("--issuer", metavar="ISSUER", help="With --patient: of this Issuer of Patient ID alone.")(
        command
    )
    command = click.option(
        "--patient", metavar="ID", help="All studies of a Patient ID, those included that arrive later."
    )(command)
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
    asked = Asked(this_user(), reason, new_trace())
    _one_of(uids, patient, issuer)

    async def on_patient(deletions: Deletions) -> Done:
        await deletions.place_patient_hold(patient or "", issuer or "", asked)
        return Done(1, await deletions.settle())

    async def on_study(deletions: Deletions, target: Target) -> Done:
        await deletions.place_hold(_study(target), asked)
        return Done(1, settled=True)

    if patient is not None:
        _on_patient(config, data, as_json, "holds placed", on_patient)
    else:
        each(config, data, as_json, uids, "holds placed", on_study)


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
    asked = Asked(this_user(), reason, new_trace())
    _one_of(uids, patient, issuer)

    async def of_patient(deletions: Deletions) -> Done:
        return await deletions.release_patient_holds(patient or "", issuer or "", asked)

    async def of_study(deletions: Deletions, target: Target) -> Done:
        return await deletions.release_holds(_study(target), asked)

    if patient is not None:
        _on_patient(config, data, as_json, "holds released", of_patient)
    else:
        each(config, data, as_json, uids, "holds released", of_study)


def _one_of(uids: tuple[str, ...], patient: str | None, issuer: str | None) -> None:
    if bool(uids) == (patient is not None):
        raise click.UsageError("give Study Instance UIDs, or a patient with --patient")
    if patient is not None and not patient.strip():
        raise click.BadParameter("a Patient ID that is empty is nobody's", param_hint="--patient")
    if issuer is not None and patient is None:
        raise click.UsageError("--issuer goes with --patient")


def _study(target: Target) -> str:
    if target.series:
        raise NotFound("holds are of whole studies: give the Study Instance UID")
    return target.study


def _on_patient(
    config: Path | None, data: Path | None, as_json: bool, word: str, step: Callable[[Deletions], Awaitable[Done]]
) -> None:
    async def work(stores: Stores, settings: Settings) -> None:
        try:
            done = await step(deletions_of(stores, settings))
        except NotFound as error:
            raise ConfigError("--patient", None, str(error)) from error
        # The ID is not repeated: output ends in logs.
        show(as_json, {"patient": True, "settled": done.settled}, (word, ""), [("of the patient", "done")])

    run(config, data, work)
