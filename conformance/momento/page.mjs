// Momento's SDK for browsers in a page: `ask(line)` answers with a line, in which are the outcome and what was told since.

import * as sdk from "@gomomento/sdk-web";
import { driver } from "./driver.mjs";

function provider({ port, key }) {
  const here = `http://127.0.0.1:${port}`;
  const endpointOverrides = { cacheEndpoint: here, controlEndpoint: here, tokenEndpoint: here };
  if (key === null) return sdk.CredentialProvider.forMomentoLocal({ endpointOverrides });
  return sdk.CredentialProvider.fromDisposableToken({ apiKey: key, endpointOverrides });
}

const told = [];
const configuration = { topics: sdk.TopicConfigurations.Browser.latest(), caches: sdk.Configurations.Browser.latest() };
const act = driver(sdk, { provider, configuration, tell: (event) => told.push(event) });

globalThis.ask = async (line) => {
  const outcome = await act(JSON.parse(line));
  return JSON.stringify({ outcome, told: told.splice(0) });
};
