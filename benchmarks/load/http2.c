/* The load: many HTTP/2 connections in the clear in one thread of C, each with the same number of
 * requests under way all the time (a closed loop).
 *
 * Usage: http2 PORT PATH CONNECTIONS STREAMS
 *
 * When all connections are open it prints one JSON object, and then one for each command:
 *   get SECONDS   every connection asks for PATH, STREAMS times, and again for each response
 * Header blocks are fixed bytes, as a client sends them that has put its fields into the dynamic
 * table (RFC 7541) by its first request. Every response has to begin with an indexed :status 200;
 * anything else ends the program with a message. End of input ends it too, and so does its
 * parent's death.
 */
#define _GNU_SOURCE
#include "wire.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

/* Nothing heard for so long while something is due: the server is stuck. */
#define PATIENCE 60.0
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

static struct connection *connections;
static int wanted, streams, poll_fd, asking;
static unsigned long responses, due, bytes;
static double slowest, waited, now;
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
    due++;
}

static void on_end(struct connection *c, uint32_t stream)
{
    double took = now - c->since[stream / 2 % (4 * MAX_STREAMS)];
    waited += took;
    slowest = took > slowest ? took : slowest;
    responses++;
    due--;
    if (asking)
        ask(c);
}

static void on_frame(struct connection *c, const uint8_t *frame, size_t length)
{
    uint8_t type = frame[3], flags = frame[4];
    uint32_t stream = number(frame + 5, 4) & 0x7fffffff;
    const uint8_t *payload = frame + 9;
    if (type == HEADERS) {
        size_t at = 0;
        while (at < length && (payload[at] & 0xe0) == 0x20) /* RFC 7541 section 6.3 */
            while ((payload[at++] & (at > 1 ? 0x80 : 0x1f)) == (at > 1 ? 0x80 : 0x1f) && at < length)
                ;
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

static void on_readable(struct connection *c)
{
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

static void turn(double seconds_left)
{
    struct epoll_event batch[512];
    int count = epoll_wait(poll_fd, batch, 512, (int)(seconds_left * 1000) + 1);
    for (int i = 0; i < count; i++)
        on_readable(batch[i].data.ptr);
}

static void get(double length)
{
    double began = now = seconds(CLOCK_MONOTONIC), cpu = seconds(CLOCK_PROCESS_CPUTIME_ID), left;
    responses = bytes = 0;
    slowest = waited = 0;
    asking = 1;
    for (int i = 0; i < wanted; i++) {
        for (int n = 0; n < streams; n++)
            ask(&connections[i]);
        flush(&connections[i]);
    }
    while ((left = began + length - seconds(CLOCK_MONOTONIC)) > 0)
        turn(left);
    asking = 0;
    for (double until = seconds(CLOCK_MONOTONIC) + PATIENCE; due;)
        if (turn(1.0), seconds(CLOCK_MONOTONIC) > until)
            give_up("responses did not come", (long)due);
    printf("{\"responses\": %lu, \"bytes\": %lu, \"mean\": %.6f, \"slowest\": %.6f, "
           "\"elapsed\": %.6f, \"cpu\": %.6f}\n",
           responses, bytes, waited / (double)responses, slowest,
           seconds(CLOCK_MONOTONIC) - began, seconds(CLOCK_PROCESS_CPUTIME_ID) - cpu);
    fflush(stdout);
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

static void open_connection(struct connection *c, unsigned short port)
{
    static const uint8_t preface[] = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
    /* ENABLE_PUSH 0, INITIAL_WINDOW_SIZE 2^31 - 1 */
    static const uint8_t settings[] = {0, 2, 0, 0, 0, 0, 0, 4, 0x7f, 0xff, 0xff, 0xff};
    static const uint8_t window[] = {0x7f, 0xff, 0, 0};
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)},
                             .sin_port = htons(port)};
    int one = 1;
    c->fd = socket(AF_INET, SOCK_STREAM, 0);
    if (c->fd < 0 || connect(c->fd, (struct sockaddr *)&to, sizeof to))
        die("load: connect");
    setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    struct epoll_event interest = {.events = EPOLLIN, .data.ptr = c};
    if (epoll_ctl(poll_fd, EPOLL_CTL_ADD, c->fd, &interest))
        die("load: epoll_ctl");
    memcpy(c->out, preface, sizeof preface - 1);
    c->pending = sizeof preface - 1;
    c->next = 1;
    put(c, SETTINGS, 0, 0, settings, sizeof settings);
    put(c, 8, 0, 0, window, sizeof window);
    flush(c);
}

int main(int argc, char **argv)
{
    char line[256];
    double length;
    if (argc != 5) {
        fprintf(stderr, "usage: http2 PORT PATH CONNECTIONS STREAMS\n");
        return 2;
    }
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    wanted = atoi(argv[3]);
    streams = atoi(argv[4]);
    if (streams < 1 || streams > MAX_STREAMS)
        give_up("streams", streams);
    make_requests(argv[1], argv[2]);
    connections = calloc((size_t)wanted, sizeof *connections);
    poll_fd = epoll_create1(0);
    if (!connections || poll_fd < 0 || wanted < 1)
        die("load");
    for (int i = 0; i < wanted; i++)
        open_connection(&connections[i], (unsigned short)atoi(argv[1]));
    printf("{\"ready\": %d}\n", wanted);
    fflush(stdout);
    while (fgets(line, sizeof line, stdin)) {
        if (sscanf(line, "get %lf", &length) != 1)
            give_up("unknown command", 0);
        get(length);
    }
    return 0;
}
