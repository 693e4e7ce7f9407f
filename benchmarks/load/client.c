/* The load: many WebSocket connections in one thread of C, driven by commands on standard input.
 *
 * Usage: client PORT PATH SUBPROTOCOL CONNECTIONS GREETINGS EVENT_MIN FIRST
 *   SUBPROTOCOL   offered in the handshake; "" offers none. No extension is ever offered.
 *   GREETINGS     messages that each connection waits for before it counts as ready
 *   EVENT_MIN     messages of at least so many bytes count as events; shorter ones are replies
 *   FIRST         a text message that each connection sends after its handshake; "" sends none
 *
 * When all connections are ready it prints one JSON object, and then one for each command:
 *   fanout TRIGGERS COUNT TEXT   the first connection sends TEXT; when every connection has COUNT
 *                                more events, it does so again, TRIGGERS times in all
 *   echo SECONDS BYTES           every connection sends a text message of BYTES, and the next one
 *                                when its echo is there
 *   ask TEXT                     the first connection sends TEXT; prints the next short message
 *   close                        every connection says goodbye (RFC 6455 section 7.1.2) and waits
 *                                until the server has closed it; there is none left after that
 * "@ID@" in a TEXT becomes a number that counts up. End of input ends the program, and so does its
 * parent's death. Pings are answered at all times. Numbers are in seconds and bytes.
 */
#define _GNU_SOURCE
#include "sockets.h"
#include "wire.h"

/* Handshakes under way at a time: few enough that a server which takes 100 ms for each does not
 * reach the 5 s after which Daphne gives a handshake up. */
#define WINDOW 16
/* 0.2 ms, see wait_for. */
#define NAP 200000L

enum state { HANDSHAKE, GREETING, READY };

struct connection {
    int fd;
    enum state state;
    int greetings;
    unsigned long events;
    uint8_t *rest; /* an incomplete frame */
    size_t rest_length;
};

static struct connection *connections;
static int wanted, started, ready, poll_fd, greetings, stdin_open = 1;
static unsigned short port;
static size_t event_min;
static char request[2048], *reply;
static uint8_t first[8192], echo_frame[70000];
static size_t first_length, echo_length;
static unsigned long events, event_bytes, echoes, call_id;
static int echoing; /* 1: answer each echo with the next message; 2: the last ones */
static int closing;
static unsigned long closed;

static void give_up(const char *why)
{
    fprintf(stderr, "load: %s (%d of %d connections ready, %lu events)\n", why, ready, wanted,
            events);
    exit(1);
}

static void send_all(struct connection *c, const void *data, size_t length)
{
    if (send(c->fd, data, length, MSG_NOSIGNAL) != (ssize_t)length)
        give_up("a send failed or was cut short");
}

static void send_text(struct connection *c, const char *template)
{
    char text[4096];
    uint8_t frame[4096 + MAX_HEADER];
    const char *mark = strstr(template, "@ID@");
    if (mark)
        snprintf(text, sizeof text, "%.*s%lu%s", (int)(mark - template), template, ++call_id,
                 mark + 4);
    else
        snprintf(text, sizeof text, "%s", template);
    send_all(c, frame, build_frame(frame, OP_TEXT, (uint8_t *)text, strlen(text), 1));
}

static void start_connection(void)
{
    struct connection *c = &connections[started++];
    c->fd = dial(port, poll_fd, c);
    send_all(c, request, strlen(request));
}

static void greeted(struct connection *c)
{
    if (c->greetings < greetings)
        return;
    c->state = READY;
    ready++;
    if (started < wanted)
        start_connection();
}

/* Returns the bytes of the response's head, 0 when it is not complete yet. */
static size_t finish_handshake(struct connection *c, uint8_t *data, size_t length)
{
    uint8_t *end = memmem(data, length, "\r\n\r\n", 4);
    if (!end)
        return 0;
    if (length < 12 || memcmp(data + 9, "101", 3)) {
        fprintf(stderr, "%.*s\n", (int)(end - data), (char *)data);
        give_up("the server refused the handshake");
    }
    c->state = GREETING;
    if (first_length)
        send_all(c, first, first_length);
    greeted(c);
    return (size_t)(end - data) + 4;
}

static void on_message(struct connection *c, struct frame *frame)
{
    if (c->state == GREETING) {
        c->greetings++;
        greeted(c);
    } else if (echoing) {
        echoes++;
        if (echoing == 1)
            send_all(c, echo_frame, echo_length);
    } else if (frame->length >= event_min) {
        events++;
        event_bytes += frame->length;
        c->events++;
    } else if (c == connections && !reply) {
        reply = strndup((char *)frame->payload, frame->length);
    }
}

