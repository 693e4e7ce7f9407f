"""The ring on real sockets: what each send came to, in one call and in order."""

import contextlib
import errno
import socket
import threading
from collections.abc import Iterator

import pytest

from seaway.server import ring as module
from seaway.server.ring import CAPACITY, SLOTS, Ring, RingUnavailable, pack

Pair = tuple[socket.socket, socket.socket]


@pytest.fixture
def ring() -> Iterator[Ring]:
    try:
        made = Ring()
    except RingUnavailable as error:
        pytest.skip(f"the kernel refuses io_uring here: {error}")
    yield made
    made.close()


@pytest.fixture
def pairs() -> Iterator[list[Pair]]:
    made = [tcp_pair() for _ in range(20)]
    yield made
    for pair in made:
        for end in pair:
            end.close()


def tcp_pair() -> Pair:
    """A connection over loopback: the end that sends, with little room, and the one that reads."""
    with socket.socket() as listening:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        listening.bind(("127.0.0.1", 0))
        listening.listen()
        ours = socket.create_connection(listening.getsockname())
        theirs = listening.accept()[0]
    ours.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
    ours.setblocking(False)
    theirs.settimeout(10)
    return ours, theirs


def descriptors(pairs: list[Pair]) -> list[int]:
    return [ours.fileno() for ours, _ in pairs]


def test_everybody_gets_all_of_it(ring: Ring, pairs: list[Pair]) -> None:
    assert ring.send(pack(descriptors(pairs)), b"hello") is None
    assert {theirs.recv(100) for _, theirs in pairs} == {b"hello"}


def test_many_batches_of_many_sizes_run_around_the_ring(ring: Ring, pairs: list[Pair]) -> None:
    for number in range(SLOTS):
        frame = b"%d," % number * (1 + number % 3)
        some = pairs[: 1 + number % len(pairs)]
        assert ring.send(pack(descriptors(some)), frame) is None
        assert {theirs.recv(100) for _, theirs in some} == {frame}


@pytest.mark.parametrize("count", [1, SLOTS - 1, SLOTS])
def test_a_batch_may_fill_the_ring(ring: Ring, pairs: list[Pair], count: int) -> None:
    one = pairs[0][0].fileno()
    for _ in range(3):
        assert ring.send(pack([one] * count), b"x") is None
        received = b""
        while len(received) < count:
            received += pairs[0][1].recv(1000)
        assert received == b"x" * count


def test_a_full_socket_and_a_missing_one_do_not_hinder_the_others(
    ring: Ring, pairs: list[Pair]
) -> None:
    full, *others = pairs
    with contextlib.suppress(BlockingIOError):
        while full[0].send(b"x" * 1000):
            pass
    sockets = descriptors(pairs)
    sockets[1] = -1
    results = ring.send(pack(sockets), b"hello")
    assert results == [-errno.EAGAIN, -errno.EBADF, *[5] * (len(pairs) - 2)]
    assert {theirs.recv(100) for _, theirs in others[1:]} == {b"hello"}


def test_a_short_send_says_how_much_was_taken(ring: Ring, pairs: list[Pair]) -> None:
    frame = bytes(range(256)) * (CAPACITY // 256)
    results = ring.send(pack(descriptors(pairs[:1])), frame)
    assert results is not None
    taken = results[0]
    assert 0 < taken < CAPACITY
    received = b""
    while len(received) < taken:
        received += pairs[0][1].recv(CAPACITY)
    assert received == frame[:taken]


def test_a_reset_is_a_result_not_a_signal(ring: Ring, pairs: list[Pair]) -> None:
    pairs[0][0].shutdown(socket.SHUT_WR)
    results = ring.send(pack(descriptors(pairs)), b"hello")
    assert results == [-errno.EPIPE, *[5] * (len(pairs) - 1)]


def test_another_thread_is_refused_and_nothing_is_sent(ring: Ring, pairs: list[Pair]) -> None:
    raised: list[BaseException] = []

    def work() -> None:
        try:
            ring.send(pack(descriptors(pairs)), b"stray")
        except RingUnavailable as error:
            raised.append(error)

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert len(raised) == 1
    assert ring.send(pack(descriptors(pairs)), b"hello") is None
    assert {theirs.recv(100) for _, theirs in pairs} == {b"hello"}


def test_a_kernel_without_io_uring_is_an_error_that_says_so(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module, "_IO_URING_SETUP", -1)  # no such system call, as on old kernels
    with pytest.raises(RingUnavailable, match="not implemented"):
        Ring()


def test_a_kernel_that_does_not_know_the_operation_is_found_out(
    ring: Ring, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_OP_SEND", 255)
    with pytest.raises(RingUnavailable, match="trial"):
        Ring()
