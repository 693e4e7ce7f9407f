"""Many sends in one system call: the little of Linux's io_uring that this takes.

What lives here: `Ring`, made with ctypes and mmap as io_uring_setup(2) and io_uring_enter(2) say.
What must not: connections; which sends to make, and what a short one means, is `lane`'s.

Synchronous on purpose. Every send carries MSG_DONTWAIT, so the kernel makes it or refuses it before
the call returns, and nothing is ever in flight between two calls: no buffer has to stay, and no
descriptor can be closed and used anew under a send that is still to come.
"""

from __future__ import annotations

import ctypes
import errno
import mmap
import os
import socket
import struct
import sys
from array import array
from collections.abc import Callable, Sequence

#: Sends in one call; a power of two.
SLOTS = 256
#: The longest frame in bytes. Copying more than that costs what a system call does.
CAPACITY = 64 * 1024

# From linux/io_uring.h; the numbers of the system calls are the same on all 64-bit architectures.
_IO_URING_SETUP, _IO_URING_ENTER = 425, 426
#: CQSIZE, SUBMIT_ALL, COOP_TASKRUN, SINGLE_ISSUER. Linux 6.0 is the first that has all of them; an
#: older one refuses with EINVAL.
_SETUP = 1 << 3 | 1 << 7 | 1 << 8 | 1 << 12
_OFF_SQES = 0x10000000
_GETEVENTS = 1
_OP_SEND = 26

#: io_uring_params as we ask: cq_entries, flags; and of the answer the offsets that we need:
#: sq_off.tail, sq_off.array, cq_off.head, cq_off.tail, cq_off.cqes.
_ASKED = struct.Struct("=4xII108x")
_ANSWERED = struct.Struct("=44xI16xI12xII12xI16x")
#: io_uring_sqe: opcode, flags, ioprio, fd, off, addr, len, msg_flags, user_data; and io_uring_cqe:
#: user_data, res, flags.
_SQE = struct.Struct("=BBHiQQIIQ24x")
_CQE = struct.Struct("=QiI")
_SQE_WORDS, _SQE_FD, _SQE_LEN = 16, 1, 6
_CQE_WORDS, _CQE_RES = 4, 2
_WORD = 0xFFFFFFFF

#: The result of a send that was not made.
NOT_SENT = -errno.ECANCELED

#: File descriptors, packed.
Descriptors = memoryview

_SystemCall = Callable[[int, int, int, int, int, None, int], int]


class RingUnavailable(OSError):
    """There is no io_uring to be had: another system, an older kernel, or it is forbidden here."""


class RingBroken(OSError):
    """The kernel has taken sends and does not say what became of them."""


