// The HTTP data plane, by version 3 of AWS's SDK for JavaScript.

import assert from "node:assert/strict";
import { once } from "node:events";
import { after, before, describe, test } from "node:test";
import {
  GetRetainedMessageCommand,
  IoTDataPlaneClient,
  PublishCommand,
  UpdateThingShadowCommand,
} from "@aws-sdk/client-iot-data-plane";
import mqtt from "mqtt";
import { Server } from "../lib/fanfare.mjs";

const TIMEOUT = { timeout: 30_000 };
let server, plane;

before(async () => {
  server = await Server.start();
  const credentials = { accessKeyId: "AKIDEXAMPLE", secretAccessKey: "anything" };
  plane = new IoTDataPlaneClient({ region: "local", endpoint: server.url, credentials, maxAttempts: 1 });
});
after(() => server?.close());

describe("AWS SDK for JavaScript", () => {
  test("C51: every property of MQTT 5 arrives", TIMEOUT, async (t) => {
    const client = mqtt.connect(`mqtt://127.0.0.1:${server.mqttPort}`, { protocolVersion: 5, reconnectPeriod: 0 });
    t.after(() => client.endAsync(true));
    await once(client, "connect");
    await client.subscribeAsync("a/b c", { qos: 1, rap: true });
    const heard = once(client, "message");
    const answer = await plane.send(
      new PublishCommand({
        topic: "a/b c",
        qos: 1,
        retain: true,
        payload: Buffer.from("payload"),
        userProperties: JSON.stringify([{ k: "v" }, { k: "w" }]),
        payloadFormatIndicator: "UTF8_DATA",
        contentType: "text/plain",
        responseTopic: "r/t",
        correlationData: Buffer.from("corr").toString("base64"),
        messageExpiry: 10,
      }),
    );
    assert.equal(answer.$metadata.httpStatusCode, 200);
    const [topic, payload, packet] = await heard;
    assert.deepEqual([topic, payload.toString(), packet.qos, packet.retain], ["a/b c", "payload", 1, true]);
    const { properties } = packet;
    assert.deepEqual({ ...properties.userProperties }, { k: ["v", "w"] });
    assert.equal(properties.payloadFormatIndicator, true);
    assert.equal(properties.contentType, "text/plain");
    assert.equal(properties.responseTopic, "r/t");
    assert.equal(properties.correlationData.toString(), "corr");
    assert.ok(properties.messageExpiryInterval > 0 && properties.messageExpiryInterval <= 10);
    const kept = await plane.send(new GetRetainedMessageCommand({ topic: "a/b c" }));
    assert.equal(Buffer.from(kept.payload).toString(), "payload");
  });

  test("C52: errors have their types", TIMEOUT, async () => {
    await assert.rejects(plane.send(new GetRetainedMessageCommand({ topic: "never" })), {
      name: "ResourceNotFoundException",
    });
  });

  test("C56: an old version is a conflict", TIMEOUT, async () => {
    const update = (fields) =>
      plane.send(
        new UpdateThingShadowCommand({
          thingName: "js",
          payload: Buffer.from(JSON.stringify({ state: { desired: { n: 1 } }, ...fields })),
        }),
      );
    const { payload } = await update({});
    assert.equal(JSON.parse(Buffer.from(payload).toString()).version, 1);
    await assert.rejects(update({ version: 9 }), { name: "ConflictException" });
  });
});
