// Calls a Lambda handler: a client of the Runtime API without any package. One connection to one process, and one
// request after the other, so that the protocol fits on a page.
import { readFileSync, statSync } from 'node:fs';
import { connect } from 'node:net';
import { basename, dirname, join, resolve } from 'node:path';
import { pathToFileURL } from 'node:url';
import { format } from 'node:util';

const env = process.env;
const [host, port] = env.AWS_LAMBDA_RUNTIME_API.split(':');
const root = env.LAMBDA_TASK_ROOT;
const BASE = '/2018-06-01/runtime';

let current = null; // The call that runs.
let isReady = false;
let isDying = false;

// --- the Runtime API ---

const socket = connect({ host, port: Number(port), noDelay: true });
let received = Buffer.alloc(0);
let waiting = null;
socket.on('error', () => process.exit(1));
socket.on('close', () => process.exit(1)); // The host is gone.
socket.on('data', (chunk) => {
  received = received.length === 0 ? chunk : Buffer.concat([received, chunk]);
  const response = parse();
  if (response && waiting) {
    const answer = waiting;
    waiting = null;
    answer(response);
  }
});

let headEnd = -1;
let bodyStart = 0;
let headers = {};

// The response, if it is complete. Large ones come in many chunks; their head is read once.
function parse() {
  if (headEnd < 0) {
    headEnd = received.indexOf('\r\n\r\n');
    if (headEnd < 0) return null;
    headers = { status: received.latin1Slice(9, 12) };
    for (const line of received.latin1Slice(0, headEnd).split('\r\n').slice(1)) {
      const colon = line.indexOf(':');
      headers[line.slice(0, colon).toLowerCase()] = line.slice(colon + 1).trim();
    }
    bodyStart = headEnd + 4;
  }
  const end = bodyStart + Number(headers['content-length'] ?? 0);
  if (received.length < end) return null;
  const response = { headers, body: received.utf8Slice(bodyStart, end) };
  received = received.subarray(end);
  headEnd = -1;
  return response;
}

function request(method, path, body, extra = '') {
  const payload = Buffer.from(body ?? '');
  const head = `${method} ${BASE}${path} HTTP/1.1\r\nHost: ${host}:${port}\r\n${extra}Content-Length: ${payload.length}\r\n\r\n`;
  socket.ref();
  const answered = new Promise((done) => { waiting = done; });
  socket.write(payload.length === 0 ? head : Buffer.concat([Buffer.from(head), payload]));
  return answered;
}

// --- errors ---

function shape(error) {
  if (error instanceof Error || (error && typeof error === 'object' && 'message' in error && 'stack' in error)) {
    return {
      errorType: String(error.name ?? 'Error'),
      errorMessage: String(error.message ?? ''),
      trace: String(error.stack ?? '').split('\n'),
    };
  }
  return { errorType: typeof error, errorMessage: String(error), trace: [] };
}

function text(error) {
  try {
    return JSON.stringify(shape(error));
  } catch {
    return '{"errorType":"Error","errorMessage":"the error cannot be written as JSON","trace":[]}';
  }
}

function fail(error) {
  const body = text(error);
  log('ERROR', ['Invoke Error', body]);
  return report(`/invocation/${current.id}/error`, body);
}

function report(path, body) {
  let type = 'Error';
  try {
    type = JSON.parse(body).errorType;
  } catch { /* Said above. */ }
  const name = String(type).replace(/[^\x21-\x7e]/g, '_').slice(0, 200);
  return request('POST', path, body, `Lambda-Runtime-Function-Error-Type: ${name}\r\n`);
}

// Nothing is known of the process's state any longer: the call that runs fails, and the process ends.
async function die(kind, error, code) {
  if (isDying) return;
  isDying = true;
  const body = text(error);
  log('ERROR', [kind, body]);
  setTimeout(() => process.exit(code), 1_000).unref();
  const call = current;
  if (call && !call.isAnswered) {
    call.isAnswered = true;
    await report(`/invocation/${call.id}/error`, body);
  } else if (!isReady) {
    await report('/init/error', body);
  }
  process.exit(code);
}

