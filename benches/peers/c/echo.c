/* A bare echo server on epoll: the yardstick that every other server is measured beside.
 *
 * The least that is correct: one thread, edge-triggered and registered once, one read and one write for each event. What a
 * socket does not take is kept, and its client is not read from until it is gone. A client that has said all gets all of it
 * back, then the end. It has no timeouts, no limits and no fairness between clients.
 *
 *     gcc -O2 -Wall -Wextra -o echo echo.c && ./echo PORT      (0: any; it says which)
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

/* A client, and what its socket has not taken yet. */
struct client {
    int fd;
    char *kept;
    size_t length;
};

static int epoll;
static char buffer[64 * 1024];

static void die(const char *what) {
    perror(what);
    exit(1);
}

static void leave(struct client *client) {
    close(client->fd);
    free(client->kept);
    free(client);
}

/* Sends what it can of this; how much, or -1 if the client is gone. */
static ssize_t say(struct client *client, const char *data, size_t length) {
    ssize_t sent = send(client->fd, data, length, MSG_NOSIGNAL);
    return sent < 0 && errno == EAGAIN ? 0 : sent;
}

/* Keeps what was not sent, which may be the end of what is kept. */
static void keep(struct client *client, const char *rest, size_t length) {
    if (client->kept == NULL && (client->kept = malloc(sizeof buffer)) == NULL)
        die("malloc");
    memmove(client->kept, rest, length);
    client->length = length;
}

static void serve(struct client *client, uint32_t events) {
    /* With the end there may come no other event; and where reading was paused, events were passed over. */
    int until_dry = (events & (EPOLLRDHUP | EPOLLHUP | EPOLLERR)) != 0;
    if (client->length > 0) {
        ssize_t sent = say(client, client->kept, client->length);
        if (sent < 0)
            return leave(client);
        keep(client, client->kept + sent, client->length - sent);
        if (client->length > 0)
            return;
        free(client->kept);
        client->kept = NULL;
        until_dry = 1;
    }
    for (;;) {
        ssize_t count = read(client->fd, buffer, sizeof buffer);
        if (count < 0 && errno == EINTR)
            continue;
        if (count < 0 && errno == EAGAIN)
            return;
        if (count <= 0)
            return leave(client);
        ssize_t sent = say(client, buffer, count);
        if (sent < 0)
            return leave(client);
        if (sent < count)
            return keep(client, buffer + sent, count - sent);
        if (count < (ssize_t)sizeof buffer && !until_dry)
            return;
    }
}

static void greet(int listener) {
    int fd, on = 1;
    while ((fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC)) >= 0) {
        struct client *client = calloc(1, sizeof *client);
        struct epoll_event event = {.events = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET, .data.ptr = client};
        if (client == NULL)
            die("calloc");
        client->fd = fd;
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
        if (epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event) < 0)
            leave(client);
    }
    if (errno != EAGAIN && errno != ECONNABORTED && errno != EINTR)
        die("accept4");
}

int main(int argc, char **argv) {
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(argc > 1 ? atoi(argv[1]) : 0)};
    socklen_t length = sizeof address;
    int listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0), on = 1;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if (bind(listener, (struct sockaddr *)&address, length) < 0 || listen(listener, SOMAXCONN) < 0 ||
        getsockname(listener, (struct sockaddr *)&address, &length) < 0)
        die("listen");
    if ((epoll = epoll_create1(EPOLL_CLOEXEC)) < 0)
        die("epoll_create1");
    struct epoll_event events[1024], listening = {.events = EPOLLIN, .data.ptr = NULL};
    epoll_ctl(epoll, EPOLL_CTL_ADD, listener, &listening);
    printf("listening on %d\n", ntohs(address.sin_port));
    fflush(stdout);
    for (;;) {
        int count = epoll_wait(epoll, events, 1024, -1);
        for (int i = 0; i < count; i++) {
            if (events[i].data.ptr == NULL)
                greet(listener);
            else
                serve(events[i].data.ptr, events[i].events);
        }
    }
}
