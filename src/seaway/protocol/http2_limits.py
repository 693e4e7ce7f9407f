"""How much an HTTP/2 peer may have under way, and how libnghttp2 is told.

What lives here: `Http2Limits`, and the settings that are the same for every connection.
What must not: allowances against floods (`http2_frames`), the rules for fields (`http2_rules`).
"""

from __future__ import annotations

import msgspec
import ngh2

from .http1_request import HttpLimits

#: A header list over the limit is answered with 431; one so many times over it ends the connection,
#: because it is a bomb: a byte on the wire can stand for 4 KB (RFC 7541 section 7.3).
_BOMB_FACTOR = 4
#: CONTINUATION frames of one header block; five of 16 KB hold 64 KB and are what a client needs.
_MAX_CONTINUATIONS = 8

#: Beyond it libnghttp2 would reset the stream and the application not learn why; HTTP/1.1 has no
#: limit at all.
_MAX_RESPONSE_HEAD = 16 * 1024 * 1024


class Http2Limits(msgspec.Struct, frozen=True):
    """How much a peer may have under way. Sizes are bytes.

    :param http: a request's head, as in HTTP/1.1; over it: 431 or 414.
    :param streams: requests at once (SETTINGS_MAX_CONCURRENT_STREAMS); more are refused.
    :param stream_window: what may be sent of a request before the application has taken any of it.
    :param connection_window: the same for all requests together.
    """

    http: HttpLimits = HttpLimits()
    streams: int = 128
    stream_window: int = 65_535
    connection_window: int = 1024 * 1024


def configuration(limits: Http2Limits) -> ngh2.Configuration:
    """What libnghttp2 holds the peer, and us, to."""
    return ngh2.Configuration(
        auto_window_update=False,
        max_continuations=_MAX_CONTINUATIONS,
        max_send_header_block_length=_MAX_RESPONSE_HEAD,
        max_inbound_header_list_size=_BOMB_FACTOR * limits.http.header_bytes,
        max_inbound_header_count=_BOMB_FACTOR * limits.http.header_count,
    )


def settings(limits: Http2Limits) -> dict[ngh2.Setting, int]:
    """Our SETTINGS (section 6.5.2, RFC 8441 section 3, RFC 9218 section 2.1)."""
    return {
        ngh2.Setting.MAX_CONCURRENT_STREAMS: limits.streams,
        ngh2.Setting.INITIAL_WINDOW_SIZE: limits.stream_window,
        ngh2.Setting.MAX_HEADER_LIST_SIZE: limits.http.header_bytes,
        ngh2.Setting.ENABLE_CONNECT_PROTOCOL: 1,
        ngh2.Setting.NO_RFC7540_PRIORITIES: 1,
    }
