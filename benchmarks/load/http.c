/* The load: many kept-alive HTTP/1.1 connections in one thread of C, each with one request under
 * way at a time (a closed loop).
 *
 * Usage: http PORT PATH CONNECTIONS
 *
 * Its commands and answers are those of rounds.h. Every response has to be a 200 with a
 * Content-Length or chunks; anything else ends the program with a message.
 */
#define _GNU_SOURCE
#include "rounds.h"

#include <strings.h>

#define ROOM 16384

struct connection {
    int fd;
    int asked;
    double since;
    size_t length;
    char data[ROOM + 1];
};

static char request[2048];
static size_t request_length;

static void give_up(const char *why, const struct connection *c)
{
    fprintf(stderr, "load: %s\n%.*s\n", why, c ? (int)c->length : 0, c ? c->data : "");
    exit(1);
}

static void ask(void *connection)
{
    struct connection *c = connection;
    if (send(c->fd, request, request_length, MSG_NOSIGNAL) != (ssize_t)request_length)
        give_up("a send failed or was cut short", NULL);
    c->since = seconds(CLOCK_MONOTONIC);
    c->asked = 1;
    asked();
}

static const char *field(const char *head, const char *name)
{
    size_t length = strlen(name);
    for (const char *line = strstr(head, "\r\n"); line && line[2] != '\r';
         line = strstr(line + 2, "\r\n"))
        if (!strncasecmp(line + 2, name, length) && line[2 + length] == ':')
            return line + 3 + length;
    return NULL;
}

/* The bytes of the response at the start of the data, 0 when it is not complete yet. */
static size_t whole_response(struct connection *c)
{
    c->data[c->length] = 0;
    char *end = strstr(c->data, "\r\n\r\n");
    if (!end)
        return 0;
    if (strncmp(c->data, "HTTP/1.1 200", 12))
        give_up("not a 200:", c);
    end += 4;
    const char *length = field(c->data, "content-length");
    if (length) {
        size_t total = (size_t)(end - c->data) + strtoul(length, NULL, 10);
        return c->length >= total ? total : 0;
    }
    if (!field(c->data, "transfer-encoding"))
        give_up("neither a length nor chunks:", c);
    char *last = strstr(end - 2, "\r\n0\r\n\r\n");
    return last ? (size_t)(last + 7 - c->data) : 0;
}

static void on_readable(void *connection)
{
    struct connection *c = connection;
    ssize_t got = recv(c->fd, c->data + c->length, ROOM - c->length, MSG_DONTWAIT);
    if (got < 0 && errno == EAGAIN)
        return;
    if (got <= 0)
        give_up("a connection was lost, or a response is too long:", c);
    c->length += (size_t)got;
    size_t total = whole_response(c);
    if (!total)
        return;
    if (total != c->length || !c->asked)
        give_up("more than one response to one request:", c);
    answered(seconds(CLOCK_MONOTONIC) - c->since);
    bytes += total;
    c->asked = 0;
    c->length = 0;
    if (asking)
        ask(c);
}

static void open_connection(void *connection, unsigned short port)
{
    struct connection *c = connection;
    c->fd = dial(port, poll_fd, c);
}

int main(int argc, char **argv)
{
    static const struct protocol http = {sizeof(struct connection), open_connection, ask, on_readable};
    if (argc != 4) {
        fprintf(stderr, "usage: http PORT PATH CONNECTIONS\n");
        return 2;
    }
    request_length = (size_t)snprintf(
        request, sizeof request,
        "GET %s HTTP/1.1\r\nHost: 127.0.0.1:%s\r\nUser-Agent: benchmark\r\n"
        "Accept: text/html,*/*;q=0.8\r\nAccept-Language: en\r\nAccept-Encoding: identity\r\n\r\n",
        argv[2], argv[1]);
    return run_rounds(&http, (unsigned short)atoi(argv[1]), atoi(argv[3]));
}
