"""The suites of helm-unittest that lie beside the chart (deploy/helm/gantry/tests), by the plugin itself."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import tarfile
from pathlib import Path

import pytest

from tests.kubernetes.chart import CHART, tool, try_helm
from tests.support.parts import part, parts
from tests.support.server import Unavailable
from tests.support.servers import skip

pytestmark = pytest.mark.timeout(300)


def _unittest(folder: Path, chart: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """`helm unittest`, with the plugin where helm looks for it."""
    helm = tool("helm")
    try:
        parts("unittest")
    except Unavailable as error:
        skip("helm-unittest", str(error))
    plugins = folder / "plugins"
    plugins.mkdir()
    (plugins / "unittest").symlink_to(part("helm-unittest", "HELM_UNITTEST"))
    environment = {"PATH": os.environ["PATH"], "HOME": str(folder), "HELM_PLUGINS": str(plugins)}
    return subprocess.run(
        [helm, "unittest", *arguments, str(chart)],
        capture_output=True,
        text=True,
        check=False,
        stdin=subprocess.DEVNULL,
        env=environment,
    )


def test_the_charts_own_suites_pass(tmp_path: Path) -> None:
    done = _unittest(tmp_path, CHART)
    assert done.returncode == 0, done.stdout + done.stderr
    counted = re.search(r"Tests: +(\d+) passed, (\d+) total", done.stdout)
    assert counted is not None, done.stdout
    assert counted[1] == counted[2] != "0"


@pytest.mark.parametrize(
    ("suite", "template", "before", "after"),
    [
        ("security", "_helpers.tpl", "readOnlyRootFilesystem: true", "readOnlyRootFilesystem: false"),
        ("secrets", "serviceaccount.yaml", "kind: ServiceAccount", "kind: Secret"),
        ("availability", "disruption.yaml", "unhealthyPodEvictionPolicy: AlwaysAllow", ""),
        ("network", "networkpolicies.yaml", "concat (list $lookup) $services", "concat (list $lookup) $stores"),
        ("autoscaling", "workloads.yaml", "if not $scaled", "if true"),
        ("notes", "_helpers.tpl", '"gantry.usefulIndexers" -}}24', '"gantry.usefulIndexers" -}}99'),
        ("refused", "_helpers.tpl", '{{ fail "podCidrs:', '{{ print "podCidrs:'),
        ("partitions", "jobs.yaml", "if not .Values.partitions", "if true"),
        ("stores", "_helpers.tpl", "path: {{ $section }}.pem", "path: {{ $section }}.crt"),
    ],
)
def test_each_suite_sees_a_template_that_is_broken(
    tmp_path: Path, suite: str, template: str, before: str, after: str
) -> None:
    chart = tmp_path / "gantry"
    shutil.copytree(CHART, chart)
    file = chart / "templates" / template
    text = file.read_text(encoding="utf-8")
    assert before in text
    file.write_text(text.replace(before, after), encoding="utf-8")
    done = _unittest(tmp_path, chart, "--file", f"tests/{suite}_test.yaml")
    assert done.returncode == 1, done.stdout + done.stderr
    assert " FAIL " in done.stdout
    assert "Execution Error" not in done.stdout


def test_the_packaged_chart_has_the_pod_of_helm_test_and_not_the_suites(tmp_path: Path) -> None:
    done = try_helm("package", CHART, "--destination", tmp_path)
    assert done.returncode == 0, done.stderr
    (package,) = tmp_path.glob("*.tgz")
    with tarfile.open(package) as archive:
        names = archive.getnames()
    assert "gantry/templates/tests/phantom.yaml" in names
    assert not [name for name in names if name.startswith("gantry/tests/")]
