// Every scene through AG-UI's client of some version: node agui.mjs agui37 scenes|threads|refused
import { createRequire } from 'node:module'
const [, , alias, act] = process.argv
const { HttpAgent } = await import(alias)
const { version } = createRequire(import.meta.url)(`./node_modules/${alias}/package.json`)

const agent = (threadId, content, path = '/v1/agui') =>
  new HttpAgent({
    url: `${process.env.BASE_URL}${path}`,
    headers: { 'X-API-Key': process.env.API_KEY },
    threadId,
    initialMessages: content ? [{ id: 'u1', role: 'user', content }] : [],
  })

async function run(agent, parameters = {}) {
  const shown = { events: [], errors: [] }
  try {
    await agent.runAgent(parameters, {
      onEvent: ({ event }) => void shown.events.push(event.type),
      onRunErrorEvent: ({ event }) => void shown.errors.push(event.code),
      onRunFinishedEvent: ({ event }) => void (shown.outcome = event.outcome),
      onCustomEvent: ({ event }) => void (shown.custom = event),
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
  shown.state = agent.state
  return shown
}

let count = 0
const say = (agent, content, parameters) => {
  agent.addMessage({ id: `said-${(count += 1)}`, role: 'user', content })
  return run(agent, parameters)
}
const last = (shown) => shown.thrown ?? shown.messages.at(-1).content

// 0.0.37 leaves the promise of a run that was aborted to nobody
process.on('unhandledRejection', (error) => {
  if (error.name !== 'AbortError') throw error
})

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

async function memory() {
  const one = agent('memory')
  const empty = await run(one)
  await say(one, 'I am Jo')
  await say(one, 'I am not')
  const third = last(await say(one, '/turns'))
  one.messages = one.messages.slice(0, 2)
  const edited = last(await say(one, '/turns'))
  return { empty: empty.events, third, edited, then: last(await say(one, '/turns')) }
}

async function clientTool() {
  const one = agent('tool')
  const tools = [{ name: 'locate', description: 'Where the user is', parameters: { type: 'object' } }]
  const asked = await say(one, '/tool locate {"exact":true}', { tools })
  const call = one.messages.at(-1).toolCalls[0]
  one.addMessage({ id: 'answer', role: 'tool', toolCallId: call.id, content: '{"city":"Rome"}' })
  const told = await run(one, { tools })
  return { asked: asked.events.at(-1), call: call.function, said: last(told) }
}

// By the outcome where the client knows it, else as the agent's own question is answered
async function answer(agent, asked, payload) {
  const open = agent.pendingInterrupts
  if (open) {
    const resume = open.map(({ id }) => ({ interruptId: id, status: 'resolved', payload }))
    return run(agent, { resume })
  }
  return run(agent, { forwardedProps: { command: { resume: payload, interruptEvent: asked.custom.value } } })
}

async function approval(threadId, approved) {
  const one = agent(threadId)
  const asked = await say(one, '/approve 7')
  const told = await answer(one, asked, { approved })
  return { asked: asked.messages.at(-1).tools, said: last(told), thrown: told.thrown,
    result: told.messages.findLast(({ role }) => role === 'tool').content,
    turns: last(await say(one, '/turns')) }
}

async function input() {
  const one = agent('input')
  const asked = await say(one, '/ask Which city?')
  return { asked: asked.messages.length, said: last(await answer(one, asked, 'Rome')) }
}

async function connected() {
  await say(agent('back'), 'What is 15 * 23?')
  await say(agent('back'), '/approve 7')
  const one = agent('back', undefined, '/v1/agui/connect')
  const asked = await run(one)
  one.url = `${process.env.BASE_URL}/v1/agui`
  const said = last(await answer(one, asked, { approved: true }))
  return { events: asked.events, shown: asked.messages, said, turns: last(await say(one, '/turns')) }
}

const acts = {
  scenes: async () => ({
    hello: await run(agent('t1', 'hello agui')),
    tools: await run(agent('t2', 'tools agui')),
    fail: await run(agent('t3', 'fail agui')),
    own: await run(agent('t5', 'own agui')),
    thread: await thread(),
    stop: await stop(),
  }),
  threads: async () => ({
    memory: await memory(),
    tool: await clientTool(),
    approved: await approval('approved', true),
    declined: await approval('declined', false),
    input: await input(),
    connected: await connected(),
  }),
  refused: async () => ({ refused: await run(agent('t4', 'hello refused')) }),
}
console.log(JSON.stringify({ version, ...(await acts[act]()) }))
