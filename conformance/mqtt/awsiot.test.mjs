// aws-iot-device-sdk, the first generation: SigV4 on the upgrade, with a session token.

import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import awsIot from "aws-iot-device-sdk";
import { Server } from "../lib/fanfare.mjs";

const TIMEOUT = { timeout: 30_000 };
const SECRET = "a-secret/of+the-key";
let server;
let folder;

before(async () => {
  folder = mkdtempSync(join(tmpdir(), "fanfare-awsiot-"));
  const [cert, key] = [join(folder, "cert.pem"), join(folder, "key.pem")];
  const subject = ["-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost"];
  const made = ["req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-keyout", key, "-out", cert, ...subject];
  execFileSync("openssl", made, { stdio: "ignore" });
  server = await Server.start({
    config: `
      [tls]
      cert = "${cert}"
      key = "${key}"
      [[aws.credentials]]
      access_key_id = "AKIDEXAMPLE"
      secret = "${SECRET}"
      session_token = "a/session+token=="
      allow = ["*:default/v1/#"]
    `,
  });
});
after(async () => {
  await server?.close();
  rmSync(folder, { recursive: true, force: true });
});

function device(t, more) {
  const client = awsIot.device({
    protocol: "wss",
    host: "localhost",
    port: server.port,
    region: "eu-west-1",
    clientId: `v1-${Math.random()}`,
    websocketOptions: { ca: readFileSync(join(folder, "cert.pem")) },
    accessKeyId: "AKIDEXAMPLE",
    secretKey: SECRET,
    sessionToken: "a/session+token==",
    ...more,
  });
  client.on("error", () => {});
  t.after(() => client.end(true));
  return client;
}

describe("aws-iot-device-sdk over WebSocket", () => {
  test("C41: keys and a session token connect, with the port in the signed host", TIMEOUT, async (t) => {
    const client = device(t);
    await once(client, "connect");
    const heard = once(client, "message");
    await new Promise((done, fail) => client.subscribe("v1/a", { qos: 1 }, (error) => (error ? fail(error) : done())));
    client.publish("v1/a", "signed", { qos: 1 });
    const [topic, payload] = await heard;
    assert.deepEqual([topic, payload.toString()], ["v1/a", "signed"]);
  });

  for (const [what, more] of Object.entries({
    "a wrong secret": { secretKey: "another" },
    "a wrong session token": { sessionToken: "another" },
    "an unknown key": { accessKeyId: "AKIDOTHER" },
  })) {
    test(`C43: ${what} is refused`, TIMEOUT, async (t) => {
      const refusals = () => server.log().split("a signed MQTT client was not let in").length;
      const before = refusals();
      const client = device(t, more);
      const outcome = await Promise.race([
        once(client, "connect").then(() => "connected"),
        once(client, "close").then(() => "closed"),
        new Promise((done) => client.on("error", () => done("closed"))),
      ]);
      assert.equal(outcome, "closed");
      assert.ok(refusals() > before, "it was refused for another reason");
    });
  }
});
