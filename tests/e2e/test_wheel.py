"""What `pip install gantry-dicom[testing]` brings: one name, beside a project with `services` and `libs` of its own,
and the examples of the documentation work there as they are."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import sysconfig
import zipfile
from pathlib import Path

import pytest

from tests.support.archive import ROOT

_EXAMPLES = re.compile(r"```python\n# (\w+\.py)\n(.*?)```", re.DOTALL)
_TYPED = """
from gantry.testing import GantryContainer, InProcessGantry, make_study

def use(gantry: InProcessGantry, container: GantryContainer) -> str:
    found: list[str] = gantry.wait_for(study=make_study("CT").study_instance_uid)
    wrong: int = gantry.address
    return container.address + found[0]
"""


def run(*command: object, cwd: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run([*map(str, command)], cwd=cwd, capture_output=True, text=True, timeout=110, check=False)


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    tree = folder / "tree"  # setuptools leaves files beside what it builds
    for name in ("libs", "services"):
        shutil.copytree(ROOT / name, tree / name, symlinks=True, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, tree / name)
    options = ("--quiet", "--disable-pip-version-check", "--no-deps", "--no-build-isolation", "--wheel-dir", folder)
    done = run(sys.executable, "-m", "pip", "wheel", *options, tree, cwd=folder)
    assert done.returncode == 0, done.stdout + done.stderr
    (built,) = folder.glob("*.whl")
    return built


@pytest.fixture(scope="module")
def python(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A fresh environment with the wheel. The packages it stands on are those of this one."""
    folder = tmp_path_factory.mktemp("environment")
    assert run(sys.executable, "-m", "venv", folder, cwd=folder).returncode == 0
    fresh = folder / "bin" / "python"
    site = Path(run(fresh, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))", cwd=folder).stdout.strip())
    done = run(fresh, "-m", "pip", "install", "--quiet", "--no-deps", "--no-index", wheel, cwd=folder)
    assert done.returncode == 0, done.stdout + done.stderr
    (site / "others.pth").write_text(sysconfig.get_path("purelib") + "\n")
    return fresh


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """Somebody else's, with packages that are called as two folders of our tree are."""
    for name in ("services", "libs"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "__init__.py").write_text(f"THEIRS = {name!r}\n")
    (tmp_path / "test_theirs.py").write_text(
        "import libs, services\n\ndef test_theirs(gantry):\n"
        "    gantry.echo()\n    assert (services.THEIRS, libs.THEIRS) == ('services', 'libs')\n"
    )
    return tmp_path


def test_wheel_adds_one_name(wheel: Path) -> None:
    names = zipfile.ZipFile(wheel).namelist()
    assert {name.split("/")[0] for name in names if ".dist-info/" not in name} == {"gantry"}
    for needed in (
        "py.typed",
        "testing/plugin.py",
        "services/query/viewer/index.html",
        "services/query/viewer/page/app.js",
        "common/ul/states.py",
    ):
        assert f"gantry/{needed}" in names


def test_examples_of_the_documentation_run_beside_packages_of_the_same_names(python: Path, project: Path) -> None:
    examples = _EXAMPLES.findall((ROOT / "docs" / "testing.md").read_text(encoding="utf-8"))
    assert examples
    for name, text in examples:
        (project / name).write_text(text)
    options = ("-q", "-p", "no:cacheprovider", "--rootdir", project)
    done = run(python, "-m", "pytest", *options, project, cwd=project)
    assert "4 passed" in done.stdout, done.stdout + done.stderr
    where = run(python, "-c", "import gantry.services; print(gantry.services.__file__)", cwd=project)
    assert str(python.parent.parent) in where.stdout


def test_what_is_installed_is_typed(python: Path, project: Path) -> None:
    (project / "typed.py").write_text(_TYPED)
    options = (
        "--no-incremental",
        "--cache-dir",
        project / "cache",
        "--ignore-missing-imports",
        "--follow-imports=silent",
    )
    done = run(python, "-m", "mypy", *options, "typed.py", cwd=project)
    assert re.findall(r"error: (.*)", done.stdout) == [
        'Incompatible types in assignment (expression has type "str", variable has type "int")  [assignment]'
    ], done.stdout + done.stderr


def test_command_of_the_wheel_works(python: Path, project: Path) -> None:
    done = run(python.parent / "gantry", "serve", "--list-roles", cwd=project)
    assert done.returncode == 0, done.stderr
    assert "commitment" in done.stdout
