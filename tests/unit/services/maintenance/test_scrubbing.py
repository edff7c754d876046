"""What leaves the house names no study, and holds no secret."""

from __future__ import annotations

from pathlib import Path

from gantry.services.maintenance.scrubbing import Scrubber

UID = "1.2.826.0.1.3680043.8.498.1234567890"


def test_a_uid_has_one_name_within_a_bundle_and_another_in_the_next() -> None:
    first_scrubber, other = Scrubber(b"a"), Scrubber(b"b")
    text = first_scrubber.text(f"study {UID}, again ({UID}); series {UID}.7 end")
    first, again, series = (word.strip("(),;") for word in text.split() if "uid-" in word)
    assert first == again != series
    assert UID not in text
    assert first not in other.text(UID)


def test_uids_of_dicom_itself_addresses_and_versions_stay() -> None:
    for text in ("1.2.840.10008.5.1.4.1.1.2 refused", "from 192.0.2.17:11112", "pydicom 3.0.1", "port 1.5.2", "0.25.3"):
        assert Scrubber(b"a").text(text) == text


def test_credentials_and_parameters_of_addresses_go() -> None:
    scrub = Scrubber(b"a").text
    assert scrub("kafka://me:secret@broker:9092/p") == "kafka://***@broker:9092/p"
    assert scrub("url https://ris.example/hook?key=abc next") == "url https://ris.example/hook?*** next"


def test_values_under_the_name_of_a_secret_and_of_conditions_go_at_any_depth() -> None:
    value = {
        "s3": {"access_key": "AKIA", "secret_key_file": Path("/run/s3")},
        "kafka": {"username": "u", "sasl": None, "tls": True},
        "rules": [{"name": "x", "where": ("PatientID=4711", "Modality=CT")}],
        "bytes": b"abc",
        "when": 1.5,
        "webhooks": [{"url": f"https://h.example/{UID}?t=1"}],
    }
    scrubbed = Scrubber(b"a").value(value)
    assert scrubbed["s3"] == {"access_key": "***", "secret_key_file": "/run/s3"}
    assert scrubbed["kafka"] == {"username": "***", "sasl": None, "tls": True}
    assert scrubbed["rules"] == [{"name": "x", "where": ["PatientID=***", "Modality=***"]}]
    assert (scrubbed["bytes"], scrubbed["when"]) == ("3 bytes", 1.5)
    assert UID not in str(scrubbed)
    assert "t=1" not in str(scrubbed)
