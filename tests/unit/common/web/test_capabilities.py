"""What can be asked for (PS3.18 8.9), in XML and JSON, against the routing table."""

from __future__ import annotations

import re
from xml.etree import ElementTree

from gantry.common.web.capabilities import as_json, as_wadl, paths
from gantry.common.web.routes import BASE, SHAPES, Resource

SPACE = "{http://wadl.dev.java.net/2009/02}"


def test_every_shape_of_the_routing_table_is_a_path_with_its_methods() -> None:
    routes = list(paths())
    assert len({path for path, _ in routes}) == len(SHAPES) == len(routes)
    for (_, methods), resources in zip(routes, SHAPES.values(), strict=True):
        assert [method for method, _, _ in methods] == [resource.method for resource in resources]


def test_what_a_path_holds_is_named() -> None:
    names = {path for path, _ in paths()}
    assert "studies/{study}/series/{series}/instances/{instance}" in names
    assert "studies/{study}/series/{series}/instances/{instance}/frames/{frames}" in names
    assert not any("{}" in name or "{*}" in name for name in names)


def test_every_resource_below_the_base_can_be_found() -> None:
    listed = {name for _, methods in paths() for _, name, _ in methods}
    everything = {r.name.lower().replace("_", "-") for r in {r for row in SHAPES.values() for r in row}}
    assert listed == everything
    assert Resource.OBJECTS.name.lower() in listed


def test_the_wadl_is_xml_with_a_resource_for_each_path() -> None:
    root = ElementTree.fromstring(as_wadl('https://a"b&c/dicom-web'))
    (resources,) = root
    assert root.tag == f"{SPACE}application"
    assert resources.get("base") == 'https://a"b&c/dicom-web/'
    assert [r.get("path") for r in resources] == [path for path, _ in paths()]
    assert [[m.get("name") for m in r] for r in resources] == [[m for m, _, _ in methods] for _, methods in paths()]


def test_an_id_in_the_wadl_is_there_once() -> None:
    """An xs:ID or not: whoever refers to a method means one."""
    ids = re.findall(r'<method name="[^"]*" id="([^"]*)"', as_wadl("http://a").decode())
    assert len(ids) == len(set(ids)) > 20


def test_json_says_the_same_as_the_wadl() -> None:
    resources = as_json()["resources"]
    assert [r["path"] for r in resources] == [f"{BASE}/{path}".rstrip("/") for path, _ in paths()]
    assert all(r["methods"] for r in resources)
