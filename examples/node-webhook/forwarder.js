// node forwarder.js: forwards Muster's events to a webhook, signed as Standard Webhooks has it.
//
// Environment: MUSTER_NATS (URL), MUSTER_DESCRIPTORS (the contract, compiled: a FileDescriptorSet), WEBHOOK_URL,
// WEBHOOK_SECRET (whsec_…), DEAD_LETTERS (file); WEBHOOK_ATTEMPTS and WEBHOOK_PAUSE_MS if 8 and 500 do not fit.
//
// Events of a service arrive one after the other in log order, and so do those of an aggregate. Each arrives at least once:
// the receiver drops repeats by `webhook-id`. What is given up is in the file of dead letters, and later events go on.
import { createHmac } from "node:crypto";
import { appendFileSync, readFileSync } from "node:fs";
import { setTimeout as pause } from "node:timers/promises";
import { createFileRegistry, fromBinary, toJson } from "@bufbuild/protobuf";
import { FileDescriptorSetSchema } from "@bufbuild/protobuf/wkt";
import { jetstream } from "@nats-io/jetstream";
import { connect } from "@nats-io/transport-node";

const CONSUMER = "webhook"; // the durable consumer's name, the same in each JetStream stream; nats/add_consumer.py makes them
const API = "muster.API"; // JetStream's API as nats/accounts.conf shows it to consumers; "$JS.API" without accounts
const [TIMEOUT_MS, PAUSE_MAX_MS] = [10_000, 30_000];
const { WEBHOOK_ATTEMPTS: ATTEMPTS_MAX = 8, WEBHOOK_PAUSE_MS: PAUSE_FIRST_MS = 500 } = process.env;
const { MUSTER_NATS, MUSTER_DESCRIPTORS, WEBHOOK_URL, WEBHOOK_SECRET, DEAD_LETTERS } = process.env;
const secret = Buffer.from(WEBHOOK_SECRET.replace(/^whsec_/, ""), "base64");
const registry = createFileRegistry(fromBinary(FileDescriptorSetSchema, readFileSync(MUSTER_DESCRIPTORS)));

// A message as a CloudEvent in JSON. A payload that the contract at hand does not know stays bytes.
function cloudEvent(message) {
  const names = message.headers.keys().filter((name) => name.startsWith("ce-"));
  const event = Object.fromEntries(names.map((name) => [name.slice(3), decodeURIComponent(message.headers.get(name))]));
  const [tenant, version, position] = [message.subject.split(".")[3], Number(event.sequence), message.seq];
  delete event.sequence;
  Object.assign(event, { tenant, version, position });
  const schema = registry.getMessage(event.type);
  if (!schema) return { ...event, data_base64: Buffer.from(message.data).toString("base64") };
  const data = toJson(schema, fromBinary(schema, message.data), { registry });
  return { ...event, datacontenttype: "application/json", data };
}

// Sends once. Returns nothing when it was taken, else why not and whether to try again.
async function send(id, text) {
  const timestamp = Math.floor(Date.now() / 1000).toString();
  const signature = createHmac("sha256", secret).update(`${id}.${timestamp}.${text}`).digest("base64");
  const webhook = { "webhook-id": id, "webhook-timestamp": timestamp, "webhook-signature": `v1,${signature}` };
  const headers = { "content-type": "application/cloudevents+json", ...webhook };
  const options = { method: "POST", headers, body: text, redirect: "error", signal: AbortSignal.timeout(TIMEOUT_MS) };
  try {
    const { status, ok, body } = await fetch(WEBHOOK_URL, options);
    await body?.cancel();
    return ok ? undefined : { reason: `status ${status}`, again: status >= 500 || [408, 425, 429].includes(status) };
  } catch (error) {
    return { reason: String(error.cause ?? error), again: true };
  }
}

async function deliver(event, message) {
  for (let attempt = 1; ; attempt++) {
    message.working(); // the server waits for as long as we try
    const failure = await send(event.id, JSON.stringify(event));
    if (!failure) return;
    if (!failure.again || attempt >= ATTEMPTS_MAX) {
      const letter = JSON.stringify({ reason: failure.reason, attempts: attempt, event });
      return appendFileSync(DEAD_LETTERS, `${letter}\n`, { mode: 0o600, flush: true });
    }
    await pause(Math.random() * Math.min(PAUSE_FIRST_MS * 2 ** (attempt - 1), PAUSE_MAX_MS)); // full jitter
  }
}

async function follow(nats, stream) {
  const consumer = await jetstream(nats, { apiPrefix: API }).consumers.get(stream, CONSUMER);
  await nats.request(`${API}.CONSUMER.RESET.${stream}.${CONSUMER}`); // what a killed process had under way comes at once
  for await (const message of await consumer.consume()) {
    await deliver(cloudEvent(message), message);
    message.ack();
  }
  throw new Error(`${stream} is not delivered any more`);
}

const { host: servers, username: user, password: pass } = new URL(MUSTER_NATS);
const nats = await connect({ servers, user, pass, maxReconnectAttempts: -1 });
await Promise.all(["ENROLL", "IDENTITY", "POLICY", "REPORT"].map((service) => follow(nats, `MUSTER_${service}`)));
