/* floor: the least that a program can do: one send() of the same bytes for each client and frame.
 *
 *   floor PORT FIFO
 *
 * Accepts streams, answers any request with the head of an event stream, and sends every frame that comes out of
 * FIFO to all. No queues, no history, no filters: a client that does not keep up is cut.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#define MOST 20000

static const char head[] = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n";
static int streams[MOST], stream_count;

static void fan_out(const char *frame, size_t size)
{
    static char chunk[128 * 1024];
    int length = snprintf(chunk, sizeof chunk, "%zx\r\n", size);
    memcpy(chunk + length, frame, size);
    memcpy(chunk + length + size, "\r\n", 2);
    length += (int)size + 2;
    for (int i = 0; i < stream_count; i++) {
        if (send(streams[i], chunk, (size_t)length, MSG_NOSIGNAL | MSG_DONTWAIT) != length) {
            close(streams[i]);
            streams[i--] = streams[--stream_count];
        }
    }
}

static void read_frames(int fifo)
{
    static char buffer[64 * 1024];
    static size_t kept;
    ssize_t size = read(fifo, buffer + kept, sizeof buffer - kept);
    if (size <= 0)
        return;
    kept += (size_t)size;
    char *frame = buffer, *stop;
    while ((stop = memmem(frame, kept - (size_t)(frame - buffer), "\n\n", 2))) {
        fan_out(frame, (size_t)(stop + 2 - frame));
        frame = stop + 2;
    }
    kept -= (size_t)(frame - buffer);
    memmove(buffer, frame, kept);
}

static void greet(int poll, int client)
{
    char request[4096];
    if (recv(client, request, sizeof request, 0) <= 0 || stream_count == MOST) {
        close(client);
        return;
    }
    epoll_ctl(poll, EPOLL_CTL_DEL, client, NULL);
    send(client, head, sizeof head - 1, MSG_NOSIGNAL);
    streams[stream_count++] = client;
}

int main(int count, char **words)
{
    if (count != 3)
        return 2;
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_port = htons((uint16_t)atoi(words[1]))};
    at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    int on = 1, poll = epoll_create1(0), server = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
    int fifo = open(words[2], O_RDWR | O_NONBLOCK); /* O_RDWR: no end of file between two writers */
    setsockopt(server, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if (fifo < 0 || bind(server, (struct sockaddr *)&at, sizeof at) || listen(server, 4096)) {
        perror("floor");
        return 1;
    }
    struct epoll_event event = {.events = EPOLLIN, .data.fd = server}, events[64];
    epoll_ctl(poll, EPOLL_CTL_ADD, server, &event);
    event.data.fd = fifo;
    epoll_ctl(poll, EPOLL_CTL_ADD, fifo, &event);
    for (;;) {
        int number = epoll_wait(poll, events, 64, -1);
        for (int i = 0; i < number; i++) {
            int ready = events[i].data.fd, client;
            if (ready == fifo)
                read_frames(fifo);
            else if (ready != server)
                greet(poll, ready);
            else
                while ((client = accept4(server, NULL, NULL, SOCK_NONBLOCK)) >= 0) {
                    setsockopt(client, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
                    event.data.fd = client;
                    epoll_ctl(poll, EPOLL_CTL_ADD, client, &event);
                }
        }
    }
}
