"""De-identified copies for links (docs/sharing.md): made once (`copying`), laid down beside the archive (`manifest`),
and asked in place of the index where somebody came by such a link (`index`).

What belongs here: what is between the links and the archive. What does not: who is let in
(`gantry.services.query.sharing`), and what becomes of an object (`gantry.services.retrieve.deidentifying`).

Copies are in the object store and in no index of the archive. Whoever asks for a link's images asks an index that has
these copies and nothing else, so that no answer, header or error can name what is not in them.
"""
