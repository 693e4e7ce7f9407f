"""Every error that Seaway raises, and every code with which it closes a connection.

What lives here: the exception tree, the close codes, and how a client reacts to each.
What must not: anything that does I/O or imports the rest of Seaway.

The tree; each class says whose fault it is::

    SeawayError
    ├── ConfigurationError      the operator: a setting, an address, a missing file
    │   └── InvalidChannelLayerError  a consumer's layer is not configured, or lacks groups
    ├── SyncCallInLoop          the caller: a synchronous call where an event loop is running
    ├── ResponseError           the application: a response that HTTP cannot carry
    ├── ProtocolError           the peer: bytes that break a protocol
    │   └── BadMessage          the peer: a well-framed message that its dialect does not know
    ├── GiveUp                  a handler: this message is hopeless, make it a dead letter
    ├── TimeLimitExceeded       a handler that ran longer than its timeout
    ├── WorkerDied              nobody: a worker process went away with a task in its hands
    ├── LayerError              the layer
    │   ├── LayerUnavailable    the engine cannot be reached in time
    │   ├── InvalidName         the caller: a topic, channel or member name that is not legal
    │   ├── EventsMissed        nobody: a follower was cut off longer than the history reaches
    │   ├── ChannelFull         the sender: as many messages wait as the channel may hold
    │   ├── ChannelClosed       the sender or receiver: the channel was closed
    │   ├── NotThisProcess      the receiver: the channel lives in another process
    │   ├── UnencodablePayload  the publisher: a payload that JSON cannot carry
    │   └── PayloadTooLarge     the publisher: a payload over the limit
    ├── StopConsumer            a consumer says that it has ended
    ├── AcceptConnection        a consumer accepts, from anywhere inside ``connect``
    ├── DenyConnection          a consumer refuses, from anywhere inside ``connect``
    ├── RequestAborted          the peer: gone before its request was whole
    │   └── RequestTimeout      the peer: too slow with its request
    └── TopicError              answered to the client as ``code`` and ``message``
        ├── UnknownTopic        no route leads to this name
        ├── NotJoined           a call or a leave for a topic that was not joined
        ├── UnknownAction       the topic has no such action
        ├── InvalidArguments    missing, extra or wrongly typed arguments
        ├── Forbidden           ``join`` or an action refused; also: no ``join`` is defined
        ├── NotFound            an object that ``join`` or an action looked for is not there
        ├── Overloaded          the client is over a limit on what it may hold or ask for
        ├── Unavailable         the layer cannot be reached; the client may try again later
        ├── Failed              the server's own fault; details are in its log only
        └── ActionError         the application says no, in its own words
"""

from __future__ import annotations

import enum
from typing import Any


class SeawayError(Exception):
    """The root: ``except SeawayError`` catches whatever Seaway itself raises."""


class ConfigurationError(SeawayError):
    """The operator's fault. The message is one line, fit to be shown without a traceback."""


class InvalidChannelLayerError(ConfigurationError, ValueError):
    """A consumer needs a channel layer that is not configured, or groups that it has not got."""


class SyncCallInLoop(SeawayError, RuntimeError):
    """The caller's fault: a synchronous call on a thread whose event loop is running.

    It would stop the loop that has to do the work. Await the a-prefixed twin instead.
    """


class ResponseError(SeawayError, RuntimeError):
    """The application's fault: it made a response that HTTP cannot carry."""


class ProtocolError(SeawayError):
    """The peer's fault: it broke a protocol.

    :param reason: one line for the log, and for the peer where the protocol has room for it.
    :param status: the HTTP status to answer with, while HTTP is spoken.
    :param close_code: the WebSocket close code, once WebSocket is spoken.
    """

    def __init__(self, reason: str, *, status: int = 400, close_code: int = 1002) -> None:
        super().__init__(reason)
        self.reason = reason
        self.status = status
        self.close_code = close_code


class BadMessage(ProtocolError):
    """A message that is well framed, but not one of its dialect. Closes with BAD_MESSAGE."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason, close_code=CloseCode.BAD_MESSAGE)


class GiveUp(SeawayError):
    """Raise it in a handler for a message that will never succeed: it becomes a dead letter, with
    what you say as its reason, and is not tried again."""


class TimeLimitExceeded(SeawayError):
    """Raised in a handler that ran longer than its ``timeout``; its message is tried again."""


class WorkerDied(SeawayError):
    """The process that ran a task went away before it said what came of it. In a task's result;
    raised nowhere. It may have been killed, as by a system out of memory, or stopped, or have
    crashed; whether the task is to blame cannot be known."""


class LayerError(SeawayError):
    """The layer could not do what it was asked to do."""


class LayerUnavailable(LayerError):
    """The engine did not answer in time. Whether a publish took effect is not known."""


class InvalidName(LayerError, ValueError):
    """A topic, channel or member name that is not legal. The message says what is."""


class EventsMissed(LayerError):
    """A follower missed events that cannot be read any more: what it built on them is to be built
    anew. Following goes on."""


class ChannelFull(LayerError):
    """The channel holds as many messages as it may. Nothing was sent; the sender may wait."""


class ChannelClosed(LayerError):
    """The channel was closed: nothing more can be sent, and all that was sent is received."""


class NotThisProcess(LayerError, AssertionError):
    """The caller receives from a channel that lives in another process, which alone can."""


class UnencodablePayload(LayerError, TypeError):
    """The payload has a value that JSON, or MessagePack in a channel layer, cannot carry.

    Nothing was published."""


class PayloadTooLarge(LayerError, ValueError):
    """The publisher's payload is over the limit. Nothing was published."""


