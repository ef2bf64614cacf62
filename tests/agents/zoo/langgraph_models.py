"""Scripted chat models as LangChain's integrations behave: what differs is how they say a thing."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Iterator, Sequence
from typing import Any

from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessageChunk, BaseMessage
from langchain_core.messages.tool import tool_call_chunk
from langchain_core.outputs import ChatGeneration, ChatGenerationChunk, ChatResult
from pydantic import PrivateAttr
from script import Call, Player, Turn, paced


class ScriptedChat(BaseChatModel):
    """Text as strings, tool calls in pieces of arguments, as ChatOpenAI streams them."""

    turns: list[Turn]
    words: str = "text"
    """How it speaks: `text`, `blocks` (Anthropic), `converse` (ChatBedrockConverse), `v1`
    (LangChain's own content blocks), `deepseek` (reasoning beside the content)."""
    _player: Player = PrivateAttr()

    def model_post_init(self, context: Any) -> None:
        super().model_post_init(context)
        self._player = Player(self.turns)

    @property
    def _llm_type(self) -> str:
        return "scripted"

    def bind_tools(self, tools: Sequence[Any], **kwargs: Any) -> Any:
        return self

    def _chunk(self, kind: str, token: Any, at: int) -> list[AIMessageChunk]:
        if kind == "call":
            return self._call(token, at)
        index = 0 if kind == "think" else 1
        match self.words, kind:
            case "blocks", "think":
                block: Any = {"type": "thinking", "thinking": token, "index": index}
            case "converse", "think":
                reasoning = {"type": "text", "text": token}
                block = {"type": "reasoning_content", "reasoning_content": reasoning}
                block["index"] = index
            case "v1", "think":
                block = {"type": "reasoning", "reasoning": token, "index": index}
            case "deepseek", "think":
                return [AIMessageChunk("", additional_kwargs={"reasoning_content": token})]
            case (("blocks" | "converse" | "v1"), _):
                block = {"type": "text", "text": token, "index": index}
            case _:
                return [AIMessageChunk(token)]
        return [AIMessageChunk([block])]

    def _call(self, call: Call, at: int) -> list[AIMessageChunk]:
        """The name first, then the arguments in pieces; Anthropic's say it in content too."""
        index = at + 2 if self.words == "blocks" else at
        use = {"type": "tool_use", "id": call.id, "name": call.tool, "input": {}, "index": index}
        first = AIMessageChunk(
            [use] if self.words in ("blocks", "converse") else "",
            tool_call_chunks=[tool_call_chunk(name=call.tool, id=call.id, args="", index=index)],
        )
        rest = [
            AIMessageChunk(
                [{"type": "input_json_delta", "partial_json": piece, "index": index}]
                if self.words in ("blocks", "converse")
                else "",
                tool_call_chunks=[tool_call_chunk(args=piece, index=index)],
            )
            for piece in call.pieces
        ]
        return [first, *rest]

    def _end(self, turn: Turn) -> AIMessageChunk:
        given, got = turn.usage
        return AIMessageChunk(
            [] if self.words in ("blocks", "converse", "v1") else "",
            response_metadata={"finish_reason": "tool_calls" if turn.calls else "stop"},
            usage_metadata={
                "input_tokens": given,
                "output_tokens": got,
                "total_tokens": given + got,
            },
            chunk_position="last",
        )

    def _stream(
        self, messages: list[BaseMessage], *args: Any, **kwargs: Any
    ) -> Iterator[ChatGenerationChunk]:
        turn = self._player.next()
        for at, (kind, token) in enumerate(turn.tokens()):
            for chunk in self._chunk(kind, token, at - len(turn.think) - len(turn.say)):
                yield ChatGenerationChunk(message=chunk)
        yield ChatGenerationChunk(message=self._end(turn))

    async def _astream(
        self, messages: list[BaseMessage], *args: Any, **kwargs: Any
    ) -> AsyncIterator[ChatGenerationChunk]:
        turn = self._player.next()
        at = 0
        async for kind, token in paced(turn):
            for chunk in self._chunk(kind, token, at):
                yield ChatGenerationChunk(message=chunk)
            at += kind == "call"
        yield ChatGenerationChunk(message=self._end(turn))

    def _generate(self, messages: list[BaseMessage], *args: Any, **kwargs: Any) -> ChatResult:
        chunks = list(self._stream(messages))
        whole = chunks[0]
        for chunk in chunks[1:]:
            whole += chunk
        return ChatResult(generations=[ChatGeneration(message=_message(whole.message))])


def _message(chunk: Any) -> Any:
    from langchain_core.messages import message_chunk_to_message

    return message_chunk_to_message(chunk)


def speaking(*turns: Turn, words: str = "text", name: str | None = None) -> ScriptedChat:
    return ScriptedChat(turns=list(turns), words=words, name=name)


def as_json(value: Any) -> str:
    return json.dumps(value, default=str)
