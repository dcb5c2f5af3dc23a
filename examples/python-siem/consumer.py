"""python consumer.py NATS_URL DESCRIPTORS FILE: appends Muster's events to a file, one CloudEvent a line, for a SIEM.

Each event is in the file exactly once, in the order of its service's log, whenever this is killed: events are acknowledged
after they are on disk, and on start the end of the file says where to go on. Gaps are told on standard output.
"""
import asyncio
import collections
import fcntl
import json
import os
import sys

import nats

from chain import Chain
from cloud_event import Payloads, cloud_event

CONSUMER = "siem"  # the durable consumer's name, the same in each JetStream stream; nats/add_consumer.py makes them
BATCH = 500  # events under way at most, and events that one sync to disk covers
API = "muster.API"  # JetStream's API as nats/accounts.conf shows it to consumers; "$JS.API" without accounts


class Journal:  # the file: whole lines only, by one writer
    def __init__(self, path: str):
        self.lock, self.chain, self.positions = asyncio.Lock(), Chain(), {}
        self.file = open(path, "a+b")
        fcntl.flock(self.file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        os.fsync(os.open(os.path.dirname(os.path.abspath(path)), os.O_RDONLY))  # else a power cut may take a new file away
        end = collections.deque(open(path, "rb"), maxlen=BATCH + 1)
        if end and not end[-1].endswith(b"\n"):  # cut off by a crash
            self.file.truncate(os.path.getsize(path) - len(end.pop()))
        for event in map(json.loads, end):
            self.chain.remember(event)
            self.positions[event["source"]] = event["position"]

    def write(self, events):
        for event, payload in events:
            if event["position"] <= self.positions[event["source"]]:  # delivered again
                continue
            for gap in self.chain.check(event, payload):
                print(json.dumps(gap), flush=True)
            self.file.write(json.dumps(event, separators=(",", ":")).encode() + b"\n")
            self.positions[event["source"]] = event["position"]
        self.file.flush()
        os.fsync(self.file.fileno())


async def follow(js, service: str, journal: Journal, payloads: Payloads):
    stream, source = f"MUSTER_{service.upper()}", f"/muster/{service}"
    info = await js.consumer_info(stream, CONSUMER)
    # What a killed process was given comes again, at once and in order. The server's word counts if the file was rotated.
    journal.positions[source] = max(journal.positions.get(source, 0), info.ack_floor.stream_seq)
    await js.reset_consumer(stream, CONSUMER, journal.positions[source] + 1)
    subscription, delivered = await js.pull_subscribe_bind(durable=CONSUMER, stream=stream), 0
    while True:
        try:
            messages = await subscription.fetch(BATCH, timeout=5)
            last = messages[-1]
        except (nats.errors.TimeoutError, IndexError):  # nothing new
            continue
        if last.metadata.sequence.consumer != delivered + len(messages):
            raise RuntimeError(f"a delivery of {stream} was lost on the way; a new start gets it")
        delivered += len(messages)
        # One batch at a time over all services: what is written and not acknowledged is in the file's last BATCH lines.
        async with journal.lock:
            journal.write((cloud_event(message, payloads), message.data) for message in messages)
            await last.ack_sync(timeout=30)


async def main(url: str, descriptors: str, path: str):
    journal, payloads = Journal(path), Payloads(descriptors)
    client = await nats.connect(url, max_reconnect_attempts=-1)
    async with asyncio.TaskGroup() as tasks:
        for service in ["enroll", "identity", "policy", "report"]:
            tasks.create_task(follow(client.jetstream(prefix=API), service, journal, payloads))


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
