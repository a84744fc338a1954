// `EventSource` as the npm package `eventsource` has it, across a crash of the server.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { EventSource } from "eventsource";
import { Server, waitUntil } from "../lib/fanfare.mjs";

let server;

const url = (path) => server.url + path;

async function publish(text) {
  const answer = await fetch(url("/v1/publish?topic=room"), { method: "POST", body: text });
  assert.equal(answer.status, 200);
}

/** An event source that keeps what it hears. */
function listen(query) {
  const source = new EventSource(url(`/v1/sse?${query}`));
  const seen = [];
  const ready = [];
  source.addEventListener("message", (event) => seen.push({ id: event.lastEventId, ...JSON.parse(event.data) }));
  source.addEventListener("ready", (event) => ready.push(JSON.parse(event.data)));
  const until = (condition) => waitUntil(condition, "what is awaited", 30_000);
  return { source, seen, ready, until };
}

const numbers = (from, to) => Array.from({ length: to - from }, (_, index) => String(from + index));

before(async () => {
  server = await Server.start();
});

after(() => server.close());

test("messages arrive with their place", async () => {
  const { source, seen, ready, until } = listen("topic=room");
  await until(() => ready.length === 1);
  for (const text of numbers(0, 5)) await publish(text);
  await until(() => seen.length === 5);
  source.close();
  assert.deepEqual(seen.map((message) => message.text), numbers(0, 5));
  assert.ok(seen.every((message) => message.id === message.position && message.topic === "room"));
});

test("nothing is missed across a crash", async () => {
  const { source, seen, ready, until } = listen("topic=room&since=all");
  await until(() => seen.length === 5);
  for (const text of numbers(5, 10)) await publish(text);
  await until(() => seen.length === 10);
  await server.restart();
  // Before the source is back, which waits for its `retry`.
  for (const text of numbers(10, 20)) await publish(text);
  await until(() => ready.length === 2);
  for (const text of numbers(20, 25)) await publish(text);
  await until(() => seen.length >= 25);
  source.close();
  assert.deepEqual(ready.map((event) => event.recovered), [true, true]);
  assert.deepEqual(seen.map((message) => message.text), numbers(0, 25));
});

test("what is refused for good is not tried again", async () => {
  const source = new EventSource(url("/v1/sse?topic="));
  const event = await new Promise((resolve) => source.addEventListener("error", resolve));
  assert.equal(event.code, 400);
  assert.equal(source.readyState, source.CLOSED);
});
