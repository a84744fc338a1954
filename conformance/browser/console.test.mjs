// The page at /console/ in Chromium, beside every other way to speak to the server.

import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { after, before, test } from "node:test";
import { fileURLToPath } from "node:url";
import { chromium } from "playwright-core";
import { Server, binary, waitUntil } from "../lib/fanfare.mjs";

const TIMEOUT = { timeout: 90_000 };
const WORK = fileURLToPath(new URL("../.work/", import.meta.url));
const FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking"];
FLAGS.push("--disable-component-update", "--disable-sync");

let context, profile;

before(async () => {
  mkdirSync(WORK, { recursive: true });
  profile = mkdtempSync(join(tmpdir(), "fanfare-chromium-"));
  const executablePath = process.env.CHROMIUM ?? "/usr/bin/chromium";
  context = await chromium.launchPersistentContext(profile, { executablePath, headless: true, args: FLAGS });
});

after(async () => {
  await context?.close();
  if (profile) rmSync(profile, { recursive: true, force: true });
});

async function start(t, options) {
  const server = await Server.start(options);
  t.after(() => server.close());
  return server;
}

/** An open console. `complaints` is what the page's console said and what it asked of others. */
async function open(t, server) {
  const page = await context.newPage();
  t.after(() => page.close());
  page.setDefaultTimeout(20_000);
  page.complaints = [];
  const host = new URL(server.url).host;
  page.on("console", (line) => {
    if (["error", "warning"].includes(line.type())) page.complaints.push(line.text());
  });
  page.on("pageerror", (error) => page.complaints.push(String(error)));
  const check = (url) => {
    if (/^(https?|wss?):/.test(url) && new URL(url).host !== host) page.complaints.push(`a request to ${url}`);
  };
  page.on("request", (request) => check(request.url()));
  page.on("websocket", (socket) => check(socket.url()));
  await page.goto(`${server.url}/console/`);
  await isOpen(page);
  return page;
}

function isOpen(page, state = "open", ms = 20_000) {
  return page.locator(`#state[data-state="${state}"]`).waitFor({ timeout: ms });
}

/** Subscribes and returns once the server has answered. */
async function subscribe(page, server, topic, { fromBeginning = false } = {}) {
  const before = await operations(server);
  await page.fill("#topic", topic);
  await page.setChecked("#since", fromBeginning);
  await page.click("#subscribe");
  await waitUntil(async () => (await operations(server)) > before, "the page's subscription");
}

async function publish(page, payload) {
  await page.fill("#payload", payload);
  await page.click("#publish");
}

/** The payloads that the page shows, oldest first. */
async function shown(page) {
  return (await page.locator("#messages .payload").allTextContents()).reverse();
}

async function shows(page, expected) {
  let last;
  const arrived = async () => (last = await shown(page)).length >= expected.length;
  await waitUntil(arrived, `${JSON.stringify(expected)} on the page`, 30_000).catch((error) => {
    throw new Error(`${error.message}; it shows ${JSON.stringify(last)}`);
  });
  assert.deepEqual(await shown(page), expected);
}

function calm(page) {
  assert.deepEqual(page.complaints, []);
}

/** How many control operations, such as subscribes, the server has done. */
async function operations(server) {
  const text = await (await fetch(`${server.url}/metrics`)).text();
  const lines = text.split("\n").filter((line) => line.startsWith("fanfare_operations_total"));
  return lines.reduce((sum, line) => sum + Number(line.split(" ").at(-1)), 0);
}

/** A command whose lines queue up. */
function run(t, command, ...args) {
  const child = spawn(command, args.map(String), { stdio: ["ignore", "pipe", "pipe"] });
  t.after(() => child.kill("SIGKILL"));
  const lines = [];
  let errors = "";
  child.stderr.on("data", (text) => (errors += text));
  createInterface({ input: child.stdout }).on("line", (line) => lines.push(line));
  const ended = new Promise((done) => child.once("close", (code) => done({ code, errors })));
  return { lines, ended };
}

