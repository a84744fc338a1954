// The application under test, in JavaScript. handlers.py says the same in Python.
//
// Tests choose what happens: by the token, by the query of the upgrade, and by what a message holds. Every event is
// written down as it came, so that tests can look at it.

import { appendFileSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";

const ROUTE = /\/[^/]*$/;

function record(name, event, more = {}) {
  const line = JSON.stringify({ function: name, event, pid: process.pid, at: Date.now(), ...more });
  appendFileSync(process.env.CONFORMANCE_RECORDS, `${line}\n`);
}

/** Where an application posts to: `https://{domainName}/{stage}`, unless its developer names another place. */
function endpointOf({ requestContext }, isStrict) {
  const { domainName, stage } = requestContext;
  return (!isStrict && process.env.CONFORMANCE_ENDPOINT) || `https://${domainName}/${stage}`;
}

/** What became of a post: `200`, or the error's name. */
async function post(event, id, data, isStrict = false) {
  const { ApiGatewayManagementApiClient, PostToConnectionCommand } = await import(
    "@aws-sdk/client-apigatewaymanagementapi"
  );
  const client = new ApiGatewayManagementApiClient({ endpoint: endpointOf(event, isStrict), maxAttempts: 1 });
  try {
    const answer = await client.send(new PostToConnectionCommand({ ConnectionId: id, Data: Buffer.from(data) }));
    return String(answer.$metadata.httpStatusCode);
  } catch (error) {
    return `${error.name}: ${error.message}`;
  }
}

const statement = (resource, effect = "Allow", more = {}) => ({
  Action: "execute-api:Invoke",
  Effect: effect,
  Resource: resource,
  ...more,
});
const document = (...statements) => ({ Version: "2012-10-17", Statement: statements });
const policy = (...statements) => ({ principalId: "user-17", policyDocument: document(...statements) });

const CONTEXT = { tenant: "acme", level: 3, beta: true };
const AUTHORIZERS = {
  allow: (arn, wide) => ({ ...policy(statement(wide)), context: CONTEXT }),
  method: (arn) => policy(statement(arn)),
  deny: (arn) => policy(statement(arn, "Deny")),
  narrow: (arn, wide) => policy(statement(`${wide}/*`)),
  other: (arn) => policy(statement(`${arn}/other`)),
  everything: () => policy(statement("*")),
  list: (arn) => policy(statement(["arn:aws:nothing", arn], "Allow", { Action: ["EXECUTE-API:INVOKE"] })),
  question: (arn) => policy(statement(arn.replace("connect", "c?nnect"))),
  "not-action": (arn) => policy({ Effect: "Allow", NotAction: "iot:*", Resource: arn }),
  "deny-wins": (arn, wide) => policy(statement(wide), statement(arn, "Deny")),
  address: (arn) => policy(statement(arn, "Allow", { Condition: { IpAddress: { "aws:SourceIp": "127.0.0.0/8" } } })),
  "other-address": (arn) =>
    policy(statement(arn, "Allow", { Condition: { IpAddress: { "aws:SourceIp": "203.0.113.0/24" } } })),
  "unknown-condition": (arn) => policy(statement(arn, "Allow", { Condition: { Moon: { "aws:Phase": "full" } } })),
  unauthorized: () => {
    throw new Error("Unauthorized");
  },
  throw: () => {
    throw new Error("the database is away");
  },
  null: () => null,
  text: () => "yes",
  number: () => 1,
  "no-policy": () => ({ principalId: "user-17" }),
  "no-statement": () => ({ principalId: "user-17", policyDocument: { Version: "2012-10-17" } }),
  "object-context": (arn) => ({ ...policy(statement(arn)), context: { who: { is: "there" } } }),
  "array-context": (arn) => ({ ...policy(statement(arn)), context: { who: [1] } }),
  "null-context": (arn) => ({ ...policy(statement(arn)), context: { who: null } }),
  "large-context": (arn) => ({ ...policy(statement(arn)), context: { who: "x".repeat(9_000) } }),
  "nobody-denied": (arn) => ({ message: "no", policyDocument: document(statement(arn, "Deny")) }),
  "nobody-allowed": (arn) => ({ policyDocument: document(statement(arn)) }),
  exit: () => process.exit(3),
  hang: () => new Promise(() => setInterval(() => {}, 1_000)),
};

export async function authorize(event) {
  record("authorize", event);
  const token = event.queryStringParameters?.token ?? "";
  const wide = event.methodArn.replace(ROUTE, "/*");
  if (token.startsWith("key:")) return { ...policy(statement(wide)), usageIdentifierKey: token.slice(4) };
  if (token.startsWith("user:")) return { ...policy(statement(wide)), principalId: token.slice(5) };
  return (AUTHORIZERS[token] ?? AUTHORIZERS.deny)(event.methodArn, wide);
}

export async function connect(event) {
  record("connect", event);
  const { connect: asked = "200", wait, protocol } = event.queryStringParameters ?? {};
  if (wait) await sleep(Number(wait));
  if (asked === "throw") throw new Error("as asked");
  if (asked === "exit") process.exit(3);
  if (asked === "hang") await sleep(60_000);
  if (asked === "post") {
    const outcome = await post(event, event.requestContext.connectionId, "too early");
    record("connect-post", event, { outcome });
    return { statusCode: 200 };
  }
  if (asked.startsWith("json:")) return JSON.parse(asked.slice(5));
  const headers = protocol ? { "Sec-WebSocket-Protocol": protocol } : undefined;
  return { statusCode: Number(asked), headers, body: `$connect says ${asked}` };
}

export async function disconnect(event) {
  const isPoster = event.requestContext.authorizer?.principalId === "poster";
  const outcome = isPoster ? await post(event, event.requestContext.connectionId, "too late") : undefined;
  record("disconnect", event, { outcome });
  return { statusCode: 200 };
}

export async function fallback(event) {
  record("default", event);
  return { statusCode: 200, body: "$default is one-way" };
}

export async function echo(event) {
  record("echo", event);
  return { statusCode: 200, headers: { "X-Not-Shown": "1" }, body: `echo ${event.body}` };
}

/** Two-way: the whole event. */
export async function show(event) {
  return { statusCode: 200, body: JSON.stringify(event) };
}

export async function quiet(event) {
  record("quiet", event);
  return { statusCode: JSON.parse(event.body).status ?? 200, body: "x" };
}

export async function boom(event) {
  record("boom", event);
  throw new Error("as asked");
}

/** Two-way: returns what the message holds under `value`. */
export async function say(event) {
  record("say", event);
  return JSON.parse(event.body).value;
}

export async function slow(event) {
  record("slow", event);
  const { ms, text } = JSON.parse(event.body);
  await sleep(ms);
  return { statusCode: 200, body: `slow ${text}` };
}

export async function exit(event) {
  record("exit", event);
  process.exit(3);
}

export async function hang(event) {
  record("hang", event);
  await new Promise(() => setInterval(() => {}, 1_000));
}

/** Prints without end. */
export async function flood(event) {
  record("flood", event);
  for (;;) {
    console.log("a line that nobody wants to read ".repeat(30));
    await sleep(0);
  }
}

export async function large(event) {
  record("large", event);
  return { statusCode: 200, body: "x".repeat(JSON.parse(event.body).bytes) };
}

/** Two-way: posts to a connection, at the address that the event names. */
export async function send(event) {
  record("send", event);
  const { to, text } = JSON.parse(event.body);
  return { statusCode: 200, body: await post(event, to ?? event.requestContext.connectionId, text, true) };
}

/** Two-way: results that subscribe. */
export async function topics(event) {
  const { subscribe, unsubscribe } = JSON.parse(event.body);
  return { statusCode: 200, subscribe, unsubscribe, body: "done" };
}

/** Called by an event bus or by nobody in particular: writes down whatever it is given. */
export async function heard(event) {
  record("heard", { requestContext: {}, given: event });
}

/** Behind templates: answers with what it was given, or fails when it was given nothing. */
export async function given(event) {
  if (event.asked === "fail") throw new Error("as asked");
  return { given: event };
}
