// A chat of three turns through each OpenAI client, every turn to the other of two tasks
import { createRequire } from 'node:module'
const require = createRequire(import.meta.url)
const version = (alias) => require(`./node_modules/${alias}/package.json`).version
const { BASE_URL, OTHER_URL, KEY_PREFIX } = process.env
const addresses = [`${BASE_URL}/v1`, `${OTHER_URL}/v1`]
const SYSTEM = 'Be brief.'
const SAID = ['I am Jo', '/system', '/turns']

async function chat(name, alias, turn) {
  const said = []
  const answers = []
  try {
    for (const [number, text] of SAID.entries()) {
      said.push({ role: 'user', content: text })
      const options = { baseURL: addresses[number % 2], apiKey: KEY_PREFIX + name.replaceAll(' ', '-') }
      const { answer, messages } = await turn(options, said, text)
      answers.push(answer)
      said.push(...messages)
    }
    return [name, { version: version(alias), answers }]
  } catch (error) {
    return [name, { version: version(alias), error: String(error) }]
  }
}

const chats = []
for (const alias of ['openai6', 'openai7']) {
  const { default: OpenAI } = await import(alias)
  chats.push(await chat(`${alias} chat`, alias, async (options, said) => {
    const messages = [{ role: 'system', content: SYSTEM }, ...said]
    const { choices } = await new OpenAI(options).chat.completions.create({ model: 'agent', messages })
    return { answer: choices[0].message.content, messages: [choices[0].message] }
  }))
  chats.push(await chat(`${alias} responses`, alias, async (options, said) => {
    const asked = { model: 'agent', instructions: SYSTEM, input: said }
    const response = await new OpenAI(options).responses.create(asked)
    return { answer: response.output_text, messages: response.output }
  }))
  let behind
  chats.push(await chat(`${alias} previous_response_id`, alias, async (options, said, text) => {
    const asked = { model: 'agent', instructions: SYSTEM, input: text, previous_response_id: behind }
    const response = await new OpenAI(options).responses.create(asked)
    behind = response.id
    return { answer: response.output_text, messages: [] }
  }))
}

for (const [alias, provider] of [['ai5120', 'aiopenai2'], ['ai6', 'aiopenai3'], ['ai7', 'aiopenai4']]) {
  const { generateText, streamText } = await import(alias)
  const { createOpenAI } = await import(provider)
  for (const kind of ['chat', 'responses']) {
    const turn = (generate) => async (options, messages) => {
      const model = createOpenAI(options)[kind]('agent')
      const result = await generate({ model, system: SYSTEM, messages, maxRetries: 0 })
      return { answer: await result.text, messages: (await result.response).messages }
    }
    chats.push(await chat(`${alias} ${kind}`, alias, turn(generateText)))
    chats.push(await chat(`${alias} ${kind} streamed`, alias, turn(async (asked) => {
      const result = streamText(asked)
      await result.consumeStream()
      return result
    })))
  }
}
console.log(JSON.stringify(Object.fromEntries(chats)))
