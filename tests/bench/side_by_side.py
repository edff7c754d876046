"""What protection costs. The difference between two archives of ours is small, and a shared machine is twice as fast in
one minute as in the next: so all of a row run at the same time, and each of them is measured for a moment, in turn."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import NamedTuple

from gantry.services.process.key_services import add_key
from tests.bench import contestants as field
from tests.bench import corpus, senders
from tests.bench.contestants import Contestant
from tests.bench.machine import settle
from tests.bench.rows import Figure, dicom_files, filled, retrieve, retrieved, running
from tests.bench.senders import Sender
from tests.support.certificates import Authority

_ROUNDS = 5
_SENDERS = 4
_KINDS = (("10 KB", corpus.SMALL, 200), ("CT", corpus.CT, 60))
_WARM_UP = 100
_AUDIT_OFF = "audit: {on: false}\n"


class _Side(NamedTuple):
    """One archive of a row."""

    name: str
    settings: str
    send: Sender = senders.lean


def protected(folder: Path, quick: bool) -> list[Figure]:
    """What TLS, a policy, the audit trail and encryption cost those who store, each by itself and all together."""
    folder.mkdir(parents=True, exist_ok=True)
    keys, authority = folder / "keys", Authority(folder / "ca", "bench")
    add_key(keys, "first")
    pair = authority.sign("archive")
    files = f"certificate: {pair.certificate}, key: {pair.key}, ca: {authority.ca}"
    tls = f"tls: {{{files}, require_client_certificate: false}}\n"
    encryption = f"encryption: {{key_file: {keys}}}\n"
    peers = [f"  - {{ae_title: CT{number}, host: 192.0.2.{number + 1}, may: [store]}}\n" for number in range(200)]
    (folder / "peers.yaml").write_text("peers:\n  - {ae_title: LEAN, host: 127.0.0.1, may: [store]}\n" + "".join(peers))
    policy = f"peers_file: {folder / 'peers.yaml'}\n"
    secure: Sender = partial(senders.lean, tls=True)
    sides = (
        _Side("gantry, nothing of it", _AUDIT_OFF),
        _Side("gantry, audit", ""),
        _Side("gantry, policy of 200 peers", _AUDIT_OFF + policy),
        _Side("gantry, encrypted", _AUDIT_OFF + encryption),
        _Side("gantry, TLS", _AUDIT_OFF + tls, secure),
        _Side("gantry, all of it", tls + encryption + policy, secure),
    )
    with ExitStack() as stack:
        return _stored(folder, _started(folder, sides, stack), quick)


def encrypted(folder: Path, quick: bool) -> list[Figure]:
    """What it costs that objects lie encrypted: fetching them, and storing them."""
    folder.mkdir(parents=True, exist_ok=True)
    add_key(folder / "keys", "first")
    sides = (_Side("gantry", ""), _Side("gantry, encrypted", f"encryption: {{key_file: {folder / 'keys'}}}\n"))
    with ExitStack() as stack:
        archives = _started(folder, sides, stack)
        return _fetched(folder, archives, 40 if quick else 200) + _stored(folder, archives, quick)


def _started(folder: Path, sides: Sequence[_Side], stack: ExitStack) -> list[tuple[Contestant, Sender]]:
    return [
        (stack.enter_context(running(field.gantry(folder / str(n), name=side.name, settings=side.settings))), side.send)
        for n, side in enumerate(sides)
    ]


def _stored(folder: Path, archives: Sequence[tuple[Contestant, Sender]], quick: bool) -> list[Figure]:
    figures = []
    for server, send in archives:
        warm_up = [corpus.make(folder / f"warm-{n}", _WARM_UP, corpus.SMALL) for n in range(_SENDERS)]
        send(server.port, warm_up, False)
    for words, side, count in _KINDS:
        each = count // 5 if quick else count
        for number in range(_ROUNDS):
            sets = [corpus.make(folder / f"{words}-{number}-{n}", each, side) for n in range(_SENDERS)]
            settle()
            for server, send in _turn(archives, number):
                before = server.usage()
                seconds = send(server.port, sets, False)
                after = server.usage()
                total = each * _SENDERS
                cpu = (after.cpu - before.cpu) * 1000 / total
                title = f"{_SENDERS} lean senders, {words}"
                figures.append(Figure(title, server.name, total / seconds, "objects/s", cpu, after.peak))
    return figures


def _fetched(folder: Path, archives: Sequence[tuple[Contestant, Sender]], count: int) -> list[Figure]:
    files = dicom_files(corpus.make(folder / "set", count, corpus.CT))
    figures = []
    for server, _ in archives:
        filled(server, files)
    # The first time fills caches, and does not count.
    for number in range(_ROUNDS + 1):
        for server, _ in _turn(archives, number):
            out = folder / f"got-{number}"
            out.mkdir(exist_ok=True)
            settle()
            before = server.usage()
            seconds = retrieve(server.port, "getscu", "-od", str(out))
            after = server.usage()
            if number:
                figures.append(retrieved("C-GET", server, count, seconds, after.cpu - before.cpu, after.peak))
    return figures


def _turn(archives: Sequence[tuple[Contestant, Sender]], number: int) -> list[tuple[Contestant, Sender]]:
    """All of them, another one first each time."""
    begin = number % len(archives)
    return [*archives[begin:], *archives[:begin]]
