"""The types of fields: exact lengths and ranges, checked while a message is decoded."""

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from protocol import limits

Id = Annotated[bytes, Meta(min_length=16, max_length=16)]
Options = Annotated[bytes, Meta(min_length=1, max_length=limits.OPTIONS_BYTES_MAX)]
Hash = Annotated[bytes, Meta(min_length=32, max_length=32)]
Place = Annotated[bytes, Meta(min_length=12, max_length=12)]  # in a list that comes in pages
SafesetKey = Annotated[bytes, Meta(min_length=44, max_length=44)]  # the same, of all accounts
Token = Annotated[bytes, Meta(min_length=32, max_length=32)]
SigningKey = Annotated[bytes, Meta(min_length=32, max_length=32)]  # Ed25519, public
Signature = Annotated[bytes, Meta(min_length=64, max_length=64)]
SealingKey = Annotated[bytes, Meta(min_length=1216, max_length=1216)]  # ML-KEM-768 ‖ X25519, public
Root = Annotated[bytes, Meta(min_length=360, max_length=360)]
Slot = Annotated[bytes, Meta(min_length=140, max_length=limits.SLOT_BYTES_MAX)]
Secret = Annotated[bytes, Meta(max_length=limits.SECRET_BYTES_MAX)]
SealedOrder = Annotated[bytes, Meta(max_length=limits.ORDER_BYTES_MAX)]
SealedKey = Annotated[bytes, Meta(min_length=62, max_length=limits.SEALED_KEY_BYTES_MAX)]
Certificate = Annotated[bytes, Meta(max_length=limits.CERTIFICATE_BYTES_MAX)]  # DER
CertificateText = Annotated[str, Meta(max_length=limits.CERTIFICATE_BYTES_MAX)]  # PEM
Payload = Annotated[bytes, Meta(max_length=limits.PAYLOAD_BYTES_MAX)]

Name = Annotated[str, Meta(min_length=1, max_length=limits.NAME_CHARACTERS_MAX)]
Text = Annotated[str, Meta(max_length=limits.TEXT_CHARACTERS_MAX)]
Path = Annotated[bytes, Meta(min_length=1, max_length=limits.PATH_BYTES_MAX)]

Count = Annotated[int, Meta(ge=0, le=2**63 - 1)]
ExitCode = Annotated[int, Meta(ge=0, le=255)]
Code = Annotated[str, Meta(max_length=limits.NAME_CHARACTERS_MAX, pattern="^[a-z_]*$")]
Revision = Annotated[int, Meta(ge=1, le=2**32 - 1)]
Nanoseconds = Annotated[int, Meta(ge=-(2**63), le=2**63 - 1)]
RecordLength = Annotated[int, Meta(ge=84, le=limits.RECORD_BYTES_MAX)]
LengthOrNothing = Annotated[int, Meta(ge=0, le=limits.RECORD_BYTES_MAX)]
KeyPair = tuple[Id, SealedKey]  # a run key: its id, and it sealed

ComputerKind = Literal["pc", "server"]
RecordLoss = Literal["damaged", "missing", "offline"]
SecretLoss = Literal["damaged", "unavailable"]
OrderState = Literal["waiting", "running", "done", "warnings", "failed", "refused", "cancelled", "expired"]
OrderOutcome = Literal["done", "warnings", "failed", "refused"]
Outcome = Literal["done", "warnings", "failed", "aborted"]


class Message(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A map on the wire; an unknown field is refused."""
