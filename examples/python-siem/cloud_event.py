"""A message of Muster's log as a CloudEvent in JSON."""
import base64
from pathlib import Path
from urllib.parse import unquote

from google.protobuf import json_format
from google.protobuf.descriptor_pb2 import FileDescriptorSet
from google.protobuf.descriptor_pool import DescriptorPool
from google.protobuf.message_factory import GetMessageClass


class Payloads:
    """Turns payloads into JSON by the contract's descriptors. What the contract at hand does not know stays bytes."""

    def __init__(self, path: str):
        self.pool = DescriptorPool()
        for file in FileDescriptorSet.FromString(Path(path).read_bytes()).file:
            self.pool.Add(file)

    def json(self, kind: str, payload: bytes) -> dict:
        try:
            message = GetMessageClass(self.pool.FindMessageTypeByName(kind)).FromString(payload)
        except KeyError:
            return {"data_base64": base64.b64encode(payload).decode()}
        data = json_format.MessageToDict(message, descriptor_pool=self.pool)
        return {"datacontenttype": "application/json", "data": data}


def cloud_event(message, payloads: Payloads) -> dict:
    """Headers `ce-*` become attributes, `ce-sequence` as the number `version`; `tenant` and `position` are added."""
    event = {name[3:]: unquote(value) for name, value in message.headers.items() if name.startswith("ce-")}
    if trace := message.headers.get("traceparent"):
        event["traceparent"] = unquote(trace)
    tenant, version, position = message.subject.split(".")[3], int(event.pop("sequence")), message.metadata.sequence.stream
    event |= {"tenant": tenant, "version": version, "position": position}
    return event | payloads.json(event["type"], message.data)
