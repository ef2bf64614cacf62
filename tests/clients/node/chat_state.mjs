// What useChat gives an AbstractChat to keep its messages in, without React
export function chatState(messages = []) {
  const state = {
    status: 'ready',
    error: undefined,
    messages,
    pushMessage: (message) => (state.messages = [...state.messages, message]),
    popMessage: () => (state.messages = state.messages.slice(0, -1)),
    replaceMessage: (index, message) => (state.messages = state.messages.with(index, message)),
    snapshot: (value) => structuredClone(value),
  }
  return state
}
