/* load: very many readers of text/event-stream in one process, which check what they get and time it.
 *
 *   load PORT [--clients N] [--paths FILE] [--last-event-id ID] [--until-id ID] [--ready sent|head|data]
 *             [--stalled N] [--dense] [--quick-ack] [--sample N] [--in-flight N]
 *
 * Opens N streams to 127.0.0.1:PORT, the paths of FILE in turn (one per line, behind a tab the header to send with it), the
 * last --stalled of them never read.
 * Prints {"ready": ...} once all have sent their request, or have the head of the answer, or its first data (the
 * default), or the payload --until-id ID. Then obeys stdin: "reset" begins a new measurement, "report" prints one
 * JSON line, "quit" ends.
 *
 * With --quick-ack what arrives is acknowledged at once: else a server that leaves Nagle's algorithm on waits for our
 * delayed acknowledgement, up to 40 ms, and sends fewer and larger pieces.
 *
 * Invariant: every byte is parsed. A client's payload ids (the first "id": of the data) must strictly rise, with --dense
 * by one each, and an SSE id, where the server sends a number, must be the payload's. Latency is our clock at recv
 * minus the payload's "timestamp" (seconds since 1970, a number), so the server must be on this machine.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#ifndef IP_BIND_ADDRESS_NO_PORT
#define IP_BIND_ADDRESS_NO_PORT 24
#endif

#define PER_ADDRESS 20000 /* streams from one source address: the kernel hands out 28 000 ports */
#define BUFFER (256 * 1024)
#define SUB_BUCKETS 64 /* per power of two: latencies are kept to 1.6 % */
#define BUCKETS (SUB_BUCKETS * 40)

enum phase { CLOSED, CONNECTING, HEAD, BODY };
enum coding { PLAIN, CHUNK_SIZE, CHUNK_DATA, CHUNK_END };
enum gate { READY_SENT, READY_HEAD, READY_DATA };

struct client {
    int fd;
    uint8_t phase, coding, is_ready, is_stalled, has_data;
    uint16_t path;
    uint32_t chunk_left;
    uint32_t kept;    /* bytes of an unfinished head or line in keep */
    uint32_t room;
    char *keep;
    int64_t sse_id;   /* of the frame being read; -1: none */
    int64_t frame_id; /* payload id of the frame being read; -1: none */
    int64_t last_id;  /* payload id of the last change */
    uint64_t count;
};

static struct client *clients;
static int client_count = 1, in_flight_max = 400, stalled_count, is_dense, is_quick, sample = 1, port;
static enum gate gate = READY_DATA;
static int64_t until_id = -1;
static const char *last_event_id;
static char **paths;
static char **headers; /* of each path: a line with its end, or nothing */
static int path_count;
static int epoll_fd, opened, in_flight, ready_count;
static char buffer[BUFFER];

static struct {
    uint64_t histogram[BUCKETS], timed, frames, bytes, recvs, not_rising, gaps, wrong_id, resets, errors, closed;
    double latency_sum, latency_max, began;
} tally;
static uint64_t refused;
static double started;

static double now(clockid_t clock)
{
    struct timespec t;
    clock_gettime(clock, &t);
    return t.tv_sec + t.tv_nsec / 1e9;
}

static void die(const char *format, ...)
{
    va_list rest;
    va_start(rest, format);
    fputs("load: ", stderr);
    vfprintf(stderr, format, rest);
    fputc('\n', stderr);
    exit(1);
}

/* --- latencies --- */

static int bucket_of(uint64_t microseconds)
{
    if (microseconds < SUB_BUCKETS)
        return (int)microseconds;
    int power = 63 - __builtin_clzll(microseconds); /* >= 6 */
    int bucket = SUB_BUCKETS * (power - 5) + (int)((microseconds >> (power - 6)) - SUB_BUCKETS);
    return bucket < BUCKETS ? bucket : BUCKETS - 1;
}

static double middle_of(int bucket)
{
    if (bucket < SUB_BUCKETS)
        return bucket + 0.5;
    int power = bucket / SUB_BUCKETS + 5;
    return (double)((uint64_t)(bucket % SUB_BUCKETS + SUB_BUCKETS) << (power - 6)) + (double)(1ull << (power - 6)) / 2;
}

