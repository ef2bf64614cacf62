// CopilotKit's page: npm install @copilotkit/react-core zod
'use client'
import '@copilotkit/react-core/v2/styles.css'
import {
  CopilotChat,
  CopilotKitProvider,
  useAgent,
  useFrontendTool,
  useInterrupt,
} from '@copilotkit/react-core/v2'
import { z } from 'zod'

// The agent calls it, the page runs it
function useLocate() {
  useFrontendTool({
    name: 'locate',
    description: 'Where the user is',
    parameters: z.object({ exact: z.boolean().optional() }),
    handler: async () => ({ city: 'Rome' }),
  })
}

// Whatever the agent asks before it goes on
function useApproval() {
  useInterrupt({
    render: ({ event, interrupt, resolve }) => (
      <p>
        {interrupt?.message ?? String(event.value)}
        <button onClick={() => resolve({ approved: true })}>Approve</button>
        <button onClick={() => resolve({ approved: false })}>Decline</button>
      </p>
    ),
  })
}

function Chat({ threadId }: { threadId: string }) {
  useLocate()
  useApproval()
  const { agent } = useAgent()
  return (
    <>
      <output>{JSON.stringify(agent.state)}</output>
      <CopilotChat threadId={threadId} />
    </>
  )
}

export function App({ token, threadId }: { token: string; threadId: string }) {
  const headers = { Authorization: `Bearer ${token}` }
  return (
    <CopilotKitProvider runtimeUrl="/api/copilotkit" headers={headers}>
      <Chat threadId={threadId} />
    </CopilotKitProvider>
  )
}
