// Chromium for tests in Python (chromium.py). Reads calls from standard input, a line of JSON each, and answers in order:
// {"page": 1, "call": ["fill", "#name", "ada"]} -> {"value": ...} or {"error": "..."}. A number that is new opens a page.

import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { chromium } from "playwright-core";

const FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking"];
FLAGS.push("--disable-component-update", "--disable-sync");
const WAIT_MS = 30_000;

const profile = mkdtempSync(join(tmpdir(), "fanfare-chromium-"));
const executablePath = process.env.CHROMIUM ?? "/usr/bin/chromium";
const context = await chromium.launchPersistentContext(profile, { executablePath, headless: true, args: FLAGS });
const pages = new Map();

async function pageOf(number) {
  if (!pages.has(number)) {
    const page = await context.newPage();
    page.setDefaultTimeout(WAIT_MS);
    page.mistakes = [];
    page.on("pageerror", (error) => page.mistakes.push(String(error)));
    page.allTextContents = (selector) => page.locator(selector).allTextContents();
    page.allMistakes = () => page.mistakes;
    pages.set(number, page);
  }
  return pages.get(number);
}

for await (const line of createInterface({ input: process.stdin })) {
  const { page: number, call } = JSON.parse(line);
  let answer;
  try {
    const [method, ...args] = call;
    const value = await (await pageOf(number))[method](...args);
    const isPlain = typeof value !== "object" || Array.isArray(value);
    answer = { value: isPlain ? value : null };
  } catch (error) {
    answer = { error: String(error) };
  }
  process.stdout.write(`${JSON.stringify(answer)}\n`);
}
await context.close();
rmSync(profile, { recursive: true, force: true });
