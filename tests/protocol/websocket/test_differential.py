"""Our parser beside that of ``websockets``: the same messages, the same refusals."""

import random

import pytest
from compliance.fuzz_websocket import check, frame, mutate
from hypothesis import given
from hypothesis import strategies as st


@given(st.integers())
def test_mutated_frames_are_taken_and_refused_alike(seed: int) -> None:
    check(mutate(random.Random(seed)))


def test_the_comparison_finds_what_it_is_for(monkeypatch: pytest.MonkeyPatch) -> None:
    hello = frame(0x81, b"hello", b"mask")
    check(b"\0" + hello)
    monkeypatch.setattr("compliance.fuzz_websocket.theirs", lambda *_: [("message", "bye")])
    with pytest.raises(AssertionError, match="not as websockets has it"):
        check(b"\0" + hello)
