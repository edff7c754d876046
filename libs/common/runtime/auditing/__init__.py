"""The recorder of a process: what is observed becomes audit records on the log, beside the work that is observed.

`trail` takes entries and never waits; `spool` has on disk what is not on the log yet; `audited_log` sees every change,
since every change is an event; `patients` knows whose a study is.
"""
