/* What may go wrong in one worker of a picklegate, from outside: the system fails it,
 * or it never comes back. Which fault there is, a file in $FAULTS says by its name. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <time.h>
#include <unistd.h>

static int is(const char *fault) {
    char name[16] = "", path[512];
    const char *faults = getenv("FAULTS");
    pthread_getname_np(pthread_self(), name, sizeof name);
    if (faults == NULL || strcmp(name, "worker-0") != 0)
        return 0;
    snprintf(path, sizeof path, "%s/%s", faults, fault);
    return access(path, F_OK) == 0;
}

/* The poller is gone, or what it found is never worked on. */
int epoll_wait(int poller, struct epoll_event *events, int most, int timeout) {
    static int (*real)(int, struct epoll_event *, int, int);
    if (real == NULL)
        real = dlsym(RTLD_NEXT, "epoll_wait");
    int found = real(poller, events, most, timeout);
    if (is("poller")) {
        errno = EBADF;
        return -1;
    }
    while (is("stuck"))
        usleep(1000);
    return found;
}

/* There is no clock, for once: Rust's own panics. */
int clock_gettime(clockid_t clock, struct timespec *now) {
    static int (*real)(clockid_t, struct timespec *);
    static int has_failed;
    if (real == NULL)
        real = dlsym(RTLD_NEXT, "clock_gettime");
    if (!has_failed && is("clock")) {
        has_failed = 1;
        errno = EINVAL;
        return -1;
    }
    return real(clock, now);
}
