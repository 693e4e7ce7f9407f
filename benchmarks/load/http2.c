/* The load: many HTTP/2 connections in the clear in one thread of C, each with the same number of
 * requests under way all the time (a closed loop).
 *
 * Usage: http2 PORT PATH CONNECTIONS STREAMS
 *
 * Its commands and answers are those of rounds.h; every connection asks STREAMS times at first.
 * Header blocks are fixed bytes, as a client sends them that has put its fields into the dynamic
 * table (RFC 7541) by its first request. Every response has to begin with an indexed :status 200;
 * anything else ends the program with a message.
 */
#define _GNU_SOURCE
#include "rounds.h"

#include <stdint.h>

#define ROOM 65536
#define MAX_STREAMS 256
/* Bytes of DATA after which the connection's window is opened again. */
#define WINDOW (1u << 29)

enum { DATA, HEADERS, PRIORITY, RST_STREAM, SETTINGS, PUSH_PROMISE, PING, GOAWAY };
enum { END_STREAM = 1, ACK = 1, END_HEADERS = 4 };

struct connection {
    int fd;
    uint32_t next, taken;
    size_t length, pending;
    double since[4 * MAX_STREAMS];
    uint8_t data[ROOM], out[ROOM];
};

static int streams;
static double now;
static uint8_t first[1024], later[16];
static size_t first_length, later_length;

static void give_up(const char *why, long detail)
{
    fprintf(stderr, "load: %s (%ld)\n", why, detail);
    exit(1);
}

static uint8_t *put_header(uint8_t *at, size_t length, uint8_t type, uint8_t flags, uint32_t stream)
{
    uint8_t header[9] = {(uint8_t)(length >> 16), (uint8_t)(length >> 8), (uint8_t)length, type,
                         flags, (uint8_t)(stream >> 24), (uint8_t)(stream >> 16),
                         (uint8_t)(stream >> 8), (uint8_t)stream};
    memcpy(at, header, sizeof header);
    return at + sizeof header;
}

static uint32_t number(const uint8_t *at, int size)
{
    uint32_t value = 0;
    for (int i = 0; i < size; i++)
        value = value << 8 | at[i];
    return value;
}

static void flush(struct connection *c)
{
    if (c->pending && send(c->fd, c->out, c->pending, MSG_NOSIGNAL) != (ssize_t)c->pending)
        give_up("a send failed or was cut short", errno);
    c->pending = 0;
}

static void put(struct connection *c, uint8_t type, uint8_t flags, uint32_t stream,
                const uint8_t *payload, size_t length)
{
    if (c->pending + 9 + length > ROOM)
        flush(c);
    memcpy(put_header(c->out + c->pending, length, type, flags, stream), payload, length);
    c->pending += 9 + length;
}

static void ask(struct connection *c)
{
    const uint8_t *block = c->next == 1 ? first : later;
    put(c, HEADERS, END_STREAM | END_HEADERS, c->next, block,
        c->next == 1 ? first_length : later_length);
    c->since[c->next / 2 % (4 * MAX_STREAMS)] = now;
    c->next += 2;
    asked();
}

static void on_end(struct connection *c, uint32_t stream)
{
    answered(now - c->since[stream / 2 % (4 * MAX_STREAMS)]);
    if (asking)
        ask(c);
}

/* Where the fields of a header block begin (RFC 7541 section 6.3). */
static size_t behind_size_updates(const uint8_t *block, size_t length)
{
    size_t at = 0;
    while (at < length && (block[at] & 0xe0) == 0x20)
        if ((block[at++] & 0x1f) == 0x1f)
            while (at < length && block[at++] & 0x80)
                ;
    return at;
}

