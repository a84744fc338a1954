// Runs the binary named by FANFARE on free ports with its own folder, and ends it.

import { spawn } from "node:child_process";
import { closeSync, mkdtempSync, openSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";

const START_MS = 20_000;

export function binary() {
  if (!process.env.FANFARE) throw new Error("FANFARE is to name the binary to try");
  return resolve(process.env.FANFARE);
}

/** Resolves to the first true answer of `condition`, asked until the deadline. */
export async function waitUntil(condition, what, ms = 10_000) {
  const deadline = Date.now() + ms;
  for (;;) {
    const answer = await condition();
    if (answer) return answer;
    if (Date.now() > deadline) throw new Error(`${what}: not within ${ms} ms`);
    await sleep(10);
  }
}

/** A running Fanfare: `await Server.start()`, or with `{ data, config, args, env }` as in fanfare.py. */
export class Server {
  static async start(options = {}) {
    const server = new Server(options);
    await server.start();
    return server;
  }

  constructor({ data, config, args = [], env = {} }) {
    this.folder = mkdtempSync(join(tmpdir(), "fanfare-"));
    this.data = data ?? join(this.folder, "data");
    this.logPath = join(this.folder, "log");
    this.args = args;
    const kept = Object.entries(process.env).filter(([name]) => !name.startsWith("FANFARE"));
    this.env = { ...Object.fromEntries(kept), ...env };
    this.port = 0;
    this.mqttPort = 0;
    if (config !== undefined) {
      this.config = join(this.folder, "fanfare.toml");
      writeFileSync(this.config, config);
    }
  }

  get url() {
    return `http://127.0.0.1:${this.port}`;
  }

  get wsUrl() {
    return `ws://127.0.0.1:${this.port}`;
  }

  log() {
    try {
      return readFileSync(this.logPath, "utf8");
    } catch {
      return "";
    }
  }

  async start() {
    const begin = this.log().length;
    const log = openSync(this.logPath, "a");
    const args = ["serve", "--data", this.data, "--listen", `127.0.0.1:${this.port}`];
    args.push("--mqtt-listen", `127.0.0.1:${this.mqttPort}`);
    if (this.config) args.push("--config", this.config);
    const child = spawn(binary(), [...args, ...this.args], { stdio: ["ignore", log, log], env: this.env, cwd: this.folder });
    closeSync(log);
    this.process = child;
    this.ended = new Promise((done) => child.once("exit", (code, signal) => done(code ?? signal)));
    try {
      await waitUntil(() => this.#isUp(begin), "the server's start", START_MS);
    } catch (error) {
      console.error(`--- log of the server\n${this.log()}---`);
      await this.close();
      throw error;
    }
  }

  async #isUp(begin) {
    if (this.process.exitCode !== null) throw new Error(`the server ended with ${this.process.exitCode}`);
    const line = / listens on 127\.0\.0\.1:(\d+), 127\.0\.0\.1:(\d+)\n/.exec(this.log().slice(begin));
    if (!line) return false;
    [this.port, this.mqttPort] = [Number(line[1]), Number(line[2])];
    const answer = await fetch(`${this.url}/healthz`, { signal: AbortSignal.timeout(2000) }).catch(() => null);
    return answer?.status === 200;
  }

  /** As a crash: SIGKILL. */
  async kill() {
    this.process?.kill("SIGKILL");
    return this.ended;
  }

  /** As an orderly stop: SIGTERM, then waits for the end; killed after `ms`. */
  async terminate(ms = 20_000) {
    this.process.kill("SIGTERM");
    const late = setTimeout(() => this.process.kill("SIGKILL"), ms);
    const code = await this.ended;
    clearTimeout(late);
    return code;
  }

  /** Starts again on the same addresses and data; an earlier process that still runs is killed. */
  async restart() {
    await this.kill();
    await this.start();
  }

  async close() {
    await this.kill();
    rmSync(this.folder, { recursive: true, force: true });
  }
}
