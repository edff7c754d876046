"""`gantry.common.access.deciding`: the identity matrix. Each row says in full what a role may."""

from pathlib import Path

import pytest

from gantry.common.access import CallerRole, Identity, Means, RoleTable, Verb, decide, role_table
from gantry.common.errors import NotUnderstood

MATRIX = {
    #                read  store send  histo chang workl order corre rejec delet hold  opera overr share subsc
    "technologist": " x     x     x     x     -     x     x     x     x     -     -     -     x     -     -",
    "radiologist": "  x     x     x     x     x     x     -     -     x     -     -     -     x     x     -",
    "referrer": "     x     -     -     -     -     -     -     -     -     -     -     -     -     -     -",
    "patient": "      x     -     -     -     -     -     -     -     -     -     -     -     -     -     -",
    "administrator": "x     x     x     x     x     x     x     x     x     x     x     x     x     x     x",
    "service": "      x     x     x     x     x     x     x     -     -     -     -     -     -     -     x",
}
FORMER = "           x     x     x     x     x     x     -     -     -     -     -     -     -     -     -"
VERBS = (
    "read store send history changes worklist order correct reject delete hold operate override share subscribe".split()
)
CELLS = [
    (role, verb, sign == "x") for role, row in MATRIX.items() for verb, sign in zip(VERBS, row.split(), strict=True)
]


def of(*roles: str, means: Means = Means.ISSUER) -> Identity:
    return Identity("s", "sso:s", means, frozenset(map(CallerRole, roles)))


def test_matrix_is_whole() -> None:
    assert set(MATRIX) == {role.value for role in CallerRole}
    assert set(VERBS) == {verb.value for verb in Verb}
    assert len(CELLS) == 90


@pytest.mark.parametrize("means", [Means.ISSUER, Means.TOKEN])
def test_identity_may_what_its_role_may(means: Means) -> None:
    decided = [(role, verb, decide(RoleTable(), of(role, means=means), Verb(verb))) for role, verb, _ in CELLS]
    assert decided == CELLS


@pytest.mark.parametrize(("verb", "sign"), list(zip(VERBS, FORMER.split(), strict=True)))
def test_token_or_machine_without_a_role_may_what_it_always_could(verb: str, sign: str) -> None:
    for means in (Means.MACHINE, Means.TOKEN):
        assert decide(RoleTable(), of(means=means), Verb(verb)) is (sign == "x")


@pytest.mark.parametrize("verb", Verb)
def test_somebody_without_a_role_may_nothing(verb: Verb) -> None:
    assert not decide(RoleTable(), of(means=Means.ISSUER), verb)
    assert not decide(RoleTable(), of(means=Means.NONE), verb)


def test_the_table_for_administrators_is_this_one() -> None:
    text = (Path(__file__).parents[4] / "docs/access.md").read_text(encoding="utf-8")
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in text.splitlines()]
    for role, row in MATRIX.items():
        written = next(cells[1:] for cells in rows if cells[0] == role)
        assert written == [sign.replace("-", "") for sign in row.split()], role
    assert ["", *VERBS] in rows


def test_several_roles_may_what_any_of_them_may() -> None:
    verbs = RoleTable().verbs_of(of("patient", "radiologist"))
    assert verbs == RoleTable().verbs_of(of("radiologist"))


def test_rows_can_be_replaced() -> None:
    table = role_table(["technologist=read, store", "patient="])
    assert table.verbs_of(of("technologist")) == {Verb.READ, Verb.STORE}
    assert table.verbs_of(of("patient")) == frozenset()
    assert table.verbs_of(of("referrer")) == {Verb.READ}


@pytest.mark.parametrize("line", ["nurse=read", "patient=fly", "patient"])
def test_row_that_is_not_understood_is_refused(line: str) -> None:
    with pytest.raises(NotUnderstood):
        role_table([line])