static void on_frame(struct connection *c, struct frame *frame)
{
    uint8_t pong[256];
    if (frame->opcode == OP_TEXT || frame->opcode == OP_BINARY) {
        on_message(c, frame);
    } else if (frame->opcode == OP_PING) {
        send_all(c, pong, build_frame(pong, OP_PONG, frame->payload, frame->length, 1));
    } else if (frame->opcode == OP_CLOSE && !closing) {
        fprintf(stderr, "load: close %d %.*s\n",
                frame->length > 1 ? frame->payload[0] << 8 | frame->payload[1] : 1005,
                frame->length > 2 ? (int)frame->length - 2 : 0, (char *)frame->payload + 2);
        give_up("the server closed a connection");
    }
}

static void on_readable(struct connection *c)
{
    static uint8_t data[1 << 20];
    struct frame frame;
    size_t at = 0, length = c->rest_length;
    memcpy(data, c->rest ? c->rest : data, length);
    ssize_t got = recv(c->fd, data + length, sizeof data - length, MSG_DONTWAIT);
    if (got < 0 && errno == EAGAIN)
        return;
    if (got <= 0 && closing) {
        close(c->fd);
        closed++;
        return;
    }
    if (got <= 0)
        give_up("a connection was lost");
    length += (size_t)got;
    if (c->state == HANDSHAKE)
        at = finish_handshake(c, data, length);
    if (c->state != HANDSHAKE)
        for (; take_frame(data + at, length - at, &frame); at += frame.total)
            on_frame(c, &frame);
    c->rest_length = length - at;
    if (c->rest_length) {
        c->rest = realloc(c->rest, c->rest_length);
        memcpy(c->rest, data + at, c->rest_length);
    } else if (c->rest) {
        free(c->rest);
        c->rest = NULL;
    }
}

/* One turn. Returns 1 when standard input has something; seconds_left < 0 waits without limit. */
static int turn(double seconds_left)
{
    struct epoll_event batch[512];
    int input = 0, timeout = seconds_left < 0 ? -1 : (int)(seconds_left * 1000) + 1;
    int count = epoll_wait(poll_fd, batch, 512, timeout);
    for (int i = 0; i < count; i++) {
        if (batch[i].data.ptr)
            on_readable(batch[i].data.ptr);
        else
            input = 1;
    }
    return input;
}

/* Runs turns until counter reaches target. With a nap, in nanoseconds, it sleeps after each turn:
 * a server's send() then wakes nobody here, as it would not with clients on other machines. Without
 * it, a reader that is a little faster than the server costs the server a wake-up per delivery, and
 * one that is a little slower does not, which blurs the comparison. */
static void wait_for(const unsigned long *counter, unsigned long target, long nap)
{
    struct timespec pause = {0, nap};
    double heard = seconds(CLOCK_MONOTONIC);
    while (*counter < target) {
        unsigned long before = *counter;
        turn(1.0);
        if (nap)
            nanosleep(&pause, NULL);
        double now = seconds(CLOCK_MONOTONIC);
        if (*counter != before)
            heard = now;
        else if (now - heard > PATIENCE)
            give_up("nothing came for a minute although something was due");
    }
}

static void listen_to_input(int operation)
{
    struct epoll_event interest = {.events = EPOLLIN, .data.ptr = NULL};
    if (epoll_ctl(poll_fd, operation, 0, &interest))
        die("load: standard input must be a pipe");
}

static void fanout(long triggers, long count, const char *text)
{
    double began = seconds(CLOCK_MONOTONIC), cpu = seconds(CLOCK_PROCESS_CPUTIME_ID);
    unsigned long low = ~0UL, high = 0;
    for (int i = 0; i < wanted; i++)
        connections[i].events = 0;
    events = event_bytes = 0;
    for (long t = 1; t <= triggers; t++) {
        send_text(connections, text);
        wait_for(&events, (unsigned long)(t * count * wanted), NAP);
    }
    for (int i = 0; i < wanted; i++) {
        low = connections[i].events < low ? connections[i].events : low;
        high = connections[i].events > high ? connections[i].events : high;
    }
    printf("{\"deliveries\": %lu, \"event_bytes\": %.2f, \"least\": %lu, \"most\": %lu, "
           "\"elapsed\": %.6f, \"cpu\": %.6f}\n",
           events, (double)event_bytes / (double)events, low, high,
           seconds(CLOCK_MONOTONIC) - began, seconds(CLOCK_PROCESS_CPUTIME_ID) - cpu);
}

