"""The command `gantry`. A subcommand is imported when it is used: `echo` need not wait for what `serve` needs."""

from __future__ import annotations

from errno import EPIPE
from importlib import import_module
from keyword import iskeyword
from select import POLLERR, poll
from typing import Any

import click

_COMMANDS = {
    "serve": ("gantry.services.commands.serve", "Start the archive: every role, or those named with --role."),
    "health": (
        "gantry.services.commands.health",
        "Check the health of the process on this machine (for a container's HEALTHCHECK).",
    ),
    "demo": ("gantry.services.commands.demo", "Store, find, get, move and commit real files, comparing every byte."),
    "echo": ("gantry.cli.store", "Verify that a DICOM peer answers (C-ECHO)."),
    "store": ("gantry.cli.store", "Send files and folders to an archive (C-STORE)."),
    "find": ("gantry.cli.query", "Search an archive (C-FIND)."),
    "get": ("gantry.cli.retrieve", "Fetch objects from an archive into a folder (C-GET)."),
    "move": ("gantry.cli.retrieve", "Ask an archive to send objects to another AE (C-MOVE)."),
    "import": ("gantry.cli.importing.command", "Bring in what another archive or folders hold; show what differs."),
    "import-in-place": (
        "gantry.services.commands.import_in_place",
        "Take over a bucket or folder without copying it.",
    ),
    "left-in-place": (
        "gantry.services.commands.left_in_place",
        "What the owner of a bucket in place may remove.",
    ),
    "export": (
        "gantry.cli.exporting.command",
        "Take studies out as a folder, a ZIP file or DICOM media; as they are, or de-identified.",
    ),
    "inventory": (
        "gantry.services.commands.inventory",
        "Write what the archive has as a DICOM Inventory, or compare one with an archive.",
    ),
    "canary": ("gantry.cli.canary.command", "Send a made-up image, find and retrieve it, once or on a schedule."),
    "bench": ("gantry.cli.day.command", "Play a hospital's day against an archive, and report how it did."),
    "commit": ("gantry.cli.commit", "Ask an archive to take responsibility for objects (storage commitment)."),
    "sweep": ("gantry.services.commands.maintenance", "Find objects whose event was never published, and publish it."),
    "reindex": (
        "gantry.services.commands.maintenance",
        "Rebuild the search index beside the live one, and then replace that.",
    ),
    "verify": (
        "gantry.services.commands.maintenance",
        "Read stored objects again and compare them with what was acknowledged.",
    ),
    "reconcile": (
        "gantry.services.commands.maintenance",
        "Compare sealed events with the index; publish again those it lacks.",
    ),
    "conflicts": (
        "gantry.services.commands.conflicts",
        "List UIDs that mean more than one object; fetch and compare all sides.",
    ),
    "reseal": (
        "gantry.services.commands.maintenance",
        "Remove patients' names from segments that earlier releases sealed.",
    ),
    "delete": ("gantry.services.commands.lifecycle", "Delete studies, series or instances; can be undone for a time."),
    "undelete": ("gantry.services.commands.lifecycle", "Bring back what was deleted."),
    "purge": ("gantry.services.commands.lifecycle", "Delete for good."),
    "correct": ("gantry.services.commands.correcting", "Correct attributes of a study, a series or a patient."),
    "uncorrect": ("gantry.services.commands.correcting", "Take back a correction of a study."),
    "assign": ("gantry.services.commands.correcting", "Make a study one of another patient."),
    "merge": ("gantry.services.commands.correcting", "Merge a patient into another one."),
    "unmerge": (
        "gantry.services.commands.correcting",
        "Take back a merge or correction of a patient.",
    ),
    "change-id": ("gantry.services.commands.correcting", "Give a patient another Patient ID."),
    "regroup": (
        "gantry.services.commands.regrouping",
        "Move series or instances to another study; split or merge studies.",
    ),
    "history": ("gantry.services.commands.correcting", "Corrections of a study, and its attributes as they are shown."),
    "coerce": (
        "gantry.services.commands.coercing",
        "List what coercion rules would change in files or stored objects.",
    ),
    "hold": ("gantry.services.commands.holding", "Place or release a hold on a study or a patient."),
    "share": ("gantry.services.commands.sharing", "Links by which people outside see some studies."),
    "support": (
        "gantry.services.commands.support",
        "Write a bundle for a support case, without anything of a patient.",
    ),
    "retention": ("gantry.services.commands.retention", "List or delete studies whose retention has ended."),
    "keys": (
        "gantry.services.commands.keys",
        "Keys that objects are encrypted with: make, list, wrap again.",
    ),
    "tiers": (
        "gantry.services.commands.tiers",
        "Move studies between object stores by rules; show what each holds.",
    ),
    "routes": ("gantry.services.commands.routes", "Objects that rules send on: which wait, and why."),
    "subscriptions": (
        "gantry.services.commands.subscriptions",
        "Subscriptions to studies over FHIR: status, events, what waits.",
    ),
    "webhooks": ("gantry.services.commands.webhooks", "How far each configured webhook is behind."),
    "orders": ("gantry.services.commands.ordering", "See, place, change and cancel orders."),
    "workitems": ("gantry.services.commands.workitems", "Workitems: what is to be done, and who claimed it."),
    "redundant": ("gantry.services.commands.lifecycle", "Count or delete objects that were sent more than once."),
    "choose": ("gantry.services.commands.lifecycle", "Decide a conflict: which of the objects of a UID is current."),
    "where": ("gantry.services.commands.where", "Where a study is: received, indexed, committed, failed and why."),
    "audit": ("gantry.services.commands.auditing", "Who saw a patient or a study; all audit records."),
    "evidence": (
        "gantry.services.commands.evidence",
        "Signed statements of sealed segments: make, list and verify them.",
    ),
    "associations": ("gantry.services.commands.where", "Who called, how it ended, and what was refused and why."),
    "dlq": ("gantry.services.commands.dlq", "Dead letters: events that could not be applied; replay or discard them."),
    "hl7": ("gantry.services.commands.hl7", "Check and send HL7 messages; those that could not be applied."),
    "restore": (
        "gantry.services.commands.maintenance",
        "Rebuild event log and search index from the object store alone.",
    ),
    "shadow": ("gantry.services.commands.shadow", "How the answers of two archives compare, before a switch."),
    "usage": ("gantry.services.commands.usage", "What is stored, by modality, sender and month."),
    "destroy": (
        "gantry.services.commands.destroying",
        "Destroy an archive for good: its keys, objects, log and index.",
    ),
    "passcode": ("gantry.cli.passcode", "Make a line of access.users_file: a user and a hash of a passcode."),
    "ae": ("gantry.cli.ae", "Known AE titles: who may do what, and where C-MOVE may send."),
}


