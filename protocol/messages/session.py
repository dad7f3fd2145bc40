"""First words of a connection, and the registration of a computer."""

from typing import Annotated, Literal

from msgspec import Meta

from protocol.messages import fields
from protocol.messages.fields import Message


class HelloRequest(Message, frozen=True):
    versions: Annotated[list[fields.Count], Meta(min_length=1, max_length=16)]
    program: fields.Text
    program_version: fields.Text
    token: fields.Token | None = None


class HelloAnswer(Message, frozen=True):
    version: fields.Count
    vault_id: fields.Id
    vault_name: fields.Text
    place: fields.Text
    time_ns: fields.Nanoseconds
    role: Literal["open", "operator", "administrator", "agent"]


class AuthorityRequest(Message, frozen=True):
    pass


class AuthorityAnswer(Message, frozen=True):
    certificate_pem: fields.CertificateText


class RegisterRequest(Message, frozen=True):
    secret: fields.Id
    name: fields.Name
    certificate_request: fields.Certificate
    sealing_key: fields.SealingKey


class RegisterAnswer(Message, frozen=True):
    account_id: fields.Id
    computer_id: fields.Id
    name: fields.Name
    kind: fields.ComputerKind
    certificate_pem: fields.CertificateText
    authority_pem: fields.CertificateText
    vault_id: fields.Id
    vault_key: fields.SigningKey
