// Serves the page, and gives everybody who asks a token for the chat: who has a name may write, others may only read.
import { readFile } from 'node:fs/promises'
import { createServer } from 'node:http'
import { AuthClient, CredentialProvider, ExpiresIn } from '@gomomento/sdk'

const { MOMENTO_API_KEY: apiKey, GATEWAY: gateway = 'localhost:8080', PORT: port = '8090' } = process.env
const here = { cacheEndpoint: gateway, controlEndpoint: gateway, tokenEndpoint: gateway, secureConnection: false }
const auth = new AuthClient({ credentialProvider: CredentialProvider.fromString({ apiKey, endpointOverrides: here }) })
const pages = { '/': ['page/index.html', 'text/html; charset=utf-8'], '/chat.js': ['.work/chat.js', 'text/javascript'] }

// For development: believes every name. Where you sign users in, take the name from the session.
async function token(name) {
  const role = name ? 'publishsubscribe' : 'subscribeonly'
  const tokenScope = { permissions: [{ role, cache: 'websocket', topic: 'mychannel' }] }
  const made = await auth.generateDisposableToken(tokenScope, ExpiresIn.minutes(30), name ? { tokenId: name } : {})
  return made.authToken ? [200, { token: made.authToken, gateway: `http://${gateway}` }] : [502, { error: `${made}` }]
}

createServer(async (request, response) => {
  const { pathname, searchParams } = new URL(request.url, 'http://localhost')
  const [file, type] = pages[pathname] ?? []
  const [status, answer] = pathname === '/token' ? await token(searchParams.get('name')) : [file ? 200 : 404, {}]
  response.writeHead(status, { 'Content-Type': type ?? 'application/json', 'Cache-Control': 'no-store' })
  response.end(file ? await readFile(new URL(file, import.meta.url)) : JSON.stringify(answer))
}).listen(port, '127.0.0.1')
