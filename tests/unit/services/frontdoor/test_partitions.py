"""Whose an association or a request is: every sign must name the same partition, and nobody is guessed."""

from __future__ import annotations

from ipaddress import ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gantry.services.frontdoor.partitions import (
    Astray,
    Called,
    Partition,
    host_of,
    is_below,
    of_association,
    of_request,
)

NORTH = Partition(
    "north",
    "NORTH",
    (ip_network("192.0.2.0/25"),),
    frozenset(("mr.north",)),
    frozenset(("north.example",)),
    "/north",
)
SOUTH = Partition("south", "SOUTH", (ip_network("2001:db8::/32"),), frozenset(("mr.south",)), frozenset(("s.example",)))
OLD = Partition("old", "PACS")
OTHER = Partition("other", "PACS", hosts=frozenset(("other.example",)))
ALL = [NORTH, SOUTH, OLD, OTHER]

FAR = "203.0.113.9"


@pytest.mark.parametrize(
    ("called", "name"),
    [
        (Called("NORTH", FAR), "north"),
        (Called("SOUTH", FAR), "south"),
        (Called("ANY", "192.0.2.7"), "north"),
        (Called("ANY", "2001:db8::7"), "south"),
        (Called("ANY", FAR, "mr.south"), "south"),
        (Called("ANY", FAR, port="old"), "old"),
        (Called("NORTH", "192.0.2.7", "mr.north", "north"), "north"),
        (Called("PACS", FAR, port="other"), "other"),
        (Called("SOUTH", FAR, "somebody"), "south"),
        (Called("NORTH", "not an address"), "north"),
    ],
)
def test_signs_that_agree_name_a_partition(called: Called, name: str) -> None:
    assert of_association(ALL, called) == name


@pytest.mark.parametrize(
    ("called", "why"),
    [
        (Called("ANY", FAR), "it does not name a partition"),
        (Called("PACS", FAR), "several partitions"),
        (Called("SOUTH", "192.0.2.7"), "different partitions"),
        (Called("NORTH", FAR, "mr.south"), "different partitions"),
        (Called("NORTH", FAR, port="south"), "different partitions"),
        (Called("PACS", FAR, port="north"), "different partitions"),
        (Called("ANY", "192.0.2.7", "mr.south"), "different partitions"),
        (Called("", "not an address"), "it does not name a partition"),
    ],
)
def test_signs_that_do_not_agree_name_none(called: Called, why: str) -> None:
    named = of_association(ALL, called)
    assert isinstance(named, Astray)
    assert why in named.why


@given(
    st.sampled_from(["NORTH", "SOUTH", "PACS", "ANY"]),
    st.sampled_from(["192.0.2.7", "2001:db8::7", FAR, ""]),
    st.sampled_from(["mr.north", "mr.south", "x", ""]),
    st.sampled_from(["north", "south", "old", "other", ""]),
    st.permutations(ALL),
)
def test_no_sign_of_another_partition_is_ever_passed_over(
    title: str, address: str, certificate: str, port: str, partitions: list[Partition]
) -> None:
    called = Called(title, address, certificate, port)
    named = of_association(partitions, called)
    assert type(named) is type(of_association(ALL, called))
    if isinstance(named, Astray):
        return
    theirs = next(partition for partition in ALL if partition.name == named)
    others = [partition for partition in ALL if partition is not theirs]
    assert not any(certificate in other.certificates for other in others)
    assert port in ("", named)
    assert not (address == "192.0.2.7" and named != "north")
    assert not (address == "2001:db8::7" and named != "south")
    assert theirs.ae_title == title or all(other.ae_title != title for other in others)


@pytest.mark.parametrize(
    ("host", "path", "name"),
    [
        ("north.example", "/dicom-web/studies", "north"),
        ("North.Example.:8443", "/", "north"),
        ("pacs.example", "/north/dicom-web/studies", "north"),
        ("pacs.example", "/north", "north"),
        ("north.example", "/north/dicom-web", "north"),
        ("s.example:80", "/", "south"),
    ],
)
def test_a_request_is_for_whom_its_host_and_path_name(host: str, path: str, name: str) -> None:
    assert of_request(ALL, host, path) == name


@pytest.mark.parametrize(
    ("host", "path"),
    [("pacs.example", "/northern/x"), ("", ""), ("north.example.evil", "/"), ("x", "/%6eorth/"), ("x", "/NORTH/")],
)
def test_a_request_without_a_sign_is_nobodys_yet(host: str, path: str) -> None:
    assert of_request(ALL, host, path) == Astray("")


def test_a_host_and_a_path_of_two_partitions_are_refused() -> None:
    named = of_request(ALL, "s.example", "/north/dicom-web/studies")
    assert isinstance(named, Astray)
    assert "different partitions" in named.why


def test_a_path_is_of_a_partition_by_whole_segments() -> None:
    assert is_below("/a", "/a")
    assert is_below("/a/b", "/a")
    assert not is_below("/ab", "/a")
    assert not is_below("/a", "")


@pytest.mark.parametrize(
    ("header", "host"),
    [("a.example:443", "a.example"), (" A.example. ", "a.example"), ("[2001:db8::1]:80", "[2001:db8::1]"), ("", "")],
)
def test_a_host_is_read_without_its_port(header: str, host: str) -> None:
    assert host_of(header) == host