process.on('uncaughtException', (error) => die('Uncaught Exception', error, 129));
process.on('unhandledRejection', (reason) => {
  const error = new Error(reason instanceof Error ? `${reason.name}: ${reason.message}` : String(reason));
  error.name = 'Runtime.UnhandledPromiseRejection';
  if (reason instanceof Error) error.stack = reason.stack;
  die('Unhandled Promise Rejection', error, 128);
});

// --- logs ---

function log(level, values) {
  // One line for each message: the host puts the ends of lines back.
  const message = format(...values).replace(/\n/g, '\r');
  process.stdout.write(`${new Date().toISOString()}\t${current?.id ?? 'undefined'}\t${level}\t${message}\n`);
}

for (const [name, level] of Object.entries({
  log: 'INFO', info: 'INFO', debug: 'DEBUG', warn: 'WARN', error: 'ERROR', trace: 'TRACE',
})) {
  console[name] = (...values) => log(level, values);
}

// --- the handler ---

function named(name, message) {
  return Object.assign(new Error(message), { name });
}

async function load(handler) {
  const file = basename(handler);
  const dot = file.indexOf('.');
  if (dot < 1 || dot === file.length - 1 || handler.includes('..')) {
    throw named('Runtime.MalformedHandlerName', `Bad handler ${handler}; it is like path/file.export`);
  }
  const stem = resolve(root, dirname(handler), file.slice(0, dot));
  const found = ['', '.js', '.mjs', '.cjs'].map((end) => stem + end).find((path) => isFile(path));
  if (!found) throw named('Runtime.ImportModuleError', `Error: Cannot find module '${stem}'`);
  const module = await imported(found);
  const path = file.slice(dot + 1).split('.');
  const pick = (from) => path.reduce((value, key) => value?.[key], from);
  const chosen = pick(module) ?? pick(module.default);
  if (chosen === undefined) throw named('Runtime.HandlerNotFound', `${handler} is undefined or not exported`);
  if (typeof chosen !== 'function') throw named('Runtime.HandlerNotFound', `${handler} is not a function`);
  return chosen;
}

function isFile(path) {
  return statSync(path, { throwIfNoEntry: false })?.isFile() ?? false;
}

// ECMAScript modules do not look into NODE_PATH, though Lambda's do: its AWS SDK is there for both kinds.
async function lookIntoNodePath(path) {
  if (!env.NODE_PATH || !isEsm(path)) return;
  const parents = env.NODE_PATH.split(':').filter(Boolean).map((folder) => pathToFileURL(join(folder, '..', 'x.js')).href);
  const hooks = `const parents = ${JSON.stringify(parents)};
    export async function resolve(specifier, context, next) {
      try {
        return await next(specifier, context);
      } catch (error) {
        if (error?.code !== 'ERR_MODULE_NOT_FOUND' || /^([./]|[a-z]+:)/.test(specifier)) throw error;
        for (const parentURL of parents) {
          try { return await next(specifier, { ...context, parentURL }); } catch { /* The next one. */ }
        }
        throw error;
      }
    }`;
  const { register } = await import('node:module');
  register?.(`data:text/javascript,${encodeURIComponent(hooks)}`);
}

function isEsm(path) {
  if (path.endsWith('.mjs')) return true;
  if (path.endsWith('.cjs')) return false;
  for (let folder = dirname(path); ; folder = dirname(folder)) {
    const file = join(folder, 'package.json');
    if (isFile(file)) {
      try {
        return JSON.parse(readFileSync(file, 'utf8')).type === 'module';
      } catch {
        return false;
      }
    }
    if (folder === dirname(folder)) return false;
  }
}