static void echo(double length, size_t bytes)
{
    static uint8_t text[sizeof echo_frame - MAX_HEADER];
    if (bytes > sizeof text)
        give_up("echo messages are too long");
    memset(text, 'e', bytes);
    echo_length = build_frame(echo_frame, OP_TEXT, text, bytes, 1);
    double began = seconds(CLOCK_MONOTONIC), cpu = seconds(CLOCK_PROCESS_CPUTIME_ID), left;
    echoes = 0;
    echoing = 1;
    for (int i = 0; i < wanted; i++)
        send_all(&connections[i], echo_frame, echo_length);
    while ((left = began + length - seconds(CLOCK_MONOTONIC)) > 0)
        turn(left);
    echoing = 2;
    wait_for(&echoes, echoes + (unsigned long)wanted, 0);
    echoing = 0;
    printf("{\"messages\": %lu, \"elapsed\": %.6f, \"cpu\": %.6f}\n", echoes,
           seconds(CLOCK_MONOTONIC) - began, seconds(CLOCK_PROCESS_CPUTIME_ID) - cpu);
}

static void ask(const char *text)
{
    free(reply);
    reply = NULL;
    send_text(connections, text);
    double until = seconds(CLOCK_MONOTONIC) + PATIENCE;
    while (!reply)
        if (turn(1.0), seconds(CLOCK_MONOTONIC) > until)
            give_up("no reply");
    printf("%s\n", reply);
}

static void close_all(void)
{
    static const uint8_t code[2] = {1000 >> 8, 1000 & 0xff};
    uint8_t frame[sizeof code + MAX_HEADER];
    size_t length = build_frame(frame, OP_CLOSE, code, sizeof code, 1);
    double began = seconds(CLOCK_MONOTONIC);
    closing = 1;
    for (int i = 0; i < wanted; i++)
        send_all(&connections[i], frame, length);
    wait_for(&closed, (unsigned long)wanted, 0);
    printf("{\"closed\": %lu, \"elapsed\": %.6f}\n", closed, seconds(CLOCK_MONOTONIC) - began);
}

static void command(void)
{
    char line[8192];
    int at = 0;
    long triggers, count;
    double length;
    if (!fgets(line, sizeof line, stdin)) {
        stdin_open = 0;
        return;
    }
    line[strcspn(line, "\n")] = 0;
    listen_to_input(EPOLL_CTL_DEL);
    if (sscanf(line, "fanout %ld %ld %n", &triggers, &count, &at) == 2 && at)
        fanout(triggers, count, line + at);
    else if (sscanf(line, "echo %lf %ld", &length, &count) == 2)
        echo(length, (size_t)count);
    else if (!strncmp(line, "ask ", 4))
        ask(line + 4);
    else if (!strcmp(line, "close"))
        close_all();
    else
        give_up("unknown command");
    fflush(stdout);
    listen_to_input(EPOLL_CTL_ADD);
}

static void read_arguments(char **argv)
{
    port = (unsigned short)atoi(argv[1]);
    wanted = atoi(argv[4]);
    greetings = atoi(argv[5]);
    event_min = strtoul(argv[6], NULL, 10);
    snprintf(request, sizeof request,
             "GET %s HTTP/1.1\r\nHost: 127.0.0.1:%d\r\nUpgrade: websocket\r\n"
             "Connection: Upgrade\r\nSec-WebSocket-Key: " SAMPLE_KEY "\r\n"
             "Sec-WebSocket-Version: 13\r\n%s%s%s\r\n",
             argv[2], port, *argv[3] ? "Sec-WebSocket-Protocol: " : "", argv[3],
             *argv[3] ? "\r\n" : "");
    if (*argv[7] && strlen(argv[7]) + MAX_HEADER <= sizeof first)
        first_length = build_frame(first, OP_TEXT, (uint8_t *)argv[7], strlen(argv[7]), 1);
}

int main(int argc, char **argv)
{
    if (argc != 8) {
        fprintf(stderr, "usage: client PORT PATH SUBPROTOCOL CONNECTIONS GREETINGS EVENT_MIN FIRST\n");
        return 2;
    }
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    setvbuf(stdin, NULL, _IONBF, 0); /* so that epoll and stdio agree on what is unread */
    read_arguments(argv);
    connections = calloc((size_t)wanted, sizeof *connections);
    poll_fd = epoll_create1(0);
    if (!connections || poll_fd < 0 || wanted < 1)
        die("load");
    double began = seconds(CLOCK_MONOTONIC);
    while (started < wanted && started < WINDOW)
        start_connection();
    while (ready < wanted) {
        int before = ready;
        double heard = seconds(CLOCK_MONOTONIC);
        while (ready == before)
            if (turn(1.0), seconds(CLOCK_MONOTONIC) - heard > PATIENCE)
                give_up("a handshake or a greeting did not come");
    }
    printf("{\"ready\": %d, \"elapsed\": %.3f}\n", ready, seconds(CLOCK_MONOTONIC) - began);
    fflush(stdout);
    listen_to_input(EPOLL_CTL_ADD);
    while (stdin_open)
        if (turn(-1))
            command();
    return 0;
}
