"""What becomes of the files in a request's messages, whatever protocol it came in.

What is inline is stored and is an id from then on: in the run, its log and the history. Only the
call of the agent has files in the form that the agent takes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from aiohttp import web

from bff.agents.converse_blocks import MOST_DOCUMENTS, one_too_many
from bff.agents.payload import places
from bff.api import BODIES, FILES, SETTINGS, STATE
from bff.api.bodies import Body
from bff.conversations.place import Place
from bff.errors import TooManyFiles
from bff.files import Files
from bff.files.for_agents import AGENTCORE, CONVERSE, ForAgent, named
from bff.files.parts import KeptParts, discard, fields_of, keep_parts, without_bytes
from bff.frozen import dataclass
from bff.messages import ChatMessage, FilePart, Part, only_text, part_fields
from bff.runs.request import RunRequest
from bff.settings import AgentSetting


@dataclass(frozen=True, slots=True)
class Taken:
    """A request whose files are kept, until its run has begun."""

    request: RunRequest
    files: Files | None
    stored: Sequence[str] = ()
    memory: Body | None = None
    """What was taken for a request that took none by itself."""

    def release(self) -> None:
        """The run has begun, or has not: it holds its memory itself."""
        if self.memory:
            self.memory.close()

    async def settle(self, begun: RunRequest) -> None:
        """A run is followed; if it is an earlier one, that has its files already."""
        if self.stored and begun.parts and begun.parts != self.request.parts:
            await self.undo()

    async def undo(self) -> None:
        """The run did not begin: forget what was stored for it."""
        await discard(self.files, self.request.owner, self.stored)


async def take_files(
    request: web.Request, wanted: RunRequest, place: Place, setting: AgentSetting, *, field: str
) -> Taken:
    """Keep the new message's files, and give the agent's call all files as that agent takes them.

    `field` is the request's that the message is in. Raises what `keep_parts` and `ForAgent.new`
    raise, and `TooManyFiles`; then nothing was kept.
    """
    files, owner, call = request.app[FILES], wanted.owner, wanted.call
    if files is not None and place.files:
        await files.used_by(owner, place.files, place.session_id)
    assert call is not None
    conversation = call.conversation
    earlier = (*conversation.before, *call.history)
    if not conversation.files and not (earlier and any(message.files for message in earlier)):
        return Taken(wanted, files)
    kept = await keep_parts(
        files,
        owner,
        conversation.parts,
        session_id=place.session_id if place.listed else None,
        field=field,
        max_bytes=request.app[SETTINGS].max_file_bytes,
    )
    memory, own = request[STATE].body, None
    if memory is None:
        memory = own = Body(request.app[BODIES])
    taken = Taken(wanted, files, kept.stored, own)
    given = ForAgent(
        files,
        owner,
        setting.files,
        limits=CONVERSE if setting.payload == "strands" else AGENTCORE,
        take=lambda characters: memory.grow(memory.size + characters),
        known=kept.data,
    )
    try:
        if "files" in places(setting.payload):
            parts = await given.new(kept.parts, field=field)
            if setting.payload == "strands":
                _refuse_too_many(parts, field)
            # agents of AG-UI get what such a client sends, whole, and no history beside it
            whole = any(message.as_sent is not None for message in conversation.before)
            before, history = conversation.before, call.history
            if whole and setting.payload == "agui":
                before = await given.earlier(before)
            else:
                history = await given.earlier(history)
        else:
            parts = without_bytes(kept.parts)
            before, history = conversation.before, call.history
        new = _in_messages(conversation.new, parts)
        conversation = replace(conversation, new=new, before=before)
        call = replace(call, conversation=conversation, history=history, memory=memory)
    except BaseException:
        taken.release()
        await taken.undo()
        raise
    return replace(taken, request=replace(wanted, parts=_fields_of(kept), call=call))


def _refuse_too_many(parts: Sequence[Part], field: str) -> None:
    """Raises `TooManyFiles` for a document too many, for Bedrock refuses the agent's whole request.

    It would refuse each later turn, too, of a session in which the agent remembers this one.
    """
    place = one_too_many(parts)
    if place is not None:
        part = parts[place]
        assert isinstance(part, FilePart)
        message = (
            f"{named(part)} is one too many: the agent takes {MOST_DOCUMENTS} documents at most"
        )
        raise TooManyFiles.of(fields_of(parts, field)[place], message)


def _fields_of(kept: KeptParts) -> tuple[dict[str, object], ...]:
    """What the history keeps of a message."""
    if only_text(kept.parts):
        return ()
    return tuple(part_fields(part) for part in without_bytes(kept.parts))


def _in_messages(messages: Sequence[ChatMessage], parts: Sequence[Part]) -> tuple[ChatMessage, ...]:
    """The messages with these parts in place of theirs, which are as many."""
    found, done = [], 0
    for message in messages:
        count = len(message.parts)
        found.append(replace(message, parts=tuple(parts[done : done + count])))
        done += count
    return tuple(found)
