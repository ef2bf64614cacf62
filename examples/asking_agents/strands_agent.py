"""A Strands agent that asks before it pays. Set AGENT_PAYLOAD=strands."""

from bedrock_agentcore import BedrockAgentCoreApp
from strands import Agent, tool
from strands.hooks import BeforeToolCallEvent, HookProvider, HookRegistry

app = BedrockAgentCoreApp()
MODEL = None  # Bedrock's default
agents: dict[str, Agent] = {}


@tool
def pay(amount: int, to: str) -> str:
    """Pay somebody."""
    return f"Paid {amount} to {to}."


class Approval(HookProvider):
    def register_hooks(self, registry: HookRegistry, **kwargs):
        registry.add_callback(BeforeToolCallEvent, self.ask)

    def ask(self, event: BeforeToolCallEvent) -> None:
        if event.tool_use["name"] == "pay":
            answer = event.interrupt("approval", reason="May I pay 10 to Jo?")
            if answer not in ("y", "yes", True):
                event.cancel_tool = "Declined."


@app.entrypoint
async def invoke(payload, context):
    # an agent waits for its answer in the session that asked: keep it, or give it a session manager
    if context.session_id not in agents:
        agents[context.session_id] = Agent(
            model=MODEL, tools=[pay], hooks=[Approval()], callback_handler=None
        )
    async for event in agents[context.session_id].stream_async(payload["prompt"]):
        yield event


if __name__ == "__main__":
    app.run()
