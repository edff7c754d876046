"""A modality built with dcmjs-dimse, which npm fetches."""

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
        """Fetch its packages; returns why that failed, "" on success."""
        if shutil.which("npm") is None:
            return "npm is not installed, which fetches dcmjs-dimse"
        command = ["npm", "install", "--no-audit", "--no-fund", "--silent"]
        done = subprocess.run(command, cwd=self._folder, capture_output=True, timeout=240, check=False)
        return "npm cannot fetch dcmjs-dimse" if done.returncode else ""

    def perform(self, port: int, accession: str, step: str) -> dict[str, Any]:
        """Take an order from the worklist, and begin and end its step with the SOP Instance UID `step`, each twice. A
        step that has begun and is no longer in the worklist is only ended. Returns the number of answers and the
        statuses."""
        command = ["node", "performs.js", str(port), accession, step]
        done = subprocess.run(command, cwd=self._folder, capture_output=True, text=True, timeout=60, check=False)
        assert done.returncode == 0, done.stderr
        report: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
        return report
