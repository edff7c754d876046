"""`deploy/sbom.py`."""

from __future__ import annotations

from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from typing import Any

_SPEC = spec_from_file_location("sbom", Path(__file__).parents[2] / "deploy" / "sbom.py")
assert _SPEC is not None
assert _SPEC.loader is not None
sbom = module_from_spec(_SPEC)
_SPEC.loader.exec_module(sbom)


def bill(time: str) -> dict[str, Any]:
    """What syft says of an image, at a time: packages, one of them twice, a file, the operating system."""
    installed = f"pkg:pypi/gantry-dicom@1?package-id={time}"
    return {
        "serialNumber": f"urn:uuid:{time}",
        "metadata": {"timestamp": time, "component": {"bom-ref": time, "name": "gantry"}},
        "components": [
            {"bom-ref": installed, "type": "library", "purl": "pkg:pypi/gantry-dicom@1"},
            {"bom-ref": "a", "type": "library", "purl": "pkg:pypi/twice@1"},
            {"bom-ref": "b", "type": "library", "purl": "pkg:pypi/twice@1"},
            {"bom-ref": "os", "type": "operating-system", "name": "debian"},
            {"bom-ref": time + "-file", "type": "file", "name": "/etc/passwd"},
        ],
        "dependencies": [
            {"ref": installed, "dependsOn": ["os", "a", time + "-file"]},
            {"ref": time + "-file", "dependsOn": ["os"]},
        ],
    }


def test_it_is_the_same_each_time() -> None:
    assert sbom.steady(bill("1")) == sbom.steady(bill("2"))


def test_it_names_each_package_and_what_has_no_address_and_no_file() -> None:
    made = sbom.steady(bill("1"))
    ours = "pkg:pypi/gantry-dicom@1"
    assert [part["bom-ref"] for part in made["components"]] == [ours, "a", "b", "os"]
    assert made["dependencies"] == [{"ref": ours, "dependsOn": ["a", "os"]}]
