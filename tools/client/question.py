"""What is asked of a vault before the answer to something else is there."""

from dataclasses import dataclass
from typing import Generic, TypeVar

import msgspec

from protocol.framing import BytesLike

Answer = TypeVar("Answer", bound=msgspec.Struct)


@dataclass(frozen=True, slots=True)
class Question(Generic[Answer]):
    """`raw` are the bulk bytes beside the request."""

    method: str
    request: msgspec.Struct
    answer_type: type[Answer]
    raw: BytesLike = b""
