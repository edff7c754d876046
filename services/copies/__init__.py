"""De-identified copies for links (docs/sharing.md): made once (`copying`), stored beside the archive (`manifest`), and
queried in place of the index for visitors of such a link (`index`).

What belongs here: the part between the links and the archive. What does not: who is admitted
(`gantry.services.query.sharing`), and how an object is de-identified (`gantry.services.retrieve.deidentifying`).

Copies are in the object store and in no index of the archive. Requests through a link use an index with these copies
and nothing else, so that no answer, header or error can name anything outside them.
"""
