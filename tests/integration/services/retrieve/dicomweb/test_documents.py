"""Documents as they are looked at: `/rendered` and WADO-URI of reports and encapsulated files."""

from __future__ import annotations

import re
import shutil
import subprocess

import pytest

from gantry.common.dicom.standard.sop_classes import STORAGE_SOP_CLASSES
from tests.integration.services.retrieve.dicomweb.test_objects import get, path_of
from tests.support.documents import PDF, bundled, encapsulated, report
from tests.support.objects import data_set
from tests.support.web import WebSite

BYTES = b"%PDF-1.4\n" + bytes(range(256)) * 8 + b"%EOF"
SHORT = b"%PDF-1.4\n%%EO"
HERE = {"study": "1.2", "series": "1.3", "instance": "1.4"}
REPORT = {"StudyInstanceUID": "1.2", "SeriesInstanceUID": "1.5", "SOPInstanceUID": "1.6"}


@pytest.mark.parametrize(
    "content",
    [BYTES, BYTES + b"!", SHORT, SHORT + b"F"],
    ids=["even", "odd", "odd, in the header", "even, in the header"],
)
async def test_a_pdf_is_the_file_that_it_was(site: WebSite, content: bytes) -> None:
    ds = encapsulated("EncapsulatedPDFStorage", content, **HERE)
    await site.keep(ds)
    path = path_of(ds) + "/rendered"
    for accept in ("", "application/pdf", "*/*", "application/*"):
        status, body, headers = await get(site, path, accept)
        assert (status, headers["Content-Type"], body) == (200, "application/pdf", content)
    assert headers["Content-Disposition"] == 'inline; filename="1.4.pdf"'
    status, body, headers = await get(site, path, Range="bytes=3-9")
    assert (status, body, headers["Content-Range"]) == (206, content[3:10], f"bytes 3-9/{len(content)}")
    assert (await get(site, path, Range="bytes=-2"))[1] == content[-2:]
    assert (await get(site, path, Range=f"bytes={len(content)}-"))[0] == 416
    assert (await get(site, path, **{"If-None-Match": headers["ETag"]}))[:2] == (304, b"")
    assert (await get(site, path, "image/jpeg"))[0] == 406
    assert (await get(site, path.replace("/rendered", "/thumbnail")))[0] == 404
    # OHIF asks by a parameter.
    assert (await get(site, f"{path}?accept=application/pdf"))[1] == content


@pytest.mark.parametrize(
    ("keyword", "kind"),
    [
        ("EncapsulatedCDAStorage", "text/xml"),
        ("EncapsulatedSTLStorage", "model/stl"),
        ("EncapsulatedPDFStorage", "application/pdf"),
    ],
)
async def test_what_a_document_is_its_class_says(site: WebSite, keyword: str, kind: str) -> None:
    """What an object says of itself may make a web page of ours of it."""
    ds = encapsulated(keyword, b"<script>1</script>", MIMETypeOfEncapsulatedDocument="text/html", **HERE)
    await site.keep(ds)
    status, body, headers = await get(site, path_of(ds) + "/rendered")
    assert (status, headers["Content-Type"], body) == (200, kind, b"<script>1</script>")
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert ("sandbox" in headers.get("Content-Security-Policy", "")) == (kind == "text/xml")
    assert headers["Content-Disposition"].startswith("attachment" if kind == "model/stl" else "inline")


@pytest.mark.parametrize("length", [101, 5001], ids=["in the header", "bulk"])
async def test_a_text_that_does_not_say_how_long_it_is_has_no_nul_at_its_end(site: WebSite, length: int) -> None:
    text = b"<a>" + b" " * (length - 7) + b"</a>"
    ds = encapsulated("EncapsulatedCDAStorage", text, **HERE)
    del ds.EncapsulatedDocumentLength
    await site.keep(ds)
    assert (await get(site, path_of(ds) + "/rendered"))[1] == text


async def test_numbers_of_a_report_are_as_they_were_written(site: WebSite) -> None:
    ds = report(**REPORT)
    for text in ("3.10", "0.00001", "99999999999999"):
        number = ds.ContentSequence[1].ContentSequence[1]
        assert number.ValueType == "NUM"
        number.MeasuredValueSequence[0].NumericValue = text
        ds.SOPInstanceUID = ds.file_meta.MediaStorageSOPInstanceUID = f"1.6.{len(text)}"
        await site.keep(ds)
        page = (await get(site, path_of(ds) + "/rendered", "text/plain"))[1].decode()
        assert f"  Diameter: {text} " in page