async function done(t, command, ...args) {
  const { lines, ended } = run(t, command, ...args);
  const { code, errors } = await ended;
  assert.equal(code, 0, `${command} ${args.join(" ")}: ${errors}`);
  return lines;
}

function pub(t, server, topic, payload) {
  return done(t, binary(), "pub", topic, payload, "--url", server.url);
}

test("subscribe and publish on the page", TIMEOUT, async (t) => {
  const server = await start(t);
  const page = await open(t, server);
  assert.equal(await page.title(), "Fanfare");
  await subscribe(page, server, "room");
  await publish(page, "hello");
  await shows(page, ["hello"]);
  await publish(page, '{"a": [1, true]}');
  await shows(page, ["hello", '{"a":[1,true]}']);
  await publish(page, "<img src=x onerror=alert(1)>");
  await shows(page, ["hello", '{"a":[1,true]}', "<img src=x onerror=alert(1)>"]);
  const history = await (await fetch(`${server.url}/v1/topics/room/history`)).json();
  assert.deepEqual(history.messages.map((message) => message.data ?? message.text).slice(0, 2), ["hello", { a: [1, true] }]);
  await subscribe(page, server, "elsewhere");
  await pub(t, server, "room", "unheard");
  await pub(t, server, "elsewhere", "heard");
  await waitUntil(async () => (await shown(page)).length === 4, "the message of the other topic");
  assert.equal((await shown(page)).at(-1), "heard");
  await page.screenshot({ path: join(WORK, "console.png"), fullPage: true });
  calm(page);
});

test("history from the beginning", TIMEOUT, async (t) => {
  const server = await start(t);
  const texts = Array.from({ length: 150 }, (_, number) => `kept ${number}`);
  const body = JSON.stringify({ messages: texts.map((text) => ({ topic: "log", text })) });
  assert.equal((await fetch(`${server.url}/v1/publish`, { method: "POST", body })).status, 200);
  const page = await open(t, server);
  await subscribe(page, server, "log", { fromBeginning: true });
  await shows(page, texts);
  await pub(t, server, "log", "live");
  await shows(page, [...texts, "live"]);
  calm(page);
});

test("two pages hear each other", TIMEOUT, async (t) => {
  const server = await start(t);
  const [one, two] = [await open(t, server), await open(t, server)];
  await subscribe(one, server, "pair");
  await subscribe(two, server, "pair");
  await publish(one, "from one");
  await shows(two, ["from one"]);
  await publish(two, "from two");
  await shows(one, ["from one", "from two"]);
  await shows(two, ["from one", "from two"]);
  calm(one);
  calm(two);
});

test("one topic, many ways: each hears the others", TIMEOUT, async (t) => {
  const server = await start(t);
  const page = await open(t, server);
  await subscribe(page, server, "hub");
  const events = run(t, "curl", "-sSN", `${server.url}/v1/sse?topic=hub`);
  await waitUntil(() => events.lines.includes("event: ready"), "the stream of events");
  const already = await operations(server);
  const native = run(t, binary(), "sub", "hub", "--url", server.url);
  const mosquitto = run(t, "mosquitto_sub", "-h", "127.0.0.1", "-p", server.mqttPort, "-t", "hub");
  const onePort = run(t, "mosquitto_sub", "-h", "127.0.0.1", "-p", server.port, "-t", "hub");
  await waitUntil(async () => (await operations(server)) >= already + 3, "the subscriptions");
  const poll = async (query) => {
    const [text] = await done(t, "curl", "-sS", "--fail", `${server.url}/v1/poll?topic=hub&${query}`);
    return JSON.parse(text);
  };
  let { cursor } = await poll("wait=0");
  const polled = [];

  const ways = {
    page: (text) => publish(page, text),
    "fanfare pub": (text) => pub(t, server, "hub", text),
    curl: (text) => done(t, "curl", "-sS", "--fail", "-d", text, `${server.url}/v1/publish?topic=hub`),
    mosquitto: (text) => done(t, "mosquitto_pub", "-h", "127.0.0.1", "-p", server.mqttPort, "-t", "hub", "-m", text),
    "mosquitto on the one port": (text) =>
      done(t, "mosquitto_pub", "-h", "127.0.0.1", "-p", server.port, "-t", "hub", "-m", text),
  };
  const sent = [];
  for (const [name, send] of Object.entries(ways)) {
    sent.push(`from ${name}`);
    const answer = poll(`since=${cursor}&wait=20`);
    await send(`from ${name}`);
    await shows(page, sent);
    const { messages, cursor: next } = await answer;
    polled.push(...messages.map((message) => message.text));
    cursor = next;
  }
  const heard = () => events.lines.filter((line) => line.startsWith("data: ")).map((line) => JSON.parse(line.slice(6)).text);
  for (const [name, lines] of Object.entries({
    "fanfare sub": () => native.lines,
    mosquitto: () => mosquitto.lines,
    "mosquitto on the one port": () => onePort.lines,
    events: () => heard().filter((text) => text !== undefined),
    poll: () => polled,
  })) {
    await waitUntil(() => lines().length >= sent.length, name);
    assert.deepEqual(lines(), sent, name);
  }
  await page.screenshot({ path: join(WORK, "console-hub.png"), fullPage: true });
  calm(page);
});

