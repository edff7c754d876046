"""Which objects may be de-identified by their attributes alone: what is drawn, spoken or written into their bulk is
out of the table's reach (PS3.15 E.1.1, E.3.1). Pure.

An object is refused unless it is known that nobody's name is burned in: Burned In Annotation says NO, or its SOP class
is one whose pixels a detector or an algorithm makes, and nothing in the object says that it is a capture of a screen.
"""

from __future__ import annotations

from dataclasses import dataclass

from gantry.common.dicom.standard.sop_classes import RETIRED_STORAGE_SOP_CLASSES, STORAGE_SOP_CLASSES

_ACQUIRED = frozenset(
    STORAGE_SOP_CLASSES[name]
    for name in (
        "ComputedRadiographyImageStorage",
        "DigitalXRayImageStorageForPresentation",
        "DigitalXRayImageStorageForProcessing",
        "DigitalMammographyXRayImageStorageForPresentation",
        "DigitalMammographyXRayImageStorageForProcessing",
        "DigitalIntraOralXRayImageStorageForPresentation",
        "DigitalIntraOralXRayImageStorageForProcessing",
        "CTImageStorage",
        "EnhancedCTImageStorage",
        "LegacyConvertedEnhancedCTImageStorage",
        "MRImageStorage",
        "EnhancedMRImageStorage",
        "MRSpectroscopyStorage",
        "EnhancedMRColorImageStorage",
        "LegacyConvertedEnhancedMRImageStorage",
        "XRayAngiographicImageStorage",
        "EnhancedXAImageStorage",
        "XRayRadiofluoroscopicImageStorage",
        "EnhancedXRFImageStorage",
        "XRay3DAngiographicImageStorage",
        "XRay3DCraniofacialImageStorage",
        "BreastTomosynthesisImageStorage",
        "BreastProjectionXRayImageStorageForPresentation",
        "BreastProjectionXRayImageStorageForProcessing",
        "NuclearMedicineImageStorage",
        "ParametricMapStorage",
        "SegmentationStorage",
        "LabelMapSegmentationStorage",
        "PositronEmissionTomographyImageStorage",
        "LegacyConvertedEnhancedPETImageStorage",
        "EnhancedPETImageStorage",
        "RTImageStorage",
        "RTDoseStorage",
        "EnhancedRTImageStorage",
        "EnhancedContinuousRTImageStorage",
    )
)
"""Images whose pixels are measured or computed, in series that name nobody unless somebody draws into them."""

_NEVER = {
    **dict.fromkeys(
        (uid for name, uid in STORAGE_SOP_CLASSES.items() if name.startswith("Encapsulated")),
        "it holds a document, of which no attribute says who is named in it",
    ),
    **dict.fromkeys(
        (STORAGE_SOP_CLASSES["BasicVoiceAudioWaveformStorage"], STORAGE_SOP_CLASSES["GeneralAudioWaveformStorage"]),
        "it holds a recording of voices",
    ),
    RETIRED_STORAGE_SOP_CLASSES["AudioSRStorageTrial"]: "it holds a recording of voices",
    **dict.fromkeys(
        (uid for name, uid in STORAGE_SOP_CLASSES.items() if name.startswith("SurfaceScan")),
        "it holds the surface of a body, by which people are recognised",
    ),
}
_SCREENS = ("SCREEN", "CAPTURE", "DOSE", "REPORT", "SUMMARY")
"""Parts of values of Image Type by which devices mark what is no measured image."""


@dataclass(frozen=True, slots=True)
class Contents:
    """What an object says of its bulk."""

    sop_class_uid: str
    has_pixels: bool
    burned_in: str = ""
    image_type: tuple[str, ...] = ()
    conversion_type: str = ""


def refusal(contents: Contents, *, checked: bool) -> str:
    """Why the object cannot be de-identified by its attributes alone; "" where it can. `checked`: somebody looked at
    its picture. A document or a recording is refused all the same."""
    if contents.sop_class_uid in _NEVER:
        return _NEVER[contents.sop_class_uid]
    if not contents.has_pixels or checked:
        return ""
    # PS3.3 C.7.6.1: absent means that nobody knows.
    if contents.burned_in == "NO":
        return ""
    if contents.burned_in:
        return "Burned In Annotation says that text is in its pixels"
    if contents.sop_class_uid not in _ACQUIRED:
        return "nothing says that no text is in its pixels (its SOP class is often a capture, a photograph or a video)"
    if contents.conversion_type or any(sign in value for value in contents.image_type for sign in _SCREENS):
        return "it is marked as a capture of a screen, and nothing says that no text is in its pixels"
    return ""
