// Every scene through the AI SDK: node ui.mjs ai6 scenes|refused
import { createRequire } from 'node:module'
import { chatState } from './chat_state.mjs'
const [, , alias, act] = process.argv
const { AbstractChat, DefaultChatTransport, readUIMessageStream } = await import(alias)
const { version } = createRequire(import.meta.url)(`./node_modules/${alias}/package.json`)

const api = `${process.env.BASE_URL}/v1/ui/chat`
const headers = { 'X-API-Key': process.env.API_KEY }
const transport = new DefaultChatTransport({ api, headers, body: { theme: 'dark' } })
const user = (text) => ({ id: `u-${text}`, role: 'user', parts: [{ type: 'text', text }] })
const text = (message) =>
  message?.parts.filter((part) => part.type === 'text').map((part) => part.text).join('|')

const send = (chatId, content, abortSignal) =>
  transport.sendMessages({
    trigger: 'submit-message',
    chatId,
    messages: [user(content)],
    messageId: undefined,
    abortSignal,
  })

async function read(stream) {
  const shown = { errors: [] }
  const onError = (error) => shown.errors.push(error.message)
  for await (const message of readUIMessageStream({ stream, onError })) shown.message = message
  shown.text = text(shown.message)
  return shown
}

// What useChat is, without React
class Chat extends AbstractChat {
  constructor(options) {
    super({ state: chatState(), transport, ...options })
  }
}

async function chat() {
  const toolCalls = []
  const errors = []
  const chat = new Chat({
    id: 'chat class',
    onToolCall: ({ toolCall }) => toolCalls.push(toolCall),
    onError: (error) => errors.push(error.message),
    sendAutomaticallyWhen: ({ messages }) =>
      messages.at(-1).parts.some((part) => 'toolCallId' in part && !part.providerExecuted),
  })
  await chat.sendMessage({ text: 'tools chat' })
  await chat.sendMessage({ text: 'fail chat' })
  const failed = chat.status
  await chat.regenerate()
  return { toolCalls, errors, failed, roles: chat.messages.map((message) => message.role) }
}

// A tab that closes in mid-answer, and one that comes back
async function resume() {
  const tab = new AbortController()
  const before = await new Promise(async (resolve) => {
    const stream = await send('resumed', 'hold resume', tab.signal)
    for await (const message of readUIMessageStream({ stream })) {
      if (text(message)) return resolve(text(message))
    }
  })
  tab.abort()
  const stream = await transport.reconnectToStream({ chatId: 'resumed' })
  const after = await read(stream)
  return {
    before,
    after: after.text,
    id: after.message.id,
    then: await transport.reconnectToStream({ chatId: 'resumed' }),
  }
}

async function stop() {
  const chat = new Chat({ id: 'stopped' })
  const answer = chat.sendMessage({ text: 'wait stop' })
  while (text(chat.messages.at(-1)) !== 'Hel') await new Promise((go) => setTimeout(go, 5))
  await chat.stop()
  const reply = await fetch(`${api}/stopped/cancel`, { method: 'POST', headers })
  await answer
  return {
    text: text(chat.messages.at(-1)),
    status: chat.status,
    run: (await reply.json()).status,
    then: await transport.reconnectToStream({ chatId: 'stopped' }),
  }
}

// Another tab sees that the run was stopped
async function stopped() {
  const stream = await send('watched', 'wait watched')
  const parts = []
  for await (const part of stream) {
    parts.push(part.type)
    if (part.type === 'text-delta') await fetch(`${api}/watched/cancel`, { method: 'POST', headers })
  }
  return parts
}

async function refused() {
  try {
    await send('refused', 'hello refused')
  } catch (error) {
    return { status: error.statusCode ?? null, problem: JSON.parse(error.responseBody ?? error.message) }
  }
}

const acts = {
  scenes: async () => ({
    hello: await read(await send('1', 'hello ui')),
    tools: await read(await send('2', 'tools')),
    fail: await read(await send('3', 'fail ui')),
    chat: await chat(),
    resume: await resume(),
    stop: await stop(),
    stopped: await stopped(),
  }),
  refused: async () => ({ refused: await refused(), then: await refused() }),
}
console.log(JSON.stringify({ version, ...(await acts[act]()) }))
