/* The load: many kept-alive HTTP/1.1 connections in one thread of C, each with one request under
 * way at a time (a closed loop).
 *
 * Usage: http PORT PATH CONNECTIONS
 *
 * When all connections are open it prints one JSON object, and then one for each command:
 *   get SECONDS   every connection asks for PATH, and again when the response is there
 * Every response has to be a 200 with a Content-Length or chunks; anything else ends the program
 * with a message. End of input ends it too, and so does its parent's death.
 */
#define _GNU_SOURCE
#include "wire.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <strings.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

/* Nothing heard for so long while something is due: the server is stuck. */
#define PATIENCE 60.0
#define ROOM 16384

struct connection {
    int fd;
    int asked;
    double since;
    size_t length;
    char data[ROOM + 1];
};

static struct connection *connections;
static int wanted, poll_fd, asking;
static unsigned long responses, due, bytes;
static double slowest, waited;
static char request[2048];
static size_t request_length;

static void give_up(const char *why, const struct connection *c)
{
    fprintf(stderr, "load: %s\n%.*s\n", why, c ? (int)c->length : 0, c ? c->data : "");
    exit(1);
}

static void ask(struct connection *c)
{
    if (send(c->fd, request, request_length, MSG_NOSIGNAL) != (ssize_t)request_length)
        give_up("a send failed or was cut short", NULL);
    c->since = seconds(CLOCK_MONOTONIC);
    c->asked = 1;
    due++;
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

static void on_readable(struct connection *c)
{
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
    double took = seconds(CLOCK_MONOTONIC) - c->since;
    waited += took;
    slowest = took > slowest ? took : slowest;
    responses++;
    bytes += total;
    due--;
    c->asked = 0;
    c->length = 0;
    if (asking)
        ask(c);
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
    double began = seconds(CLOCK_MONOTONIC), cpu = seconds(CLOCK_PROCESS_CPUTIME_ID), left;
    responses = bytes = 0;
    slowest = waited = 0;
    asking = 1;
    for (int i = 0; i < wanted; i++)
        ask(&connections[i]);
    while ((left = began + length - seconds(CLOCK_MONOTONIC)) > 0)
        turn(left);
    asking = 0;
    for (double until = seconds(CLOCK_MONOTONIC) + PATIENCE; due;)
        if (turn(1.0), seconds(CLOCK_MONOTONIC) > until)
            give_up("a response did not come", NULL);
    printf("{\"responses\": %lu, \"bytes\": %lu, \"mean\": %.6f, \"slowest\": %.6f, "
           "\"elapsed\": %.6f, \"cpu\": %.6f}\n",
           responses, bytes, waited / (double)responses, slowest,
           seconds(CLOCK_MONOTONIC) - began, seconds(CLOCK_PROCESS_CPUTIME_ID) - cpu);
    fflush(stdout);
}

static void open_connection(struct connection *c, unsigned short port)
{
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
}

int main(int argc, char **argv)
{
    char line[256];
    double length;
    if (argc != 4) {
        fprintf(stderr, "usage: http PORT PATH CONNECTIONS\n");
        return 2;
    }
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    wanted = atoi(argv[3]);
    request_length = (size_t)snprintf(
        request, sizeof request,
        "GET %s HTTP/1.1\r\nHost: 127.0.0.1:%s\r\nUser-Agent: benchmark\r\n"
        "Accept: text/html,*/*;q=0.8\r\nAccept-Language: en\r\nAccept-Encoding: identity\r\n\r\n",
        argv[2], argv[1]);
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
            give_up("unknown command", NULL);
        get(length);
    }
    return 0;
}
