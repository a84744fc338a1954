// The bundle of page.mjs in jsdom, asked line by line. The first argument is the bundle, the second the page's address.

import { readFileSync } from "node:fs";
import { createInterface } from "node:readline";
import { JSDOM, VirtualConsole } from "jsdom";

const [, , bundle, url] = process.argv;
// Connections that fail are what tests are about; jsdom would tell of each.
const { window } = new JSDOM("<!doctype html>", { url, runScripts: "outside-only", virtualConsole: new VirtualConsole() });
Object.assign(window, { TextEncoder, TextDecoder, Uint8Array });
window.eval(readFileSync(bundle, "utf8"));

for await (const line of createInterface({ input: process.stdin })) {
  window.ask(line).then((answer) => {
    const { outcome, told } = JSON.parse(answer);
    for (const event of told) process.stdout.write(`${JSON.stringify(event)}\n`);
    process.stdout.write(`${JSON.stringify({ answer: JSON.parse(line).number, ...outcome })}\n`);
  });
}
process.exit(0);
