"""`gantry.common.web.verbs`: no resource is without a verb, and what changes something is no reading."""

import pytest

from gantry.common.access import Verb
from gantry.common.web.routes import SHAPES, Resource
from gantry.common.web.verbs import OF_A_STUDY, VERBS, WITHOUT_STUDY


def test_every_resource_has_a_verb() -> None:
    assert set(VERBS) == set(Resource)


# What becomes of the caller's own session, and coming by a link, is nothing that somebody needs a role for.
_OWN = (Resource.SESSION, Resource.ENTER_SHARE)


@pytest.mark.parametrize(
    "resource", [resource for resource in Resource if resource.method != "GET" and resource not in _OWN]
)
def test_what_is_no_get_is_no_reading(resource: Resource) -> None:
    assert VERBS[resource] not in (Verb.READ, Verb.HISTORY, Verb.CHANGES, Verb.WORKLIST)


@pytest.mark.parametrize("resource", sorted(OF_A_STUDY, key=lambda resource: resource.name))
def test_resource_of_a_study_has_it_in_each_of_its_paths(resource: Resource) -> None:
    assert all(shape.startswith("studies/{}") for shape, resources in SHAPES.items() if resource in resources)


def test_what_tells_of_all_studies_is_not_for_those_who_see_some() -> None:
    closed = {Resource.CHANGES, Resource.CHANGE_FEED, Resource.SEARCH_ORDERS, Resource.OPERATIONS, Resource.MESSAGES}
    assert not closed & (OF_A_STUDY | WITHOUT_STUDY)
