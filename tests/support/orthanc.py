"""Orthanc as a foreign peer: a separate process, controlled over its REST API."""

from __future__ import annotations

import json
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any, Self

import pytest

from tests.support.dcmtk import tool
from tests.support.ports import free_port

ORTHANC = "Orthanc"
PLUGIN = Path("/usr/share/orthanc/plugins/libOrthancDicomWeb.so")


class Orthanc:
    """AE title ORTHANC on `port`, with the archive as the modality `gantry`. If the archive's HTTP port is given, it
    has the DICOMweb plugin, and the archive as the DICOMweb server `gantry`."""

    def __init__(
        self,
        folder: Path,
        port: int,
        archive_port: int,
        archive_http_port: int | None = None,
        settings: Mapping[str, Any] = MappingProxyType({}),
    ) -> None:
        """`settings` are further settings of Orthanc."""
        self._program = tool(ORTHANC)
        self.http_port = free_port()
        self._log = folder / "orthanc.log"
        self._config = folder / "orthanc.json"
        configuration: dict[str, Any] = {
            "Name": "Test",
            "StorageDirectory": str(folder / "db"),
            "IndexDirectory": str(folder / "db"),
            "Plugins": [],
            "HttpPort": self.http_port,
            "DicomPort": port,
            "DicomAet": "ORTHANC",
            "DicomCheckCalledAet": True,
            "AuthenticationEnabled": False,
            "RemoteAccessAllowed": False,
            "SaveJobs": False,
            "DicomModalities": {"gantry": {"AET": "GANTRY", "Host": "127.0.0.1", "Port": archive_port}},
        }
        if archive_http_port is not None:
            if not PLUGIN.exists():
                pytest.skip("Orthanc's DICOMweb plugin is not installed (deploy/peers.sh does it as root on Debian)")
            server = {"Url": f"http://127.0.0.1:{archive_http_port}/dicom-web/"}
            configuration |= {"Plugins": [str(PLUGIN)], "DicomWeb": {"Enable": True, "Servers": {"gantry": server}}}
        self._config.write_text(json.dumps({**configuration, **settings}))
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                [self._program, str(self._config)], stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT
            )
        deadline = time.monotonic() + 60
        while True:
            try:
                self.get("/system")
                return self
            except OSError:
                assert self._process.poll() is None, self._log.read_text()
                assert time.monotonic() < deadline, self._log.read_text()
                time.sleep(0.1)

    def __exit__(self, *_: object) -> None:
        if self._process is not None:
            self._process.terminate()
            try:
                self._process.wait(20)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait(10)

    def get(self, path: str) -> Any:
        return json.loads(self.raw(path))

    def post(self, path: str, body: Any) -> Any:
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        return json.loads(self.raw(path, data) or b"null")

    def delete(self, path: str) -> None:
        self.raw(path, method="DELETE")

    def raw(self, path: str, data: bytes | None = None, method: str | None = None) -> bytes:
        request = urllib.request.Request(f"http://127.0.0.1:{self.http_port}{path}", data, method=method)
        try:
            with urllib.request.urlopen(request, timeout=60) as response:
                return bytes(response.read())
        except urllib.error.HTTPError as error:
            words = error.read().decode(errors="replace")
            raise AssertionError(f"{path}: {error.code}: {words}\n{self._log.read_text()[-3000:]}") from error

    def upload(self, file: Path) -> str:
        """Upload a file to Orthanc; returns Orthanc's id of the instance."""
        return str(self.post("/instances", file.read_bytes())["ID"])

    def file_of(self, sop_instance_uid: str) -> bytes:
        """The Part 10 file of an instance as Orthanc has it."""
        (instance,) = self.post("/tools/lookup", sop_instance_uid.encode())
        return self.raw(f"/instances/{instance['ID']}/file")
