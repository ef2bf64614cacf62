"""The tokens of a run, in whatever words its models and frameworks count them."""

from __future__ import annotations

from bff.events import JSON

_MOST_USAGES = 1000
"""Model calls whose tokens are kept apart; beyond that they are one sum."""
_MOST_TOKENS = 10**12
"""More in one call is no count: their sum must be a number that every client can read."""

_NAMES = {
    "input_tokens": "input_tokens",
    "inputTokens": "input_tokens",
    "prompt_tokens": "input_tokens",
    "promptTokens": "input_tokens",
    "prompt_token_count": "input_tokens",
    "promptTokenCount": "input_tokens",
    "output_tokens": "output_tokens",
    "outputTokens": "output_tokens",
    "completion_tokens": "output_tokens",
    "completionTokens": "output_tokens",
    "candidates_token_count": "output_tokens",
    "candidatesTokenCount": "output_tokens",
    "total_tokens": "total_tokens",
    "totalTokens": "total_tokens",
    "total_token_count": "total_tokens",
    "totalTokenCount": "total_tokens",
    "prompt_eval_count": "input_tokens",  # Ollama's
    "eval_count": "output_tokens",
    "response_token_count": "output_tokens",  # Gemini's Live API
    "responseTokenCount": "output_tokens",
}


class Usage:
    """What the run used, added up over its model calls."""

    __slots__ = ("_calls", "_unnamed")

    def __init__(self) -> None:
        self._calls: dict[str, dict[str, int]] = {}
        self._unnamed = 0

    def add(self, usage: JSON, key: str | None = None, *, more: bool = False) -> None:
        """Note the tokens one model call used; `key` names the call, told again it is replaced.

        `more` adds to what was told of that call before.
        """
        counts = _counts(usage)
        if not counts:
            return
        if key is None:
            self._unnamed += 1
            key = f"call {self._unnamed}"
        if more and key in self._calls:
            old = self._calls[key]
            counts = {name: old.get(name, 0) + counts.get(name, 0) for name in {**old, **counts}}
        if len(self._calls) >= _MOST_USAGES:
            self._calls = {"": self.total() or {}}
        self._calls[key] = counts

    def revise(self, usage: JSON) -> None:
        """Note what the call noted last has used up to now, as far as it is told."""
        key = next(reversed(self._calls), "")
        told = {name: count for name, count in _counts(usage).items() if count}
        counts = {**self._calls.get(key, {}), **told}
        self._calls[key] = _counts({**counts, "total_tokens": None})

    def set_total(self, usage: JSON) -> None:
        """Note the tokens of the whole run, whatever was noted before."""
        counts = _counts(usage)
        if counts:
            self._calls = {"": counts}

    def total(self) -> dict[str, int] | None:
        """The tokens of the whole run, if anything said so."""
        if not self._calls:
            return None
        total: dict[str, int] = {}
        for counts in self._calls.values():
            for name, count in counts.items():
                total[name] = total.get(name, 0) + count
        return total


_PLACES = (
    "usage",
    "token_usage",
    "tokenUsage",
    "usage_metadata",
    "usageMetadata",
    "accumulated_usage",
    "accumulatedUsage",
)
_HOLDERS = ("metadata", "metrics", "data", "payload")


def usage_in(frame: dict[str, JSON], *, itself: bool = False) -> JSON:
    """The usage that an object of somebody's own tells; `itself` if it may be nothing else."""
    held = [frame, *(inner for key in _HOLDERS if isinstance(inner := frame.get(key), dict))]
    told = [holder[key] for holder in held for key in _PLACES if key in holder]
    return next((usage for usage in (*told, *(held if itself else ())) if _counts(usage)), None)


def if_counted(usage: JSON) -> JSON:
    """The tokens, where any were counted: on the way some frameworks tell of none."""
    return usage if isinstance(usage, dict) and usage.get("total_tokens") else None


def _counts(usage: JSON) -> dict[str, int]:
    if not isinstance(usage, dict):
        return {}
    if isinstance(usage.get("tokens"), dict):  # Cohere's, beside what is billed
        usage = usage["tokens"]
    counts: dict[str, int] = {}
    for theirs, count in usage.items():
        ours = _NAMES.get(theirs)
        if type(count) is float and count.is_integer():
            count = int(count)
        if ours is not None and type(count) is int and 0 <= count <= _MOST_TOKENS:
            counts[ours] = count
    if not counts:
        return counts
    used, made = counts.get("input_tokens", 0), counts.get("output_tokens", 0)
    total = counts.get("total_tokens", used + made)
    return {"input_tokens": used, "output_tokens": made, "total_tokens": total}
