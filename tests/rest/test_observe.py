"""Metrics and traces of the REST functions."""

from __future__ import annotations

import secrets

from support.functions import LIST, LOGIN
from support.metrics import total, values
from support.wait import until


def test_calls_are_counted_by_outcome(api, token, token_for, user):
    since = api.mark()
    api.login(token)
    assert api.call("GET", LIST, token_for(user, exp=1)).status_code == 401
    until(lambda: total(api.metrics(since), "requests") >= 2, "both calls' metrics")
    lines = api.metrics(since)
    assert (total(lines, "requests"), total(lines, "request_refusals"), total(lines, "request_failures")) == (2, 1, 0)
    assert all(values(line)["request_latency"][0] > 0 for line in lines)


def test_a_request_keeps_its_trace(api, token_for, user):
    trace = secrets.token_hex(16)
    since = api.mark()
    api.call("GET", LOGIN, token_for(user, exp=1), headers={"traceparent": f"00-{trace}-{secrets.token_hex(8)}-01"})
    [line] = [line for line in api.log(since) if line["level"] == "error"]
    assert line["trace_id"] == trace
    assert line["cold_start"] in (True, False)
    assert line["function_request_id"] and line["service"] == "sippo-xmpp"