#: The Channels API's name for it.
MessageTooLarge = PayloadTooLarge


class StopConsumer(SeawayError):
    """Raise it in a consumer's handler when the consumer has ended. Not an error."""


class AcceptConnection(SeawayError):
    """Raise it inside ``connect`` to accept the connection. Not an error."""


class DenyConnection(SeawayError):
    """Raise it inside ``connect`` to refuse the connection. Not an error."""


class RequestAborted(SeawayError):
    """The client has gone before its request was whole."""


class RequestTimeout(RequestAborted):
    """The client was too slow with its request."""


class TopicError(SeawayError):
    """An answer to a client's request: it reaches the caller as ``code`` and ``message``.

    :param message: one sentence for the person at the other end.
    :param data: more for the program at the other end; must be JSON.
    """

    code = "error"

    def __init__(self, message: str, *, data: Any = None) -> None:
        super().__init__(message)
        self.message = message
        self.data = data


class UnknownTopic(TopicError):
    """No route leads to this name."""

    code = "unknown_topic"


class NotJoined(TopicError):
    """A call or a leave for a topic that this connection has not joined."""

    code = "not_joined"


class UnknownAction(TopicError):
    """The topic has no action of this name."""

    code = "unknown_action"


class NotRepeatable(TopicError):
    """A call has a key, but its action is not marked ``once=True``."""

    code = "not_repeatable"


class OutcomeUnknown(TopicError):
    """An earlier attempt of a call was begun and has not ended; nobody knows what it did."""

    code = "outcome_unknown"


class InvalidArguments(TopicError):
    """Missing, extra or wrongly typed arguments; the message names the first."""

    code = "invalid_arguments"


class Forbidden(TopicError):
    """Refused: by ``join``, by an action, or because the topic defines no ``join``."""

    code = "forbidden"


class NotFound(TopicError):
    """An object that ``join`` or an action looked for does not exist."""

    code = "not_found"


class Overloaded(TopicError):
    """The client is over a limit: too many joins or too many unanswered requests."""

    code = "overloaded"


class Unavailable(TopicError):
    """The layer cannot be reached in time; the client may try again later."""

    code = "unavailable"


class Failed(TopicError):
    """The server's own fault. The client learns no more than that; the log has the traceback."""

    code = "failed"


class ActionError(TopicError):
    """Raise it in ``join`` or in an action to say no in your own words.

    ``raise ActionError("Seat 12 is taken.", code="taken")`` rejects the caller's promise with
    that code and message. The code is yours to choose; ``data`` may carry more, as JSON.
    """

    code = "rejected"

    def __init__(self, message: str, *, code: str = "rejected", data: Any = None) -> None:
        super().__init__(message, data=data)
        self.code = code


class CloseCode(enum.IntEnum):
    """WebSocket close codes: RFC 6455 section 7.4.1, the IANA registry, and Seaway's own.

    Seaway's own codes are policy by range: after 4000 to 4499 a client reconnects and resumes,
    after 4500 to 4999 it does not, because the same thing would happen again.
    """

    NORMAL = 1000
    GOING_AWAY = 1001
    PROTOCOL_ERROR = 1002
    UNSUPPORTED_DATA = 1003
    NO_STATUS = 1005
    ABNORMAL = 1006
    INVALID_PAYLOAD = 1007
    POLICY_VIOLATION = 1008
    MESSAGE_TOO_BIG = 1009
    MANDATORY_EXTENSION = 1010
    INTERNAL_ERROR = 1011
    SERVICE_RESTART = 1012
    TRY_AGAIN_LATER = 1013
    SLOW_CLIENT = 4000
    PING_TIMEOUT = 4001
    BAD_MESSAGE = 4500
    UNSUPPORTED_VERSION = 4501


#: Standard codes after which a client stays away: the same bytes would meet the same end.
_TERMINAL_STANDARD_CODES = frozenset({1000, 1002, 1003, 1007, 1008, 1009, 1010})


def reconnects_after(code: int) -> bool:
    """Whether a client should reconnect after this close code. The JavaScript client agrees."""
    if 4500 <= code <= 4999:
        return False
    return code not in _TERMINAL_STANDARD_CODES
