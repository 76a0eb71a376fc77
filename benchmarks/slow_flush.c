/* A disk that takes FLUSH_US longer to flush: preloaded into PostgreSQL, it sleeps before each fdatasync and fsync.
 *
 *     cc -shared -fPIC -o slow_flush.so slow_flush.c -ldl
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdlib.h>
#include <time.h>

static void nap(void)
{
    const char *text = getenv("FLUSH_US");
    long us = text ? atol(text) : 0;
    struct timespec left = {us / 1000000, us % 1000000 * 1000};
    if (us > 0)
        nanosleep(&left, 0);
}

int fdatasync(int fd)
{
    nap();
    return ((int (*)(int))dlsym(RTLD_NEXT, "fdatasync"))(fd);
}

int fsync(int fd)
{
    nap();
    return ((int (*)(int))dlsym(RTLD_NEXT, "fsync"))(fd);
}
