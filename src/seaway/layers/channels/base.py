"""What every channel layer has in common, third-party ones included: names and capacities.

What lives here: `BaseChannelLayer`, the class that the Channels API asks a layer to descend from.
What must not: a way to carry a message.
"""

from __future__ import annotations

import fnmatch
import re
import warnings
from collections.abc import Mapping
from typing import Any

from seaway.exceptions import ChannelFull, PayloadTooLarge
from seaway.layers.channels.messages import Message

#: By name (a glob) or by a compiled pattern: the capacity of the channels that match it.
Capacities = Mapping[str | re.Pattern[str], int]


class BaseChannelLayer:
    """The interface of a channel layer, and the rules for names that all share.

    :param expiry: seconds that a message waits for its receiver.
    :param capacity: messages that wait in one channel.
    :param channel_capacity: other capacities, by glob (a string) or compiled pattern; the first
        that matches the channel's name counts.
    """

    MAX_NAME_LENGTH = 100

    channel_name_regex = re.compile(r"^[a-zA-Z\d\-_.]+(\![\w\-.]*)?\Z", re.ASCII)
    group_name_regex = re.compile(r"^[a-zA-Z\d\-_.]+\Z", re.ASCII)
    invalid_name_error = (
        "{} name must be a valid unicode string "
        f"with length < {MAX_NAME_LENGTH} "
        "containing only ASCII alphanumerics, hyphens, underscores, or periods."
    )

    #: What `send` raises when a channel holds as many messages as it may.
    ChannelFull = ChannelFull
    #: What sending raises when the encoded message is over the layer's limit.
    MessageTooLarge = PayloadTooLarge

    #: What the layer does beyond `send` and `receive`; here: nothing.
    extensions: list[str] = []

    def __init__(
        self,
        expiry: float = 60,
        capacity: int = 100,
        channel_capacity: Capacities | None = None,
    ) -> None:
        self.expiry = expiry
        self.capacity = capacity
        self.channel_capacity = self.compile_capacities(channel_capacity or {})

    # Capacities ----------------------------------------------------------------------------------

    def compile_capacities(self, channel_capacity: Capacities) -> list[tuple[re.Pattern[str], int]]:
        """The patterns of ``channel_capacity``, in its order, for `get_capacity`."""
        return [
            (re.compile(fnmatch.translate(name)) if isinstance(name, str) else name, capacity)
            for name, capacity in channel_capacity.items()
        ]

    def get_capacity(self, channel: str) -> int:
        """How many messages may wait in this channel."""
        for pattern, capacity in self.channel_capacity:
            if pattern.match(channel):
                return capacity
        return self.capacity

    # Names ---------------------------------------------------------------------------------------

    def match_type_and_length(self, name: object) -> bool:
        """Whether it is a string of fewer than `MAX_NAME_LENGTH` characters."""
        return isinstance(name, str) and len(name) < self.MAX_NAME_LENGTH

    def require_valid_channel_name(self, name: str, receive: bool = False) -> bool:  # noqa: FBT001, FBT002, RUF100  the Channels API passes it by position
        """True, or TypeError for what is not a channel name.

        :param receive: whether the local part, after ``!``, has to be empty.
        """
        if not self.match_type_and_length(name) or not self.channel_name_regex.match(name):
            raise TypeError(self._invalid("Channel", name))
        if receive and "!" in name and not name.endswith("!"):
            raise TypeError("Specific channel names in receive() must end at the !")
        return True

    def require_valid_group_name(self, name: str) -> bool:
        """True, or TypeError for what is not a group name."""
        if not self.match_type_and_length(name) or not self.group_name_regex.match(name):
            raise TypeError(self._invalid("Group", name))
        return True

    def valid_channel_name(self, name: str, receive: bool = False) -> bool:  # noqa: FBT001, FBT002, RUF100  as above
        """The older name of `require_valid_channel_name`. Deprecated."""
        _deprecated("valid_channel_name")
        return self.require_valid_channel_name(name, receive)

    def valid_group_name(self, name: str) -> bool:
        """The older name of `require_valid_group_name`. Deprecated."""
        _deprecated("valid_group_name")
        return self.require_valid_group_name(name)

    def _invalid(self, kind: str, name: object) -> str:
        return f"{self.invalid_name_error.format(kind)} This is not: {str(name)[:120]!r}."

    def non_local_name(self, name: str) -> str:
        """The name up to and with its ``!``, which says where the channel lives."""
        head, mark, _ = name.partition("!")
        return head + mark

    # What a layer does ---------------------------------------------------------------------------

    async def send(self, channel: str, message: Message) -> None:
        """Put a message into a channel; ChannelFull when it holds as many as it may."""
        raise NotImplementedError(self._lacks("send"))

    async def receive(self, channel: str) -> Message:
        """Take the next message out of a channel; waits for one."""
        raise NotImplementedError(self._lacks("receive"))

    async def new_channel(self, prefix: str = "specific") -> str:
        """The name of a new channel that lives in this process."""
        raise NotImplementedError(self._lacks("new_channel"))

    async def flush(self) -> None:
        """Forget all messages and groups: for tests."""
        raise NotImplementedError(self._lacks("flush"))

    async def group_add(self, group: str, channel: str) -> None:
        """Make a channel a member; one that is already has its time extended."""
        raise NotImplementedError(self._lacks("group_add"))

    async def group_discard(self, group: str, channel: str) -> None:
        """End a channel's membership. Not a member: nothing."""
        raise NotImplementedError(self._lacks("group_discard"))

    async def group_send(self, group: str, message: Message) -> None:
        """Send to every member; never ChannelFull."""
        raise NotImplementedError(self._lacks("group_send"))

    async def close(self) -> None:
        """Let go of what the layer holds open. Here: nothing."""

    def _lacks(self, method: str) -> str:
        return f"{type(self).__name__} does not implement {method}()."

    def _configured(self) -> dict[str, Any]:
        """The options for a representation; no secrets."""
        return {"expiry": self.expiry, "capacity": self.capacity}

    def __repr__(self) -> str:
        options = ", ".join(f"{name}={value!r}" for name, value in self._configured().items())
        return f"{type(self).__name__}({options})"


def _deprecated(name: str) -> None:
    warnings.warn(f"{name} is deprecated: use require_{name}.", DeprecationWarning, stacklevel=3)
