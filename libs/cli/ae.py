"""`gantry ae list|show|add|change|remove|test`: the peers that may call the archive, and those that it calls, in the
policy file of this machine or, with --url, in a running archive."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property, wraps
from pathlib import Path
from typing import Any

import click

from gantry.cli.ae_trial import inwards, outwards
from gantry.cli.output import json_option, print_csv, print_json, print_table, printable
from gantry.cli.peer_fields import changed, fields_given
from gantry.cli.peers import EXIT_FAILED
from gantry.cli.peers_api import NotReached, PeersApi, RefusedByArchive
from gantry.common.config.document import read
from gantry.common.config.load import load_settings
from gantry.common.config.peer_entries import peer_from
from gantry.common.config.peers_file import add_peer, change_peer, remove_peer
from gantry.common.config.policy import KnownPeer, Permission, Policy, in_words, policy_of
from gantry.common.config.settings import Settings
from gantry.common.errors import ConfigError

EXIT_NOT_REACHED = 3
_TIMEOUT, _TRIAL_TIMEOUT = 30.0, 10.0
_PERMISSIONS = click.Choice([permission.value for permission in Permission])
_COLUMNS = ("AE title", "host", "port", "calls from", "may", "C-MOVE to", "TLS", "source")


@dataclass(frozen=True)
class PolicyOfMachine:
    """The policy file that the settings name, read on first use."""

    config: Path

    @cached_property
    def settings(self) -> Settings:
        """Raises `ConfigError`."""
        return load_settings(self.config if self.config.exists() else None, os.environ)

    @property
    def file(self) -> Path:
        """The file with the peers."""
        file = self.settings.peers_file or self.config
        return file if file.is_absolute() or self.settings.peers_file is None else self.config.parent / file

    @property
    def policy(self) -> Policy:
        """Raises `ConfigError`."""
        return policy_of(read(self.file), self.settings.dimse.ae_title, self.settings.lab)


@click.group()
@click.option(
    "--config",
    type=click.Path(dir_okay=False, path_type=Path),
    default=lambda: os.environ.get("GANTRY_CONFIG", "gantry.yaml"),
    show_default="$GANTRY_CONFIG or gantry.yaml",
    help="The settings file; its `peers:`, or the file named by its `peers_file`, is the policy.",
)
@click.pass_context
def ae(context: click.Context, config: Path) -> None:
    """Known AE titles: who may store, find, retrieve and commit, and where C-MOVE may send.

    Without --url these commands show and edit the policy file of this machine. With --url they work on a running
    archive, which has its own peers beside its file: in a cluster, those that are not in the ConfigMap.

    \b
        gantry ae add CT9 192.0.2.9:104 --may store --url https://archive.example --token-file token
    """
    context.obj = PolicyOfMachine(config)


_URL_OPTIONS = (
    click.option("--url", metavar="URL", help="Work on this running archive, in place of the policy file."),
    click.option(
        "--token-file",
        type=click.Path(exists=True, dir_okay=False, path_type=Path),
        help="A bearer token that may operate there (`http.may_operate`).",
    ),
    click.option(
        "--tls-ca", "ca", type=click.Path(exists=True, dir_okay=False), help="Trust these certificates (PEM)."
    ),
    click.option(
        "--timeout", type=click.FloatRange(min=0.1), help="Seconds to wait for each answer; 10, or 30 with --url."
    ),
)
_reason = click.option("--reason", default="", help="With --url: why, for the audit trail. One line, and no patient.")
_version = click.option(
    "--version", default="", help="With --url: only if the entry has this version (from `show --json`)."
)


def _of_archive(command: Callable[..., None]) -> Callable[..., None]:
    """Add the parameter `api`: the archive that --url names, or None."""

    @wraps(command)
    def asking(*arguments: Any, url: str | None, token_file: Path | None, ca: str | None, **options: Any) -> None:
        api = None
        if url is not None:
            with _refusals():
                api = PeersApi(url, token_file, ca, options["timeout"] or _TIMEOUT)
        else:
            _require_url(token_file=token_file, tls_ca=ca, **options)
        command(*arguments, api=api, **options)

    for option in reversed(_URL_OPTIONS):
        asking = option(asking)
    return asking


def _require_url(**options: Any) -> None:
    """Raise `UsageError` for an option that needs a running archive: a reason that is not recorded, or a condition that
    is not checked, must not look effective."""
    for name in ("token_file", "tls_ca", "reason", "version"):
        if options.get(name):
            raise click.UsageError(f"--{name.replace('_', '-')} is for a running archive: name it with --url")


_FIELD_OPTIONS = (
    click.argument("ae_title"),
    click.argument("address", metavar="[HOST[:PORT]]", required=False),
    click.option("--host", help="Where we call it; an address may also call from there."),
    click.option("--port", type=click.IntRange(1, 65535), help="The port it listens on."),
    click.option("--from", "from_", multiple=True, metavar="CIDR", help="An address or range that it calls from."),
    click.option("--may", multiple=True, type=_PERMISSIONS, help="Everything that it may request; default: echo."),
    click.option("--move-destination/--no-move-destination", default=None, help="C-MOVE may send objects there."),
    click.option("--tls/--no-tls", default=None, help="Only over TLS, in both directions."),
    click.option(
        "--certificate", multiple=True, metavar="NAME", help="It calls with a certificate of this name; needs --tls."
    ),
    click.option("--max-associations", type=click.IntRange(1), help="At once; default 50."),
    click.option("--max-operations-per-second", type=float, help="Beyond it we read more slowly."),
    click.option("--max-bytes-per-second", type=float, help="That it sends; beyond it we read more slowly."),
    click.option(
        "--set", "assignments", multiple=True, metavar="NAME=VALUE", help="Any field of `peers`, as in the file."
    ),
)


def _with_fields(command: Callable[..., None]) -> Callable[..., None]:
    for option in reversed(_FIELD_OPTIONS):
        command = option(command)
    return command


@ae.command("list")
@json_option
@click.option("--csv", "as_csv", is_flag=True, help="Print CSV.")
@_of_archive
@click.pass_obj
def list_peers(
    machine: PolicyOfMachine,
    /,
    as_json: bool,
    as_csv: bool,
    timeout: float | None,
    api: PeersApi | None,
) -> None:
    """Show the peers of the policy file, or all that are in force in a running archive."""
    with _refusals():
        if api is None:
            listed = [(_all_fields(peer), _row(peer, "file")) for peer in machine.policy.peers.values()]
        else:
            listed = [_fields_and_row(peer) for peer in api.listed()]
    if as_json:
        for fields, _ in listed:
            print_json(fields)
    elif as_csv:
        print_csv(_COLUMNS, [row for _, row in listed])
    else:
        print_table(_COLUMNS, [row for _, row in listed])


@ae.command("show")
@click.argument("ae_title")
@json_option
@_of_archive
@click.pass_obj
def show(
    machine: PolicyOfMachine,
    /,
    ae_title: str,
    as_json: bool,
    timeout: float | None,
    api: PeersApi | None,
) -> None:
    """Show one peer with every field."""
    with _refusals():
        if api is None:
            fields = _all_fields(_known(machine, ae_title))
        else:
            fields, _ = _fields_and_row(api.peer(ae_title).body)
    if as_json:
        print_json(fields)
        return
    for name, value in fields.items():
        if value not in (None, [], ""):
            click.echo(f"{name}: {printable(str(value))}")


@ae.command("add")
@_with_fields
@_reason
@_of_archive
@click.pass_obj
def add(
    machine: PolicyOfMachine,
    /,
    ae_title: str,
    address: str | None,
    assignments: tuple[str, ...],
    reason: str,
    timeout: float | None,
    api: PeersApi | None,
    **options: Any,
) -> None:
    """Add a peer. A running archive applies the change within seconds."""
    with _refusals():
        fields = fields_given(address, _named(options), assignments)
        entry = changed({"ae_title": ae_title, "may": [Permission.ECHO.value]}, fields)
        if api is None:
            add_peer(machine.file, entry)
            click.echo(f"{ae_title} added to {machine.file}; `gantry ae test {ae_title}` tries it")
        else:
            peer_from(entry)
            api.add(ae_title, entry, reason)
            click.echo(f"{ae_title} added to the archive at {api.url}; `gantry ae test {ae_title} --url …` tries it")


@ae.command("change")
@_with_fields
@_reason
@_version
@_of_archive
@click.pass_obj
def change(
    machine: PolicyOfMachine,
    /,
    ae_title: str,
    address: str | None,
    assignments: tuple[str, ...],
    reason: str,
    version: str,
    timeout: float | None,
    api: PeersApi | None,
    **options: Any,
) -> None:
    """Change a peer: fields that are given are replaced, the rest stays. `--set NAME=` removes a field."""
    with _refusals():
        fields = fields_given(address, _named(options), assignments)
        if not fields:
            raise click.UsageError("say what to change")
        if api is None:
            change_peer(machine.file, ae_title, fields)
            click.echo(f"{ae_title} changed in {machine.file}")
            return
        entry, etag = _of_api(api, ae_title, version)
        api.replace(ae_title, changed(entry, fields), etag, reason)
        click.echo(f"{ae_title} changed in the archive at {api.url}")


@ae.command("remove")
@click.argument("ae_title")
@_reason
@_version
@_of_archive
@click.pass_obj
def remove(
    machine: PolicyOfMachine,
    /,
    ae_title: str,
    reason: str,
    version: str,
    timeout: float | None,
    api: PeersApi | None,
) -> None:
    """Remove a peer. Its open associations end by themselves; new ones are rejected."""
    with _refusals():
        if api is None:
            remove_peer(machine.file, ae_title)
            click.echo(f"{ae_title} removed from {machine.file}")
            return
        _, etag = _of_api(api, ae_title, version)
        answer = api.remove(ae_title, etag, reason).body
        click.echo(f"{ae_title} removed from the archive at {api.url}")
        if answer.get("in_file"):
            click.echo("the archive's policy file still has this peer: that entry is in force")


@ae.command("test")
@click.argument("ae_title")
@_of_archive
@click.pass_obj
def test(
    machine: PolicyOfMachine,
    /,
    ae_title: str,
    timeout: float | None,
    api: PeersApi | None,
) -> None:
    """Try a peer in both directions: send it a C-ECHO, and say whether it would be admitted here. With --url the
    archive calls it; `list` shows which peers the archive admits."""
    with _refusals():
        if api is not None:
            answer = api.echo(ae_title).body
            ok, words = bool(answer.get("ok")), answer.get("why") or "C-ECHO: success"
            host = printable(str(answer.get("called_from", "")))
            click.echo(f"{'ok' if ok else 'FAILED':<7} archive → {ae_title}: {printable(str(words))} (from {host})")
            sys.exit(0 if ok else EXIT_FAILED)
        settings, policy = machine.settings, machine.policy
        peer = _known(machine, ae_title)
        out, out_words = outwards(settings, policy.contact(ae_title), timeout or _TRIAL_TIMEOUT)
        back, back_words = inwards(policy, peer)
    click.echo(f"{'ok' if out else 'FAILED':<7} {settings.dimse.ae_title} → {ae_title}: {out_words}")
    click.echo(f"{'ok' if back else 'FAILED':<7} {ae_title} → {settings.dimse.ae_title}: {back_words}")
    sys.exit(0 if out and back else EXIT_FAILED)


def _known(machine: PolicyOfMachine, ae_title: str) -> KnownPeer:
    peer = machine.policy.peers.get(ae_title)
    if peer is None:
        click.echo(f"gantry: no peer has the AE title {ae_title}; `gantry ae add {ae_title} …` adds it", err=True)
        sys.exit(EXIT_FAILED)
    return peer


def _of_api(api: PeersApi, ae_title: str, version: str) -> tuple[dict[str, Any], str]:
    """The entry that the API added, and the entity tag for changing it."""
    answer = api.peer(ae_title)
    if not answer.etag:
        raise RefusedByArchive(409, "the archive's policy file has this peer, and takes precedence: change it there")
    of_api = answer.body.get("hidden") or answer.body
    return of_api["entry"], f'"{version}"' if version else answer.etag


def _fields_and_row(answer: dict[str, Any]) -> tuple[dict[str, Any], list[str]]:
    """An archive's answer about a peer, as all of its fields, and as a row. A newer archive may have fields that are
    not known here: they are shown as received."""
    beside: dict[str, Any] = {
        name: answer[name] for name in ("source", "version", "by", "reason", "at", "why_not") if name in answer
    }
    source, entry = str(answer.get("source", "")), answer.get("entry")
    try:
        peer = peer_from(entry)
    except ConfigError as error:
        words = f"{source}; not understood: {answer.get('why_not') or error.reason}"
        fields: dict[str, Any] = dict(entry) if isinstance(entry, dict) else {"ae_title": answer.get("ae_title")}
        return {**fields, **beside}, [str(answer.get("ae_title")), "", "", "", "", "", "", words]
    return {**_all_fields(peer), **beside}, _row(peer, source)


def _all_fields(peer: KnownPeer) -> dict[str, Any]:
    """All fields as in JSON; sets are sorted, so that equal peers look equal."""
    fields = peer.model_dump(mode="json", by_alias=True)
    for name, described in type(peer).model_fields.items():
        if isinstance(getattr(peer, name), frozenset):
            alias = described.alias or name
            fields[alias] = sorted(fields[alias])
    return fields


def _named(options: dict[str, Any]) -> dict[str, Any]:
    return {name.rstrip("_"): value for name, value in options.items()}


def _row(peer: KnownPeer, source: str) -> list[str]:
    return [
        peer.ae_title,
        peer.host or "",
        str(peer.port or ""),
        ", ".join(str(network) for network in peer.addresses) or (peer.host or ""),
        in_words(peer.may),
        "yes" if peer.move_destination else "no",
        "yes" if peer.tls else "no",
        source,
    ]


class _refusals:
    """Ends the command with a message about the error. Exit code 2 for a file or an option, 1 if the archive refuses, 3
    if it is not reached."""

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        codes = {ConfigError: 2, RefusedByArchive: EXIT_FAILED, NotReached: EXIT_NOT_REACHED}
        for cls, code in codes.items():
            if isinstance(error, cls):
                click.echo(f"gantry: {error}", err=True)
                sys.exit(code)