async function imported(path) {
  try {
    await lookIntoNodePath(path);
    return await import(pathToFileURL(path).href);
  } catch (error) {
    if (error instanceof SyntaxError) {
      error.name = 'Runtime.UserCodeSyntaxError';
    } else if (error?.code === 'MODULE_NOT_FOUND' || error?.code === 'ERR_MODULE_NOT_FOUND') {
      error.name = 'Runtime.ImportModuleError';
    }
    throw error;
  }
}

// --- calls ---

function context(head) {
  const deadline = Number(head['lambda-runtime-deadline-ms']);
  const json = (value) => (value ? JSON.parse(value) : undefined);
  return {
    callbackWaitsForEmptyEventLoop: true,
    functionName: env.AWS_LAMBDA_FUNCTION_NAME,
    functionVersion: env.AWS_LAMBDA_FUNCTION_VERSION,
    memoryLimitInMB: env.AWS_LAMBDA_FUNCTION_MEMORY_SIZE,
    logGroupName: env.AWS_LAMBDA_LOG_GROUP_NAME,
    logStreamName: env.AWS_LAMBDA_LOG_STREAM_NAME,
    awsRequestId: head['lambda-runtime-aws-request-id'],
    invokedFunctionArn: head['lambda-runtime-invoked-function-arn'],
    clientContext: json(head['lambda-runtime-client-context']),
    identity: json(head['lambda-runtime-cognito-identity']),
    getRemainingTimeInMillis: () => deadline - Date.now(),
  };
}

// Settles when the call is over: by its promise, by its callback, or because nothing is left that could end it.
function run(handler, event, ctx) {
  return new Promise((succeed, reject) => {
    let kept = null; // A callback's outcome, held back until the event loop is empty.
    const settle = (outcome) => {
      process.removeListener('beforeExit', onEmpty);
      outcome();
    };
    const onEmpty = () => settle(kept ?? (() => succeed(null)));
    const callback = (error, value) => {
      const outcome = error ? () => reject(error) : () => succeed(value);
      if (kept) return;
      kept = outcome;
      if (!ctx.callbackWaitsForEmptyEventLoop) settle(outcome);
    };
    const at = (outcome) => { kept ??= outcome; settle(kept); };
    ctx.done = (error, value) => at(error ? () => reject(error) : () => succeed(value));
    ctx.succeed = (value) => at(() => succeed(value));
    ctx.fail = (error) => at(() => reject(error ?? 'handled'));
    process.on('beforeExit', onEmpty);
    try {
      const result = handler(event, ctx, callback);
      if (typeof result?.then === 'function') {
        result.then((value) => settle(() => succeed(value)), (error) => settle(() => reject(error)));
      }
    } catch (error) {
      settle(() => reject(error));
    }
  });
}

async function answer(handler, { headers: head, body }) {
  const id = head['lambda-runtime-aws-request-id'];
  const call = { id, isAnswered: false };
  current = call;
  if (head['lambda-runtime-trace-id']) env._X_AMZN_TRACE_ID = head['lambda-runtime-trace-id'];
  let result;
  try {
    // The connection alone must not keep the event loop busy: its being empty means something to a handler.
    socket.unref();
    const value = await run(handler, JSON.parse(body), context(head));
    result = JSON.stringify(value === undefined ? null : value) ?? 'null';
  } catch (error) {
    if (call.isAnswered) return;
    call.isAnswered = true;
    await fail(error);
    return;
  }
  if (call.isAnswered) return;
  call.isAnswered = true;
  await request('POST', `/invocation/${id}/response`, result, 'Content-Type: application/json\r\n');
}

async function main() {
  let handler;
  try {
    handler = await load(env._HANDLER ?? process.argv[2]);
  } catch (error) {
    await die('Init Error', error, 1);
  }
  isReady = true;
  while (!isDying) {
    current = null;
    await answer(handler, await request('GET', '/invocation/next'));
  }
}

main();
