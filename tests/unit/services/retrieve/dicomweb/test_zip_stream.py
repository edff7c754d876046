"""A zip archive made while it goes out, read by Python's own reader."""

from __future__ import annotations

import io
import zipfile

from hypothesis import given
from hypothesis import strategies as st

from gantry.services.retrieve.dicomweb.zip_stream import ZipStream

FILES = st.dictionaries(
    st.from_regex(r"[a-z]{1,8}/[0-9.]{1,8}\.dcm", fullmatch=True), st.binary(max_size=300), max_size=5
)


@given(FILES, st.integers(1, 50))
def test_files_are_read_as_they_were_put_in(files: dict[str, bytes], size: int) -> None:
    stream, sent = ZipStream(), []
    for name, content in files.items():
        with stream.begin(name, len(content)) as file:
            for at in range(0, len(content), size):
                file.write(content[at : at + size])
                sent.append(stream.take())
    stream.end()
    sent.append(stream.take())
    with zipfile.ZipFile(io.BytesIO(b"".join(sent))) as archive:
        assert archive.testzip() is None
        assert {info.filename: archive.read(info) for info in archive.infolist()} == files


def test_nothing_is_kept_of_what_was_taken() -> None:
    stream = ZipStream()
    with stream.begin("a", 4) as file:
        file.write(b"1234")
        assert b"1234" in stream.take()
        assert stream.take() == b""


def test_a_file_can_be_longer_than_a_zip_of_old_could_say() -> None:
    """Zip64; the sizes stand behind the file, so that nothing has to be waited for."""
    stream = ZipStream()
    with stream.begin("a", 1 << 33) as file:
        file.write(b"x")
    stream.end()
    with zipfile.ZipFile(io.BytesIO(stream.take())) as archive:
        assert archive.read("a") == b"x"
