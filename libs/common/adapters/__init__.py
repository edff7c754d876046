"""The only drivers. Each translates its vendor's errors into `gantry.common.errors`; none knows a DICOM rule."""
