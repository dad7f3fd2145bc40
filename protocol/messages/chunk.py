"""Chunks by the batch: asked for, sent, fetched. Ids and records travel as raw bytes beside the message."""

from typing import Annotated

from msgspec import Meta

from protocol.limits import BATCH_RECORDS_MAX, SEALED_KEYS_MAX
from protocol.messages import fields
from protocol.messages.fields import Message


class ChunkOfferRequest(Message, frozen=True):
    run_id: fields.Id


class ChunkOfferAnswer(Message, frozen=True):
    missing: fields.Count


class UploadBatch(Message, frozen=True):
    run_id: fields.Id
    number: fields.Count
    lengths: Annotated[list[fields.RecordLength], Meta(min_length=1, max_length=BATCH_RECORDS_MAX)]
    cids: Annotated[bytes, Meta(min_length=32, max_length=32 * BATCH_RECORDS_MAX)]


class UploadDurable(Message, frozen=True):
    number: fields.Count


class ChunkFetchRequest(Message, frozen=True):
    ticket: fields.Id


class FetchBatch(Message, frozen=True):
    """Length 0 stands for a record that the vault cannot give; `lost` says why, for each of them in their order."""

    lengths: Annotated[list[fields.LengthOrNothing], Meta(max_length=BATCH_RECORDS_MAX)]
    lost: Annotated[list[fields.RecordLoss], Meta(max_length=BATCH_RECORDS_MAX)]
    keys: Annotated[list[fields.KeyPair], Meta(max_length=SEALED_KEYS_MAX)]
