// Runs that any agent may hold, through the parsers of each AI SDK and AG-UI: node streams.mjs runs.jsonl
import { readFileSync } from 'node:fs'
const [, , file] = process.argv
const chains = readFileSync(file, 'utf8').trim().split('\n').map((line) => JSON.parse(line))
const found = {}
const note = (alias, what, seed) => ((found[alias][what] ??= []).push(seed))
const body = (text) => async () =>
  new Response(text, { headers: { 'content-type': 'text/event-stream' } })
const asks = (run) => run.end === 'input_required'

async function aiSdk(alias, chain, seed) {
  const { DefaultChatTransport, readUIMessageStream } = await import(alias)
  let message
  let said = ''
  for (const run of chain) {
    // version 5 knows no approvals
    if (alias.startsWith('ai5') && run.inputs.includes('approval')) return
    const transport = new DefaultChatTransport({ api: 'http://x/', fetch: body(run.ui) })
    const errors = []
    try {
      const stream = await transport.sendMessages({ chatId: 'c', messages: [], trigger: 'submit-message' })
      const onError = (error) => errors.push(error.message)
      for await (const read of readUIMessageStream({ message, stream, onError })) message = read
    } catch (error) {
      errors.push(error.message)
    }
    const expected = run.end === 'failed' ? 1 : 0
    if (errors.length !== expected) note(alias, `errors: ${errors[0]?.slice(0, 80)}`, seed)
    said += run.text
    const parts = message?.parts ?? []
    if (parts.map((part) => (part.type === 'text' ? part.text : '')).join('') !== said) note(alias, 'text', seed)
    for (const part of parts) {
      if (part.state === 'streaming' || part.state === 'input-streaming') note(alias, `open ${part.type}`, seed)
      const waits = part.state === 'input-available' || part.state === 'approval-requested'
      if (waits && !asks(run)) note(alias, `waits ${part.type}`, seed)
      // what a page does when it is answered
      if (part.state === 'approval-requested') Object.assign(part, { state: 'approval-responded', approval: { id: part.approval.id, approved: true } })
      if (waits && part.state === 'input-available') Object.assign(part, { state: 'output-available', output: 'answered' })
    }
    if (new Set(parts.flatMap((part) => part.toolCallId ?? [])).size !== parts.filter((part) => part.toolCallId).length) note(alias, 'a call twice', seed)
  }
}

async function agui(alias, version, chain, seed) {
  const { HttpAgent } = await import(alias)
  const name = alias + ' ' + version
  const agent = new HttpAgent({ url: 'http://x/', threadId: 't' })
  agent.messages.push({ id: '1', role: 'user', content: 'Hi' })
  let said = ''
  for (const run of chain) {
    globalThis.fetch = body(run[`agui${version}`])
    let failed
    try {
      const params = { runId: 'x' }
      if (agent.pendingInterrupts?.length) params.resume = agent.pendingInterrupts.map(({ id }) => ({ interruptId: id, status: 'resolved', payload: true }))
      await agent.runAgent(params, { onRunErrorEvent: ({ event }) => (failed = event.code) })
    } catch (error) {
      return note(name, `threw: ${error.message.slice(0, 120)}`, seed)
    }
    if ((failed ?? '') !== (run.end === 'failed' ? 'agent_failed' : '')) note(name, `error ${failed}`, seed)
    said += run.text
    const { messages } = agent
    if (messages.map(({ role, content }) => (role === 'assistant' ? (content ?? '') : '')).join('') !== said) note(name, 'text', seed)
    const results = messages.filter(({ role }) => role === 'tool').map(({ toolCallId }) => toolCallId)
    const calls = messages.flatMap(({ toolCalls }) => toolCalls ?? []).map(({ id }) => id)
    if (new Set(results).size !== results.length) note(name, 'two results of a call', seed)
    if (new Set(calls).size !== calls.length) note(name, 'a call twice', seed)
    if (results.some((id) => !calls.includes(id))) note(name, 'a result without its call', seed)
    const open = calls.filter((id) => !results.includes(id))
    if (open.length && run.end === 'complete') note(name, 'an open call', seed)
    // what a page does with calls of its own tools
    for (const call of messages.flatMap(({ toolCalls }) => toolCalls ?? []))
      if (open.includes(call.id) && call.function.name === 'locate') messages.push({ id: `r-${call.id}`, role: 'tool', toolCallId: call.id, content: 'answered' })
  }
}

