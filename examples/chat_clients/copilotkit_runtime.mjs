// CopilotKit's runtime: npm install @copilotkit/runtime
import { createServer } from 'node:http'
import { HttpAgent } from '@ag-ui/client'
import { CopilotRuntime, InMemoryAgentRunner } from '@copilotkit/runtime/v2'
import { createCopilotNodeListener } from '@copilotkit/runtime/v2/node'

const url = 'http://127.0.0.1:8000/v1/agui'

// A page that comes back, to whichever instance of the runtime, is shown the thread as the service has it
class ServiceRunner extends InMemoryAgentRunner {
  connect({ threadId, headers }) {
    const nothing = { messages: [], tools: [], context: [], state: {}, forwardedProps: {} }
    const agent = new HttpAgent({ url: `${url}/connect`, headers, threadId })
    return agent.run({ threadId, runId: crypto.randomUUID(), ...nothing })
  }
}

// The page's Authorization header goes on to the service by itself: it names the user
const runtime = new CopilotRuntime({
  agents: { default: new HttpAgent({ url }) },
  runner: new ServiceRunner(),
})
createServer(createCopilotNodeListener({ runtime, basePath: '/api/copilotkit' })).listen(4000)
