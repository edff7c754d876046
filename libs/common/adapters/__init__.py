"""The only drivers. Each translates its vendor's errors into `libs.common.errors`; none knows a DICOM rule."""
