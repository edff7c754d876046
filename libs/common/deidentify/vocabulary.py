"""Descriptions without what may identify somebody (PS3.15 E.3.5, Clean Descriptors): of a text, only words stay that
are known to be about images and bodies. What is not known is not kept, so a name that nobody thought of does not pass.
Pure.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

_LISTS = (
    # regions and organs, as words in use for descriptions of series and studies
    "abdomen abdominal abdo ankle aorta aortic arm artery axilla bladder body bone bowel brachial brain breast"
    " bronchial"
    " cardiac carotid cerebral cervical chest clavicle coccyx colon cord coronary cranial cspine lspine tspine"
    " duodenum ear elbow esophagus extremity eye face facial femoral femur fibula finger foot forearm gallbladder hand"
    " head heart heel hip humerus iliac intestine jaw joint kidney knee larynx leg liver lumbar lung lungs mandible"
    " mastoid maxilla mediastinum mitral muscle neck nerve orbit orbits ovary pancreas patella pelvic pelvis pituitary"
    " prostate pulmonary radius rectum renal rib ribs sacrum scapula shoulder sinus sinuses skull spine spinal spleen"
    " sternum stomach temporal testis thigh thoracic thorax thumb thyroid tibia toe trachea ulna uterus vascular vein"
    " venous ventricle wrist whole chst abd pelv",
    # directions, planes and views
    "ap pa lat lateral left right bilateral oblique obl axial ax sagittal sag coronal cor transverse tra trans"
    " transversal prone supine erect upright decubitus upper lower superior inferior anterior posterior proximal distal"
    " medial cranio caudal craniocaudal mediolateral cc mlo ml lm frontal view views plane planes",
    # techniques
    "ct mr mri mra mrv cta pet spect us xr cr dx mg xa rf nm dsa t1 t2 t2w t1w pd pdw flair stir tirm dwi adc swi dti"
    " dce"
    " bold tof gre tse fse se epi haste space mprage vibe flash fast spin echo gradient recon reconstruction mpr mip"
    " minip vrt thin thick slice slices localizer localiser scout topogram survey overview calibration reference"
    " fat sat suppressed saturated inversion recovery perfusion diffusion spectroscopy angiography angio functional"
    " dynamic static gated ungated prospective retrospective breath hold free breathing inspiration expiration"
    " attenuation corrected uncorrected correction map maps trace phase magnitude series study scan protocol routine"
    " standard high low resolution hr hrct lowdose dose kernel soft tissue window sharp smooth filter filtered"
    " spiral helical sequential volume 2d 3d 4d screening followup biopsy guided guidance",
    # contrast and time
    "with without contrast enhanced unenhanced nonenhanced native plain pre post gadolinium iodine arterial portal"
    " portovenous delayed early late equilibrium nephrographic excretory bolus tracking wo w km iv",
)
_WORDS = frozenset(word for words in _LISTS for word in words.split())
# PS3.5 6.2
_ROOM = {b"LO": 64, b"SH": 16, b"CS": 16}
_WORD = re.compile(r"[^\W_]+")


def cleaned_text(text: str, names: frozenset[str] = frozenset(), vr: bytes = b"LO") -> str:
    """The words of `text` that may stay, in their order, joined by spaces, as many as the VR has room for; "" where
    none may. `names`, in small letters, never stay: a patient may be called as a part of the body is."""
    allowed = _WORDS - names
    left, room = "", _ROOM.get(vr, 1024)
    for word in _WORD.findall(text):
        if word.isascii() and word.lower() in allowed:
            longer = f"{left} {word}".lstrip()
            if len(longer) > room:
                break
            left = longer
    return left


def words_of(names: Iterable[str]) -> frozenset[str]:
    """The words that names of persons consist of, in small letters."""
    return frozenset(word.lower() for name in names for word in _WORD.findall(name))
