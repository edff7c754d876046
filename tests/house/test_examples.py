"""Examples that people copy: addresses of documentation only, and settings that are read as they stand."""

from __future__ import annotations

import re
from ipaddress import ip_address, ip_network
from pathlib import Path

import pytest
from ruamel.yaml import YAML

from gantry.common.adapters.opensearch.schema import VERSION
from gantry.common.config.policy import read_policy
from gantry.common.config.settings import Settings
from tests.house.sources import ROOT

TEXTS = [*(ROOT / "docs").glob("*.md"), *(ROOT / "deploy").glob("*"), *(ROOT / "libs/common/config").glob("*.py")]
# RFC 5737, this machine, every address, the network that the compose file makes, and the customary one of pods.
ALLOWED = [ip_network(n) for n in ("192.0.2.0/24", "127.0.0.0/8", "0.0.0.0/32", "172.31.112.0/24", "10.244.0.0/16")]
_ADDRESS = re.compile(r"(?<![\d.])\d{1,3}(?:\.\d{1,3}){3}(?![\d.])")


@pytest.mark.parametrize("path", [p for p in TEXTS if p.is_file() and p.name != "benchmarks.md"], ids=lambda p: p.name)
def test_addresses_of_examples_are_those_for_documentation(path: Path) -> None:
    for address in _ADDRESS.findall(path.read_text(encoding="utf-8")):
        if path.name == "conformance.md" or address.startswith("1."):
            continue  # UIDs and clauses
        assert any(ip_address(address) in network for network in ALLOWED), address


def test_example_of_peers_is_a_policy() -> None:
    assert set(read_policy(ROOT / "deploy/peers.yaml", "GANTRY").peers) == {"CT1", "WORKSTATION"}


@pytest.mark.parametrize("name", ["nginx.conf", "Caddyfile"])
def test_settings_of_the_proxy_examples_are_settings(name: str) -> None:
    (line,) = re.findall(r"^#\s+(http: \{.*\})$", (ROOT / "deploy" / name).read_text(), re.MULTILINE)
    sections = YAML(typ="safe").load(line)
    settings = Settings.model_validate(sections)
    assert settings.http.proxy_from
    assert settings.http.tokens_file is not None


def test_unit_gives_the_files_that_the_defaults_need() -> None:
    from gantry.services.process.descriptors import needed
    from gantry.services.roles import EVERY

    unit = (ROOT / "deploy/gantry.service").read_text()
    (limit,) = re.findall(r"^LimitNOFILE=(\d+)$", unit, re.MULTILINE)
    assert int(limit) >= needed(Settings(), EVERY)


@pytest.mark.parametrize(
    "words",
    [
        "`PLAIN`, `SCRAM-SHA-256`, `SCRAM-SHA-512`",
        "`gzip`, `lz4`, `snappy`, `zstd`",
        "`AES256`, `aws:kms`",
        "`path`, `virtual`",
        "`json`, `console`",
        "`debug`, `info`, `warning`, `error`",
        "| `from` | list of addresses and CIDR ranges |",
        "| `max_associations` | associations | `50` |",
        "| `may` | list of `store`, `find`, `retrieve`, `commit`, `echo`, `reject`, `worklist`, `mpps`, `ups` |",
        "| `retrieve` | C-MOVE and C-GET |",
        "GANTRY_CONFIG",
        "GANTRY_ROLE",
        "--workers",
    ],
)
def test_settings_say_what_is_allowed(words: str) -> None:
    assert words in (ROOT / "docs/settings.md").read_text(encoding="utf-8")


def test_the_table_of_releases_names_this_one() -> None:
    lines = (ROOT / "docs/kubernetes.md").read_text(encoding="utf-8").splitlines()
    head = next(number for number, line in enumerate(lines) if line.startswith("| chart | release | index version |"))
    newest = [cell.strip() for cell in lines[head + 2].strip("|").split("|")]
    chart = dict(
        line.split(": ", 1)
        for line in (ROOT / "deploy/helm/gantry/Chart.yaml").read_text().splitlines()
        if ": " in line
    )
    assert newest[:3] == [chart["version"], chart["appVersion"].strip('"'), str(VERSION)]
