"""What a worker does to one object."""

from __future__ import annotations

from pathlib import Path

import pytest

from gantry.common.deidentify.objects import Deidentifier
from gantry.common.deidentify.options import DeidentificationProfile
from gantry.common.deidentify.pseudonyms import Pseudonyms
from gantry.common.dicom.standard.transfer_syntaxes import EXPLICIT_LITTLE_ENDIAN
from gantry.services.retrieve.deidentifying.work import deidentify
from gantry.services.retrieve.pixels.worker import Files
from tests.support.objects import bytes_of, data_set, write

DEIDENTIFIER = Deidentifier(DeidentificationProfile(), Pseudonyms(b"a key of the tests, long enough"))


def worked(folder: Path, data: bytes) -> tuple[tuple[str, str], bytes]:
    with (folder / "out").open("w+b") as out:
        said = deidentify(Files(memoryview(data), out.fileno()), DEIDENTIFIER, EXPLICIT_LITTLE_ENDIAN)
    return said, (folder / "out").read_bytes()


def test_it_writes_the_object_and_says_under_which_uid(tmp_path: Path) -> None:
    # Longer than what is read at once.
    file = write(tmp_path, data_set(name="Brenner^Jo", patient="4711", size=1024))
    (uid, why), written = worked(tmp_path, bytes_of(file))
    assert (uid, why) == (DEIDENTIFIER.pseudonyms.uid(file.sop_instance_uid), "")
    assert uid.encode() in written
    assert b"Brenner" not in written
    assert bytes_of(file)[-2048:] == written[-2048:]


@pytest.mark.parametrize(
    ("more", "cut", "words"),
    [
        pytest.param({"BurnedInAnnotation": "YES"}, 0, "Burned In Annotation says", id="text in its pixels"),
        pytest.param({}, 1000, "it cannot be read: data set is cut off", id="cut off"),
    ],
)
def test_what_must_not_leave_is_said_in_words(tmp_path: Path, more: dict[str, object], cut: int, words: str) -> None:
    data = bytes_of(write(tmp_path, data_set(**more)))  # type: ignore[arg-type]  # fields of any kind
    (uid, why), _ = worked(tmp_path, data[: len(data) - cut])
    assert uid == ""
    assert words in why
