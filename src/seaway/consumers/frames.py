"""Text messages as frames, made once for all who send the same.

What lives here: `framed`. What must not: connections.
"""

from __future__ import annotations

from seaway.server.handoff import Framing

#: Frames that are kept, and bytes of the longest of them.
_MOST_KEPT, _LONGEST_KEPT = 64, 64 * 1024
#: By its text, the frame that was made last: members of a group mostly send the same in turn.
_kept: dict[str, tuple[Framing, bytes]] = {}


def framed(framing: Framing, text: str) -> bytes:
    """A text message framed, or the frame that was made for the same text before."""
    kept = _kept.get(text)
    if kept is not None and kept[0] is framing:
        return kept[1]
    frame = framing(text.encode())
    if len(frame) <= _LONGEST_KEPT:
        if len(_kept) >= _MOST_KEPT:
            _kept.clear()
        _kept[text] = (framing, frame)
    return frame
