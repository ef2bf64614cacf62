from __future__ import annotations

import pytest

from bff.setting_parsers import Refused
from stack.cron import aws_cron


@pytest.mark.parametrize(
    ("usual", "expected"),
    [
        ("0 8 * * 5-7", "0 8 ? * 1,6,7 *"),
        ("0 8 * * 1-7", "0 8 ? * 1,2,3,4,5,6,7 *"),
        ("0 8 * * 0-6", "0 8 ? * 1-7 *"),
        ("0 8 * * fri-sun", "0 8 ? * 1,6,7 *"),
        ("0 8 * * 1-7/2", "0 8 ? * 1,2,4,6 *"),
        ("0 8 * * 1-5/2", "0 8 ? * 2-6/2 *"),
        ("0 8 * * */2", "0 8 ? * */2 *"),
        ("0 8 * * 7", "0 8 ? * 1 *"),
        ("0 8 ? 1-3 *", "0 8 * 1-3 ? *"),
        ("0 8 ? * mon-fri *", "0 8 ? * MON-FRI *"),
        ("0 8 L * ? 2027", "0 8 L * ? 2027"),
        ("0 8 15W JAN ? *", "0 8 15W JAN ? *"),
        ("0 8 ? * FRI#2 *", "0 8 ? * FRI#2 *"),
    ],
)
def test_cron__is_told_as_aws_counts(usual: str, expected: str) -> None:
    assert aws_cron(usual) == aws_cron(f"cron({usual})") == f"cron({expected})"


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("60 8 * * 1", "minute '60' is not from 0 to 59"),
        ("0 24 * * 1", "hour '24'"),
        ("0 8 0 * *", "day '0'"),
        ("0 8 * 13 *", "month '13' is not from 1 to 12 or JAN to DEC"),
        ("0 8 * * 8", "weekday '8'"),
        ("0 8 * * MON-", "weekday"),
        ("0 8 ? * 0 *", "weekday '0' is not from 1 to 7 or SUN to SAT"),
        ("0 8 ? * MON#6 *", "weekday"),
        ("0/0 8 * * *", "minute"),
        ("0 8 , * ? *", "day"),
        ("0 8 ? * 2 99", "year"),
        ("0 8 * * * *", "with ? for"),
        ("0 8 1 * 1", "not both"),
        ("0 8 * *", "takes"),
        ("rate(5 minutes)", "takes"),
        ("", "takes"),
    ],
)
def test_cron__what_aws_would_refuse_is_refused(text: str, why: str) -> None:
    with pytest.raises(Refused) as refused:
        aws_cron(text)

    assert why in f"takes {refused.value}"
