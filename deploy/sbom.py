"""A CycloneDX SBOM as syft writes it, from standard input to standard output, without what differs each time it is made
(its serial number, the time, references that hold digests of where a package was installed from) and without single
files: packages are what somebody looks up."""

import json
import sys
from collections import Counter


def main() -> None:
    """Read one and write it."""
    bill = json.load(sys.stdin)
    bill.pop("serialNumber", None)
    bill["metadata"].pop("timestamp", None)
    parts = [part for part in bill["components"] if part["type"] != "file"]
    count = Counter(part.get("purl", "") for part in parts)
    refs = {
        part["bom-ref"]: part["purl"] if part.get("purl") and count[part["purl"]] == 1 else part["bom-ref"]
        for part in parts
    }
    refs[bill["metadata"]["component"]["bom-ref"]] = "release"
    for part in [*parts, bill["metadata"]["component"]]:
        part["bom-ref"] = refs[part["bom-ref"]]
    bill["components"] = parts
    bill["dependencies"] = [
        {"ref": refs[entry["ref"]], "dependsOn": sorted(refs[ref] for ref in entry["dependsOn"] if ref in refs)}
        for entry in bill.get("dependencies", [])
        if entry["ref"] in refs
    ]
    json.dump(bill, sys.stdout, indent=1, sort_keys=True)
    print()


main()
