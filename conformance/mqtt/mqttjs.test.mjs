// mqtt.js over TCP and over WebSocket.

import assert from "node:assert/strict";
import { once } from "node:events";
import { after, before, describe, test } from "node:test";
import mqtt from "mqtt";
import { Server } from "../lib/fanfare.mjs";

const TIMEOUT = { timeout: 30_000 };
let server;

before(async () => {
  server = await Server.start();
});
after(() => server?.close());

const ways = {
  "TCP on its own port": () => `mqtt://127.0.0.1:${server.mqttPort}`,
  "TCP on the one port": () => `mqtt://127.0.0.1:${server.port}`,
  WebSocket: () => `ws://127.0.0.1:${server.port}/mqtt`,
};

function options(more) {
  return { protocolVersion: 4, reconnectPeriod: 0, connectTimeout: 10_000, ...more };
}

/** A connected client whose messages queue up. */
async function connect(t, url, more) {
  const client = mqtt.connect(url, options(more));
  t.after(() => client.endAsync(true));
  const heard = [];
  let wake = () => {};
  client.on("message", (topic, payload, packet) => {
    heard.push({ topic, payload, retain: packet.retain });
    wake();
  });
  client.next = async () => {
    while (!heard.length) await new Promise((done) => (wake = done));
    return heard.shift();
  };
  await once(client, "connect");
  return client;
}

async function publish(body) {
  const answer = await fetch(`${server.url}/v1/publish`, { method: "POST", body: JSON.stringify(body) });
  assert.equal(answer.status, 200, await answer.text());
}

for (const [way, url] of Object.entries(ways)) {
  describe(way, () => {
    test("subscribe, publish, unsubscribe", TIMEOUT, async (t) => {
      const client = await connect(t, url());
      const topic = `js/${way.length}`;
      assert.equal((await client.subscribeAsync(`${topic}/+`))[0].qos, 0);
      await client.publishAsync(`${topic}/a`, "one");
      assert.deepEqual(await client.next(), { topic: `${topic}/a`, payload: Buffer.from("one"), retain: false });
      await client.unsubscribeAsync(`${topic}/+`);
      await client.subscribeAsync(`${topic}/end`);
      await client.publishAsync(`${topic}/a`, "unheard");
      await client.publishAsync(`${topic}/end`, "end");
      assert.equal((await client.next()).topic, `${topic}/end`);
    });

    test("quality of service is granted as asked", TIMEOUT, async (t) => {
      const client = await connect(t, url());
      for (const qos of [0, 1, 2]) {
        const topic = `js/q${qos}/${way.length}`;
        assert.equal((await client.subscribeAsync(topic, { qos }))[0].qos, qos);
        await client.publishAsync(topic, "asked", { qos });
        assert.equal(String((await client.next()).payload), "asked");
      }
    });

    test("bytes, and what is published natively", TIMEOUT, async (t) => {
      const client = await connect(t, url());
      const topic = `js/bytes/${way.length}`;
      await client.subscribeAsync(`${topic}/#`);
      const bytes = Buffer.from(Array.from({ length: 70_000 }, (_, index) => index % 256));
      await client.publishAsync(topic, bytes);
      assert.ok((await client.next()).payload.equals(bytes));
      await publish({ topic, data: { a: [1, "two"] } });
      assert.deepEqual(JSON.parse((await client.next()).payload), { a: [1, "two"] });
      await publish({ topic: `${topic}/deep/er`, text: "plain" });
      assert.deepEqual(await client.next(), { topic: `${topic}/deep/er`, payload: Buffer.from("plain"), retain: false });
      const history = await fetch(`${server.url}/v1/topics/${encodeURIComponent(topic)}/history`);
      const [first] = (await history.json()).messages;
      assert.ok(Buffer.from(first.base64, "base64").equals(bytes));
    });

    test("retained", TIMEOUT, async (t) => {
      const client = await connect(t, url());
      const topic = `js/kept/${way.length}`;
      await client.publishAsync(topic, "kept", { retain: true });
      await client.subscribeAsync(topic);
      assert.deepEqual(await client.next(), { topic, payload: Buffer.from("kept"), retain: true });
      await client.publishAsync(topic, "", { retain: true });
      assert.equal((await client.next()).payload.length, 0);
    });

    for (const more of [{ protocolVersion: 3, protocolId: "MQIsdp" }, { protocolVersion: 5 }]) {
      test(`version ${more.protocolVersion}`, TIMEOUT, async (t) => {
        const client = await connect(t, url(), { ...more, clientId: `js-${more.protocolVersion}-${way.length}` });
        const topic = `js/version/${more.protocolVersion}/${way.length}`;
        await client.subscribeAsync(topic, { qos: 1 });
        await client.publishAsync(topic, "hello", { qos: 1 });
        assert.equal(String((await client.next()).payload), "hello");
      });
    }
  });
}

test("a wrong token is refused", TIMEOUT, async (t) => {
  const config = "[auth]\nkeys = [{id = 'main', secret = 'a secret of thirty-two bytes or more'}]\n";
  const guarded = await Server.start({ config });
  t.after(() => guarded.close());
  for (const url of [`mqtt://127.0.0.1:${guarded.mqttPort}`, `ws://127.0.0.1:${guarded.port}/mqtt`]) {
    const client = mqtt.connect(url, options({ username: "anybody", password: "wrong" }));
    t.after(() => client.endAsync(true));
    const [error] = await once(client, "error");
    assert.equal(error.code, 4, String(error));
  }
});

test("comes back after a crash and subscribes again by itself", TIMEOUT, async (t) => {
  const own = await Server.start();
  t.after(() => own.close());
  const client = await connect(t, `ws://127.0.0.1:${own.port}/mqtt`, { reconnectPeriod: 50 });
  client.on("error", () => {});
  await client.subscribeAsync("back");
  const back = once(client, "connect");
  await own.restart();
  await back;
  // Its own subscribe goes out before this one, so both stand once this is answered.
  await client.subscribeAsync("other");
  await client.publishAsync("back", "again");
  assert.equal(String((await client.next()).payload), "again");
});
