// Whole conversations of a page through the AI SDK: node chats.mjs ai6
import { createRequire } from 'node:module'
import { chatState } from './chat_state.mjs'
const alias = process.argv[2]
const sdk = await import(alias)
const { version } = createRequire(import.meta.url)(`./node_modules/${alias}/package.json`)

const api = `${process.env.BASE_URL}/v1/ui/chat`
const headers = { 'X-API-Key': process.env.API_KEY }
const tools = { locate: { description: 'Where the user is', parameters: { type: 'object' } } }
const transport = new sdk.DefaultChatTransport({ api, headers, body: { tools } })
const complete = (chat) =>
  sdk.lastAssistantMessageIsCompleteWithToolCalls(chat) ||
  (sdk.lastAssistantMessageIsCompleteWithApprovalResponses?.(chat) ?? false)

class Chat extends sdk.AbstractChat {
  constructor(id, messages = []) {
    const errors = []
    const onError = (error) => errors.push(error.message)
    super({ state: chatState(messages), transport, id, sendAutomaticallyWhen: complete, onError })
    this.errors = errors
  }

  async say(text, options = {}) {
    await this.sendMessage({ text, ...options })
    return this.said()
  }

  // Resolves when the page has sent by itself what was answered, and the answer to that is there
  async settled() {
    const deadline = Date.now() + 20_000
    while (this.status !== 'ready' || complete({ messages: this.messages })) {
      if (this.status === 'error' || Date.now() > deadline) break
      await new Promise((go) => setTimeout(go, 5))
    }
    return this.said()
  }

  said() {
    return this.lastMessage.parts.filter((part) => part.type === 'text').map((part) => part.text)
  }

  tools() {
    return this.lastMessage.parts
      .filter((part) => 'toolCallId' in part)
      .map((part) => [part.type, part.state, part.output ?? part.errorText ?? null])
  }
}

const load = async (id) => new Chat(id, await (await fetch(`${api}/${id}`, { headers })).json())
const output = (chat, part, output) => {
  const told = { tool: 'locate', toolCallId: part.toolCallId, output }
  return chat.addToolOutput ? chat.addToolOutput(told) : chat.addToolResult(told)
}

async function memory() {
  const chat = new Chat('memory')
  await chat.say('I am Jo')
  const turns = await chat.say('/turns')
  await chat.regenerate()
  const regenerated = chat.said()
  const edited = await chat.say('/turns', { messageId: chat.messages[0].id })
  return { turns, regenerated, edited, then: await chat.say('/turns'), errors: chat.errors }
}

async function clientTool() {
  const chat = new Chat('tool')
  await chat.say('/tool locate {"exact":true}')
  const part = chat.lastMessage.parts.find((part) => 'toolCallId' in part)
  const asked = chat.tools()
  await output(chat, part, { city: 'Rome' })
  const said = await chat.settled()
  return { asked, said, tools: chat.tools(), messages: chat.messages.length, errors: chat.errors }
}

async function answer(chat, approved, reason) {
  const part = chat.lastMessage.parts.find((part) => part.state === 'approval-requested')
  await chat.addToolApprovalResponse({ id: part.approval.id, approved, reason })
  return chat.settled()
}

async function approval(id, approved) {
  const chat = new Chat(id)
  await chat.say('/approve 7')
  const asked = chat.tools()
  const said = await answer(chat, approved, 'because')
  const turns = await chat.say('/turns')
  return { asked, said, turns, messages: chat.messages.length, errors: chat.errors,
    tools: new Chat('x', chat.messages.slice(0, 2)).tools() }
}

async function reloaded() {
  await new Chat('reloaded').say('/approve 7')
  const chat = await load('reloaded')
  const asked = chat.tools()
  const said = await answer(chat, true)
  const again = await load('reloaded')
  return { asked, said, messages: chat.messages.length, errors: chat.errors,
    again: again.messages.map((message) => message.parts.map((part) => part.type)),
    tools: again.tools() }
}

async function input() {
  const chat = new Chat('input')
  await chat.say('/ask Which city?')
  const asked = chat.lastMessage.parts.filter((part) => 'toolCallId' in part)
  const said = await chat.say('Rome')
  return { asked: asked.map((part) => [part.type, part.toolName ?? null, part.input]), said, errors: chat.errors }
}

const shown = { version, memory: await memory(), tool: await clientTool(), input: await input() }
if (sdk.lastAssistantMessageIsCompleteWithApprovalResponses) {
  shown.approved = await approval('approved', true)
  shown.declined = await approval('declined', false)
  shown.reloaded = await reloaded()
}
console.log(JSON.stringify(shown))
