/* What may go wrong in a thread of a picklegate, from outside: the system fails it,
 * lies to it, or it never comes back. Which fault there is, a file in $FAULTS says by its name. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <netdb.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

static int is_there(const char *fault) {
    char path[512];
    const char *faults = getenv("FAULTS");
    if (faults == NULL)
        return 0;
    snprintf(path, sizeof path, "%s/%s", faults, fault);
    return access(path, F_OK) == 0;
}

static int is_of(const char *thread, const char *fault) {
    char name[16] = "";
    pthread_getname_np(pthread_self(), name, sizeof name);
    return strcmp(name, thread) == 0 && is_there(fault);
}

static int is(const char *fault) {
    return is_of("worker-0", fault);
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

/* More was read than there was room for: whoever reads panics. */
ssize_t recv(int socket, void *into, size_t most, int flags) {
    static ssize_t (*real)(int, void *, size_t, int);
    if (real == NULL)
        real = dlsym(RTLD_NEXT, "recv");
    ssize_t got = real(socket, into, most, flags);
    if (got > 0 && (is_of("picklegate", "connecting") || is_of("handshakes", "shaking")))
        return most + 1;
    return got;
}

/* An address that is none: Rust's own panics. */
int getaddrinfo(const char *node, const char *service, const struct addrinfo *hints,
                struct addrinfo **found) {
    static int (*real)(const char *, const char *, const struct addrinfo *, struct addrinfo **);
    if (real == NULL)
        real = dlsym(RTLD_NEXT, "getaddrinfo");
    int failed = real(node, service, hints, found);
    if (!failed && is_there("resolving"))
        (*found)->ai_addrlen = 0;
    return failed;
}
