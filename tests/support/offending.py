"""Valid and invalid requests with a marked text wherever a client can put one: the archive's answers, logs and traces
must not contain other people's data, and its log must not even contain the mark."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from urllib.parse import quote

from pydicom.datadict import dictionary_VR, tag_for_keyword
from pydicom.dataelem import RawDataElement
from pydicom.dataset import Dataset
from pydicom.tag import Tag

from gantry.common.web.routes import SHAPES
from tests.support.objects import data_set, file_bytes
from tests.support.stow import FILES, METADATA, files, multipart, part

_NAMES = (
    "annotation", "contentType", "cursor", "days", "from", "fuzzymatching", "identifier", "includefield", "limit",
    "offset", "orderby", "patient", "profile", "reason", "requestType", "state", "studyUID", "viewport", "window",
    "_id",
)  # fmt: skip
_ATTRIBUTES = (
    *("PatientName", "PatientID", "PatientBirthDate", "StudyDate", "StudyTime", "AccessionNumber"),
    *("StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID", "Modality", "SeriesNumber"),
    *("ReferringPhysicianName", "TimezoneOffsetFromUTC", "SpecificCharacterSet", "QueryRetrieveLevel"),
)
_BESIDE = (
    *("/viewer/{}", "/ohif/{}", "/s/{}", "/login/{}", "/{}", "/wado", "/IHEInvokeImageDisplay"),
    *("/fhir/r4/{}", "/fhir/r4/ImagingStudy", "/fhir/r4/ImagingStudy/{}", "/fhir/r4/Patient/{}"),
    *("/fhir/r4/ServiceRequest", "/fhir/r4/Subscription", "/fhir/r4/Subscription/{}", "/fhir/r5/Subscription"),
    *("/dicom-web/operations/peers/{}", "/dicom-web/operations/audit", "/dicom-web/hl7/quarantine/{}/replay"),
    *("/dicom-web/patients/{}/corrections", "/dicom-web/patients/merge"),
)
_WITHOUT_END = "/dicom-web/changes/studies"


@dataclass(frozen=True)
class Request:
    """An HTTP request."""

    method: str
    path: str
    body: bytes | None = None
    headers: Mapping[str, str] = field(default_factory=dict)


def requests(mark: str, study: str) -> Iterator[Request]:
    """Requests to each resource, of an existing study and of a missing one, with the mark in path, parameters, headers
    and body. They change nothing in the archive."""
    quoted = quote(mark)
    queries = [
        f"?PatientName={quoted}&{quoted}=1",
        f"?PatientBirthDate={quoted}",
        f"?{quoted}={quoted}",
        f"?StudyInstanceUID={quoted}&OtherPatientIDsSequence.{quoted}=1",
        "?" + "&".join(f"{name}={quoted}" for name in _NAMES),
        *(f"?{name}={quoted}" for name in _NAMES),
    ]
    headers = {
        "Accept": f"text/{mark}",
        "X-Gantry-Override": mark,
        "User-Agent": mark,
        "If-Match": mark,
        "Referer": f"http://x/{mark}",
        "Range": f"bytes={mark}",
        "Cookie": f"gantry-session={mark}",
    }
    for path in _paths(quoted, study):
        if path != _WITHOUT_END:
            yield Request("GET", path, headers=headers)
            yield from (Request("GET", path + query) for query in queries)
        if study in path:
            continue
        for method in ("POST", "PUT", "PATCH", "DELETE"):
            for type_, body in _bodies(mark):
                yield Request(method, f"{path}?reason={quoted}", body, {"Content-Type": type_})


def _paths(mark: str, study: str) -> list[str]:
    paths = {template.format(mark) for template in _BESIDE}
    for shape in SHAPES:
        for uids in (iter((study, f"{study}.1", f"{study}.1.1")), iter(["1.2.99"] * 3), iter([mark] * 3)):
            path = f"/dicom-web/{shape}".rstrip("/")
            while "{}" in path:
                path = path.replace("{}", next(uids), 1)
            paths.add(path.replace("{frames}", mark).replace("{*}", mark))
    return sorted(paths)


def _bodies(mark: str) -> list[tuple[str, bytes]]:
    patient = {"00100010": {"vr": "PN", "Value": [{"Alphabetic": mark}]}, "00100020": {"vr": "LO", "Value": [mark]}}
    wrong = {"00100030": {"vr": "DA", "Value": [mark]}, "0020000D": {"vr": "UI", "Value": [mark]}}
    names = ("studies", "study", "patient", "into", "destination", "expires", "ae_title", "host", "to", mark)
    channel = {"type": mark, "endpoint": f"http://127.0.0.1/{mark}", "header": [mark]}
    return [
        ("application/json", json.dumps(dict.fromkeys(names, mark)).encode()),
        ("application/json", f'{{"{mark}": {mark}'.encode()),
        ("application/dicom+json", json.dumps([patient | wrong]).encode()),
        ("application/dicom+json", json.dumps({mark: {"vr": mark, "Value": [mark]}}).encode()),
        ("application/dicom+xml", f'<NativeDicomModel><DicomAttribute tag="{mark}" vr="{mark}"/>'.encode()),
        ("application/fhir+json", json.dumps({"resourceType": "Subscription", "channel": channel}).encode()),
        ("application/hl7-v2", f"MSH|^~\\&|RIS|HOSP||||||1|P|2.5\rPID|||{mark}||{mark}|{mark}\r".encode()),
        (METADATA, multipart([part(json.dumps([patient]).encode(), "application/dicom+json")])),
        (FILES, multipart([part(mark.encode())])),
        (FILES, files([file_bytes(data_set(study="1.2.98", name=mark, patient=mark))])[:-300]),
    ]


def identifiers(mark: str) -> Iterator[Dataset]:
    """Identifiers of queries and retrievals with the mark as each key, at each level and at an invalid one."""
    for level in ("PATIENT", "STUDY", "SERIES", "IMAGE", mark):
        for keyword in _ATTRIBUTES:
            for value in (mark, f"{mark}\\{mark}"):
                query = Dataset()
                query.QueryRetrieveLevel = level
                tag, encoded = Tag(tag_for_keyword(keyword) or 0), value.encode()
                encoded += b" " * (len(encoded) & 1)
                query[tag] = RawDataElement(tag, dictionary_VR(tag), len(encoded), encoded, 0, True, True)
                yield query


def refused_objects(mark: str) -> Iterator[Dataset]:
    """Objects of a marked patient that cannot be stored."""
    for keyword, value in (("StudyInstanceUID", mark), ("SeriesInstanceUID", mark), ("StudyInstanceUID", None)):
        ds = data_set(study="1.2.97", name=mark, patient=mark)
        setattr(ds, keyword, value)
        yield ds
