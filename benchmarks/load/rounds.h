/* A closed loop of requests, whatever version of HTTP they are in: what http.c and http2.c share.
 *
 * What lives here: opening the connections, the command "get", the counts of a round and its figures.
 * What must not: requests and responses on the wire.
 *
 * When all connections are open, one JSON object is printed, and then one for each command:
 *   get SECONDS   every connection asks, and again for each response
 * End of input ends the program, and so does its parent's death.
 */
#ifndef ROUNDS_H
#define ROUNDS_H

#include "sockets.h"

/* What a program does with one of its connections. */
struct protocol {
    size_t size; /* of what it keeps for a connection */
    void (*open)(void *connection, unsigned short port);
    void (*ask)(void *connection); /* the first requests of a round */
    void (*read)(void *connection);
};

/* Whether requests are still to be sent. */
static int asking;
static int poll_fd;
static unsigned long responses, due, bytes;
static double slowest, waited;

/* To be called for each request, and for each response with the seconds that it took. */
static inline void asked(void)
{
    due++;
}

static inline void answered(double took)
{
    waited += took;
    slowest = took > slowest ? took : slowest;
    responses++;
    due--;
}

static void turn(const struct protocol *protocol, double seconds_left)
{
    struct epoll_event batch[512];
    int count = epoll_wait(poll_fd, batch, 512, (int)(seconds_left * 1000) + 1);
    for (int i = 0; i < count; i++)
        protocol->read(batch[i].data.ptr);
}

static void get(const struct protocol *protocol, char *connections, int wanted, double length)
{
    double began = seconds(CLOCK_MONOTONIC), cpu = seconds(CLOCK_PROCESS_CPUTIME_ID), left;
    responses = bytes = 0;
    slowest = waited = 0;
    asking = 1;
    for (int i = 0; i < wanted; i++)
        protocol->ask(connections + (size_t)i * protocol->size);
    while ((left = began + length - seconds(CLOCK_MONOTONIC)) > 0)
        turn(protocol, left);
    asking = 0;
    for (double until = seconds(CLOCK_MONOTONIC) + PATIENCE; due;)
        if (turn(protocol, 1.0), seconds(CLOCK_MONOTONIC) > until) {
            fprintf(stderr, "load: %lu responses did not come\n", due);
            exit(1);
        }
    printf("{\"responses\": %lu, \"bytes\": %lu, \"mean\": %.6f, \"slowest\": %.6f, "
           "\"elapsed\": %.6f, \"cpu\": %.6f}\n",
           responses, bytes, waited / (double)responses, slowest,
           seconds(CLOCK_MONOTONIC) - began, seconds(CLOCK_PROCESS_CPUTIME_ID) - cpu);
    fflush(stdout);
}

/* The whole life of a program: its exit status. */
static int run_rounds(const struct protocol *protocol, unsigned short port, int wanted)
{
    char line[256], *connections = calloc((size_t)wanted, protocol->size);
    double length;
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    poll_fd = epoll_create1(0);
    if (!connections || poll_fd < 0 || wanted < 1)
        die("load");
    for (int i = 0; i < wanted; i++)
        protocol->open(connections + (size_t)i * protocol->size, port);
    printf("{\"ready\": %d}\n", wanted);
    fflush(stdout);
    while (fgets(line, sizeof line, stdin)) {
        if (sscanf(line, "get %lf", &length) != 1) {
            fprintf(stderr, "load: unknown command\n");
            return 1;
        }
        get(protocol, connections, wanted, length);
    }
    return 0;
}

#endif
