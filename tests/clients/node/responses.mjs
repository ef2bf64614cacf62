// What OpenAI's Responses can do, through its own client: node responses.mjs openai6
import { createRequire } from 'node:module'
const alias = process.argv[2]
const { default: OpenAI, APIError } = await import(alias)
const { version } = createRequire(import.meta.url)(`./node_modules/${alias}/package.json`)
const client = new OpenAI({ baseURL: `${process.env.BASE_URL}/v1`, apiKey: process.env.API_KEY })
const create = (asked) => client.responses.create({ model: 'agent', ...asked })
const counted = (numbers) => numbers.every((number, index) => number === index)

async function all(events) {
  const found = []
  for await (const event of events) found.push(event)
  return found
}

async function refusal(asking) {
  try {
    await asking
  } catch (error) {
    if (error instanceof APIError) return [error.status, error.code, error.param ?? null]
    throw error
  }
}

async function streamed() {
  const stream = client.responses.stream({ model: 'agent', input: '/think What is 15 * 23?' })
  const events = await all(stream)
  const final = await stream.finalResponse()
  return {
    numbers: counted(events.map((event) => event.sequence_number)),
    first: events[0].type,
    last: events.at(-1).type,
    text: final.output.at(-1).content[0].text,
    deltas: events.filter((event) => event.type === 'response.output_text.delta')
      .map((event) => event.delta).join(''),
    items: final.output.map((item) => item.type),
  }
}

async function forked() {
  const { id } = await create({ input: 'I am Jo' })
  const turn = () => create({ input: '/turns', previous_response_id: id })
  return [(await turn()).output_text, (await turn()).output_text]
}

async function resumed() {
  const numbers = []
  let id
  for await (const event of await create({ input: '/slow 8', background: true, stream: true })) {
    numbers.push(event.sequence_number)
    if (event.type === 'response.created') id = event.response.id
    if (numbers.length === 6) break
  }
  const asked = { stream: true, starting_after: numbers.at(-1) }
  const rest = await all(await client.responses.retrieve(id, asked))
  numbers.push(...rest.map((event) => event.sequence_number))
  const [message] = rest.at(-1).response.output
  return { numbers: counted(numbers), text: message.content[0].text }
}

async function cancelled() {
  const begun = await create({ input: '/slow 500', background: true })
  const ended = await client.responses.cancel(begun.id)
  return [begun.status, ended.status, (await client.responses.retrieve(begun.id)).status]
}

async function deleted() {
  const kept = await create({ input: 'Hi' })
  const loose = await create({ input: 'Hi', store: false })
  await client.responses.delete(kept.id)
  const codes = []
  for (const { id } of [kept, loose]) codes.push((await refusal(client.responses.retrieve(id)))[1])
  return codes
}

async function approved() {
  const asked = await create({ input: '/approve 7', conversation: 'conv_7' })
  const request = asked.output.find((item) => item.type === 'mcp_approval_request')
  const input = [{ type: 'mcp_approval_response', approval_request_id: request.id, approve: true }]
  const answer = () => create({ previous_response_id: asked.id, input })
  const answers = [await answer(), await answer()]
  return {
    arguments: JSON.parse(request.arguments),
    text: answers[0].output_text,
    once: answers[0].id === answers[1].id,
  }
}

async function called() {
  const tools = [{ type: 'function', name: 'locate', parameters: { type: 'object' } }]
  const said = [{ role: 'user', content: '/tool locate {"exact":true}' }]
  const asked = await create({ input: said, tools })
  const call = asked.output.find((item) => item.type === 'function_call')
  const output = { type: 'function_call_output', call_id: call.call_id, output: 'Rome' }
  const answer = await create({ input: [...said, call, output], tools })
  return { name: call.name, arguments: JSON.parse(call.arguments), text: answer.output_text }
}

async function refused() {
  const shown = []
  for (const asked of [
    { input: [{ role: 'assistant', content: 'Hello' }] },
    { input: 'Hi', previous_response_id: 'resp_00' },
    { input: '/fail' },
  ]) shown.push(await refusal(create(asked)))
  return shown
}

async function failed() {
  const events = await all(await create({ input: '/fail', stream: true }))
  const { type, response } = events.at(-1)
  return [type, response.status, response.error.code]
}

const acts = [streamed, forked, resumed, cancelled, deleted, approved, called, refused, failed]
const shown = { version }
for (const act of acts) shown[act.name] = await act()
console.log(JSON.stringify(shown))
