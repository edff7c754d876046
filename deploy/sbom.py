"""A CycloneDX SBOM as syft writes it, from standard input to standard output, without what differs each time it is made
(its serial number, the time, references that hold digests of where a package was installed from) and without single
files: packages are what somebody looks up."""

from __future__ import annotations

import json
import sys
from collections import Counter
from typing import Any


def steady(bill: dict[str, Any]) -> dict[str, Any]:
    """One that is the same each time it is made of the same parts."""
    metadata = {name: value for name, value in bill["metadata"].items() if name != "timestamp"}
    parts = [part for part in bill["components"] if part["type"] != "file"]
    count = Counter(part.get("purl", "") for part in parts)
    refs = {part["bom-ref"]: _ref(part, count) for part in parts}
    refs[metadata["component"]["bom-ref"]] = "release"
    return {
        **{name: value for name, value in bill.items() if name != "serialNumber"},
        "metadata": {**metadata, "component": {**metadata["component"], "bom-ref": "release"}},
        "components": [{**part, "bom-ref": refs[part["bom-ref"]]} for part in parts],
        "dependencies": [
            {"ref": refs[entry["ref"]], "dependsOn": sorted(refs[ref] for ref in entry["dependsOn"] if ref in refs)}
            for entry in bill.get("dependencies", [])
            if entry["ref"] in refs
        ],
    }


def _ref(part: dict[str, Any], count: Counter[str]) -> str:
    purl = part.get("purl", "")
    return purl if purl and count[purl] == 1 else part["bom-ref"]


if __name__ == "__main__":
    json.dump(steady(json.load(sys.stdin)), sys.stdout, indent=1, sort_keys=True)
    print()
