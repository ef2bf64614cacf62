"""Conversations of clients that send everything each time, over a history in lists."""

from __future__ import annotations

import itertools
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bff.conversations import transcript
from bff.conversations.earlier import everything_said
from bff.conversations.place import Place
from bff.conversations.placing import find_place
from bff.conversations.sought import Sought
from bff.errors import Overloaded
from bff.events import Input, input_fields
from bff.history import Session, Turn
from bff.messages import Answer, ChatMessage, Conversation, TextPart, user_message
from tests.fakes.history import ListHistory

CLOCK = itertools.count(1_000)


class Chat:
    """A client without sessions: it keeps what was said and sends all of it."""

    def __init__(self, history: ListHistory, **fields: Any) -> None:
        self.history = history
        self.fields = fields
        self.messages: list[ChatMessage] = []
        self.clock = CLOCK

    async def place(self, text: str | None = None, **fields: Any) -> Place:
        new = () if text is None else (user_message(text),)
        conversation = Conversation(
            before=tuple(self.messages),
            new=new,
            answers=fields.pop("answers", ()),
            person=self.fields.get("person"),
        )
        known = {key: value for key, value in self.fields.items() if key != "person"}
        place = await find_place(
            self.history,
            Sought(
                owner="alice",
                conversation=conversation,
                agents=("agent", "coder"),
                now=next(self.clock),
                **{**known, **fields},
            ),
        )
        if place.beginning:
            await place.beginning()
        return place

    async def say(
        self, text: str, answer: str | None = "Yes.", *, status: str = "complete", **fields: Any
    ) -> Place:
        """One turn, as the service would write it; without an answer it failed."""
        place = await self.place(text, **fields)
        at = next(self.clock)
        found = (
            transcript.points(place.point, text, [answer])
            if answer is not None
            else transcript.points_broken_off(place.point, text, None)
        )
        turn = Turn(
            run_id=f"run_{at}",
            session_id=place.session_id,
            agent=place.agent,
            message=text,
            answer=answer or "",
            status=status if answer is not None else "failed",
            asked_at=at,
            answered_at=at,
            points=found,
        )
        await self.history.add("alice", turn)
        if answer is not None:
            self.messages += [user_message(text), assistant(answer)]
        return place


def assistant(text: str) -> ChatMessage:
    return ChatMessage(role="assistant", parts=(TextPart(text),))


def system(text: str) -> ChatMessage:
    return ChatMessage(role="system", parts=(TextPart(text),))


@pytest.fixture
def history() -> ListHistory:
    return ListHistory()


async def test_a_conversation__stays_in_its_session(history: ListHistory) -> None:
    chat = Chat(history)
    places = [await chat.say(f"question {n}", f"answer {n}") for n in range(5)]

    assert len({place.session_id for place in places}) == 1
    assert [place.first for place in places] == [True, False, False, False, False]
    assert all(place.untold == () for place in places)


async def test_conversations_that_begin_alike__part_where_they_differ(history: ListHistory) -> None:
    one, other = Chat(history), Chat(history)
    first = await one.say("Hi", "Hello")
    second = await other.say("Hi", "Hello")
    again = await one.say("I am Jo", "Hello Jo")
    third = await other.say("I am Bo", "Hello Bo")
    last = await one.say("Who am I?", "Jo")

    assert first.session_id != second.session_id
    assert again.session_id in (first.session_id, second.session_id)
    assert third.session_id != again.session_id
    assert last.session_id == again.session_id


async def test_instructions_tools_and_layout__change_nothing(history: ListHistory) -> None:
    chat = Chat(history)
    first = await chat.say("Hi", "Hello  there\n")
    chat.messages = [
        system("It is Friday."),
        user_message("Hi "),
        ChatMessage(role="tool", parts=(TextPart("x"),)),
        assistant("Hello there"),
    ]

    assert (await chat.place("More")).session_id == first.session_id


