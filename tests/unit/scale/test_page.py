"""docs/scale.md says what the simulation gives, as far as that is quick; and links to what there is."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.scale import page, storing
from tests.scale.comparison import ALLOWED, compared
from tests.scale.costs import StoreCosts
from tests.support.long import HOW_MUCH

PAGE = Path(__file__).parents[3] / "docs/scale.md"
_ROW = re.compile(r"^\| (.+?) \| ([\d,]+) \S+ \| ([\d,]+) \S+ \| ([+-]\d+) % \| (.+) \|$", re.MULTILINE)


def _between(name: str) -> str:
    text = PAGE.read_text(encoding="utf-8")
    return text.partition(f"<!-- {name} -->\n")[2].partition(f"\n<!-- /{name} -->")[0]


def _number(text: str) -> int:
    return int(text.replace(",", ""))


@pytest.mark.parametrize("name", page.QUICK)
def test_the_tables_of_arithmetic_are_what_the_code_gives(name: str) -> None:
    assert _between(name) == page.TABLES[name](), "run `make scale`"


@pytest.mark.parametrize("name", page.TABLES)
def test_every_table_stands_on_the_page(name: str) -> None:
    assert _between(name).count("\n") >= 3


def test_all_rows_of_the_page_are_within_a_fifth_and_most_are_predicted() -> None:
    rows = _ROW.findall(_between("comparison"))
    assert len(rows) >= 20
    far = [
        row_name
        for row_name, measured, simulated, _, _ in rows
        if abs(_number(simulated) / _number(measured) - 1) > ALLOWED
    ]
    assert not far
    assert sum(used == "predicted" for *_, used in rows) > len(rows) / 2


def test_measured_figures_stand_in_the_benchmarks() -> None:
    benchmarks = (PAGE.parent / "benchmarks.md").read_text(encoding="utf-8")
    rows = _ROW.findall(_between("comparison"))
    assert not [row_name for row_name, measured, *_ in rows if f"| {measured} " not in benchmarks]


def test_a_short_run_gives_the_figure_of_the_page() -> None:
    rows = {title: _number(simulated) for title, _, simulated, _, _ in _ROW.findall(_between("comparison"))}
    embedded_rate = sorted(storing.embedded(storing.Embedded(1, StoreCosts().storescu), seed) for seed in (1, 2, 3))[1]
    assert round(embedded_rate) == rows["C-STORE of CT, embedded, 1 x storescu"]
    many = sorted(storing.cluster(16, 25, seed) for seed in (1, 2, 3))[1]
    assert round(many) == rows["C-STORE of CT, S3 and Kafka, 16 x storescu"]


@pytest.mark.skipif(HOW_MUCH != "long", reason="make test-long")
def test_the_whole_comparison_is_what_the_simulation_gives() -> None:
    assert _between("comparison") == page.comparison(compared())


def test_a_table_takes_the_place_of_the_one_between_its_marks() -> None:
    text = "a\n<!-- x -->\nold\n<!-- /x -->\nb"
    assert page.replaced(text, "x", "new") == "a\n<!-- x -->\nnew\n<!-- /x -->\nb"
    with pytest.raises(ValueError, match="no marks of y"):
        page.replaced(text, "y", "new")