static double percentile(double share)
{
    uint64_t seen = 0, wanted = (uint64_t)(share * tally.timed);
    for (int i = 0; i < BUCKETS; i++) {
        seen += tally.histogram[i];
        if (seen > wanted)
            return middle_of(i) / 1000;
    }
    return 0;
}

static void time_it(double sent, double received)
{
    double microseconds = (received - sent) * 1e6;
    if (microseconds < 0)
        microseconds = 0;
    tally.histogram[bucket_of((uint64_t)microseconds)]++;
    tally.timed++;
    tally.latency_sum += microseconds;
    if (microseconds > tally.latency_max)
        tally.latency_max = microseconds;
}

/* --- frames --- */

static void make_ready(struct client *c)
{
    if (!c->is_ready) {
        c->is_ready = 1;
        ready_count++;
        in_flight--;
    }
}

static void end_frame(struct client *c)
{
    if (c->frame_id >= 0) {
        if (c->sse_id >= 0 && c->sse_id != c->frame_id)
            tally.wrong_id++;
        if (c->frame_id <= c->last_id)
            tally.not_rising++;
        else if (is_dense && c->last_id >= 0 && c->frame_id != c->last_id + 1)
            tally.gaps++;
        c->last_id = c->frame_id;
        c->count++;
        tally.frames++;
    }
    if (until_id < 0 ? c->has_data : c->last_id >= until_id)
        make_ready(c);
    c->sse_id = c->frame_id = -1;
    c->has_data = 0;
}

/* A change: {"id":4711,...} as it is or within {"type":"data","data":...}. Anything else is the server's own talk. */
static void read_data(struct client *c, const char *line, const char *end, double received)
{
    static const char usual[] = "data: {\"type\":\"data\",\"data\":{\"id\":";
    c->has_data = 1;
    const char *id = end - line > (long)sizeof usual && !memcmp(line, usual, sizeof usual - 1)
        ? line + sizeof usual - 1 - 5 /* found without a search: at four million a second it counts */
        : memmem(line, (size_t)(end - line < 64 ? end - line : 64), "\"id\":", 5);
    if (!id || !(id[5] >= '0' && id[5] <= '9')) {
        if (memmem(line, end - line, "\"status\":\"reset\"", 16))
            tally.resets++;
        else if (memmem(line, end - line, "\"type\":\"error\"", 14))
            tally.errors++;
        return;
    }
    c->frame_id = strtoll(id + 5, NULL, 10);
    if (sample > 1 && c->frame_id % sample)
        return;
    /* The last "timestamp" that is a number: a row may have a column of that name, but that is a string. */
    for (const char *at = end - 12; at > line; at--) {
        at = memrchr(line, 't', at - line + 1);
        if (!at)
            return;
        if (at > line && at[-1] == '"' && end - at > 11 && !memcmp(at, "timestamp\":", 11) && at[11] >= '0' && at[11] <= '9') {
            time_it(strtod(at + 11, NULL), received);
            return;
        }
    }
}

static void read_line(struct client *c, const char *line, const char *end, double received)
{
    if (end > line && end[-1] == '\r')
        end--;
    if (line == end)
        end_frame(c);
    else if (end - line > 5 && !memcmp(line, "data:", 5))
        read_data(c, line, end, received);
    else if (end - line > 3 && !memcmp(line, "id:", 3)) {
        char *stop;
        const char *text = line + 3 + (line[3] == ' ');
        c->sse_id = strtoll(text, &stop, 10);
        if (stop != end) /* nchan has ids of its own kind */
            c->sse_id = -1;
    }
}

static void keep(struct client *c, const char *data, size_t size)
{
    if (c->kept + size + 1 > c->room) {
        c->room = (uint32_t)(c->kept + size + 256);
        if (!(c->keep = realloc(c->keep, c->room)))
            die("out of memory");
    }
    memcpy(c->keep + c->kept, data, size);
    c->kept += (uint32_t)size;
    c->keep[c->kept] = 0;
}

static void drop_kept(struct client *c)
{
    free(c->keep);
    c->keep = NULL;
    c->kept = c->room = 0;
}