async def test_an_edited_question__branches_off_and_is_given_what_went_before(
    history: ListHistory,
) -> None:
    chat = Chat(history)
    first = await chat.say("I am Jo", "Hello Jo")
    await chat.say("Where is Rome?", "In Italy")
    chat.messages = chat.messages[:2]

    branch = await chat.say("Where is Oslo?", "In Norway")
    later = await chat.say("And Bergen?", "Too")
    session = await history.session("alice", branch.session_id)

    assert branch.session_id != first.session_id
    assert [message.text for message in branch.untold] == ["I am Jo", "Hello Jo"]
    assert session
    assert session.forked_from
    assert session.forked_from.session_id == first.session_id
    assert later.session_id == branch.session_id
    assert (later.untold, later.first) == ((), False)


async def test_a_transcript_never_seen__begins_a_session_that_is_given_it(
    history: ListHistory,
) -> None:
    chat = Chat(history)
    chat.messages = [user_message("I am Jo"), assistant("Hello Jo")]

    place = await chat.say("Who am I?", "Jo")
    found = await history.messages("alice", place.session_id, limit=10)

    assert place.first
    assert [message.text for message in place.untold] == ["I am Jo", "Hello Jo"]
    assert found
    assert [message.content for message in found[1].items] == [
        "I am Jo", "Hello Jo", "Who am I?", "Jo",
    ]  # fmt: skip
    assert (await chat.place("More")).session_id == place.session_id


async def test_a_failed_turn__is_asked_again_in_the_same_session(history: ListHistory) -> None:
    chat = Chat(history)
    first = await chat.say("Hi", "Hello")
    await chat.say("Where is Rome?", None)
    kept = Chat(history)
    kept.messages = [*chat.messages, user_message("Where is Rome?"), assistant("")]

    assert (await chat.place("Where is Rome?")).session_id == first.session_id
    assert (await kept.place("Again")).session_id == first.session_id


async def test_people_of_one_key__have_transcripts_of_their_own(history: ListHistory) -> None:
    jo, bo = Chat(history, person="jo"), Chat(history, person="bo")
    await jo.say("Hi", "Hello")
    await bo.say("Hi", "Hello")

    assert (await jo.say("x", "y")).session_id != (await bo.say("x", "y")).session_id


async def test_another_agent__is_another_session(history: ListHistory) -> None:
    chat = Chat(history)
    first = await chat.say("Hi", "Hello")
    other = await chat.place("More", agent="coder")

    assert other.session_id != first.session_id
    assert other.agent == "coder"
    assert [message.text for message in other.untold] == ["Hi", "Hello"]


async def test_a_named_session__goes_on_whatever_is_sent(history: ListHistory) -> None:
    chat = Chat(history, name="demo")
    first = await chat.say("Hi", "Hello")
    chat.messages = []

    assert first.session_id == (await chat.place("More")).session_id == "demo"


async def test_a_named_session__is_followed_to_its_newest_branch(history: ListHistory) -> None:
    chat = Chat(history, name="demo")
    await chat.say("I am Jo", "Hello Jo")
    await chat.say("Where is Rome?", "In Italy")
    chat.messages = chat.messages[:2]
    branch = await chat.say("Where is Oslo?", "In Norway")

    assert branch.session_id != "demo"
    assert (await chat.place("And Bergen?")).session_id == branch.session_id


async def test_a_rewritten_first_question__branches_off_at_the_beginning(
    history: ListHistory,
) -> None:
    chat = Chat(history, name="demo")
    await chat.say("Hi", "Hello")
    chat.messages = []

    branch = await chat.say("Good day", "Hello", rewrites=True)

    assert branch.session_id != "demo"
    assert branch.untold == ()
    assert (await chat.place("More")).session_id == branch.session_id


