"""Entries of the log: each is one, whatever it tells, and none tells a secret."""

from __future__ import annotations

import logging

import pytest
from hypothesis import given
from hypothesis import strategies as st

from skylane.log import SafeFormatter, without_secrets


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
