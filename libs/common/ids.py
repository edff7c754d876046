"""Names from outside and names of our own: UIDs, AE titles, receipts and the object keys made from them.

UIDs from outside are checked here and never become paths: an object key is made from our own receipt id alone.
"""

from __future__ import annotations

import re
import secrets
import uuid
from dataclasses import dataclass

IMPLEMENTATION_CLASS_UID = "2.25.199802268191452851489936185583782856143"
"""PS3.7 D.3.3.2. Derived from a UUID of our own (PS3.5 B.2)."""

IMPLEMENTATION_VERSION_NAME = "GANTRY_0_2"
"""PS3.7 D.3.3.2.3: at most 16 characters."""

PRIVATE_INFORMATION_UID = "2.25.151095452869587238557091074417709212698"
"""PS3.10 7.1, Private Information Creator UID (0002,0100): of what we note in the files of our own object store."""

DEFAULT_PARTITION = "default"
"""The organisation an object belongs to until configured otherwise."""

FOLDER_MS = 1 << 20
"""Milliseconds whose objects and segments share a folder: 17 minutes."""

ORDER_VALUES = "order-values"
"""Where in the bucket lies what orders and procedure steps say of patients."""

# PS3.5 9.1: components of digits, separated by periods, no empty component, at most 64 characters.
_UID = re.compile(r"[0-9]+(?:\.[0-9]+)*")
# PS3.5 6.2, VR AE: default repertoire without backslash and control characters; 16 characters; not only spaces.
_AE_TITLE = re.compile(r"[ -\[\]-~]{1,16}")


_RECEIPT = re.compile(r"[0-9a-f]{32}")
_OBJECT_KEY = re.compile(r"(?:[A-Za-z0-9_-][A-Za-z0-9._-]{0,254}/)*[A-Za-z0-9_-][A-Za-z0-9._-]{0,254}")


def is_uid(value: str) -> bool:
    """Whether `value` may be kept as a UID: [0-9.], at most 64 characters, no empty component (PS3.5 9.1).

    Components with a leading zero are forbidden by the standard too, but modalities in the field send them; such an
    object can be stored, found and sent on, so it is not refused for that.
    """
    return len(value) <= 64 and _UID.fullmatch(value) is not None


def is_ae_title(value: str) -> bool:
    """Whether `value`, already stripped of padding, is an AE title (PS3.5 6.2)."""
    return _AE_TITLE.fullmatch(value) is not None and value.strip() == value


def require_object_key(key: str) -> None:
    """Raise `ValueError` for what is no key of an object (`gantry.common.ports.blobs`)."""
    if len(key) > 1024 or _OBJECT_KEY.fullmatch(key) is None:
        raise ValueError("not an object key")


def is_reference_key(key: str) -> bool:
    """Whether a key is that of an object that stays where it is (`Receipt.reference_key`)."""
    return key.startswith("objects/") and key.endswith(".ref")


def new_uid() -> str:
    """A fresh UID under 2.25 (PS3.5 B.2)."""
    return f"2.25.{uuid.uuid4().int}"


def receipt_in_key(key: str) -> Receipt | None:
    """The receipt in the name of an object or a segment of ours; None for what is not named by us."""
    name = key.rpartition("/")[2].partition(".")[0]
    return Receipt(name) if _RECEIPT.fullmatch(name) else None


@dataclass(frozen=True, slots=True)
class Receipt:
    """One receipt of one object: 32 hexadecimal digits, the first 12 of which are milliseconds since the epoch.

    Receipts sort by time of receipt. The instance that came first, which is the one that stays current, is the one
    with the smallest receipt, in whatever order events arrive: that makes the election the same after any replay.
    """

    id: str

    @staticmethod
    def at(now_us: int) -> Receipt:
        """A new receipt for an object that begins to arrive now."""
        return Receipt(f"{now_us // 1000:012x}{secrets.token_hex(10)}")

    @property
    def milliseconds(self) -> int:
        """When the object began to arrive, in milliseconds since the epoch."""
        return int(self.id[:12], 16)

    def object_key(self, partition: str) -> str:
        """Where the object of this receipt lives: one folder per 2^20 ms (17 minutes), unique to the receipt."""
        return f"objects/{partition}/{self.id[:7]}/{self.id}.dcm"

    def reference_key(self, partition: str) -> str:
        """Where the reference of this receipt lives whose object stays where it is (`gantry.common.runtime.in_place`):
        among the objects, and read as the object itself."""
        return f"objects/{partition}/{self.id[:7]}/{self.id}.ref"

    def values_key(self, partition: str) -> str:
        """Where the values of the correction of this name lie."""
        return f"corrections/{partition}/{self.id[:7]}/{self.id}.json"

    def order_values_key(self, partition: str) -> str:
        """Where lies what one event of an order or a procedure step says of a patient."""
        return f"{ORDER_VALUES}/{partition}/{self.id[:7]}/{self.id}.msgpack"
