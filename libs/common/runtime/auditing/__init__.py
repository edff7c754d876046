"""The recorder of a process: observed work becomes audit records on the log, without delaying the work.

`trail` takes entries and never waits; `spool` holds on disk what is not on the log yet; `audited_log` sees every
change, since every change is an event; `patients` knows the patient of a study.
"""
