/* The physical limit of fan-out: a server that calls send() once per delivery and does nothing else.
 *
 * Usage: sender PORT EVENT_BYTES     (listens on 127.0.0.1)
 *
 * It speaks just enough WebSocket for the client of this directory: it answers every handshake with
 * the sample accept value, and takes the first number in a text message as "publish so many events",
 * each of which goes, as one prebuilt unmasked frame, to every connection. One thread, epoll,
 * non-blocking sockets, TCP_NODELAY: what an event loop in C would do at the least.
 */
#define _GNU_SOURCE
#include "sockets.h"
#include "wire.h"

#include <ctype.h>

#define MAX_CONNECTIONS 65536
#define RESPONSE                                                                                   \
    "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"            \
    "Sec-WebSocket-Accept: " SAMPLE_ACCEPT "\r\n\r\n"

static int open_fds[MAX_CONNECTIONS], open_count;
static uint8_t upgraded[MAX_CONNECTIONS];
static uint8_t *event;
static size_t event_length;

static void make_event(size_t bytes)
{
    uint8_t *payload = malloc(bytes);
    event = malloc(bytes + MAX_HEADER);
    if (!payload || !event)
        die("malloc");
    memset(payload, 'x', bytes);
    event_length = build_frame(event, OP_TEXT, payload, bytes, 0);
    free(payload);
}

static void publish(long count)
{
    for (long i = 0; i < count; i++)
        for (int c = 0; c < open_count; c++)
            if (send(open_fds[c], event, event_length, MSG_NOSIGNAL) != (ssize_t)event_length)
                die("send");
}

static void drop(int fd)
{
    for (int c = 0; c < open_count; c++)
        if (open_fds[c] == fd)
            open_fds[c] = open_fds[--open_count];
    upgraded[fd] = 0;
    close(fd);
}

static void on_message(const struct frame *frame)
{
    for (size_t i = 0; i < frame->length; i++)
        if (isdigit(frame->payload[i])) {
            publish(strtol((char *)frame->payload + i, NULL, 10));
            return;
        }
}

/* Requests and triggers are small and sent whole: one read holds all of one. */
static void on_readable(int fd)
{
    uint8_t data[4096];
    ssize_t got = recv(fd, data, sizeof data - 1, 0);
    if (got <= 0) {
        if (got == 0 || errno != EAGAIN)
            drop(fd);
        return;
    }
    data[got] = 0;
    if (!upgraded[fd]) {
        if (send(fd, RESPONSE, strlen(RESPONSE), MSG_NOSIGNAL) < 0)
            die("send");
        upgraded[fd] = 1;
        open_fds[open_count++] = fd;
        return;
    }
    struct frame frame;
    for (size_t at = 0; take_frame(data + at, (size_t)got - at, &frame); at += frame.total)
        if (frame.opcode == OP_TEXT)
            on_message(&frame);
}

static int start_listening(unsigned short port)
{
    struct sockaddr_in address = local(port);
    int reuse = 1;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
    if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &reuse, sizeof reuse) ||
        bind(fd, (struct sockaddr *)&address, sizeof address) || listen(fd, 1024))
        die("listen");
    return fd;
}

static void accept_all(int listener, int poll)
{
    int fd;
    while ((fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK)) >= 0) {
        if (fd >= MAX_CONNECTIONS) {
            close(fd);
            continue;
        }
        send_at_once(fd);
        watch(poll, fd, (epoll_data_t){.fd = fd});
    }
}

int main(int argc, char **argv)
{
    if (argc != 3) {
        fprintf(stderr, "usage: sender PORT EVENT_BYTES\n");
        return 2;
    }
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    make_event(strtoul(argv[2], NULL, 10));
    int listener = start_listening((unsigned short)atoi(argv[1])), poll = epoll_create1(0);
    struct epoll_event ready[256];
    if (poll < 0)
        die("epoll");
    watch(poll, listener, (epoll_data_t){.fd = listener});
    for (;;) {
        int count = epoll_wait(poll, ready, 256, -1);
        for (int i = 0; i < count; i++) {
            if (ready[i].data.fd == listener)
                accept_all(listener, poll);
            else
                on_readable(ready[i].data.fd);
        }
    }
}
