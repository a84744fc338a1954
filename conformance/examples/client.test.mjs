// The client of examples/notifier beside a server that fails in many ways: it always comes back, and never twice.

import assert from "node:assert/strict";
import { once } from "node:events";
import { after, before, beforeEach, test } from "node:test";
import { WebSocket, WebSocketServer } from "ws";
import { keepConnected } from "../../examples/notifier/web/client.js";
import { waitUntil } from "../lib/fanfare.mjs";

// `most` is how many sockets of the client there were at the same time.
let server, url, isRefusing, attempts, sockets, most;

/** As in browsers, where errors that nobody listens to go unheard. */
class BrowserWebSocket extends WebSocket {
  constructor(address) {
    super(address);
    this.on("error", () => {});
    sockets.push(this);
    most = Math.max(most, sockets.filter((socket) => socket.readyState !== WebSocket.CLOSED).length);
  }
}

const TIMEOUT = { timeout: 20_000 };


before(async () => {
  globalThis.WebSocket = BrowserWebSocket;
  const verifyClient = () => {
    attempts += 1;
    return !isRefusing;
  };
  server = new WebSocketServer({ port: 0, host: "127.0.0.1", verifyClient });
  await once(server, "listening");
  url = `ws://127.0.0.1:${server.address().port}/`;
  server.on("connection", (socket) => {
    socket.on("message", (data) => socket.send(JSON.stringify({ answer: JSON.parse(data).action })));
  });
});

after(() => server.close());

beforeEach(() => {
  isRefusing = false;
  attempts = most = 0;
  sockets = [];
});

/** A client, what it has heard, and its states one after the other. */
function start(t, { getUrl = async () => url } = {}) {
  const ended = new AbortController();
  const client = { heard: [], states: [], end: () => ended.abort() };
  const onMessage = (message) => client.heard.push(message);
  const onState = (state) => client.states.push(state);
  client.done = keepConnected({ getUrl, onMessage, onState, signal: ended.signal, firstDelayMs: 5 });
  t.after(() => client.end());
  return client;
}

function opened(client, times) {
  const count = () => client.states.filter((state) => state === "open").length;
  return waitUntil(() => count() === times, `connection ${times}`);
}

test("says who it is, and hands on what comes", TIMEOUT, async (t) => {
  const client = start(t);
  await waitUntil(() => client.heard.length === 1, "the answer");
  assert.deepEqual(client.heard, [{ answer: "whoami" }]);
  assert.deepEqual(client.states, ["connecting", "open"]);
});

test("every loss is followed by one connection", TIMEOUT, async (t) => {
  const client = start(t);
  for (let times = 1; times <= 8; times += 1) {
    await opened(client, times);
    await waitUntil(() => server.clients.size === 1, "the server's side");
    const [socket] = server.clients;
    if (times % 2) socket.terminate();
    else socket.close(1001);
  }
  await opened(client, 9);
  assert.deepEqual([attempts, most], [9, 1]);
});

test("refusals and failing logins are followed by one attempt each", TIMEOUT, async (t) => {
  let logins = 0;
  const getUrl = async () => {
    logins += 1;
    if (logins % 2) throw new Error("signed out");
    return url;
  };
  isRefusing = true;
  const client = start(t, { getUrl });
  await waitUntil(() => attempts === 3, "three refusals");
  isRefusing = false;
  await opened(client, 1);
  assert.deepEqual([logins, attempts, most], [8, 4, 1]);
  const expected = Array.from({ length: 7 }, () => ["connecting", "waiting"]).flat();
  assert.deepEqual(client.states, [...expected, "connecting", "open"]);
});

test("whoever ends it while it asks for an address gets no connection", TIMEOUT, async (t) => {
  let answer;
  const client = start(t, { getUrl: () => new Promise((done) => (answer = done)) });
  client.end();
  answer(url);
  await client.done;
  assert.deepEqual([attempts, client.states], [0, ["connecting"]]);
});

test("an end is an end", TIMEOUT, async (t) => {
  const client = start(t);
  await opened(client, 1);
  client.end();
  await client.done;
  await waitUntil(() => server.clients.size === 0, "the close");
  assert.deepEqual([attempts, client.states], [1, ["connecting", "open"]]);
});
