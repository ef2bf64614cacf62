// assistant-ui: npm install @assistant-ui/react @assistant-ui/react-ai-sdk
'use client'
import type { ReactNode } from 'react'
import { AssistantRuntimeProvider } from '@assistant-ui/react'
import { AssistantChatTransport, useChatRuntime } from '@assistant-ui/react-ai-sdk'

const transport = new AssistantChatTransport({
  api: 'http://127.0.0.1:8000/v1/ui/chat',
  headers: async () => ({ Authorization: `Bearer ${await accessToken()}` }),
})

// Around <Thread />, which `npx assistant-ui add thread` makes
export function Assistant({ children }: { children: ReactNode }) {
  const runtime = useChatRuntime({ transport })
  return <AssistantRuntimeProvider runtime={runtime}>{children}</AssistantRuntimeProvider>
}

// Your application's access token for the signed-in user
declare function accessToken(): Promise<string>
