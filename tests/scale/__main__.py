"""`python -m tests.scale`: the tables of docs/scale.md.

    python -m tests.scale [--tables sizes,costs] [--write] [--price bucket=0.01 …]

prints them; `--write` puts them into the page. The same seed gives the same tables. Half a minute of processor time.
"""

from __future__ import annotations

import argparse
from dataclasses import fields, replace
from functools import partial
from pathlib import Path

from tests.scale.page import TABLES, costs, replaced
from tests.scale.prices import Prices

PAGE = Path(__file__).parents[2] / "docs/scale.md"


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.scale")
    parser.add_argument("--tables", default=",".join(TABLES))
    parser.add_argument("--write", action="store_true", help="into docs/scale.md")
    parser.add_argument("--price", action="append", default=[], metavar="NAME=VALUE", help=", ".join(_names()))
    options = parser.parse_args()
    tables = TABLES | {"costs": partial(costs, _prices(options.price))}
    for name in options.tables.split(","):
        table = tables[name]()
        print(f"## {name}\n{table}\n", flush=True)
        if options.write:
            PAGE.write_text(replaced(PAGE.read_text(encoding="utf-8"), name, table), encoding="utf-8")


def _names() -> list[str]:
    return [field.name for field in fields(Prices)]


def _prices(arguments: list[str]) -> Prices:
    pairs = [price.partition("=") for price in arguments]
    if unknown := {name for name, _, _ in pairs} - set(_names()):
        raise SystemExit(f"no such price: {', '.join(sorted(unknown))}; there are {', '.join(_names())}")
    return replace(Prices(), **{name: float(value) for name, _, value in pairs})


if __name__ == "__main__":
    main()
