// Every scene through AG-UI's client: node agui.mjs scenes|refused
import { createRequire } from 'node:module'
import { HttpAgent } from '@ag-ui/client'
const { version } = createRequire(import.meta.url)('./node_modules/@ag-ui/client/package.json')

const agent = (threadId, content) =>
  new HttpAgent({
    url: `${process.env.BASE_URL}/v1/agui`,
    headers: { 'X-API-Key': process.env.API_KEY },
    threadId,
    initialMessages: content ? [{ id: 'u1', role: 'user', content }] : [],
  })

async function run(agent) {
  const shown = { events: [], errors: [] }
  try {
    await agent.runAgent({}, {
      onEvent: ({ event }) => void shown.events.push(event.type),
      onRunErrorEvent: ({ event }) => void shown.errors.push(event.code),
      onRunFinishedEvent: ({ event }) => void (shown.outcome = event.outcome?.type),
      onCustomEvent: ({ event }) => void (shown.custom = event.value),
    })
  } catch (error) {
    shown.thrown = { message: error.message, status: error.status ?? null }
  }
  shown.messages = agent.messages.map(({ role, content, toolCalls }) => ({
    role,
    content,
    tools: toolCalls?.map((call) => [call.function.name, call.function.arguments]),
  }))
  shown.ids = agent.messages.map((message) => message.id)
  return shown
}

// A conversation: the client sends back all it was told
async function thread() {
  const one = agent('a thread', 'tools one')
  await run(one)
  one.addMessage({ id: 'u2', role: 'user', content: 'tools two' })
  return run(one)
}

async function stop() {
  const one = agent('stopped', 'wait stop')
  const shown = { text: '' }
  await one.runAgent({}, {
    onTextMessageContentEvent: ({ event }) => {
      shown.text += event.delta
      one.abortRun()
    },
  }).catch((error) => (shown.thrown = error.message))
  return shown
}

const acts = {
  scenes: async () => ({
    hello: await run(agent('t1', 'hello agui')),
    tools: await run(agent('t2', 'tools agui')),
    fail: await run(agent('t3', 'fail agui')),
    thread: await thread(),
    stop: await stop(),
  }),
  refused: async () => ({ refused: await run(agent('t4', 'hello refused')) }),
}
console.log(JSON.stringify({ version, ...(await acts[process.argv[2]]()) }))
