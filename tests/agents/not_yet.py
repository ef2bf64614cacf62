"""Recorded answers that the decoder does not read as it must, each with what comes out wrong.

One list, kept strictly: what is repaired is taken off, or its test fails for passing.
`python -m tests.agents.show NAME` prints what is wrong in detail.
"""

NOT_YET: dict[str, str] = {
    "crewai/chunks-raw": "arguments as bare strings: nothing tells them from text",
}