// What OpenAI's own client and the AI SDK's providers make of the formats of OpenAI's
async function openai(alias, chain, seed) {
  const { OpenAI } = await import(alias)
  const told = (text) => new OpenAI({ apiKey: 'x', baseURL: 'http://x/v1', maxRetries: 0, fetch: body(text) })
  const params = { model: 'agent', messages: [{ role: 'user', content: 'Hi' }] }
  for (const run of chain) {
    const whole = run.completion.choices[0].message
    const good = run.end !== 'failed' && run.end !== 'cancelled'
    try {
      const chat = await told(run.chat).chat.completions.stream(params).finalChatCompletion()
      if (!good) note(alias, 'an error that is none', seed)
      if ((chat.choices[0].message.content ?? '') !== (whole.content ?? '')) note(alias, 'content', seed)
    } catch (error) {
      if (good) note(alias, `chat: ${error.message.slice(0, 80)}`, seed)
    }
    try {
      const response = await told(run.responses).responses.stream({ model: 'agent', input: 'Hi' }).finalResponse()
      if (JSON.stringify(response.output.map(({ id }) => id)) !== JSON.stringify(run.response.output.map(({ id }) => id))) note(alias, 'output', seed)
    } catch (error) {
      note(alias, `responses: ${error.message.slice(0, 80)}`, seed)
    }
  }
}

async function provider(alias, chain, seed) {
  const { createOpenAI } = await import(alias)
  const prompt = [{ role: 'user', content: [{ type: 'text', text: 'Hi' }] }]
  for (const run of chain) {
    for (const format of ['chat', 'responses']) {
      const model = createOpenAI({ apiKey: 'x', baseURL: 'http://x/v1', fetch: body(run[format]) })[format]('agent')
      let said = ''
      const errors = []
      try {
        const { stream } = await model.doStream({ prompt })
        for await (const part of stream) {
          if (part.type === 'text-delta') said += part.delta
          if (part.type === 'error') errors.push(JSON.stringify(part.error))
        }
      } catch (error) {
        errors.push(error.message) // thrown where nothing was said before it
      }
      // the provider of version 5 passes response.failed over
      const silent = format === 'responses' && (alias === 'aiopenai2' || run.end === 'cancelled')
      const failed = !silent && (run.end === 'failed' || run.end === 'cancelled')
      if (errors.length !== (failed ? 1 : 0)) note(alias, `${format}: ${errors[0]?.slice(0, 200)}`, seed)
      if (!said.startsWith(run.text)) note(alias, `${format}: text`, seed)
    }
  }
}

for (const alias of ['openai6', 'openai7']) {
  found[alias] = {}
  for (const [seed, chain] of chains.entries()) await openai(alias, chain, seed)
}
for (const alias of ['aiopenai2', 'aiopenai3', 'aiopenai4']) {
  found[alias] = {}
  for (const [seed, chain] of chains.entries()) await provider(alias, chain, seed)
}
for (const alias of ['ai500', 'ai560', 'ai5120', 'ai6', 'ai7']) {
  found[alias] = {}
  for (const [seed, chain] of chains.entries()) await aiSdk(alias, structuredClone(chain), seed)
}
const AGUI = [['agui37', ''], ['agui42', ''], ['agui45', '0.0.45'], ['agui59', '0.0.59'], ['agui59', ''], ['@ag-ui/client', '1.0']]
console.warn = console.error = () => {}
for (const [alias, version] of AGUI) {
  found[alias + ' ' + version] = {}
  for (const [seed, chain] of chains.entries()) await agui(alias, version, chain, seed)
}
for (const alias in found) for (const what in found[alias]) found[alias][what] = [found[alias][what].length, ...found[alias][what].slice(0, 3)]
console.log(JSON.stringify(found))
