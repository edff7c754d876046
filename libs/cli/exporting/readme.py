"""The readme beside exported objects: what they are, and how they were de-identified. Pure. It names no patient."""

from __future__ import annotations

from gantry.cli.exporting.target import INDEX
from gantry.common.deidentify.options import DeidentificationProfile


def readme(objects: int, left_out: int, profile: DeidentificationProfile | None, *, media: bool) -> str:
    """README.TXT."""
    lines = [f"{objects} DICOM objects, exported by Gantry.", ""]
    lines.append(f"{INDEX} lists them: file, patient, study, series, instance, SOP class, transfer syntax, bytes.")
    if media:
        lines.append("DICOMDIR is their directory, for programs that read DICOM media.")
    lines.append("")
    if profile is None:
        lines.append("They are as they were stored, and name patients: handle them accordingly.")
    else:
        lines.append("They are de-identified (DICOM PS3.15 Annex E), by:")
        lines += [f"  {code}  {meaning}" for code, meaning in profile.codes()]
        if profile.pixels_checked:
            lines.append(
                "The person who exported them has confirmed that the pixels were examined for burned-in names."
            )
    if left_out:
        lines += ["", f"{left_out} objects are not here: they cannot be de-identified by their attributes alone."]
    return "\r\n".join(lines) + "\r\n"
