// A chat as assistant-ui's own transport sends it, with what its runtime adds: instructions, tools
// and settings. node assistant_ui.mjs ai7
import { createRequire } from 'node:module'
import { AssistantChatTransport } from '@assistant-ui/ai-sdk'
import { chatState } from './chat_state.mjs'
const { AbstractChat, lastAssistantMessageIsCompleteWithToolCalls } = await import('ai7')
const { version } = createRequire(import.meta.url)('./node_modules/@assistant-ui/ai-sdk/package.json')

const transport = new AssistantChatTransport({
  api: `${process.env.BASE_URL}/v1/ui/chat`,
  headers: async () => ({ Authorization: `Bearer ${process.env.API_KEY}` }),
})
transport.setRuntime({
  thread: {
    getModelContext: () => ({
      system: 'Be brief.',
      callSettings: { temperature: 0.5 },
      tools: { locate: { description: 'Where', parameters: { type: 'object', properties: {} } } },
    }),
  },
  threads: { mainItem: { initialize: async () => ({ remoteId: 'assistant-ui' }) } },
})

class Chat extends AbstractChat {
  constructor() {
    super({ state: chatState(), transport, id: 'local', sendAutomaticallyWhen: lastAssistantMessageIsCompleteWithToolCalls })
  }

  said() {
    return this.lastMessage.parts.filter((part) => part.type === 'text').map((part) => part.text).join('')
  }

  async say(text) {
    await this.sendMessage({ text })
    if (this.error) throw this.error
    return this.said()
  }
}

const chat = new Chat()
const shown = { version, answers: [] }
for (const text of ['I am Jo', '/system', '/fields', '/turns']) shown.answers.push(await chat.say(text))
await chat.say('/tool locate {}')
const call = chat.lastMessage.parts.find((part) => part.toolCallId)
await chat.addToolOutput({ tool: 'locate', toolCallId: call.toolCallId, output: 'Rome' })
while (chat.status !== 'ready' && chat.status !== 'error') await new Promise((go) => setTimeout(go, 5))
for (let n = 0; n < 10_000 && !chat.said().includes('Rome'); n++) await new Promise((go) => setTimeout(go, 5))
shown.answers.push(chat.said())
console.log(JSON.stringify(shown))
