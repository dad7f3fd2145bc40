"""What stands in a frame of kind 2."""

from protocol.messages import fields
from protocol.messages.fields import Message


class ErrorMessage(Message, frozen=True):
    code: fields.Name
    message: fields.Text
    hint: fields.Text
