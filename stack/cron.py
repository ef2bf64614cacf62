"""When something is scheduled: cron's usual five fields, or AWS's six, as AWS takes them.

What AWS would refuse half way through an update is refused here, field by field.
https://docs.aws.amazon.com/autoscaling/application/userguide/scheduled-scaling-using-cron-expressions.html
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from bff.setting_parsers import Refused

TAKES = "a cron of AWS's six fields (0 8 ? * MON-FRI *) or of the usual five (0 8 * * 1-5)"
MONTHS = ("JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC")
DAYS = ("SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT")


@dataclass(frozen=True, slots=True)
class _Field:
    """What one of AWS's fields may be."""

    name: str
    first: int
    last: int
    names: tuple[str, ...] = ()
    """In place of the numbers from `first` on."""
    whole: str = r"(?!)"
    """What may stand there alone."""

    def judge(self, text: str) -> None:
        if re.fullmatch(self.whole, text):
            return
        for part in text.split(","):
            span, slash, step = part.partition("/")
            _ = self.ends(span, text)
            if slash and not re.fullmatch("[1-9][0-9]{0,3}", step):
                raise self.refusal(text)

    def ends(self, span: str, text: str) -> list[int]:
        """A number, or the two of a range; none of `*`. Raises `Refused`, naming the whole text."""
        numbers = [self.number(end) for end in span.split("-")] if span != "*" else []
        found = [number for number in numbers if number is not None]
        if len(found) < len(numbers) or len(found) > 2:
            raise self.refusal(text)
        return found

    def refusal(self, text: str) -> Refused:
        return Refused(f"{TAKES}; {self.name} {text!r} is not from {self}")

    def number(self, text: str) -> int | None:
        if text in self.names:
            return self.names.index(text) + self.first
        if re.fullmatch("[0-9]{1,4}", text) and self.first <= int(text) <= self.last:
            return int(text)
        return None

    def __str__(self) -> str:
        named = f" or {self.names[0]} to {self.names[-1]}" if self.names else ""
        return f"{self.first} to {self.last}{named}"


_DAY = _Field("day", 1, 31, whole=r"\?|L|LW|\d{1,2}W")
_WEEKDAY = _Field("weekday", 1, 7, DAYS, whole=r"\?|L|([1-7]|[A-Z]{3})(L|#[1-5])")
_FIELDS = (
    _Field("minute", 0, 59),
    _Field("hour", 0, 23),
    _DAY,
    _Field("month", 1, 12, MONTHS),
    _WEEKDAY,
    _Field("year", 1970, 2199),
)


def aws_cron(text: str) -> str:
    """`text` as AWS takes it; raises `Refused`."""
    fields = text.strip().removeprefix("cron(").removesuffix(")").upper().split()
    if len(fields) == 5:
        minute, hour, day, month, weekday = ("*" if field == "?" else field for field in fields)
        if "*" not in (day, weekday):
            raise Refused(f"{TAKES}, with a day of the month or of the week, not both")
        by_day = weekday == "*"
        fields = [minute, hour, day if by_day else "?", month]
        fields += ["?" if by_day else _as_aws_counts(weekday), "*"]
    if len(fields) != 6:
        raise Refused(TAKES)
    for field, given in zip(_FIELDS, fields, strict=True):
        field.judge(given)
    if (fields[2] == "?") == (fields[4] == "?"):
        raise Refused(f"{TAKES}, with ? for the day of the month or of the week")
    return f"cron({' '.join(fields)})"


def _as_aws_counts(weekdays: str) -> str:
    """From Sunday as 1. Weeks that end with a Sunday are listed day by day: 5-7 is 1,6,7."""
    usual = _Field("weekday", 0, 7, DAYS)
    parts = []
    for part in weekdays.split(","):
        span, slash, step = part.partition("/")
        days = usual.ends(span, weekdays)
        if len(days) == 2 and (days[1] in (0, 7) or days[0] > days[1]):
            last = days[1] + 7 if days[1] < days[0] else days[1]
            every = int(step) if re.fullmatch("[1-7]", step) else 1
            parts += sorted({str(day % 7 + 1) for day in range(days[0], last + 1, every)})
        else:
            shifted = "-".join(str(day % 7 + 1) for day in days) or "*"
            parts.append(f"{shifted}{slash}{step}")
    return ",".join(parts)
