"""python reflect.py HOST:PORT PKI_FOLDER SERVICE/METHOD [JSON]: calls any method; the server tells what it takes and gives.

Needs no contract and no generated code: the server's reflection has it. For example:

    python reflect.py localhost:7443 muster-data/pki muster.enroll.v1.EnrollmentAdminService/ListDevices \
        '{"parent": "tenants/default"}'
"""
import sys
from pathlib import Path

import grpc
from google.protobuf import json_format
from google.protobuf.descriptor_pool import DescriptorPool
from google.protobuf.message_factory import GetMessageClass
from grpc_reflection.v1alpha.proto_reflection_descriptor_database import ProtoReflectionDescriptorDatabase


def call(target: str, pki: Path, method: str, request: str):
    """Yields the answers as JSON: one, or as many as a stream gives."""
    server = grpc.ssl_channel_credentials((pki / "ca.pem").read_bytes())
    admin = grpc.access_token_call_credentials((pki / "admin.token").read_text().strip())
    with grpc.secure_channel(target, grpc.composite_channel_credentials(server, admin)) as channel:
        pool = DescriptorPool(ProtoReflectionDescriptorDatabase(channel))
        service, name = method.split("/")
        described = pool.FindServiceByName(service).FindMethodByName(name)
        open_call = channel.unary_stream if described.server_streaming else channel.unary_unary
        invoke = open_call(
            f"/{method}",
            request_serializer=lambda message: message.SerializeToString(),
            response_deserializer=GetMessageClass(described.output_type).FromString,
        )
        answer = invoke(json_format.Parse(request, GetMessageClass(described.input_type)(), descriptor_pool=pool))
        for message in answer if described.server_streaming else [answer]:
            yield json_format.MessageToJson(message, descriptor_pool=pool)


if __name__ == "__main__":
    target, pki, method, *request = sys.argv[1:]
    for message in call(target, Path(pki), method, *(request or ["{}"])):
        print(message)
