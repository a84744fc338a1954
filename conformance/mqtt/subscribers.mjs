// Subscribers that lose their connection now and then, for test_order.py. One argument: { port, topic, subscribers,
// messages } as JSON. Prints "subscribed", and when all have heard all, or nothing more comes, what each has heard.

import { once } from "node:events";
import { setTimeout as sleep } from "node:timers/promises";
import mqtt from "mqtt";

const { port, topic, subscribers, messages } = JSON.parse(process.argv[2]);
const IDLE_MS = 15_000;
// Of this many messages one is followed by a cut.
const CUT_EVERY = 4_000;

let lastHeard = Date.now();

async function subscribe(index) {
  const isFive = index % 2 === 0;
  const client = mqtt.connect(`mqtt://127.0.0.1:${port}`, {
    clientId: `${topic}-js-${index}`,
    protocolVersion: isFive ? 5 : 4,
    clean: false,
    properties: isFive ? { sessionExpiryInterval: 300 } : undefined,
    reconnectPeriod: 50,
    resubscribe: false,
  });
  const result = { index, heard: 0, isIncreasing: true, repeats: 0, reconnects: -1, last: -1 };
  client.on("connect", () => result.reconnects++);
  client.on("error", () => {});
  client.on("message", (_, payload, packet) => {
    const number = Number(String(payload));
    lastHeard = Date.now();
    if (number === result.last + 1) {
      result.last = number;
      result.heard++;
    } else if (packet.dup && number <= result.last) {
      // Heard already, and its acknowledgement was lost with the connection.
      result.repeats++;
    } else {
      result.isIncreasing = false;
      result.wrong ??= [number, result.last, packet.dup];
    }
    if (Math.random() * CUT_EVERY < 1) client.stream.destroy();
  });
  await once(client, "connect");
  await client.subscribeAsync(topic, { qos: 1 });
  return { client, result };
}

const all = await Promise.all(Array.from({ length: subscribers }, (_, index) => subscribe(index)));
console.log("subscribed");
lastHeard = Date.now();
while (all.some(({ result }) => result.heard < messages) && Date.now() - lastHeard < IDLE_MS) await sleep(50);
console.log(JSON.stringify(all.map(({ result }) => result)));
process.exit(0);
