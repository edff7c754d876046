"""`make docs`: write the documents that are generated from code. A test fails while a committed one is not current."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import get_args

from gantry.common.config.reference import settings_as_markdown
from gantry.common.events import Event
from gantry.common.events.changes import CHANGE_TYPES, schema_of
from gantry.common.events.event_schemas import event_schema
from gantry.common.telemetry.metrics import metrics_as_markdown
from gantry.services.docs import conformance, tree

GENERATED = {"settings.md": settings_as_markdown, "metrics.md": metrics_as_markdown}


ROOT = Path(__file__).resolve().parents[2]
_TREE = re.compile(r"(<!-- tree -->\n).*?(<!-- end -->)", re.DOTALL)


def with_tree(text: str) -> str:
    """docs/architecture.md with the tree as it is now. Raises `LookupError` where there is no place for it."""
    if not _TREE.search(text):
        raise LookupError("no <!-- tree --> in docs/architecture.md")
    return _TREE.sub(lambda match: match.group(1) + tree.drawn(ROOT) + match.group(2), text)


def main() -> None:
    """Write them all."""
    folder = ROOT / "docs"
    architecture = folder / "architecture.md"
    architecture.write_text(with_tree(architecture.read_text(encoding="utf-8")), encoding="utf-8")
    for name, text in GENERATED.items():
        (folder / name).write_text(text(), encoding="utf-8")
    (folder / "schemas").mkdir(exist_ok=True)
    for type_ in CHANGE_TYPES:
        (folder / "schemas" / f"{type_}.json").write_text(
            json.dumps(schema_of(type_), indent=1) + "\n", encoding="utf-8"
        )
    (folder / "schemas" / "events").mkdir(exist_ok=True)
    for cls in get_args(Event):
        (folder / "schemas" / "events" / f"{cls.__name__}.json").write_text(
            json.dumps(event_schema(cls), indent=1, ensure_ascii=False) + "\n", encoding="utf-8"
        )
    statement = folder / "conformance.md"
    statement.write_text(conformance.filled(statement.read_text(encoding="utf-8")), encoding="utf-8")


if __name__ == "__main__":
    main()
