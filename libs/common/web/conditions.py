"""Conditions of a change (RFC 9110 13.1): that something is as its caller saw it, or does not exist. Pure."""

from __future__ import annotations

from gantry.common.web.errors import HttpProblem

_MOST_TAGS = 16


def etag_of(version: str) -> str:
    """The strong entity tag of a version, which has no quotes."""
    return f'"{version}"'


def require_condition(if_match: str, if_none_match: str, version: str) -> None:
    """Returns if a change may be made to `version` ("" if nothing exists), by the values of If-Match and If-None-Match
    ("" if they are not sent). Raises `HttpProblem`: 428 without a condition, 412 if it does not hold, 400 for an
    invalid one."""
    if not if_match and not if_none_match:
        raise HttpProblem(
            428,
            "a precondition is missing: If-Match with the ETag of a GET to replace, or If-None-Match: * to create",
        )
    if if_none_match:
        if if_none_match.strip() != "*" or if_match:
            raise HttpProblem(400, "If-None-Match: only * is understood here, and without If-Match")
        if version:
            raise HttpProblem(412, "it exists already: get it, and send its ETag as If-Match to change it")
    elif not version:
        raise HttpProblem(412, "it is not there any more")
    elif if_match.strip() != "*" and etag_of(version) not in _tags(if_match):
        raise HttpProblem(412, "it was changed meanwhile: get it again before changing it")


def _tags(if_match: str) -> list[str]:
    """The entity tags of a list. A weak one never matches (RFC 9110 13.1.1)."""
    tags = [tag.strip() for tag in if_match.split(",", _MOST_TAGS)]
    if len(tags) > _MOST_TAGS:
        raise HttpProblem(400, f"If-Match: at most {_MOST_TAGS} entity tags")
    return tags
