"""A real Prometheus on the loopback interface, of one test."""

from __future__ import annotations

import json
import math
import shutil
import subprocess
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.support.archive import ROOT
from tests.support.ports import free_port
from tests.support.servers import skip

RULES = ROOT / "deploy" / "monitoring" / "rules.yaml"


@dataclass(frozen=True)
class Prometheus:
    """It scrapes every second, and evaluates our rules."""

    port: int

    def ask(self, query: str) -> list[dict[str, Any]]:
        """The samples of an instant query."""
        url = f"http://127.0.0.1:{self.port}/api/v1/query?" + urllib.parse.urlencode({"query": query})
        try:
            with urllib.request.urlopen(url, timeout=10) as response:
                answer = json.load(response)
        except urllib.error.HTTPError as error:
            raise AssertionError(f"{query}: {error.read().decode()}") from None
        samples: list[dict[str, Any]] = answer["data"]["result"]
        return samples

    def numbers(self, query: str) -> list[float]:
        """The values of an instant query that are numbers."""
        values = [float(sample["value"][1]) for sample in self.ask(query)]
        return [value for value in values if math.isfinite(value)]

    def wait_scrapes(self, count: int, seconds: float = 60.0) -> None:
        """Return when the archive was scraped `count` times more."""
        counted = 'sum(count_over_time(up{job="gantry"}[1h]))'
        before = sum(self.numbers(counted))
        deadline = time.monotonic() + seconds
        while sum(self.numbers(counted)) < before + count:
            assert time.monotonic() < deadline, self.ask('up{job="gantry"}')
            time.sleep(0.2)


@contextmanager
def prometheus(folder: Path, *target_ports: int) -> Iterator[Prometheus]:
    """Prometheus, scraping ports of this machine; ends with the block. Skips the test where there is none."""
    program = shutil.which("prometheus")
    if program is None:
        skip("prometheus", "deploy/peers.sh installs it")
    port = free_port()
    targets = [f"127.0.0.1:{target}" for target in target_ports]
    configuration = {
        "global": {"scrape_interval": "1s", "scrape_timeout": "1s", "evaluation_interval": "1s"},
        "rule_files": [str(RULES)],
        "scrape_configs": [{"job_name": "gantry", "static_configs": [{"targets": targets}]}],
    }
    file = folder / "prometheus.json"
    file.write_text(json.dumps(configuration))
    command = [program, f"--config.file={file}", f"--storage.tsdb.path={folder / 'tsdb'}"]
    with (folder / "prometheus.log").open("wb") as log:
        process = subprocess.Popen([*command, f"--web.listen-address=127.0.0.1:{port}"], stdout=log, stderr=log)
    try:
        _wait_ready(process, port, folder / "prometheus.log")
        yield Prometheus(port)
    finally:
        process.terminate()
        process.wait(30)


def _wait_ready(process: subprocess.Popen[bytes], port: int, log: Path) -> None:
    deadline = time.monotonic() + 30
    while True:
        assert process.poll() is None, log.read_text()
        assert time.monotonic() < deadline, log.read_text()
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/-/ready", timeout=5):
                return
        except OSError:
            time.sleep(0.1)