async def test_an_object_that_holds_no_document_is_404(site: WebSite) -> None:
    ds = encapsulated("EncapsulatedPDFStorage", **HERE)
    del ds.EncapsulatedDocument
    await site.keep(ds)
    assert (await get(site, path_of(ds) + "/rendered"))[0] == 404


async def test_a_report_is_a_page_or_text(site: WebSite) -> None:
    ds = report(**REPORT)
    await site.keep(ds)
    path = path_of(ds) + "/rendered"
    for accept in ("", "text/html", "text/*", "*/*"):
        status, body, headers = await get(site, path, accept)
        assert (status, headers["Content-Type"]) == (200, "text/html; charset=utf-8")
        assert b"<h1>Diagnosis</h1>" in body
        assert headers["Content-Security-Policy"].startswith("sandbox; default-src 'none'")
    status, body, headers = await get(site, path, "text/plain")
    assert (status, headers["Content-Type"]) == (200, "text/plain; charset=utf-8")
    lines = body.decode().splitlines()
    assert lines[:2] == ["Diagnosis", "========="]
    assert "Verified by: Riesmeier, Jörg, 2001-02-13 18:47:46, OFFIS e.V." in lines
    assert "  Diameter: 3 Length Unit" in lines
    assert (await get(site, path, "image/jpeg"))[0] == 406
    assert (await get(site, path, "application/pdf"))[0] == 406


@pytest.mark.skipif(shutil.which("dsrdump") is None, reason="DCMTK's dsrdump is not there")
async def test_a_report_says_everything_that_dcmtk_reads_in_it(site: WebSite) -> None:
    ds = report(**REPORT)
    await site.keep(ds)
    result = subprocess.run(["dsrdump", "+Pl", bundled("test-SR.dcm")], capture_output=True, check=True)
    tree = result.stdout.decode("latin-1").partition("\n<")[2]
    # Names and codes, and values; one with quotation marks in it, or an escape, is left to the other tests.
    texts = {text for pattern in (r',"([^"\\]+)"\)', r'="([^"\\]+)"(?=[ >])') for text in re.findall(pattern, tree)}
    assert len(texts) > 15
    ours = (await get(site, path_of(ds) + "/rendered", "text/plain"))[1].decode()
    # Dates and times are as people read them.
    assert {text for text in texts if text not in ours} == {"20001206", "120000", "20001206120000"}


async def test_a_study_of_documents_shows_one_and_any_other_its_picture(site: WebSite) -> None:
    await site.keep(encapsulated("EncapsulatedPDFStorage", **HERE))
    await site.keep(report(**REPORT))
    assert (await get(site, "/dicom-web/studies/1.2/rendered"))[2]["Content-Type"] == "application/pdf"
    assert (await get(site, "/dicom-web/studies/1.2/series/1.5/rendered", "text/plain"))[0] == 200
    plan = encapsulated("EncapsulatedPDFStorage", study="1.2", series="1.5", instance="1.1")
    plan.SOPClassUID = plan.file_meta.MediaStorageSOPClassUID = STORAGE_SOP_CLASSES["RTPlanStorage"]
    await site.keep(plan)
    assert (await get(site, "/dicom-web/studies/1.2/series/1.5/rendered", "text/plain"))[0] == 200
    await site.keep(data_set(study="1.2", series="1.7", instance="1.8", size=4))
    assert (await get(site, "/dicom-web/studies/1.2/rendered"))[2]["Content-Type"] == "image/jpeg"


async def test_links_of_wado_uri_show_documents(site: WebSite) -> None:
    await site.keep(encapsulated("EncapsulatedPDFStorage", **HERE))
    await site.keep(report(**REPORT))
    pdf = "/wado?requestType=WADO&studyUID=1.2&seriesUID=1.3&objectUID=1.4"
    text = "/wado?requestType=WADO&studyUID=1.2&seriesUID=1.5&objectUID=1.6"
    assert (await get(site, pdf))[1] == PDF
    assert (await get(site, f"{pdf}&contentType=application/pdf"))[1] == PDF
    assert (await get(site, f"{pdf}&contentType=image/jpeg"))[0] == 406
    assert (await get(site, text))[2]["Content-Type"].startswith("text/html")
    assert (await get(site, f"{text}&contentType=text/plain"))[1].startswith(b"Diagnosis\n")
    assert (await get(site, f"{text}&contentType=application/dicom"))[2]["Content-Type"].startswith(
        "application/dicom;"
    )