static void read_body(struct client *c, const char *data, const char *end, double received)
{
    while (data < end) {
        const char *stop = memchr(data, '\n', end - data);
        if (!stop) {
            keep(c, data, end - data);
            return;
        }
        if (c->kept) {
            keep(c, data, stop - data);
            read_line(c, c->keep, c->keep + c->kept, received);
            drop_kept(c);
        } else
            read_line(c, data, stop, received);
        data = stop + 1;
    }
}

/* --- HTTP --- */

static void close_client(struct client *c)
{
    if (c->phase == CLOSED)
        return;
    close(c->fd);
    if (!c->is_ready)
        in_flight--;
    else
        ready_count--;
    drop_kept(c);
    c->is_ready = 0;
    c->phase = CLOSED;
    tally.closed++;
}

static void read_coded(struct client *c, const char *data, const char *end, double received)
{
    while (data < end && c->phase == BODY) {
        if (c->coding == PLAIN) {
            read_body(c, data, end, received);
            return;
        }
        if (c->coding == CHUNK_DATA) {
            size_t size = (size_t)(end - data) < c->chunk_left ? (size_t)(end - data) : c->chunk_left;
            read_body(c, data, data + size, received);
            data += size;
            c->chunk_left -= (uint32_t)size;
            if (!c->chunk_left)
                c->coding = CHUNK_END;
            continue;
        }
        char character = *data++;
        if (c->coding == CHUNK_END) { /* \r\n after the data */
            if (character == '\n')
                c->coding = CHUNK_SIZE, c->chunk_left = 0;
        } else if (character == '\n') {
            if (!c->chunk_left)
                close_client(c);
            c->coding = CHUNK_DATA;
        } else if (character >= '0' && character <= '9')
            c->chunk_left = c->chunk_left * 16 + (uint32_t)(character - '0');
        else if ((character | 32) >= 'a' && (character | 32) <= 'f')
            c->chunk_left = c->chunk_left * 16 + (uint32_t)((character | 32) - 'a' + 10);
        else if (character != '\r')
            die("a chunk's size has a %d in it", character);
    }
}

static void read_head(struct client *c, const char *data, const char *end, double received)
{
    uint32_t before = c->kept > 3 ? c->kept - 3 : 0, old = c->kept;
    keep(c, data, end - data);
    char *stop = strstr(c->keep + before, "\r\n\r\n");
    if (!stop)
        return;
    if (strncmp(c->keep, "HTTP/1.1 200", 12) && strncmp(c->keep, "HTTP/1.0 200", 12)) {
        if (!refused++)
            fprintf(stderr, "load: refused: %.*s\n", (int)strcspn(c->keep, "\r"), c->keep);
        close_client(c);
        return;
    }
    *stop = 0;
    c->coding = strcasestr(c->keep, "transfer-encoding: chunked") ? CHUNK_SIZE : PLAIN;
    c->phase = BODY;
    data += (stop + 4 - c->keep) - old;
    drop_kept(c);
    if (gate == READY_HEAD)
        make_ready(c);
    read_coded(c, data, end, received);
}

static void read_client(struct client *c)
{
    ssize_t size = recv(c->fd, buffer, sizeof buffer, 0);
    if (size <= 0) {
        if (size < 0 && (errno == EAGAIN || errno == EINTR))
            return;
        close_client(c);
        return;
    }
    double received = now(CLOCK_REALTIME);
    if (is_quick)
        setsockopt(c->fd, IPPROTO_TCP, TCP_QUICKACK, &(int){1}, sizeof(int));
    tally.recvs++;
    tally.bytes += (uint64_t)size;
    if (c->phase == HEAD)
        read_head(c, buffer, buffer + size, received);
    else
        read_coded(c, buffer, buffer + size, received);
}

static void send_request(struct client *c)
{
    char request[1024];
    int size = snprintf(request, sizeof request,
                        "GET %s HTTP/1.1\r\nHost: 127.0.0.1:%d\r\nAccept: text/event-stream\r\n%s%s%s%s\r\n",
                        paths[c->path], port, headers[c->path], last_event_id ? "Last-Event-ID: " : "",
                        last_event_id ? last_event_id : "", last_event_id ? "\r\n" : "");
    if (send(c->fd, request, (size_t)size, MSG_NOSIGNAL) != size) {
        close_client(c);
        return;
    }
    c->phase = HEAD;
    /* One who never reads is there as soon as it has asked. */
    struct epoll_event event = {.events = c->is_stalled ? 0 : EPOLLIN, .data.ptr = c};
    epoll_ctl(epoll_fd, EPOLL_CTL_MOD, c->fd, &event);
    if (c->is_stalled || gate == READY_SENT)
        make_ready(c);
}