async def test_a_named_session__keeps_its_agent_until_another_is_asked_for(
    history: ListHistory,
) -> None:
    chat = Chat(history, name="demo")
    await chat.say("Hi", "Hello", agent="coder")

    assert (await chat.place("More")).agent == "coder"
    other = await chat.place("More", agent="agent")
    assert (other.agent, other.session_id == "demo") == ("agent", False)


async def test_another_agent__is_told_all_that_is_left_when_the_last_turn_was_forgotten(
    history: ListHistory,
) -> None:
    chat = Chat(history, name="demo")
    await chat.say("Hi", "Hello", agent="coder")
    await chat.say("A secret", "Hm", agent="coder")
    await forget_last(history, "demo")

    chat.messages.clear()
    other = await chat.place("More", agent="agent")

    assert [message.text for message in other.untold] == ["Hi", "Hello"]


async def test_a_transcript_without_a_forgotten_turn__goes_on_where_no_agent_knows_it(
    history: ListHistory,
) -> None:
    chat = Chat(history)
    first = await chat.say("Hi", "Hello")
    await chat.say("A secret", "Hm")
    await forget_last(history, first.session_id)

    del chat.messages[2:]
    branch = await chat.say("More")

    assert branch.session_id != first.session_id
    assert [message.text for message in branch.untold] == ["Hi", "Hello"]
    assert (await chat.place("Still more")).session_id == branch.session_id


async def forget_last(history: ListHistory, session_id: str) -> None:
    session = await history.session("alice", session_id)
    assert session is not None
    assert session.last_run_id is not None
    assert await history.forget("alice", session_id, session.last_run_id)


async def test_a_session_with_a_name__is_gone_on_with_by_nobody_else(history: ListHistory) -> None:
    named, other = Chat(history, name="demo"), Chat(history)
    await other.say("Hi", "Hello")
    await named.say("Hi", "Hello")

    assert (await other.say("Where is Rome?", "In Italy")).session_id != "demo"
    assert (await named.place("Who am I?")).session_id == "demo"


async def test_a_branch_of_a_name__is_found_though_others_began_alike(history: ListHistory) -> None:
    chat = Chat(history, name="demo")
    await chat.say("Hi", "Hello")
    await chat.say("A", "a")
    for _ in range(3):
        await Chat(history).say("Hi", "Hello")

    del chat.messages[2:]
    branch = await chat.place("B")

    assert branch.session_id != "demo"
    assert [message.text for message in branch.untold] == ["Hi", "Hello"]


async def test_a_session__that_is_named_later_goes_on_and_branches_as_before(
    history: ListHistory,
) -> None:
    chat = Chat(history)
    first = await chat.say("Hi", "Hello")
    chat.fields["name"] = first.session_id
    second = await chat.say("A", "a")
    assert second.session_id == first.session_id

    del chat.messages[2:]
    branch = await chat.place("B")

    assert branch.session_id != first.session_id
    assert [message.text for message in branch.untold] == ["Hi", "Hello"]


