/* What every program here needs of the machine.
 *
 * What lives here: the system's headers, clocks, the end by a failed call, and a connection to the
 * server under test that an epoll watches.
 * What must not: protocols, measurements.
 */
#ifndef SOCKETS_H
#define SOCKETS_H

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

/* Nothing heard for so long while something is due: the server is stuck or has lost a message. */
#define PATIENCE 60.0

static inline void die(const char *what)
{
    perror(what);
    exit(1);
}

static inline double seconds(clockid_t clock)
{
    struct timespec t;
    clock_gettime(clock, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

/* The address on this machine with that port. */
static inline struct sockaddr_in local(unsigned short port)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)},
                                  .sin_port = htons(port)};
    return address;
}

/* Has poll_fd say with ``what`` when there is something to read. */
static inline void watch(int poll_fd, int fd, epoll_data_t what)
{
    struct epoll_event interest = {.events = EPOLLIN, .data = what};
    if (epoll_ctl(poll_fd, EPOLL_CTL_ADD, fd, &interest))
        die("epoll_ctl");
}

static inline void send_at_once(int fd)
{
    int one = 1;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
}

/* A connection to the server, watched by poll_fd for the sake of ``connection``. */
static inline int dial(unsigned short port, int poll_fd, void *connection)
{
    struct sockaddr_in to = local(port);
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    if (fd < 0 || connect(fd, (struct sockaddr *)&to, sizeof to))
        die("load: connect");
    send_at_once(fd);
    watch(poll_fd, fd, (epoll_data_t){.ptr = connection});
    return fd;
}

#endif
