"""`make docs`: write the documents that are generated from code. A test fails while a committed one is not current."""

from __future__ import annotations

from pathlib import Path

from gantry.common.config.reference import settings_as_markdown
from gantry.common.telemetry.metrics import metrics_as_markdown
from gantry.services.docs import conformance

GENERATED = {"settings.md": settings_as_markdown, "metrics.md": metrics_as_markdown}


def main() -> None:
    """Write them all."""
    folder = Path(__file__).resolve().parents[2] / "docs"
    folder.mkdir(exist_ok=True)
    for name, text in GENERATED.items():
        (folder / name).write_text(text(), encoding="utf-8")
    statement = folder / "conformance.md"
    statement.write_text(conformance.filled(statement.read_text(encoding="utf-8")), encoding="utf-8")


if __name__ == "__main__":
    main()
