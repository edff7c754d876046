"""A study on both sides."""

from __future__ import annotations

from gantry.cli.importing.model import Finding, Instance, Study, by_series, compare, in_portions, usual

HERE = Study("1.2", {"PatientName": "Doe^Jane", "PatientID": "P1 ", "AccessionNumber": ""})


def test_missing_extra_and_moved_instances_are_told_apart() -> None:
    source = {"1": Instance("s1"), "2": Instance("s1"), "3": Instance("s2")}
    target = {"1": Instance("s1"), "3": Instance("s9"), "4": Instance("s1")}
    comparison = compare(source, target, HERE, HERE)
    assert (set(comparison.missing), set(comparison.extra)) == ({"2"}, {"4"})
    assert comparison.different == [Finding("different", "s2", "3", "SeriesInstanceUID: target s9")]
    assert [finding.kind for finding in comparison.findings()] == ["missing", "extra", "different"]


def test_attributes_are_compared_as_people_read_them() -> None:
    same = Study("1.2", {"PatientName": "Doe^Jane^^^", "PatientID": "P1", "AccessionNumber": "A1"})
    details = [difference.detail for difference in compare({}, {}, HERE, same).different]
    assert details == ["AccessionNumber: source '', target 'A1'"]
    assert compare({}, {}, HERE, None).different == []


def test_a_name_is_the_same_without_its_empty_end() -> None:
    assert usual("PatientName", "Yamada^Tarou==") == usual("PatientName", "Yamada^Tarou^")
    assert usual("PatientName", "A^B=C^D") != usual("PatientName", "A^B")


def test_instances_are_asked_for_by_series_some_at_a_time() -> None:
    assert by_series({"1": Instance("a"), "2": Instance("b"), "3": Instance("a")}) == {"a": ["1", "3"], "b": ["2"]}
    assert in_portions(["1", "2", "3"], 2) == [["1", "2"], ["3"]]
