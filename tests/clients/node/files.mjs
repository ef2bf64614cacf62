// Files by every client from npm: node files.mjs openai7 '[["image","image/png","a.png","BASE64"]]'
// Prints what the agent said of each, or what the client threw.
const [, , alias] = process.argv
const files = JSON.parse(process.env.SENT)
const { BASE_URL: url, API_KEY: key } = process.env
const asked = { type: 'text', text: 'What is it?' }
const dataUrl = (type, data) => `data:${type};base64,${data}`

async function openai() {
  const { default: OpenAI } = await import(alias)
  const client = new OpenAI({ baseURL: `${url}/v1`, apiKey: key })
  const chatPart = ([kind, type, filename, data]) => {
    if (kind === 'image') return { type: 'image_url', image_url: { url: dataUrl(type, data) } }
    if (kind === 'audio') return { type: 'input_audio', input_audio: { data, format: 'wav' } }
    return { type: 'file', file: { filename, file_data: dataUrl(type, data) } }
  }
  const chat = async (file) => {
    const messages = [{ role: 'user', content: [asked, chatPart(file)] }]
    const reply = await client.chat.completions.create({ model: 'agent', messages })
    return reply.choices[0].message.content
  }
  const responses = async ([kind, type, filename, data]) => {
    const file =
      kind === 'image'
        ? { type: 'input_image', image_url: dataUrl(type, data), detail: 'auto' }
        : { type: 'input_file', filename, file_data: dataUrl(type, data) }
    const content = [{ type: 'input_text', text: 'What is it?' }, file]
    const reply = await client.responses.create({ model: 'agent', input: [{ role: 'user', content }] })
    return reply.output_text
  }
  const uploaded = async ([, type, filename, data]) => {
    const sent = new File([Buffer.from(data, 'base64')], filename, { type })
    const { id } = await client.files.create({ file: sent, purpose: 'user_data' })
    const content = [asked, { type: 'file', file: { file_id: id } }]
    const reply = await client.chat.completions.create({ model: 'agent', messages: [{ role: 'user', content }] })
    return reply.choices[0].message.content
  }
  return { chat, responses, uploaded }
}

async function aiSdk() {
  const { DefaultChatTransport, readUIMessageStream } = await import(alias)
  const transport = new DefaultChatTransport({ api: `${url}/v1/ui/chat`, headers: { 'X-API-Key': key } })
  let count = 0
  const chat = async ([, mediaType, filename, data]) => {
    const parts = [asked, { type: 'file', mediaType, filename, url: dataUrl(mediaType, data) }]
    const messages = [{ id: `u${(count += 1)}`, role: 'user', parts }]
    const chatId = `files-${alias}-${count}`
    const stream = await transport.sendMessages({ trigger: 'submit-message', chatId, messages })
    let last
    for await (const message of readUIMessageStream({ stream })) last = message
    return last.parts.filter((part) => part.type === 'text').map((part) => part.text).join('')
  }
  return { chat }
}

async function agui() {
  const { HttpAgent } = await import(alias)
  const newest = alias === '@ag-ui/client'
  const chat = async ([type, mimeType, filename, value]) => {
    const file = newest
      ? { type, source: { type: 'data', value, mimeType }, metadata: { filename } }
      : { type: 'binary', mimeType, filename, data: value }
    const agent = new HttpAgent({
      url: `${url}/v1/agui`,
      headers: { 'X-API-Key': key },
      initialMessages: [{ id: 'u1', role: 'user', content: [asked, file] }],
    })
    await agent.runAgent()
    return agent.messages.at(-1).content
  }
  return { chat }
}

const client = await (alias.startsWith('openai') ? openai : alias.startsWith('ai') ? aiSdk : agui)()
const shown = {}
for (const [way, send] of Object.entries(client)) {
  shown[way] = []
  for (const file of files) shown[way].push(await send(file).catch((error) => `threw ${error.message}`))
}
console.log(JSON.stringify(shown))
