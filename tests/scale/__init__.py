"""What an archive larger than any machine here would need: a seeded simulation, calibrated with docs/benchmarks.md.

`costs` has what was measured of single steps, `measured` whole runs; `machine` is two cores and a disk, `storing`,
`searchable` and `moving` are the runs on it, compared in `comparison`. `pipeline` is a cluster at the scale of studies,
`outages` what fails in it. `sizes`, `prices` and `regions` are arithmetic on these. `page` writes the tables of
docs/scale.md. No clock but the simulation's; the same seed gives the same figures.
"""