class Ring:
    """Sends one frame to many sockets. Belongs to the thread that made it.

    A slot of the submission queue is filled once; what changes from batch to batch is its
    descriptor, and its length when the frame has another one. As each batch is completed before
    the next one, completions use the slots of the same numbers.

    :raises RingUnavailable: the message says why.
    """

    __slots__ = (
        "_cq_head", "_cq_tail", "_cqes", "_descriptors", "_done", "_enter", "_expected", "_fd",
        "_frame", "_lengths", "_ring", "_size", "_sq_tail", "_sqes", "_words",
    )  # fmt: skip

    def __init__(self) -> None:
        self._fd, layout = _set_up()
        try:
            self._map(layout)
            self._fill()
            self._try_out()
        except OSError as error:
            os.close(self._fd)
            raise RingUnavailable(f"io_uring: {error}") from error

    def _map(self, layout: tuple[int, ...]) -> None:
        sq_tail, sq_array, cq_head, cq_tail, self._cqes = layout
        size = max(self._cqes + SLOTS * _CQE.size, sq_array + SLOTS * 4)
        self._ring = mmap.mmap(self._fd, size)
        self._sqes = mmap.mmap(self._fd, SLOTS * _SQE.size, offset=_OFF_SQES)
        self._frame = mmap.mmap(-1, CAPACITY, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
        self._words = memoryview(self._ring).cast("I")
        self._sq_tail, self._cq_head, self._cq_tail = sq_tail // 4, cq_head // 4, cq_tail // 4
        # The submission ring's indirection: slot n is slot n.
        self._words[sq_array // 4 : sq_array // 4 + SLOTS] = array("I", range(SLOTS))

    def _fill(self) -> None:
        address = ctypes.addressof(ctypes.c_char.from_buffer(self._frame))
        flags = socket.MSG_DONTWAIT | socket.MSG_NOSIGNAL
        for slot in range(SLOTS):
            _SQE.pack_into(
                self._sqes, slot * _SQE.size, _OP_SEND, 0, 0, -1, 0, address, 0, flags, slot
            )
        words = memoryview(self._sqes)
        self._descriptors = words.cast("i")[_SQE_FD::_SQE_WORDS]
        self._lengths = words.cast("I")[_SQE_LEN::_SQE_WORDS]
        #: The completions of a batch of which everybody gets all.
        self._expected = bytearray().join([_CQE.pack(slot, 0, 0) for slot in range(SLOTS)])
        self._size = 0
        #: Sends made so far, modulo 2**32: the heads and tails of both rings between two batches.
        self._done = 0
        self._enter: _SystemCall = _libc().syscall

    def _try_out(self) -> None:
        """Send once, so that a kernel or a sandbox that refuses is found out now."""
        ours, theirs = socket.socketpair()
        with ours, theirs:
            ours.setblocking(False)
            results = self.send(pack([theirs.fileno(), -1]), b"ahoy")
            if results != [4, -errno.EBADF] or ours.recv(5) != b"ahoy":
                raise OSError(errno.ENOTSUP, f"a send for trial had the results {results}")

    def close(self) -> None:
        """Give back the descriptor and the memory."""
        for view in (self._words, self._descriptors, self._lengths):
            view.release()
        os.close(self._fd)

    # Sending -------------------------------------------------------------------------------------

    def send(self, descriptors: Descriptors, frame: bytes) -> Sequence[int] | None:
        """Send ``frame`` once to each of at most `SLOTS` sockets, in order. -1 stands for none.

        :param descriptors: from `pack`.
        :param frame: 1 to `CAPACITY` bytes.
        :returns: None when everybody took all of it; else for each the number of bytes taken, or
            the negative errno.
        :raises RingUnavailable: the kernel refuses the call as a whole; nothing was sent.
        :raises RingBroken: nobody knows what was sent to whom.
        """
        size, count = len(frame), len(descriptors)
        if size != self._size:
            self._set_size(size)
        self._frame[:size] = frame
        begin = self._done
        slot = begin % SLOTS
        first = min(count, SLOTS - slot)
        self._descriptors[slot : slot + first] = descriptors[:first]
        if first < count:
            self._descriptors[: count - first] = descriptors[first:]
        taken = self._submit(begin, count)
        done, expected = self._read(slot, first), self._expected_in(slot, first)
        if first < count:
            done += self._read(0, count - first)
            expected += self._expected_in(0, count - first)
        self._words[self._cq_head] = self._done
        if done == expected and taken == count:
            return None
        # By the slot that each one names: nothing promises that completions keep the order.
        results = [NOT_SENT] * count
        for used, result, _ in _CQE.iter_unpack(done[: taken * _CQE.size]):
            results[(used - slot) % SLOTS] = result
        return results

    def _read(self, slot: int, count: int) -> bytes:
        at = self._cqes + slot * _CQE.size
        return self._ring[at : at + count * _CQE.size]

    def _expected_in(self, slot: int, count: int) -> bytearray:
        at = slot * _CQE.size
        return self._expected[at : at + count * _CQE.size]

    def _set_size(self, size: int) -> None:
        self._size = size
        self._lengths[:] = array("I", [size]) * SLOTS
        with memoryview(self._expected).cast("i") as words:
            words[_CQE_RES::_CQE_WORDS] = array("i", [size]) * SLOTS

    def _submit(self, begin: int, count: int) -> int:
        """Have the kernel make the sends of the next slots; how many it has taken."""
        words, sq_tail, cq_tail = self._words, self._sq_tail, self._cq_tail
        words[sq_tail] = (begin + count) & _WORD
        taken = self._enter(_IO_URING_ENTER, self._fd, count, 0, 0, None, 0)
        if taken != count:
            # What it has not taken it must not find there the next time.
            words[sq_tail] = (begin + max(taken, 0)) & _WORD
            if taken < 0:
                number = ctypes.get_errno()
                raise RingUnavailable(number, os.strerror(number))
        self._done = done = (begin + taken) & _WORD
        # Never so far: what MSG_DONTWAIT leaves to do is done within the call above.
        while words[cq_tail] != done:
            missing = (done - words[cq_tail]) & _WORD
            waited = self._enter(_IO_URING_ENTER, self._fd, 0, missing, _GETEVENTS, None, 0)
            number = ctypes.get_errno() if waited < 0 else 0
            if number != errno.EINTR and words[cq_tail] != done:
                raise RingBroken(number, "completions are missing")
        return taken


def pack(descriptors: Sequence[int]) -> Descriptors:
    """File descriptors as `Ring.send` takes them."""
    # An array made of a list takes three times as long.
    return memoryview(struct.pack(f"{len(descriptors)}i", *descriptors)).cast("i")


def _set_up() -> tuple[int, tuple[int, ...]]:
    """A ring's descriptor, and the kernel's answer."""
    if sys.platform != "linux" or sys.maxsize <= _WORD:
        raise RingUnavailable("io_uring needs Linux on a 64-bit machine")
    asked = ctypes.create_string_buffer(_ASKED.pack(SLOTS, _SETUP), _ASKED.size)
    address = ctypes.addressof(asked)
    fd = _libc().syscall(_IO_URING_SETUP, SLOTS, address, 0, 0, None, 0)
    if fd < 0:
        number = ctypes.get_errno()
        raise RingUnavailable(number, os.strerror(number))
    return fd, _ANSWERED.unpack(asked.raw)


def _libc() -> ctypes.CDLL:
    libc = ctypes.CDLL(None, use_errno=True)
    libc.syscall.restype = ctypes.c_long
    libc.syscall.argtypes = [ctypes.c_long] * 5 + [ctypes.c_void_p, ctypes.c_size_t]
    return libc
