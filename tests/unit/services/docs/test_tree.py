"""The drawn tree of docs/architecture.md."""

from __future__ import annotations

from pathlib import Path

from gantry.services.docs.tree import ROOTS, drawn


def made(root: Path) -> Path:
    for name in ROOTS:
        (root / name).mkdir(parents=True)
        (root / name / "__init__.py").write_text(f'"""What {name} is for. And more."""\n')
    room = root / "services" / "room"
    room.mkdir()
    (room / "__init__.py").write_text('"""A room\nof two lines\n\nand a paragraph."""\n')
    for module in ("b", "a"):
        (room / f"{module}.py").write_text("")
    return room


def test_a_room_stands_below_its_folder_with_its_purpose_and_its_modules(tmp_path: Path) -> None:
    made(tmp_path)
    lines = drawn(tmp_path).splitlines()
    assert lines[0] == "```text"
    assert lines[-1] == "```"
    assert "services/    What services is for" in lines
    assert lines[lines.index("    room/    A room of two lines") + 1] == "        a b"


def test_folders_that_are_no_packages_and_links_are_not_drawn(tmp_path: Path) -> None:
    room = made(tmp_path)
    (tmp_path / "services" / "page").mkdir()
    (tmp_path / "services" / "again").symlink_to(room)
    text = drawn(tmp_path)
    assert "page/" not in text
    assert "again/" not in text


def test_a_room_without_a_docstring_has_no_purpose(tmp_path: Path) -> None:
    room = made(tmp_path)
    (room / "__init__.py").write_text("")
    assert "    room/    " in drawn(tmp_path).splitlines()


def test_the_order_does_not_depend_on_the_disk(tmp_path: Path) -> None:
    made(tmp_path)
    for name in ("zeta", "alpha"):
        (tmp_path / "services" / name).mkdir()
        (tmp_path / "services" / name / "__init__.py").write_text('"""X."""')
    text = drawn(tmp_path)
    assert text.index("alpha/") < text.index("room/") < text.index("zeta/")