@pytest.mark.parametrize(
    "conversation",
    [
        Conversation(before=(system("Give this chat a title: Hi / Hello"),)),
        Conversation(before=(system("x"),), new=(user_message("### Task:\nGive 3 tags"),)),
        Conversation(
            before=(user_message("Hi"), assistant("Hello")), new=(user_message("### Task: title"),)
        ),
        # each in its client's own words: LibreChat, Zed behind a question that failed, Roo Code
        Conversation(
            new=(
                user_message(
                    "Provide a concise, 5-word-or-less title for the conversation, using title "
                    "case conventions. Only return the title itself.\n\nConversation:\nUser: Hi"
                ),
            )
        ),
        Conversation(
            before=(user_message("Hi"), assistant("Hello")),
            new=(
                user_message("Well?"),
                user_message(
                    "Generate a concise 3-7 word title for this conversation, omitting "
                    "punctuation. Go straight to the title, without any preamble"
                ),
            ),
        ),
        Conversation(
            before=(system("Your task is"), user_message("Hi"), assistant("Hello")),
            new=(
                user_message(
                    "Summarize the conversation so far, as described in the prompt instructions."
                ),
            ),
        ),
        *(
            Conversation(
                before=(user_message("Hi"), assistant("Hello")), new=(user_message(words),)
            )
            for words in (  # LibreChat, NextChat, aichat
                "Hold on, before you continue I need you to write me a checkpoint of everything so "
                "far. Your context window is filling up",
                "Hold on again, update your checkpoint. Merge the new messages into your existing "
                "checkpoint and give me a single consolidated replacement.",
                "Please generate a four to five word title summarizing our conversation without "
                "any lead-in, punctuation, quotation marks",
                "Summarize the discussion briefly in 200 words or less to use as a prompt for "
                "future context.",
            )
        ),
        *(
            Conversation(before=(system(words),), new=(user_message("user: Hi\nassistant: Hello"),))
            for words in (  # LobeChat, Cherry Studio
                "You are a professional conversation summarizer. Generate a concise title that "
                "captures the essence of the conversation.\n\nRules:\n",
                "You are an assistant skilled in conversation. You need to summarize the user's "
                "conversation into a title within 10 words. The language of the title should be",
            )
        ),
        Conversation(  # Open WebUI's choice of a tool
            before=(
                system(
                    'Available Tools: [{"name": "a"}]\n\nYour task is to choose and return the '
                    "correct tool(s) from the list of available tools based on the query."
                ),
            ),
            new=(user_message('History:\nUSER: """Hi"""\nQuery: Hi'),),
        ),
    ],
)
@pytest.mark.parametrize("name", [None, "demo"])
async def test_a_clients_call_for_itself__joins_and_forks_nothing(
    history: ListHistory, conversation: Conversation, name: str | None
) -> None:
    chat = Chat(history, name="demo")
    await chat.say("Hi", "Hello")
    sought = Sought(
        owner="alice",
        conversation=conversation,
        agents=("agent", "coder"),
        now=0,
        name=name,
        helps_itself=True,
    )
    place = await find_place(history, sought)

    assert not place.listed
    assert place.session_id != "demo"
    assert place.conversation.text
    assert (await history.session("alice", "demo")).branch is None  # type: ignore[union-attr]


DOCUMENTS = (
    "### Task:\nRespond to the user query using the provided context, incorporating inline "
    'citations in the format [id].\n\n<context>\n<source id="1">A</context> is a tag.</source>\n'
    "</context>\n"
)
"""What Open WebUI puts before a question about documents, in the last message only."""


@pytest.mark.parametrize(
    ("before", "behind"),
    [(DOCUMENTS, ""), (DOCUMENTS, "\n"), (f"{DOCUMENTS}\n<user_query>\n", "\n</user_query>")],
)
@pytest.mark.parametrize("name", [None, "demo"])
async def test_a_question_about_documents__is_a_persons_and_known_again_without_them(
    history: ListHistory, before: str, behind: str, name: str | None
) -> None:
    chat = Chat(history, name=name, helps_itself=True)
    first = await chat.say("Hi", "Hello")
    second = await chat.say(f"{before}What is A?{behind}", "A tag.")
    chat.messages[2] = user_message("What is A?")  # as it is sent from now on
    third = await chat.say(f"{before}And B?{behind}", "Not that.")
    del chat.messages[3:]
    chat.messages[2] = user_message("What is C?")
    chat.messages.pop()
    other = await chat.place(f"{before}What is C?{behind}")

    assert (second.listed, second.conversation.text[:9]) == (True, "### Task:")
    assert {place.session_id for place in (first, second, third)} == {first.session_id}
    assert other.session_id != first.session_id  # the question was another


async def test_a_session_that_begins_with_documents__has_the_question_as_its_title(
    history: ListHistory,
) -> None:
    place = await Chat(history, helps_itself=True).say(f"{DOCUMENTS}What is A?", "A tag.")

    session = await history.session("alice", place.session_id)
    assert session is not None
    assert session.title == "What is A?"


