// Every scene through openai's JavaScript client: node openai.mjs openai6 scenes|retry
import { createRequire } from 'node:module'
const [, , alias, act] = process.argv
const { default: OpenAI, APIError } = await import(alias)
const { version } = createRequire(import.meta.url)(`./node_modules/${alias}/package.json`)

const client = new OpenAI({ baseURL: `${process.env.BASE_URL}/v1`, apiKey: process.env.API_KEY })
const asked = (content) => ({ model: 'agent', messages: [{ role: 'user', content }] })

const said = (error) => ({
  class: error.constructor.name,
  api: error instanceof APIError,
  code: error.code ?? null,
  type: error.type ?? null,
  param: error.param ?? null,
  status: error.status ?? null,
  message: error.message,
})

async function stream(content, options = {}) {
  const shown = { text: '', reasoning: '', tool_calls: 0, finish: [], usage: [] }
  try {
    const chunks = await client.chat.completions.create({ ...asked(content), stream: true, ...options })
    for await (const chunk of chunks) {
      if (chunk.usage) shown.usage.push(chunk.usage.total_tokens)
      for (const { delta, finish_reason } of chunk.choices) {
        shown.text += delta.content ?? ''
        shown.reasoning += delta.reasoning_content ?? ''
        shown.tool_calls += delta.tool_calls?.length ?? 0
        if (finish_reason) shown.finish.push(finish_reason)
      }
    }
  } catch (error) {
    shown.error = said(error)
  }
  return shown
}

async function blocking(content) {
  try {
    const answer = await client.chat.completions.create(asked(content))
    const [choice] = answer.choices
    return { text: choice.message.content, finish: choice.finish_reason, usage: answer.usage.total_tokens }
  } catch (error) {
    return { error: said(error) }
  }
}

async function stop() {
  const chunks = await client.chat.completions.create({ ...asked('wait stop'), stream: true })
  for await (const chunk of chunks) {
    const text = chunk.choices[0].delta.content
    if (text) {
      chunks.controller.abort()
      return text
    }
  }
}

const usage = { stream_options: { include_usage: true } }
const acts = {
  scenes: async () => ({
    hello: await stream('hello stream', usage),
    blocking: await blocking('hello blocking'),
    tools: await stream('tools', usage),
    fail: await stream('fail stream'),
    fail_blocking: await blocking('fail blocking'),
    throttled: await blocking('throttled'),
    too_long: await blocking(`hello ${'x'.repeat(100000)}`),
    stop: await stop(),
    models: (await client.models.list()).data.map((model) => model.id),
  }),
  retry: async () => ({ hello: await stream('hello retried') }),
}
console.log(JSON.stringify({ version, ...(await acts[act]()) }))
