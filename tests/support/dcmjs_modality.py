"""A modality made of dcmjs-dimse, which npm fetches."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

from tests.support.archive import ROOT


class DcmjsModality:
    """CT1, in `folder`, which does not exist yet."""

    def __init__(self, folder: Path) -> None:
        self._folder = Path(shutil.copytree(ROOT / "tests/support/dcmjs", folder))

    def missing(self) -> str:
        """Fetch what it is made of; why that failed, "" if it did not."""
        if shutil.which("npm") is None:
            return "npm is not installed, which fetches dcmjs-dimse"
        command = ["npm", "install", "--no-audit", "--no-fund", "--silent"]
        done = subprocess.run(command, cwd=self._folder, capture_output=True, timeout=240, check=False)
        return "npm cannot fetch dcmjs-dimse" if done.returncode else ""

    def perform(self, port: int, accession: str, step: str) -> dict[str, Any]:
        """Take an order from the worklist, begin and end its step under the SOP Instance UID `step`, each twice; one
        that has begun, and is not in the worklist, is ended. How many answers there were, and the statuses."""
        command = ["node", "performs.js", str(port), accession, step]
        done = subprocess.run(command, cwd=self._folder, capture_output=True, text=True, timeout=60, check=False)
        assert done.returncode == 0, done.stderr
        report: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
        return report
