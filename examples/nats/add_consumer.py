"""python add_consumer.py NATS_URL NAME PENDING: makes a durable consumer in each of Muster's JetStream streams.

Run once, by the control plane's user: consumers themselves may not. At most PENDING events are under way at a time.
"""
import asyncio
import sys

import nats
from nats.js.api import AckPolicy, ConsumerConfig


async def main(url: str, name: str, pending: str):
    client = await nats.connect(url)
    config = ConsumerConfig(
        name=name, durable_name=name, ack_policy=AckPolicy.ALL, ack_wait=60, max_ack_pending=int(pending)
    )
    for service in ["ENROLL", "IDENTITY", "POLICY", "REPORT"]:
        await client.jetstream().add_consumer(f"MUSTER_{service}", config)
    await client.close()


asyncio.run(main(*sys.argv[1:]))