static void open_client(int number)
{
    struct client *c = &clients[number];
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    int on = 1, small = 4096;
    c->path = (uint16_t)(number % path_count);
    c->sse_id = c->frame_id = c->last_id = -1;
    c->is_stalled = number >= client_count - stalled_count;
    c->fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (c->fd < 0)
        die("socket %d: %s", number, strerror(errno));
    setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    if (c->is_stalled)
        setsockopt(c->fd, SOL_SOCKET, SO_RCVBUF, &small, sizeof small);
    if (client_count > PER_ADDRESS) {
        struct sockaddr_in from = {.sin_family = AF_INET};
        from.sin_addr.s_addr = htonl(INADDR_LOOPBACK + 1 + (uint32_t)(number / PER_ADDRESS));
        setsockopt(c->fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &on, sizeof on);
        if (bind(c->fd, (struct sockaddr *)&from, sizeof from))
            die("bind: %s", strerror(errno));
    }
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (connect(c->fd, (struct sockaddr *)&to, sizeof to) && errno != EINPROGRESS)
        die("connect: %s", strerror(errno));
    c->phase = CONNECTING;
    in_flight++;
    struct epoll_event event = {.events = EPOLLOUT, .data.ptr = c};
    epoll_ctl(epoll_fd, EPOLL_CTL_ADD, c->fd, &event);
}

/* --- what is told --- */

static int compare(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return x < y ? -1 : x > y;
}

static void report(void)
{
    uint64_t *counts = malloc(sizeof *counts * (size_t)client_count);
    int64_t newest = -1;
    for (int i = 0; i < client_count; i++) {
        counts[i] = clients[i].count;
        if (clients[i].last_id > newest)
            newest = clients[i].last_id;
    }
    int readers = client_count - stalled_count;
    qsort(counts, (size_t)readers, sizeof *counts, compare);
    printf("{\"seconds\": %.4f, \"frames\": %lu, \"bytes\": %lu, \"recvs\": %lu, \"live\": %d, \"newest\": %ld, "
           "\"p50\": %.4f, \"p90\": %.4f, \"p99\": %.4f, \"p999\": %.4f, \"max\": %.4f, \"mean\": %.4f, \"timed\": %lu, "
           "\"count_min\": %lu, \"count_median\": %lu, \"count_max\": %lu, \"not_rising\": %lu, \"gaps\": %lu, "
           "\"wrong_id\": %lu, \"resets\": %lu, \"errors\": %lu, \"closed\": %lu, \"refused\": %lu}\n",
           now(CLOCK_MONOTONIC) - tally.began, tally.frames, tally.bytes, tally.recvs, ready_count, newest,
           percentile(0.5), percentile(0.9), percentile(0.99), percentile(0.999), tally.latency_max / 1000,
           tally.timed ? tally.latency_sum / tally.timed / 1000 : 0, tally.timed, counts[0], counts[readers / 2],
           counts[readers - 1], tally.not_rising, tally.gaps, tally.wrong_id, tally.resets, tally.errors,
           tally.closed, refused);
    fflush(stdout);
    free(counts);
}

static void reset(void)
{
    memset(&tally, 0, sizeof tally);
    tally.began = now(CLOCK_MONOTONIC);
    for (int i = 0; i < client_count; i++)
        clients[i].count = 0;
}

static void obey(void)
{
    static char command[64];
    ssize_t size = read(0, command, sizeof command - 1);
    if (size <= 0)
        exit(0);
    command[size] = 0;
    for (char *word = strtok(command, "\n"); word; word = strtok(NULL, "\n")) {
        if (!strcmp(word, "reset"))
            reset();
        else if (!strcmp(word, "report"))
            report();
        else
            exit(0);
    }
}

/* --- start --- */

