import { createRoot } from 'react-dom/client'
import { App } from './copilotkit_page'

const asked = new URLSearchParams(location.search)
createRoot(document.getElementById('root')!).render(
  <App token={asked.get('token')!} threadId={asked.get('thread')!} />,
)