static void on_frame(struct connection *c, const uint8_t *frame, size_t length)
{
    uint8_t type = frame[3], flags = frame[4];
    uint32_t stream = number(frame + 5, 4) & 0x7fffffff;
    const uint8_t *payload = frame + 9;
    if (type == HEADERS) {
        size_t at = behind_size_updates(payload, length);
        if (at >= length || payload[at] != 0x88)
            give_up("a response that is not a 200 in its first byte", at < length ? payload[at] : -1);
    } else if (type == DATA) {
        bytes += length;
        c->taken += (uint32_t)length;
        if (c->taken > WINDOW) {
            uint8_t more[4] = {(uint8_t)(c->taken >> 24), (uint8_t)(c->taken >> 16),
                               (uint8_t)(c->taken >> 8), (uint8_t)c->taken};
            put(c, 8, 0, 0, more, sizeof more);
            c->taken = 0;
        }
    } else if ((type == SETTINGS || type == PING) && !(flags & ACK)) {
        put(c, type, ACK, 0, payload, type == PING ? length : 0);
    } else if (type == RST_STREAM || type == GOAWAY) {
        give_up(type == GOAWAY ? "GOAWAY" : "RST_STREAM",
                (long)number(payload + (type == GOAWAY ? 4 : 0), 4));
    }
    if ((type == HEADERS || type == DATA) && flags & END_STREAM)
        on_end(c, stream);
}

static void on_readable(void *connection)
{
    struct connection *c = connection;
    ssize_t got = recv(c->fd, c->data + c->length, ROOM - c->length, MSG_DONTWAIT);
    if (got < 0 && errno == EAGAIN)
        return;
    if (got <= 0)
        give_up("a connection was lost", errno);
    c->length += (size_t)got;
    now = seconds(CLOCK_MONOTONIC);
    size_t at = 0;
    while (c->length - at >= 9) {
        size_t length = number(c->data + at, 3);
        if (c->length - at < 9 + length)
            break;
        on_frame(c, c->data + at, length);
        at += 9 + length;
    }
    memmove(c->data, c->data + at, c->length - at);
    c->length -= at;
    flush(c);
}

static void ask_all(void *connection)
{
    now = seconds(CLOCK_MONOTONIC);
    for (int n = 0; n < streams; n++)
        ask(connection);
    flush(connection);
}

/* A literal with incremental indexing and a name of the static table (RFC 7541 section 6.2.1). */
static uint8_t *field(uint8_t *at, uint8_t name, const char *value)
{
    size_t length = strlen(value);
    if (length > 126)
        give_up("too long for one byte of length", (long)length);
    *at++ = 0x40 | name;
    *at++ = (uint8_t)length;
    memcpy(at, value, length);
    return at + length;
}

static void make_requests(const char *port, const char *path)
{
    char authority[32];
    snprintf(authority, sizeof authority, "127.0.0.1:%s", port);
    uint8_t *at = first;
    *at++ = 0x82; /* :method GET */
    *at++ = 0x86; /* :scheme http */
    at = field(at, 4, path);
    at = field(at, 1, authority);
    at = field(at, 58, "benchmark");
    at = field(at, 19, "text/html,*/*;q=0.8");
    at = field(at, 17, "en");
    at = field(at, 16, "identity");
    first_length = (size_t)(at - first);
    at = later;
    *at++ = 0x82;
    *at++ = 0x86;
    for (uint8_t entry = 67; entry >= 62; entry--) /* the oldest first */
        *at++ = 0x80 | entry;
    later_length = (size_t)(at - later);
}

static void open_connection(void *connection, unsigned short port)
{
    static const uint8_t preface[] = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
    /* ENABLE_PUSH 0, INITIAL_WINDOW_SIZE 2^31 - 1 */
    static const uint8_t settings[] = {0, 2, 0, 0, 0, 0, 0, 4, 0x7f, 0xff, 0xff, 0xff};
    static const uint8_t window[] = {0x7f, 0xff, 0, 0};
    struct connection *c = connection;
    c->fd = dial(port, poll_fd, c);
    memcpy(c->out, preface, sizeof preface - 1);
    c->pending = sizeof preface - 1;
    c->next = 1;
    put(c, SETTINGS, 0, 0, settings, sizeof settings);
    put(c, 8, 0, 0, window, sizeof window);
    flush(c);
}

int main(int argc, char **argv)
{
    static const struct protocol http2 = {sizeof(struct connection), open_connection, ask_all,
                                          on_readable};
    if (argc != 5) {
        fprintf(stderr, "usage: http2 PORT PATH CONNECTIONS STREAMS\n");
        return 2;
    }
    streams = atoi(argv[4]);
    if (streams < 1 || streams > MAX_STREAMS)
        give_up("streams", streams);
    make_requests(argv[1], argv[2]);
    return run_rounds(&http2, (unsigned short)atoi(argv[1]), atoi(argv[3]));
}
