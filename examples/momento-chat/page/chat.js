// The chat: browsers talk to each other through a topic, and nothing of ours is in between.

import { CredentialProvider, MomentoErrorCode, TopicClient, TopicConfigurations } from '@gomomento/sdk-web'

const [enter, say, state, messages] = ['enter', 'say', 'state', 'messages'].map((id) => document.getElementById(id))
// Tests and curious people may try from the console what a token does not allow.
const chat = (window.chat = { topicClient: null })

/** A client with a token of its own, that the server made for `name`. */
async function connect(name) {
  const response = await fetch(`/token?${new URLSearchParams({ name })}`)
  const { token, gateway, error } = await response.json()
  if (!response.ok) throw new Error(error)
  const here = { cacheEndpoint: gateway, controlEndpoint: gateway, tokenEndpoint: gateway }
  return new TopicClient({
    configuration: TopicConfigurations.Browser.latest(),
    credentialProvider: CredentialProvider.fromDisposableToken({ apiKey: token, endpointOverrides: here }),
  })
}

async function follow(name) {
  const topicClient = (chat.topicClient = await connect(name))
  const subscription = await topicClient.subscribe('websocket', 'mychannel', {
    onItem: (data) => show(data.tokenId(), JSON.parse(data.valueString()).detail),
    onError: (error) => {
      // The token is over: with a fresh one it goes on.
      if (error.errorCode() === MomentoErrorCode.AUTHENTICATION_ERROR) follow(name).catch(complain)
      else complain(error)
    },
  })
  if (!subscription.unsubscribe) throw subscription
  state.textContent = name ? `You are ${name}.` : 'You read along.'
}

async function publish(detail) {
  const published = await chat.topicClient.publish('websocket', 'mychannel', JSON.stringify({ detail }))
  if (published.errorCode) throw published
}

/** Who it is from is what the publisher's token says; nobody can pretend to be another. */
function show(publisher, text) {
  const line = document.createElement('li')
  const author = document.createElement('b')
  author.textContent = publisher
  line.append(author, text)
  messages.append(line)
}

function complain(error) {
  state.textContent = `That did not work: ${error}`
}

enter.onsubmit = (event) => {
  event.preventDefault()
  const name = enter.elements.name.value.trim()
  enter.hidden = true
  say.hidden = !name
  follow(name).catch(complain)
}

say.onsubmit = (event) => {
  event.preventDefault()
  const { text } = say.elements
  publish(text.value).then(() => (text.value = ''), complain)
}
