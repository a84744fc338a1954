// AWS's SDK for JavaScript and npm's aws4, asked line by line: a JSON object in, a JSON object out.
// `senders.py` is at the other end.

import { createInterface } from "node:readline";

import {
  ApiGatewayManagementApiClient,
  DeleteConnectionCommand,
  GetConnectionCommand,
  PostToConnectionCommand,
} from "@aws-sdk/client-apigatewaymanagementapi";
import aws4 from "aws4";

const COMMANDS = { post: PostToConnectionCommand, get: GetConnectionCommand, delete: DeleteConnectionCommand };

const isDate = (value) => value instanceof Date;

/** What an operation of the SDK came to: `status`, `error` (a class of the SDK where it has one), `attempts`. */
async function operate({ operation, endpoint, credentials, attempts, id, data, offset = 0 }) {
  const client = new ApiGatewayManagementApiClient({
    endpoint,
    region: "us-east-1",
    credentials,
    systemClockOffset: offset,
    ...(attempts === null ? {} : { maxAttempts: attempts }),
  });
  const input = { ConnectionId: id, ...(operation === "post" ? { Data: Buffer.from(data, "base64") } : {}) };
  try {
    const { $metadata, ...answer } = await client.send(new COMMANDS[operation](input));
    const dates = Object.entries(answer).filter(([, value]) => isDate(value));
    const known = { ...answer, ...Object.fromEntries(dates.map(([name, date]) => [name, date.getTime() / 1000])) };
    return { status: $metadata.httpStatusCode, attempts: $metadata.attempts, answer: known, dates: dates.map(([name]) => name) };
  } catch (error) {
    const { httpStatusCode: status, attempts: made } = error.$metadata ?? {};
    return { status, error: error.name, message: error.message, attempts: made };
  } finally {
    client.destroy();
  }
}

/** The headers by which aws4 signs a request. */
function sign({ host, path, method, body, credentials }) {
  const request = { host, path, method, body, service: "execute-api", region: "us-east-1" };
  return { headers: aws4.sign(request, credentials).headers };
}

for await (const line of createInterface({ input: process.stdin })) {
  const asked = JSON.parse(line);
  const answer = asked.operation === "sign" ? sign(asked) : await operate(asked);
  process.stdout.write(`${JSON.stringify(answer)}\n`);
}
