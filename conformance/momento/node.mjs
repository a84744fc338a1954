// Momento's SDK for Node, asked line by line: see driver.mjs.

import { createInterface } from "node:readline";
import * as sdk from "@gomomento/sdk";
import { driver } from "./driver.mjs";

// The SDK's loggers write to standard output, which is ours.
console.log = console.info = console.debug = console.trace = console.error;
const say = (what) => process.stdout.write(`${JSON.stringify(what)}\n`);

function provider({ port, key, tls }) {
  if (key === null) return sdk.CredentialProvider.forMomentoLocal({ hostname: "127.0.0.1", port });
  const here = `${tls ? "localhost" : "127.0.0.1"}:${port}`;
  const endpoints = { cacheEndpoint: here, controlEndpoint: here, tokenEndpoint: here };
  const secure = tls ? {} : { secureConnection: false };
  const given = { apiKey: key, endpointOverrides: { ...endpoints, ...secure } };
  // One with dots is of the kind that names its endpoints itself.
  return key.includes(".") ? sdk.CredentialProvider.fromString(given) : sdk.CredentialProvider.fromDisposableToken(given);
}

const quiet = new sdk.NoopMomentoLoggerFactory();
const configuration = {
  topics: sdk.TopicConfigurations.Default.latest(quiet),
  caches: sdk.Configurations.Laptop.latest(quiet),
};
const act = driver(sdk, { provider, configuration, tell: say });

for await (const line of createInterface({ input: process.stdin })) {
  const asked = JSON.parse(line);
  // Not awaited: commands may overtake one another, as calls of an application do.
  act(asked).then((outcome) => say({ answer: asked.number, ...outcome }));
}
process.exit(0);
