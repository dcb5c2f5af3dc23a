"""Finds what is missing: versions of a stream without a gap, each event linked to the one before it by its hash.

Run as a program, checks files that consumer.py wrote: python chain.py events.ndjson …
"""
import datetime
import hashlib
import json
import sys
import uuid

# Numbers of the kinds of aggregate, which the hash covers.
AGGREGATES = {
    "onboarding_token": 1, "enrollment": 2, "registration": 3, "group": 4, "policy": 5, "assignment": 6, "sync": 7,
    "device_status": 8, "tenant_settings": 9, "trust_anchor": 10, "directory_device": 11, "session": 12, "presence": 13,
    "waiver": 14, "check_in_settings": 15, "resolution": 16, "delivery": 17, "report_settings": 18,
}  # fmt: skip
EPOCH = datetime.datetime(1970, 1, 1, tzinfo=datetime.timezone.utc)
NONE = "00" * 32


def link(event: dict, payload: bytes) -> str:
    """What the next event of the stream carries as `prevhash`."""
    aggregate, aggregate_id = event["subject"].split("/")
    time = datetime.datetime.fromisoformat(event["time"]) - EPOCH
    texts = [event["tenant"], event["type"], event["actor"], event.get("traceparent", "")]
    digest = hashlib.sha256(b"muster.event.v1" + bytes.fromhex(event["prevhash"]) + uuid.UUID(event["id"]).bytes)
    digest.update(bytes([AGGREGATES[aggregate]]) + uuid.UUID(aggregate_id).bytes)
    digest.update(event["version"].to_bytes(8) + (time // datetime.timedelta(microseconds=1)).to_bytes(8, signed=True))
    digest.update(uuid.UUID(event["correlationid"]).bytes)
    digest.update(uuid.UUID(event["causationid"]).bytes if "causationid" in event else bytes(16))
    for text in texts:
        digest.update(len(text.encode()).to_bytes(8) + text.encode())
    digest.update(payload)
    return digest.hexdigest()


class Chain:
    """Knows the last event of each stream; one that is first met in its middle is followed from there."""

    def __init__(self):
        self.heads = {}

    def remember(self, event: dict):
        self.heads[event["tenant"], event["subject"]] = event["version"], event.get("hash")

    def check(self, event: dict, payload: bytes | None = None):
        """Yields what is wrong with the next event. With its payload, writes its link into it as `hash`."""
        first = (0, NONE) if event["version"] == 1 else (event["version"] - 1, None)
        version, hash = self.heads.get((event["tenant"], event["subject"]), first)
        where = {"subject": event["subject"], "position": event["position"], "event": event["id"]}
        if event["version"] != version + 1:
            yield {"gap": f"version {event['version']} follows {version}"} | where
        elif hash not in (None, event["prevhash"]):
            yield {"gap": f"prevhash is not the hash of version {version}"} | where
        if payload is not None and event["subject"].split("/")[0] in AGGREGATES:
            event["hash"] = link(event, payload)
        self.remember(event)


if __name__ == "__main__":
    chain = Chain()
    gaps = [gap for name in sys.argv[1:] for line in open(name) for gap in chain.check(json.loads(line))]
    for gap in gaps:
        print(json.dumps(gap))
    sys.exit(1 if gaps else 0)
