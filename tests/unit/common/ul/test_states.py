"""PS3.8 table 9-10, cell by cell, against pynetdicom's own state machine."""

import pytest
from pynetdicom import fsm

from gantry.common.ul.states import ACTIONS, TABLE, Event, State

CELLS = [(event, state) for event in Event for state in State]


def test_table_has_in_each_cell_the_action_that_pynetdicom_has() -> None:
    theirs = {cell: fsm.TRANSITION_TABLE.get((f"Evt{cell[0].value}", f"Sta{cell[1].value}")) for cell in CELLS}
    assert len(theirs) == 19 * 13
    assert {cell: TABLE.get(cell) for cell in CELLS} == theirs


def test_table_has_all_123_cells() -> None:
    assert len(TABLE) == 123 == len(fsm.TRANSITION_TABLE)


@pytest.mark.parametrize("action", sorted(ACTIONS))
def test_action_leads_where_pynetdicom_says(action: str) -> None:
    described = fsm.ACTIONS[action][2]
    theirs = described if isinstance(described, tuple) else (described,)
    assert {f"Sta{state.value}" for state in ACTIONS[action][1]} == {t.replace("sta", "Sta") for t in theirs}


def test_every_action_is_used() -> None:
    assert set(TABLE.values()) == set(ACTIONS)
