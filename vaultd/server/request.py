"""What a handler gets and gives: one decoded message with its raw bytes, one answer with its own."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import msgspec

from protocol.framing import BytesLike
from vaultd.operations.vault import Vault
from vaultd.records import Identity
from vaultd.server.service import Service
from vaultd.server.session import Session


@dataclass(frozen=True, slots=True)
class Request:
    """`message` has the type that the registry names for the method."""

    service: Service
    session: Session
    message: Any
    raw: BytesLike

    @property
    def vault(self) -> Vault:
        return self.service.vault

    @property
    def identity(self) -> Identity:
        return self.session.identity


@dataclass(frozen=True, slots=True)
class Reply:
    message: msgspec.Struct
    raw: Sequence[BytesLike] = ()
