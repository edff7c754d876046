"""How a hold names a patient without naming anybody: it lies on the log and in sealed segments for ever."""

from __future__ import annotations

from blake3 import blake3


def held_patient(partition: str, patient_id: str, issuer: str = "") -> str:
    """The key of a patient's holds: a digest of Patient ID and Issuer of Patient ID. It is no UID, so it is no study's.
    Whoever guesses an ID can confirm it, and nobody can read one."""
    digest = blake3("\0".join((partition, patient_id.strip(), issuer.strip())).encode()).hexdigest()
    return f"patient:{digest[:32]}"


def holders(partition: str, patient_id: str, issuer: str = "") -> list[str]:
    """The keys under which holds on a patient may stand: with his issuer, and with none, which means every patient of
    this ID. None for a patient without an ID."""
    if not patient_id.strip():
        return []
    return list(dict.fromkeys((held_patient(partition, patient_id), held_patient(partition, patient_id, issuer))))
