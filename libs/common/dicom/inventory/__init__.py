"""Inventories of an archive: what studies, series and instances it has (PS3.3 A.88, C.38).

What belongs here: records of what is there (`records`), an Inventory SOP Instance in pieces as the records come
(`writing`), and the records of one that anybody wrote, one study at a time (`reading`). What does not: files, and where
the records come from.
"""
