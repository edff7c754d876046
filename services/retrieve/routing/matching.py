"""Whether a rule applies to a study that is stored."""

from __future__ import annotations

from dataclasses import replace

from gantry.common.dicom.query.matching import Single
from gantry.common.dicom.standard.tags import STUDY_INSTANCE_UID
from gantry.common.lifecycle.routes import RouteRule
from gantry.common.ports.index import ReadIndex


async def rule_finds(rule: RouteRule, index: ReadIndex, study: str) -> bool:
    """Whether the query of a rule finds a study now. Raises `DependencyUnavailable`."""
    known = rule.query.conditions.get(STUDY_INSTANCE_UID)
    if known is not None and known != Single((study,)):
        return False
    conditions = {**rule.query.conditions, STUDY_INSTANCE_UID: Single((study,))}
    async for page in index.find(replace(rule.query, conditions=conditions, limit=1)):
        return bool(page)
    return False
