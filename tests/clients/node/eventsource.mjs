// Dropped and resumed with EventSource, which reconnects by itself with Last-Event-ID.
import { createRequire } from 'node:module'
import { EventSource } from 'eventsource'
const { version } = createRequire(import.meta.url)('./node_modules/eventsource/package.json')

const headers = { 'X-API-Key': process.env.API_KEY }
const base = process.env.BASE_URL

const begun = await fetch(`${base}/v1/chat/stream`, {
  method: 'POST',
  headers: { ...headers, 'Content-Type': 'application/json' },
  body: JSON.stringify({ message: 'hold eventsource' }),
})
const url = `${base}/v1/runs/${begun.headers.get('X-Run-Id')}/events`
await begun.body.cancel()

const shown = { ids: [], text: '', resumedAfter: [], statuses: [] }
let drop
const source = new EventSource(url, {
  fetch: async (input, init) => {
    shown.resumedAfter.push(init.headers['Last-Event-ID'] ?? null)
    const reply = await fetch(input, { ...init, headers: { ...init.headers, ...headers } })
    shown.statuses.push(reply.status)
    // an abort would count as closed by the page: a lost connection is a body that fails
    const lost = new TransformStream({ start: (body) => (drop = () => body.error(new TypeError('lost'))) })
    const body = reply.body?.pipeThrough(lost) ?? null
    return Object.defineProperty(new Response(body, reply), 'url', { value: reply.url })
  },
})
const hear = (name, then) =>
  source.addEventListener(name, (event) => {
    shown.ids.push(Number(event.lastEventId))
    then?.(JSON.parse(event.data))
  })
hear('start')
hear('message', ({ content }) => {
  shown.text += content
  if (content === 'Hel') drop()
})
hear('done', ({ status }) => (shown.status = status))
await new Promise((resolve) => source.addEventListener('error', (event) => event.code === 204 && resolve()))
shown.state = source.readyState
source.close()
console.log(JSON.stringify({ version, ...shown }))
