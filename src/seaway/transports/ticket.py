"""Tickets: what a request has to show to act for a connection that it does not travel on.

What lives here: making and checking them.
What must not: connections, HTTP.

A ticket says which connection is meant and in which process it lives, and to which session cookie
it belongs; signed with ``SECRET_KEY``, it is good for some minutes. It reaches the client down its
own connection, where no page of another origin can read it: so it is the protection against forged
requests (CSRF) as well, and no server has to remember anything.
"""

from __future__ import annotations

from typing import NamedTuple

from django.core import signing
from django.utils.crypto import constant_time_compare, salted_hmac

from seaway.auth import Visitor
from seaway.exceptions import SeawayError

#: Seconds that a ticket is good for; a computer that slept longer reconnects.
LIFE_SECONDS = 600
#: Seconds after which the client is given the next one.
RENEW_SECONDS = 180
_SALT = "seaway.ticket"


class TicketRefused(SeawayError):
    """The client's fault, or its age. The message says which."""


class Ticket(NamedTuple):
    """Where a connection lives, and whose it is.

    :ivar connection: its id.
    :ivar address: the mailbox of its process.
    :ivar holder: what `holder_of` makes of its visitor.
    """

    connection: str
    address: str
    holder: str

    def sign(self) -> str:
        """The ticket as text that fits into JSON, a header and a URL."""
        return signing.dumps(list(self), salt=_SALT)


def holder_of(visitor: Visitor) -> str:
    """A name for a session cookie that does not tell the cookie; one for all who have none."""
    return salted_hmac(_SALT, visitor.session_key or "", algorithm="sha256").hexdigest()[:32]


def check_ticket(text: str, visitor: Visitor) -> Ticket:
    """The ticket, if it is ours, fresh, and this visitor's.

    :raises TicketRefused: in words for the client.
    """
    try:
        ticket = Ticket(*signing.loads(text, salt=_SALT, max_age=LIFE_SECONDS))
    except signing.SignatureExpired:
        raise TicketRefused("This ticket has expired: connect anew.") from None
    except (signing.BadSignature, TypeError, ValueError):
        raise TicketRefused("This ticket is not one of this server's: connect anew.") from None
    if not constant_time_compare(ticket.holder, holder_of(visitor)):
        raise TicketRefused("This ticket belongs to another session: connect anew.")
    return ticket
