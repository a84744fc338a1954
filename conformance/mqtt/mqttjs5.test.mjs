// MQTT 5 by mqtt.js, and the `ws` package's upgrade.

import assert from "node:assert/strict";
import { once } from "node:events";
import { after, before, test } from "node:test";
import mqtt from "mqtt";
import WebSocket from "ws";
import { Server, waitUntil } from "../lib/fanfare.mjs";

const TIMEOUT = { timeout: 30_000 };
let server;

before(async () => {
  server = await Server.start();
});
after(() => server?.close());

/** A connected client; `connack` is the answer, `heard` the PUBLISH packets as they were on the wire. */
async function connect(t, more, url = `mqtt://127.0.0.1:${server.mqttPort}`) {
  const client = mqtt.connect(url, { protocolVersion: 5, reconnectPeriod: 0, connectTimeout: 10_000, ...more });
  t.after(() => client.endAsync(true));
  client.heard = [];
  client.on("packetreceive", (packet) => {
    if (packet.cmd === "publish") client.heard.push({ ...packet, properties: { ...packet.properties } });
  });
  [client.connack] = await once(client, "connect");
  return client;
}

const ways = {
  TCP: () => `mqtt://127.0.0.1:${server.mqttPort}`,
  WebSocket: () => `ws://127.0.0.1:${server.port}/mqtt`,
};

for (const [way, url] of Object.entries(ways)) {
  // proves: v5 MQTT-4.3.2-1 MQTT-4.3.3-1 MQTT-3.3.2-17
  test(`every quality of service there and back, over ${way}`, TIMEOUT, async (t) => {
    const client = await connect(t, {}, url());
    const topic = `js5/qos/${way}`;
    assert.deepEqual((await client.subscribeAsync(topic, { qos: 2 })).map((grant) => grant.qos), [2]);
    for (const qos of [0, 1, 2]) {
      await client.publishAsync(topic, `${qos}`, { qos, properties: { userProperties: { a: ["1", "2"] } } });
    }
    await waitUntil(() => client.heard.length === 3, "three messages");
    assert.deepEqual(client.heard.map((packet) => [packet.qos, String(packet.payload)]), [[0, "0"], [1, "1"], [2, "2"]]);
    for (const packet of client.heard) assert.deepEqual({ ...packet.properties.userProperties }, { a: ["1", "2"] });
  });
}

// C20
// proves: v5 MQTT-3.1.2-26 MQTT-3.1.2-27 MQTT-3.3.2-7
test("C20: with one topic alias the first message carries topic and alias, the others the alias alone", TIMEOUT, async (t) => {
  const client = await connect(t, { properties: { topicAliasMaximum: 1 } });
  const writer = await connect(t, {});
  await client.subscribeAsync("js5/alias");
  for (let count = 0; count < 3; count++) await writer.publishAsync("js5/alias", `${count}`, { qos: 1 });
  await waitUntil(() => client.heard.length === 3, "three messages");
  assert.deepEqual(
    client.heard.map((packet) => [packet.topic, packet.properties.topicAlias]),
    [["js5/alias", 1], ["", 1], ["", 1]],
  );
});

// C29
// proves: v5 MQTT-4.8.2-3 MQTT-4.7.2-1
test("C29: two members of a group share a thousand messages, and hear nothing of $SYS", TIMEOUT, async (t) => {
  const members = [await connect(t, {}), await connect(t, {})];
  for (const member of members) await member.subscribeAsync("$share/js5/#", { qos: 1 });
  const writer = await connect(t, {});
  const sent = Array.from({ length: 1000 }, (_, number) => writer.publishAsync(`js5/shared/${number % 7}`, `${number}`, { qos: 1 }));
  await Promise.all(sent);
  // Other tests of this file run before or after, not beside; what is theirs is left out all the same.
  const mine = (member) => member.heard.filter((packet) => packet.topic.startsWith("js5/shared/")).map((packet) => Number(packet.payload));
  await waitUntil(() => mine(members[0]).length + mine(members[1]).length >= 1000, "all messages");
  const [first, second] = members.map(mine);
  assert.ok(first.length > 0 && second.length > 0);
  const all = [...first, ...second].sort((a, b) => a - b);
  assert.deepEqual(all, Array.from({ length: 1000 }, (_, number) => number));
  for (const member of members) assert.ok(!member.heard.some((packet) => packet.topic.startsWith("$")));
});

// C40
// proves: v5 MQTT-6.0.0-3 MQTT-6.0.0-4; v3.1.1 MQTT-6.0.0-3 MQTT-6.0.0-4
test("C40: whoever offers mqttv3.1 alone is answered with it", TIMEOUT, async (t) => {
  const socket = new WebSocket(`ws://127.0.0.1:${server.port}/mqtt`, ["mqttv3.1"]);
  t.after(() => socket.terminate());
  const [[upgrade]] = await Promise.all([once(socket, "upgrade"), once(socket, "open")]);
  assert.equal(upgrade.statusCode, 101);
  assert.equal(upgrade.headers["sec-websocket-protocol"], "mqttv3.1");
  // CONNECT of level 4 with a clean session and the id "ws".
  socket.send(Buffer.from([0x10, 14, 0, 4, 0x4d, 0x51, 0x54, 0x54, 4, 2, 0, 60, 0, 2, 0x77, 0x73]));
  const [answer] = await once(socket, "message");
  assert.deepEqual([...answer], [0x20, 2, 0, 0]);
});

// proves: v5 MQTT-3.1.2-5 MQTT-4.4.0-1
test("a lasting session hears what it missed", TIMEOUT, async (t) => {
  const options = { clientId: "js5-lasting", clean: false, properties: { sessionExpiryInterval: 60 } };
  const first = await connect(t, options);
  assert.equal(first.connack.sessionPresent, false);
  await first.subscribeAsync("js5/missed", { qos: 1 });
  await first.endAsync();
  const writer = await connect(t, {});
  for (const payload of ["a", "b"]) await writer.publishAsync("js5/missed", payload, { qos: 1 });
  const heard = [];
  const second = mqtt.connect(ways.TCP(), { protocolVersion: 5, reconnectPeriod: 0, ...options });
  t.after(() => second.endAsync(true));
  second.on("message", (_, payload) => heard.push(String(payload)));
  const [connack] = await once(second, "connect");
  assert.equal(connack.sessionPresent, true);
  await waitUntil(() => heard.length === 2, "both messages");
  assert.deepEqual(heard, ["a", "b"]);
});

// proves: v5 MQTT-3.1.2-8 MQTT-3.1.3-9
test("a will goes out when the stream is cut", TIMEOUT, async (t) => {
  const reader = await connect(t, {});
  await reader.subscribeAsync("js5/will", { qos: 1 });
  const will = { topic: "js5/will", payload: "gone", qos: 1, properties: { userProperties: { why: "cut" } } };
  const client = await connect(t, { will });
  client.stream.destroy();
  await waitUntil(() => reader.heard.length === 1, "the will");
  assert.equal(String(reader.heard[0].payload), "gone");
  assert.deepEqual({ ...reader.heard[0].properties.userProperties }, { why: "cut" });
});
