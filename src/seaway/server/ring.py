"""Many sends in one system call: the little of Linux's io_uring that this takes.

What lives here: `Ring`, made with ctypes and mmap as io_uring_setup(2) and io_uring_enter(2) say.
What must not: connections; which sends to make, and what a short one means, is `lane`'s.

Synchronous on purpose. Every send carries MSG_DONTWAIT, so the kernel makes it or refuses it before
the call returns, and nothing is ever in flight between two calls: no buffer has to stay, and no
descriptor can be closed and used anew under a send that is still to come.
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import mmap
import os
import socket
import struct
import sys
from array import array
from collections.abc import Callable, Iterator, Sequence

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
_OP_SEND = 26
#: IOSQE_CQE_SKIP_SUCCESS: a send of which everything was taken is not reported. MSG_WAITALL says
#: that one that was cut short is not such a send; MSG_DONTWAIT keeps it from being waited for.
_SKIP_SUCCESS = 1 << 6

#: io_uring_params as we ask: cq_entries, flags; and of the answer the offsets that we need:
#: sq_off.tail, sq_off.array, cq_off.head, cq_off.tail, cq_off.cqes.
_ASKED = struct.Struct("=4xII108x")
_ANSWERED = struct.Struct("=44xI16xI12xII12xI16x")
#: io_uring_sqe: opcode, flags, ioprio, fd, off, addr, len, msg_flags, user_data; and io_uring_cqe:
#: user_data, res, flags.
_SQE = struct.Struct("=BBHiQQIIQ24x")
_CQE = struct.Struct("=QiI")
_SQE_WORDS, _SQE_FD, _SQE_LEN = 16, 1, 6
_WORD = 0xFFFFFFFF

#: The result of a send that was not made.
NOT_SENT = -errno.ECANCELED

#: File descriptors, packed.
Descriptors = memoryview

_SystemCall = Callable[[int, int, int, int, int, None, int], int]


class RingUnavailable(OSError):
    """There is no io_uring to be had: another system, an older kernel, or it is forbidden here."""


class Ring:
    """Sends one frame to many sockets. Belongs to the thread that made it.

    A slot of the submission queue is filled once; what changes from batch to batch is its
    descriptor, and its length when the frame has another one. Only what was not sent whole is
    reported back, so that a batch of which everybody gets all has nothing to be read.

    :raises RingUnavailable: the message says why.
    """

    __slots__ = (
        "_cq_head", "_cq_tail", "_cqes", "_descriptors", "_enter", "_fd", "_frame", "_lengths",
        "_made", "_ring", "_seen", "_size", "_sq_tail", "_sqes", "_words",
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
        flags = socket.MSG_DONTWAIT | socket.MSG_NOSIGNAL | socket.MSG_WAITALL
        for slot in range(SLOTS):
            entry = (_OP_SEND, _SKIP_SUCCESS, 0, -1, 0, address, 0, flags, slot)
            _SQE.pack_into(self._sqes, slot * _SQE.size, *entry)
        words = memoryview(self._sqes)
        self._descriptors = words.cast("i")[_SQE_FD::_SQE_WORDS]
        self._lengths = words.cast("I")[_SQE_LEN::_SQE_WORDS]
        self._size = 0
        #: Sends made and failures seen so far, modulo 2**32: where the two rings stand between
        #: two batches.
        self._made = self._seen = 0
        self._enter: _SystemCall = _libc().syscall

    def _try_out(self) -> None:
        """Send a little, so that a kernel or a sandbox that refuses is found out now, and one that
        does not report at once what did not go out whole."""
        ours, theirs = socket.socketpair()
        with ours, theirs:
            ours.setblocking(False)
            theirs.setblocking(False)
            ours.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, CAPACITY // 4)
            target = pack([ours.fileno(), -1])
            results = [self.send(target[:1], b"ahoy")]
            results += [self.send(target, bytes(CAPACITY)) for _ in range(2)]
            taken = -1
            with contextlib.suppress(BlockingIOError):
                taken = len(theirs.recv(2 * CAPACITY)) - len(b"ahoy")
        refused = -errno.EBADF
        if results != [None, [taken, refused], [-errno.EAGAIN, refused]]:
            raise OSError(errno.ENOTSUP, f"sends for trial had the results {results}")

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
        """
        size, count = len(frame), len(descriptors)
        if size != self._size:
            self._set_size(size)
        self._frame[:size] = frame
        begin = self._made
        slot = begin % SLOTS
        first = min(count, SLOTS - slot)
        self._descriptors[slot : slot + first] = descriptors[:first]
        if first < count:
            self._descriptors[: count - first] = descriptors[first:]
        taken = self._submit(begin, count)
        if self._words[self._cq_tail] == self._seen and taken == count:
            return None
        results = [size] * taken + [NOT_SENT] * (count - taken)
        for used, result in self._failures():
            results[(used - slot) % SLOTS] = result
        return results

    def _failures(self) -> Iterator[tuple[int, int]]:
        """The slots of sends that were not made whole, and what became of them."""
        words = self._words
        while self._seen != words[self._cq_tail]:
            at = self._cqes + self._seen % SLOTS * _CQE.size
            slot, result, _ = _CQE.unpack_from(self._ring, at)
            yield slot, result
            self._seen = (self._seen + 1) & _WORD
        words[self._cq_head] = self._seen

    def _set_size(self, size: int) -> None:
        self._size = size
        self._lengths[:] = array("I", [size]) * SLOTS

    def _submit(self, begin: int, count: int) -> int:
        """Have the kernel make the sends of the next slots; how many it has taken."""
        words, sq_tail = self._words, self._sq_tail
        words[sq_tail] = (begin + count) & _WORD
        taken = self._enter(_IO_URING_ENTER, self._fd, count, 0, 0, None, 0)
        if taken != count:
            # What it has not taken it must not find there the next time.
            words[sq_tail] = (begin + max(taken, 0)) & _WORD
            if taken < 0:
                number = ctypes.get_errno()
                raise RingUnavailable(number, os.strerror(number))
        self._made = (begin + taken) & _WORD
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
