// What a front end does with the types that openapi-typescript makes of /openapi.json.
import type { components, operations, paths } from './api'

type Send = paths['/v1/chat']['post']
type Asked = Send['requestBody']['content']['application/json']
type Answered = Send['responses'][200]['content']['application/json']
type Refused = Send['responses'][429]['content']['application/problem+json']

const asked: Asked = { message: 'What is 15 * 23?', session_id: 'demo' }
// A message may be left out where a run's questions are answered instead.
const answers: Asked = {
  session_id: 'demo',
  resume: [{ input_id: 'refund-1', status: 'resolved', payload: { approved: true } }],
}
// @ts-expect-error a message is text or a list of parts
const empty: Asked = { message: 5 }
// @ts-expect-error unknown fields are refused
const unknown: Asked = { message: 'a', mesage: 'b' }

export function told(reply: Answered | Refused): string {
  return 'run_id' in reply ? `${reply.run_id}: ${reply.message}` : `${reply.code} ${reply.request_id}`
}

export function shown(event: components['schemas']['ChatEvent']): string {
  switch (event.event) {
    case 'message':
      return (JSON.parse(event.data) as components['schemas']['MessageEvent']).content
    case 'done':
      return (JSON.parse(event.data) as components['schemas']['DoneEvent']).status
    case 'gap': {
      const { from, to } = JSON.parse(event.data) as components['schemas']['GapEvent']
      return `${from} to ${to}`
    }
    default:
      return event.id
  }
}

export const status: operations['show_run']['responses'][200]['content']['application/json']['status'] =
  'interrupted'
export { answers, asked, unknown }
