"""Studies and patients as FHIR resources, for read and search (docs/fhir.md)."""
