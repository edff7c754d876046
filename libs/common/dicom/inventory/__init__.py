"""Inventories of an archive: what studies, series and instances it has (PS3.3 A.88, C.38).

What belongs here: records of the content (`records`), writing an Inventory SOP Instance in pieces as the records come
(`writing`), and reading one from any writer, one study at a time (`reading`). What does not: files, and the source of
the records.
"""
