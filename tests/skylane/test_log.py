"""Entries of the log: each is one, whatever it tells, and none tells a secret."""

from __future__ import annotations

import logging
import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from skylane.log import Repeats, SafeFormatter, without_secrets


def written(message: str, *, error: bool = False) -> str:
    record = logging.LogRecord("vodal.web.app", logging.ERROR, "x.py", 1, "%s", (message,), None)
    if error:
        failure = ValueError(message)
        record.exc_info = type(failure), failure, None
    return SafeFormatter().format(record)


@given(st.text(), st.booleans())
def test_no_text_can_pass_for_an_entry_or_speak_to_a_terminal(text, error):
    first, *rest = written(text, error=error).split("\n")
    assert "ERROR vodal.web.app: " in first
    assert all(line.startswith("| ") for line in rest)
    assert "".join([first, *rest]).isprintable()


def test_a_forged_entry_is_seen_as_what_it_is():
    text = written("GET /x\r\n2026-12-01 00:00:00,000 ERROR root: all is lost\x1b[2J\u202e\x9b31m")
    assert text.count("\n") == 1
    assert "\\r\n| 2026-12-01" in text
    assert "\\x1b[2J\\u202e\\x9b31m" in text


SECRETS = [
    "https://a.example/files/x?SIGNATURE=1.99.abc.{}&RUNID=7",
    "https://a.example/files/x?a=1&signature={}",
    "https://b.s3.amazonaws.com/x?X-Amz-Credential={}&X-Amz-Signature={}&X-Amz-Date=1",
    "cannot read postgresql://skylane:{}@db.example/archive",
    "cannot read http://user:{}@host/x",
    "Authorization: Bearer {}",
    "headers {{'authorization': 'Bearer {}'}}",
    "Authorization: Basic {}",
    "the token eyJhbGciOiJSUzI1NiJ9.{}.c2lnbmF0dXJl is over",
    "?access_token={}",
    'secret_access_key="{}"',
    "password={} host=db",
    "hook_token: {}",
]


@pytest.mark.parametrize("text", SECRETS)
def test_secrets_are_left_out_wherever_they_are_told(text):
    secret = "c2VjcmV0LXRva2Vu"
    whole = text.format(*[secret] * text.count("{}"))
    for told in (without_secrets(whole), written(whole), written(whole, error=True)):
        assert secret not in told
        assert "***" in told
    assert without_secrets("GET /tap/sync: QUERY: syntax error at 'token'") == (
        "GET /tap/sync: QUERY: syntax error at 'token'"
    )


def entry(message: str, *args: object, trace: Exception | None = None) -> logging.LogRecord:
    info = None if trace is None else (type(trace), trace, None)
    return logging.LogRecord("queue", logging.WARNING, "x.py", 1, message, args, info)


def test_an_entry_that_comes_again_and_again_is_written_once_a_minute_and_counted():
    now = [0.0]
    repeats = Repeats(lambda: now[0])
    told = []
    for second in range(150):
        now[0] = float(second)
        records = entry("%s is away", "the database"), entry("turn %d", second)
        told += [record.getMessage() for record in records if repeats.filter(record)]
    away = [one for one in told if "away" in one]
    assert away == [
        "the database is away",
        "the database is away [59 more since it was written last]",
        "the database is away [59 more since it was written last]",
    ]
    assert len(told) == 150 + len(away)


def test_traces_and_entries_that_cannot_be_read_are_never_left_out():
    repeats = Repeats(lambda: 0.0)
    assert all(repeats.filter(entry("failed", trace=ValueError("x"))) for _ in range(3))
    assert all(repeats.filter(entry("%d files", "no")) for _ in range(3))


def test_it_remembers_no_more_entries_than_it_must():
    repeats = Repeats(lambda: 0.0)
    assert all(repeats.filter(entry("entry %d", number)) for number in range(5000))
    assert not repeats.filter(entry("entry %d", 4999))
    assert repeats.filter(entry("entry %d", 0))


def test_servers_log_so():
    program = (
        "import logging.config, skylane.log\n"
        "logging.config.dictConfig(skylane.log.LOG_SETTINGS)\n"
        "for _ in range(3): logging.getLogger('queue').warning('the queue is away')\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert done.stderr.count("the queue is away") == 1


def test_loggers_may_be_made_while_all_are_gone_through():
    # As a thread that loads compiled code makes them, while pytest takes up the log of a test.
    for place, _ in enumerate(logging.root.manager.loggerDict.values()):
        logging.getLogger(f"skylane.test.{place}")
        if place == 1:
            break
