// `EventSource` as the npm package `eventsource` has it, across a crash of the server.

import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { EventSource } from 'eventsource'

let folder
let server
let port = 0

async function start() {
  const args = ['serve', '--data', join(folder, 'data'), '--listen', `127.0.0.1:${port}`, '--mqtt-listen', '127.0.0.1:0']
  server = spawn(process.env.FANFARE, args, { cwd: folder, stdio: ['ignore', 'pipe', 'inherit'] })
  let page = ''
  for await (const chunk of server.stdout) {
    page += chunk
    const found = / listens on 127\.0\.0\.1:(\d+),.*\n/.exec(page)
    if (found) {
      port = Number(found[1])
      break
    }
  }
  assert.ok(port, 'the server tells its port')
}

async function kill() {
  const ended = once(server, 'exit')
  server.kill('SIGKILL')
  await ended
}

const url = (path) => `http://127.0.0.1:${port}${path}`

async function publish(text) {
  const answer = await fetch(url('/v1/publish?topic=room'), { method: 'POST', body: text })
  assert.equal(answer.status, 200)
}

/** An event source that keeps its messages; `reach(n)` waits until there are n. */
function listen(query) {
  const source = new EventSource(url(`/v1/sse?${query}`))
  const seen = []
  const ready = []
  let wake = () => {}
  source.addEventListener('message', (event) => {
    seen.push({ id: event.lastEventId, ...JSON.parse(event.data) })
    wake()
  })
  source.addEventListener('ready', (event) => {
    ready.push(JSON.parse(event.data))
    wake()
  })
  const until = async (condition) => {
    const deadline = Date.now() + 30_000
    while (!condition()) {
      assert.ok(Date.now() < deadline, `not in time: ${seen.length} messages, ${ready.length} beginnings`)
      await Promise.race([new Promise((resolve) => (wake = resolve)), new Promise((resolve) => setTimeout(resolve, 100))])
    }
  }
  return { source, seen, ready, until }
}

const numbers = (from, to) => Array.from({ length: to - from }, (_, index) => String(from + index))

before(async () => {
  folder = await mkdtemp(join(tmpdir(), 'fanfare-'))
  await start()
})

after(async () => {
  await kill()
  await rm(folder, { recursive: true, force: true })
})

test('messages arrive with their place', async () => {
  const { source, seen, ready, until } = listen('topic=room')
  await until(() => ready.length === 1)
  for (const text of numbers(0, 5)) await publish(text)
  await until(() => seen.length === 5)
  source.close()
  assert.deepEqual(seen.map((message) => message.text), numbers(0, 5))
  assert.ok(seen.every((message) => message.id === message.position && message.topic === 'room'))
})

test('nothing is missed across a crash', async () => {
  const { source, seen, ready, until } = listen('topic=room&since=all')
  await until(() => seen.length === 5)
  for (const text of numbers(5, 10)) await publish(text)
  await until(() => seen.length === 10)
  await kill()
  await start()
  // Before the source is back, which waits for its `retry`.
  for (const text of numbers(10, 20)) await publish(text)
  await until(() => ready.length === 2)
  for (const text of numbers(20, 25)) await publish(text)
  await until(() => seen.length >= 25)
  source.close()
  assert.deepEqual(ready.map((event) => event.recovered), [true, true])
  assert.deepEqual(seen.map((message) => message.text), numbers(0, 25))
})

test('what is refused for good is not tried again', async () => {
  const source = new EventSource(url('/v1/sse?topic='))
  const event = await new Promise((resolve) => source.addEventListener('error', resolve))
  assert.equal(event.code, 400)
  assert.equal(source.readyState, source.CLOSED)
})
