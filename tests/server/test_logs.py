"""The log: one line an event, for people or for machines, without secrets."""

import json
import logging
import sys
from typing import Any

from seaway.server.logs import JSONFormatter, TextFormatter, access_log, log_event, server_log
from tests.server.applications import echo
from tests.server.harness import CLOSE, CapturedLog, masked, serving, wait_until


def one_record(log: CapturedLog, event: str) -> logging.LogRecord:
    wait_until(lambda: event in log.events)
    (record,) = (each for each in log.records if getattr(each, "event", "") == event)
    return record


def test_text_and_json(log: CapturedLog) -> None:
    log_event(server_log, logging.WARNING, "happened", path='/a b"\n', count=3)
    (record,) = log.records
    text = TextFormatter().format(record)
    assert text.endswith('Z WARNING seaway.server happened path="/a b\\"\\n" count=3')
    entry = json.loads(JSONFormatter().format(record))
    assert (entry["event"], entry["level"], entry["path"]) == ("happened", "warning", '/a b"\n')


def test_errors_carry_their_traceback(log: CapturedLog) -> None:
    try:
        raise ValueError("boom")
    except ValueError as error:
        log_event(server_log, logging.ERROR, "failed", error)
    (record,) = log.records
    assert "ValueError: boom" in TextFormatter().format(record).splitlines()[-1]
    assert json.loads(JSONFormatter().format(record))["traceback"].endswith("ValueError: boom")
    assert sys.exc_info() == (None, None, None)


def test_a_request_is_one_line_without_its_query(log: CapturedLog) -> None:
    with serving(echo, access_log=True) as server, server.connect() as client:
        client.request("/seats?token=secret", "Cookie: sessionid=secret")
        record = one_record(log, "request")
    fields: dict[str, Any] = record.__dict__["fields"]
    assert record.name == access_log.name
    assert {**fields, "ms": 0} == {
        "method": "GET",
        "path": "/seats",
        "status": 200,
        "bytes": 7,
        "ms": 0,
        "client": "127.0.0.1",
    }
    assert "secret" not in TextFormatter().format(record)


def test_a_websocket_is_one_line_with_its_code(log: CapturedLog) -> None:
    with serving(echo, access_log=True) as server, server.connect() as client:
        client.upgrade("/live?ticket=secret")
        client.send(masked(CLOSE, (4000).to_bytes(2, "big")))
        record = one_record(log, "websocket")
    assert record.__dict__["fields"]["code"] == 4000
    assert record.__dict__["fields"]["path"] == "/live"
    assert "secret" not in record.getMessage()


def test_without_the_access_log_there_is_none(log: CapturedLog) -> None:
    with serving(echo) as server, server.connect() as client:
        client.request()
    assert log.records == []