test("after a crash the page comes back and misses nothing", TIMEOUT, async (t) => {
  const server = await start(t, { env: { FANFARE_LIMITS__RECONNECT_SPREAD_MS: "500" } });
  const page = await open(t, server);
  await subscribe(page, server, "crash");
  await pub(t, server, "crash", "before");
  await shows(page, ["before"]);
  await server.kill();
  await page.locator('#state:not([data-state="open"])').waitFor();
  calm(page);
  await server.start();
  const texts = ["while away 1", "while away 2", "while away 3"];
  for (const text of texts) await pub(t, server, "crash", text);
  await isOpen(page, "open", 40_000);
  await shows(page, ["before", ...texts]);
  await pub(t, server, "crash", "after");
  await publish(page, "from the page");
  await shows(page, ["before", ...texts, "after", "from the page"]);
  // That nobody answered for a while is said by the browser, not by the page.
  const others = page.complaints.filter((line) => !/^WebSocket connection to .* failed/.test(line));
  assert.deepEqual(others, []);
  await page.screenshot({ path: join(WORK, "console-crash.png"), fullPage: true });
});

test("a message sent while the server is away arrives once", TIMEOUT, async (t) => {
  const server = await start(t, { env: { FANFARE_LIMITS__RECONNECT_SPREAD_MS: "500" } });
  const page = await open(t, server);
  await subscribe(page, server, "queued");
  await server.kill();
  await page.locator('#state:not([data-state="open"])').waitFor();
  await publish(page, "patient");
  await server.start();
  await shows(page, ["patient"]);
  const history = await (await fetch(`${server.url}/v1/topics/queued/history`)).json();
  assert.deepEqual(history.messages.map((message) => message.text), ["patient"]);
});

test("tokens", TIMEOUT, async (t) => {
  const config = "[auth]\nkeys = [{id = 'main', secret = 'a secret of thirty-two bytes or more'}]\n";
  const server = await start(t, { config });
  const rules = ["--allow", "subscribe:default/room", "--allow", "publish:default/room"];
  const [token] = await done(t, binary(), "token", "--config", server.config, "--sub", "ada", ...rules);
  const page = await context.newPage();
  t.after(() => page.close());
  await page.goto(`${server.url}/console/`);
  await page.fill("#topic", "room");
  await page.fill("#token", "wrong");
  await page.click("#subscribe");
  await isOpen(page, "refused");
  await page.fill("#token", token);
  await page.click("#subscribe");
  await isOpen(page);
  await publish(page, "as ada");
  await shows(page, ["as ada"]);
  assert.match(await page.locator("#messages .topic").first().textContent(), /^room from ada/);
});
