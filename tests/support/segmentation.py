"""A CT series with positions and a segmentation of it (PS3.3 A.51), written by hand: the minimum for a viewer."""

from __future__ import annotations

import numpy as np
from pydicom.dataset import Dataset
from pydicom.pixels import pack_bits
from pydicom.sequence import Sequence
from pydicom.uid import SegmentationStorage, generate_uid

from tests.support.objects import CT, data_set

_SPACING, _ORIENTATION = [0.8, 0.8], [1, 0, 0, 0, 1, 0]


def slices(count: int, side: int, **fields: object) -> list[Dataset]:
    """A series of axial slices one millimetre apart, with a slope of greys on them."""
    study, series, frame = generate_uid(), generate_uid(), generate_uid()
    ramp = np.add.outer(np.arange(side), np.arange(side)).astype("<u2")
    return [
        data_set(
            study=study,
            series=series,
            number=number + 1,
            size=side,
            PixelData=ramp.tobytes(),
            FrameOfReferenceUID=frame,
            PixelSpacing=_SPACING,
            SliceThickness=1,
            ImageOrientationPatient=_ORIENTATION,
            ImagePositionPatient=[0, 0, number],
            RescaleSlope=1,
            RescaleIntercept=0,
            WindowCenter=side,
            WindowWidth=2 * side,
            SeriesNumber=1,
            SeriesDescription="slices",
            **fields,  # type: ignore[arg-type]
        )
        for number in range(count)
    ]


def segmentation(images: list[Dataset]) -> Dataset:
    """One segment, a square in the middle of every slice: binary, a frame for each."""
    first, side = images[0], images[0].Rows
    mask = np.zeros((len(images), side, side), np.uint8)
    mask[:, side // 4 : -side // 4, side // 4 : -side // 4] = 1
    ds = data_set(study=first.StudyInstanceUID, size=side, patient=first.PatientID, name=str(first.PatientName))
    ds.SOPClassUID, ds.Modality, ds.SeriesNumber, ds.SeriesDescription = SegmentationStorage, "SEG", 2, "square"
    ds.ImageType, ds.SegmentationType, ds.ContentLabel = ["DERIVED", "PRIMARY"], "BINARY", "SQUARE"
    ds.ContentDescription, ds.ContentCreatorName = "a square", "Doe^Jane"
    ds.ContentDate, ds.ContentTime = "20240131", "101500"
    ds.Manufacturer, ds.ManufacturerModelName, ds.DeviceSerialNumber, ds.SoftwareVersions = "Gantry", "tests", "1", "1"
    ds.LossyImageCompression = "00"
    ds.BitsAllocated = ds.BitsStored = 1
    ds.HighBit, ds.NumberOfFrames, ds.FrameOfReferenceUID = 0, len(images), first.FrameOfReferenceUID
    ds.PixelData = pack_bits(mask.ravel())
    ds["PixelData"].VR = "OB"
    organization = generate_uid()
    ds.DimensionOrganizationSequence = Sequence([_item(DimensionOrganizationUID=organization)])
    ds.DimensionIndexSequence = Sequence(
        [
            _item(
                DimensionOrganizationUID=organization,
                DimensionIndexPointer=0x00200032,
                FunctionalGroupPointer=0x00209113,
            )
        ]
    )
    ds.SegmentSequence = Sequence([_segment()])
    references = [_item(ReferencedSOPClassUID=CT, ReferencedSOPInstanceUID=image.SOPInstanceUID) for image in images]
    ds.ReferencedSeriesSequence = Sequence(
        [_item(SeriesInstanceUID=first.SeriesInstanceUID, ReferencedInstanceSequence=Sequence(references))]
    )
    ds.SharedFunctionalGroupsSequence = Sequence(
        [
            _item(
                PixelMeasuresSequence=Sequence([_item(PixelSpacing=_SPACING, SliceThickness=1)]),
                PlaneOrientationSequence=Sequence([_item(ImageOrientationPatient=_ORIENTATION)]),
                SegmentIdentificationSequence=Sequence([_item(ReferencedSegmentNumber=1)]),
            )
        ]
    )
    ds.PerFrameFunctionalGroupsSequence = Sequence([_frame(image, number) for number, image in enumerate(images, 1)])
    return ds


def _segment() -> Dataset:
    return _item(
        SegmentNumber=1,
        SegmentLabel="Square",
        SegmentAlgorithmType="MANUAL",
        SegmentedPropertyCategoryCodeSequence=Sequence([_code("85756007", "Tissue")]),
        SegmentedPropertyTypeCodeSequence=Sequence([_code("85756007", "Tissue")]),
        RecommendedDisplayCIELabValue=[34885, 53485, 50171],  # red
    )


def _frame(image: Dataset, number: int) -> Dataset:
    source = _item(
        ReferencedSOPClassUID=CT,
        ReferencedSOPInstanceUID=image.SOPInstanceUID,
        PurposeOfReferenceCodeSequence=Sequence([_code("121322", "Source image", "DCM")]),
    )
    derived = _item(
        SourceImageSequence=Sequence([source]),
        DerivationCodeSequence=Sequence([_code("113076", "Segmentation", "DCM")]),
    )
    return _item(
        DerivationImageSequence=Sequence([derived]),
        FrameContentSequence=Sequence([_item(DimensionIndexValues=[number])]),
        PlanePositionSequence=Sequence([_item(ImagePositionPatient=list(image.ImagePositionPatient))]),
    )


def _code(value: str, meaning: str, scheme: str = "SCT") -> Dataset:
    return _item(CodeValue=value, CodingSchemeDesignator=scheme, CodeMeaning=meaning)


def _item(**fields: object) -> Dataset:
    ds = Dataset()
    for keyword, value in fields.items():
        setattr(ds, keyword, value)
    return ds