static void add_path(const char *path, const char *header)
{
    paths = realloc(paths, sizeof *paths * (size_t)(path_count + 1));
    headers = realloc(headers, sizeof *headers * (size_t)(path_count + 1));
    headers[path_count] = strdup(header);
    paths[path_count++] = strdup(path);
}

static void read_paths(const char *name)
{
    char line[900];
    FILE *file = fopen(name, "r");
    if (!file)
        die("%s: %s", name, strerror(errno));
    while (fgets(line, sizeof line, file)) {
        line[strcspn(line, "\n")] = 0;
        char *tab = strchr(line, '\t'), header[900] = "";
        if (tab) {
            *tab = 0;
            snprintf(header, sizeof header, "%s\r\n", tab + 1);
        }
        add_path(line, header);
    }
    fclose(file);
    if (!path_count || path_count > UINT16_MAX)
        die("%s has %d paths", name, path_count);
}

static void read_arguments(int count, char **words)
{
    if (count < 2 || !(port = atoi(words[1])))
        die("usage: load PORT [--clients N] ...; see the head of load.c");
    for (int i = 2; i < count; i++) {
        const char *word = words[i];
        if (!strcmp(word, "--dense")) {
            is_dense = 1;
            continue;
        }
        if (!strcmp(word, "--quick-ack")) {
            is_quick = 1;
            continue;
        }
        if (++i == count)
            die("%s needs a value", word);
        if (!strcmp(word, "--clients"))
            client_count = atoi(words[i]);
        else if (!strcmp(word, "--paths"))
            read_paths(words[i]);
        else if (!strcmp(word, "--last-event-id"))
            last_event_id = words[i];
        else if (!strcmp(word, "--until-id"))
            until_id = atoll(words[i]);
        else if (!strcmp(word, "--ready"))
            gate = *words[i] == 's' ? READY_SENT : *words[i] == 'h' ? READY_HEAD : READY_DATA;
        else if (!strcmp(word, "--stalled"))
            stalled_count = atoi(words[i]);
        else if (!strcmp(word, "--sample"))
            sample = atoi(words[i]);
        else if (!strcmp(word, "--in-flight"))
            in_flight_max = atoi(words[i]);
        else
            die("unknown option %s", word);
    }
    if (!path_count) {
        add_path("/api/sse", "");
    }
    if (client_count < 1 || stalled_count > client_count)
        die("--clients %d --stalled %d make no sense", client_count, stalled_count);
}

int main(int count, char **words)
{
    read_arguments(count, words);
    struct rlimit files = {(rlim_t)client_count + 64, (rlim_t)client_count + 64};
    struct rlimit had;
    getrlimit(RLIMIT_NOFILE, &had);
    if (had.rlim_cur < files.rlim_cur && setrlimit(RLIMIT_NOFILE, &files))
        die("may not open %d files: %s", client_count, strerror(errno));
    clients = calloc((size_t)client_count, sizeof *clients);
    epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    struct epoll_event input = {.events = EPOLLIN, .data.ptr = NULL};
    epoll_ctl(epoll_fd, EPOLL_CTL_ADD, 0, &input);
    started = now(CLOCK_MONOTONIC);
    reset();
    int is_told = 0;
    struct epoll_event events[512];
    for (;;) {
        while (opened < client_count && in_flight < in_flight_max)
            open_client(opened++);
        int number = epoll_wait(epoll_fd, events, 512, 1000);
        for (int i = 0; i < number; i++) {
            struct client *c = events[i].data.ptr;
            if (!c)
                obey();
            else if (c->phase == CONNECTING) {
                if (events[i].events & (EPOLLERR | EPOLLHUP))
                    close_client(c);
                else
                    send_request(c);
            } else if (c->phase != CLOSED && !c->is_stalled)
                read_client(c);
            else if (c->phase != CLOSED && events[i].events & (EPOLLERR | EPOLLHUP))
                close_client(c);
        }
        if (!is_told && opened == client_count && !in_flight) {
            is_told = 1;
            printf("{\"ready\": %d, \"seconds\": %.4f, \"frames\": %lu, \"refused\": %lu, \"resets\": %lu}\n",
                   ready_count, now(CLOCK_MONOTONIC) - started, tally.frames, refused, tally.resets);
            fflush(stdout);
        }
    }
}