async def test_a_person_who_speaks_of_a_task__stays_in_the_session(history: ListHistory) -> None:
    chat = Chat(history, name="demo")
    await chat.say("Hi", "Hello")

    place = await chat.say("### Task:\nGive 3 tags")

    assert (place.session_id, place.listed) == ("demo", True)


async def test_a_session_that_was_begun_with_a_transcript__is_told_it_once(
    history: ListHistory,
) -> None:
    at = Session(
        session_id="fork", title="t", created_at=1, updated_at=1, agent="agent", told=False
    )
    given_turn = Turn(
        run_id="r", session_id="x", message="I am Jo", answer="Hello Jo", status="complete",
        asked_at=1, answered_at=1,
    )  # fmt: skip
    await history.begin("alice", at, [given_turn])
    chat = Chat(history, name="fork")

    first = await chat.say("Who am I?", "Jo")
    chat.messages = []
    second = await chat.place("More")

    assert [message.text for message in first.untold] == ["I am Jo", "Hello Jo"]
    assert (first.first, second.first, second.untold) == (True, False, ())
    everything = await everything_said(history, "alice", "fork")
    assert [message.text for message in everything] == ["I am Jo", "Hello Jo", "Who am I?", "Jo"]


async def test_an_answer__goes_on_with_the_turn_that_asked(history: ListHistory) -> None:
    chat = Chat(history)
    place = await chat.place("Pay")
    turn = Turn(
        run_id="run_1", session_id=place.session_id, message="Pay", answer="Wait.",
        status="input_required", asked_at=1, answered_at=1,
        inputs=[input_fields(Input("t", "tool"))],
        points=transcript.points(place.point, "Pay", ["Wait."]),
    )  # fmt: skip
    await history.add("alice", turn)
    chat.messages = [user_message("Pay"), assistant("Wait.")]

    answered = await chat.place(answers=(Answer("t"),))

    assert answered.session_id == place.session_id
    assert answered.continued == transcript.Spoken("Pay", "Wait.")
    assert answered.point == place.point


class BrokenHistory(ListHistory):
    async def session(self, owner: str, session_id: str) -> Session | None:
        raise Overloaded

    async def find(self, owner: str, points: object) -> tuple[Session, str] | None:
        raise Overloaded


@pytest.mark.parametrize("name", [None, "demo"])
async def test_a_history_that_is_away__costs_no_message(name: str | None) -> None:
    chat = Chat(BrokenHistory(), name=name)
    chat.messages = [user_message("I am Jo"), assistant("Hello Jo")]

    place = await chat.place("Who am I?")

    assert [message.text for message in place.untold] == ["I am Jo", "Hello Jo"]


async def test_a_history_that_is_away__lets_nobody_guess_what_is_open() -> None:
    chat = Chat(BrokenHistory(), name="demo")

    with pytest.raises(Overloaded):
        await chat.place(answers=(Answer("a"),))


@settings(max_examples=60, deadline=None)
@given(st.data())
async def test_any_walk_of_edits_and_retries__is_given_all_that_went_before(
    data: st.DataObject,
) -> None:
    """What an agent has been told in a session is always what the client sees before it."""
    history = ListHistory()
    chat = Chat(history)
    told: dict[str, list[str]] = {}
    for step in range(data.draw(st.integers(1, 12))):
        cut = data.draw(st.integers(0, len(chat.messages) // 2)) * 2
        chat.messages = chat.messages[: cut or None] if data.draw(st.booleans()) else chat.messages
        seen = [message.text for message in chat.messages]
        question = data.draw(st.sampled_from(["a", "b", "c"]))

        place = await chat.say(question, f"answer {step % 2}")

        memory = told.setdefault(place.session_id, [])
        memory += [message.text for message in place.untold]
        assert memory == seen
        memory += [question, f"answer {step % 2}"]
