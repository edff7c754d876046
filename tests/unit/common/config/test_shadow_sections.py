"""Shadow mode, as it is set."""

from __future__ import annotations

from pathlib import Path

import pytest

from gantry.common.config.shadow_sections import ShadowSettings


def test_it_is_off_and_says_what_it_lacks() -> None:
    assert ShadowSettings().dimse is None
    assert ShadowSettings(dimse="old:104", answers="other").answers == "other"
    with pytest.raises(ValueError, match="needs its address"):
        ShadowSettings(answers="other")
    with pytest.raises(ValueError, match="without TLS"):
        ShadowSettings(dimse="old:104", answers="other", tls=True)
    with pytest.raises(ValueError, match="can only be compared"):
        ShadowSettings(dimse="old:104", answers="other", url="https://old.example/dicom-web")
    with pytest.raises(ValueError, match="spool: needs another archive"):
        ShadowSettings(spool=Path("/var/spool/shadow"))
    with pytest.raises(ValueError, match="more than memory_in_all"):
        ShadowSettings(memory=64, memory_in_all=32)