class _Commands(click.Group):
    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in _COMMANDS:
            return None
        name = cmd_name.replace("-", "_")
        name += "_" if iskeyword(name) else ""
        command: click.Command = getattr(import_module(_COMMANDS[cmd_name][0]), name)
        return command

    def invoke(self, ctx: click.Context) -> Any:
        """Whoever reads the output may stop (`| head -1`), and a file or folder may refuse: neither is a fault of
        ours that a stack trace would help with. A process of the archive itself logs what happens to it."""
        try:
            return super().invoke(ctx)
        except (ExceptionGroup, OSError) as error:
            if ctx.invoked_subcommand == "serve":
                raise
            _, rest = ExceptionGroup("", [error]).split(OSError)
            if rest is not None:
                raise
            failed = _first(error)
            if failed.errno == EPIPE and _nobody_reads():
                raise failed from None  # click ends without a word
            where = f"{failed.filename}: " if failed.filename else ""
            why = failed.strerror or str(failed) or type(failed).__name__
            raise click.ClickException(f"{where}{why}") from error

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, words) for name, (_, words) in _COMMANDS.items()])


def _nobody_reads() -> bool:
    """Whether the reader of our output has gone."""
    looking = poll()
    looking.register(1, 0)
    return any(events & POLLERR for _, events in looking.poll(0))


def _first(error: Exception) -> OSError:
    while isinstance(error, ExceptionGroup):
        error = error.exceptions[0]
    assert isinstance(error, OSError)
    return error


@click.group(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(package_name="gantry-dicom", prog_name="gantry")
def main() -> None:
    """Gantry, a DICOM archive. `serve` runs it; the other commands talk to it, or to any DICOM archive."""


if __name__ == "__main__":
    main(prog_name="gantry")
