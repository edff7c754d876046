"""Audit repositories for tests: rsyslog if it is installed, and our own receiver of syslog over TLS."""

from __future__ import annotations

import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.support.archive import ROOT
from tests.support.certificates import Pair
from tests.support.ports import free_port

RECEIVERS = ("ours", "rsyslog")
_RSYSLOG = """global(workDirectory="{folder}" maxMessageSize="64k" defaultNetstreamDriver="ossl"
  defaultNetstreamDriverCAFile="{ca}" defaultNetstreamDriverCertFile="{certificate}"
  defaultNetstreamDriverKeyFile="{key}")
module(load="imtcp" streamDriver.name="ossl" streamDriver.mode="1" streamDriver.authMode="x509/certvalid")
template(name="raw" type="string" string="%rawmsg%\\n")
input(type="imtcp" port="{port}" address="127.0.0.1")
action(type="omfile" file="{file}" template="raw")
"""


class SyslogReceiver:
    """A process that can be ended and started again; every message is a line of `file`."""

    def __init__(self, kind: str, folder: Path, pair: Pair, ca: Path) -> None:
        """Skips the test if rsyslog is requested but not installed."""
        self.port = free_port()
        self.file = folder / "messages"
        self._process: subprocess.Popen[bytes] | None = None
        if kind == "ours":
            arguments = [str(self.port), str(self.file), str(pair.certificate), str(pair.key), str(ca)]
            self._command = [sys.executable, "-m", "tests.support.syslog_receiver", *arguments]
            return
        program = shutil.which("rsyslogd") or shutil.which("rsyslogd", path="/usr/sbin")
        if program is None:
            pytest.skip("rsyslogd is not installed (packages rsyslog and rsyslog-openssl)")
        config = folder / "rsyslog.conf"
        names = {"folder": folder, "ca": ca, "certificate": pair.certificate, "key": pair.key}
        config.write_text(_RSYSLOG.format(**names, port=self.port, file=self.file))
        self._command = [program, "-n", "-f", str(config), "-i", str(folder / "rsyslog.pid")]

    @property
    def address(self) -> str:
        return f"localhost:{self.port}"

    @property
    def messages(self) -> list[str]:
        return self.file.read_text(errors="replace").splitlines() if self.file.is_file() else []

    def start(self) -> SyslogReceiver:
        self._process = subprocess.Popen(self._command, cwd=ROOT, stderr=subprocess.DEVNULL)
        deadline = time.monotonic() + 30
        while time.monotonic() < deadline:
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", self.port)) == 0:
                    return self
            assert self._process.poll() is None, "the receiver ended"
            time.sleep(0.05)
        raise AssertionError("the receiver does not listen")

    def end(self, number: signal.Signals = signal.SIGKILL) -> None:
        if self._process is not None and self._process.poll() is None:
            self._process.send_signal(number)
            self._process.wait(30)


_FRAME = re.compile(rb"([1-9][0-9]*) ")


def frames(data: bytearray) -> list[bytes]:
    """The complete frames at the beginning of `data`, which are removed from it (RFC 5425 4.3)."""
    whole = []
    while (head := _FRAME.match(data)) is not None and len(data) >= head.end() + int(head[1]):
        end = head.end() + int(head[1])
        whole.append(bytes(data[head.end() : end]))
        del data[:end]
    return whole


def _serve(port: int, file: Path, certificate: str, key: str, ca: str) -> None:
    import asyncio
    import ssl

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    context.load_verify_locations(ca)
    context.verify_mode = ssl.CERT_REQUIRED

    async def take(reader: asyncio.StreamReader, _: asyncio.StreamWriter) -> None:
        data = bytearray()
        while more := await reader.read(65536):
            data += more
            with file.open("ab") as out:
                out.writelines(message + b"\n" for message in frames(data))

    async def run() -> None:
        server = await asyncio.start_server(take, "127.0.0.1", port, ssl=context)
        await server.serve_forever()

    asyncio.run(run())


if __name__ == "__main__":
    _serve(int(sys.argv[1]), Path(sys.argv[2]), *sys.argv[3:])
