"""The connection to an audit repository, to a real receiver of syslog over TLS."""

from __future__ import annotations

import ssl
import time
from pathlib import Path

from gantry.common.clock import SystemClock
from gantry.common.config.tls import usual
from gantry.services.auditing.repository import Repository
from tests.support.certificates import Authority
from tests.support.syslog_receiver import SyslogReceiver


async def test_every_connection_takes_what_is_written_at_once(tmp_path: Path) -> None:
    """What the other side says on its own (the session tickets of TLS 1.3) stops none of them."""
    authority = Authority(tmp_path / "pki", "ca")
    receiver = SyslogReceiver("ours", tmp_path, authority.sign("repository"), authority.ca).start()
    pair = authority.sign("gantry")

    def context() -> ssl.SSLContext:
        made = usual(authority.ca)
        made.load_cert_chain(pair.certificate, pair.key)
        return made

    try:
        for number in range(25):
            repository = Repository(receiver.address, context, SystemClock(), timeout=10.0)
            await repository.send([f"{len(str(number)) + 6} first {number}".encode()])
            await repository.send([b"6 second"] * 3)
            await repository.close()
        wanted = [f"first {number}" for number in range(25)] + ["second"] * 75
        deadline = time.monotonic() + 10
        while sorted(receiver.messages) != sorted(wanted):
            assert time.monotonic() < deadline, receiver.messages
    finally:
        receiver.end()
