"""Alert rules: valid, each fires when it should and not when it should not, each with a page that says what to do."""

from __future__ import annotations

import importlib.util
import json
import re
import shutil
import subprocess
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from ruamel.yaml import YAML

from gantry.cli.canary.command import CanaryMetrics
from gantry.common.telemetry.metrics import METRICS
from tests.monitoring.rules import CASES, Case, Series
from tests.support.archive import ROOT
from tests.support.servers import skip

MONITORING = ROOT / "deploy" / "monitoring"
RUNBOOKS = ROOT / "docs" / "runbooks"
RULES = YAML(typ="safe").load((MONITORING / "rules.yaml").read_text())
ALERTS = [rule for group in RULES["groups"] for rule in group["rules"] if "alert" in rule]
RECORDED = {rule["record"] for group in RULES["groups"] for rule in group["rules"] if "record" in rule}
NAMES = sorted({rule["alert"] for rule in ALERTS})


def promtool(*arguments: object) -> subprocess.CompletedProcess[str]:
    tool = shutil.which("promtool")
    if tool is None:
        skip("promtool", "deploy/peers.sh installs it with prometheus")
    return subprocess.run([tool, *map(str, arguments)], capture_output=True, text=True, check=False, timeout=100)


def generator(name: str) -> ModuleType:
    """A module of deploy/monitoring, which is no package."""
    spec = importlib.util.spec_from_file_location(f"monitoring_{name}", MONITORING / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[module.__name__] = module  # its dataclasses look for it there
    spec.loader.exec_module(module)
    return module


def test_the_rules_are_those_of_their_generator() -> None:
    assert (MONITORING / "rules.yaml").read_text() == generator("rules").text(), "run deploy/monitoring/rules.py"


def test_prometheus_reads_the_rules_and_the_example() -> None:
    done = promtool("check", "config", MONITORING / "prometheus.yaml")
    assert done.returncode == 0, done.stdout + done.stderr


def test_every_metric_that_a_rule_names_is_one_of_ours() -> None:
    ours = {metric.name + ("_total" if metric.kind == "counter" else "") for metric in METRICS}
    ours |= {metric.name for metric in CanaryMetrics().registry.collect()}
    ours |= {f"{m.name}_{end}" for m in METRICS if m.kind == "histogram" for end in ("bucket", "count", "sum")}
    for group in RULES["groups"]:
        for rule in group["rules"]:
            named = set(re.findall(r"\bgantry[_:][a-z_:]+[0-9a-z]*", re.sub(r'"[^"]*"', "", rule["expr"])))
            assert named <= ours | RECORDED, rule["expr"]


def test_every_bound_that_a_rule_names_is_a_bucket() -> None:
    buckets = {metric.name: metric.buckets for metric in METRICS if metric.kind == "histogram"}
    for group in RULES["groups"]:
        for rule in group["rules"]:
            for name, bound in re.findall(r'(gantry_\w+)_bucket\{le="([0-9.]+)"\}', rule["expr"]):
                assert float(bound) in buckets[name]
                assert bound == str(float(bound))


@pytest.mark.parametrize("name", NAMES)
def test_every_alert_has_a_page_with_what_it_means_what_to_look_at_and_what_to_do(name: str) -> None:
    for rule in ALERTS:
        if rule["alert"] == name:
            assert rule["annotations"]["runbook_url"] == f"docs/runbooks/{name}.md"
    page = (RUNBOOKS / f"{name}.md").read_text()
    assert re.findall(r"^## (.*)$", page, re.MULTILINE) == ["What it means", "What to look at", "What to do"]
    for link in re.findall(r"\]\(([^)#]+)", page):
        assert (RUNBOOKS / link).exists(), link


def test_there_is_no_page_without_an_alert_and_every_alert_is_tried() -> None:
    assert {path.stem for path in RUNBOOKS.glob("Gantry*.md")} == set(NAMES) == {case.alert for case in CASES}


@pytest.mark.parametrize(
    "case", CASES, ids=lambda case: f"{case.alert}-{case.severity}-{case.labels.get('window', '')}"
)
def test_an_alert_fires_when_it_should_and_only_then(case: Case, tmp_path: Path) -> None:
    tried = [_trial(case.fires, case, [_expected(case)]), _trial(case.quiet, case, [])]
    rules, file = tmp_path / "rules.yaml", tmp_path / "trial.yaml"
    needed = _needed_by(case)
    rules.write_text(json.dumps(needed))
    # promtool evaluates groups in any order unless told: an alert that comes before what it stands on reads what was
    # recorded one interval ago, and where that is longer than Prometheus looks back (5 min), nothing.
    trial = {
        "rule_files": [str(rules)],
        "evaluation_interval": case.interval,
        "group_eval_order": [group["name"] for group in needed["groups"]],
        "tests": tried,
    }
    file.write_text(json.dumps(trial))
    done = promtool("test", "rules", file)
    assert done.returncode == 0, done.stdout + done.stderr


def _needed_by(case: Case) -> dict[str, Any]:
    """The rules of the file that the alert stands on: three days of all others take a machine minutes."""
    objective = _recorded_labels(case)
    groups = [
        {
            "name": group["name"],
            "rules": [
                rule
                for rule in group["rules"]
                if rule.get("alert") == case.alert or ("record" in rule and rule["labels"] == objective)
            ],
        }
        for group in RULES["groups"]
    ]
    return {"groups": [group for group in groups if group["rules"]]}


def _trial(series: Series, case: Case, expected: list[dict[str, Any]]) -> dict[str, Any]:
    """Other alerts may fire as well, and the same one for another window: so it is asked for in PromQL."""
    labels = {"severity": case.severity, **({"window": case.labels["window"]} if "window" in case.labels else {})}
    chosen = ",".join(f'{name}="{value}"' for name, value in {"alertname": case.alert, **labels}.items())
    return {
        "interval": case.interval,
        "input_series": [{"series": name, "values": values} for name, values in series.items()],
        "promql_expr_test": [
            {
                "expr": f'ALERTS{{alertstate="firing",{chosen}}}',
                "eval_time": case.at,
                "exp_samples": expected,
            }
        ],
    }


def _expected(case: Case) -> dict[str, Any]:
    labels = {"alertname": case.alert, "alertstate": "firing", "severity": case.severity, **case.labels}
    labels |= _recorded_labels(case)
    return {"labels": "ALERTS{" + ",".join(f'{k}="{v}"' for k, v in labels.items()) + "}", "value": 1}


def _recorded_labels(case: Case) -> dict[str, str]:
    """Alerts of objectives carry the objective's name."""
    for rule in ALERTS:
        if rule["alert"] == case.alert and (found := re.search(r'slo="(\w+)"', rule["expr"])):
            return {"slo": found[1]}
    return {}


def test_summaries_name_nothing_that_the_alert_does_not_have() -> None:
    for case in CASES:
        for rule in ALERTS:
            if rule["alert"] == case.alert:
                named = re.findall(r"\$labels\.(\w+)", rule["annotations"]["summary"])
                assert set(named) <= set(case.labels)
