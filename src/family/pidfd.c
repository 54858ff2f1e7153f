/* SPDX-License-Identifier: MIT */
/*
 * Who a process is, since when, and how it ended, by its pidfd.
 *
 * A number is a process's own until it has been reaped, and then anybody's; a pidfd is of one process for ever. So a process is known again
 * by its number only together with when it began (wefti_seat_pidfd): the pidfd is opened first, and what /proc says of that number then is
 * of the process that the pidfd is of, or of one that came later and began later.
 *
 * Nothing is kept between calls, and nothing is reaped: who made a process does that.
 */

#include "family/pidfd.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "family/family.h"

enum { CLOCK_TICK = 10000000 /* ns; /proc's unit */ };

/*
 * What ioctl(PIDFD_GET_INFO) of Linux 6.15 tells of a process that its parent has reaped; the C library's headers are older.
 */
struct pidfd_info {
    uint64_t mask, cgroup;
    uint32_t numbers[11];
    int32_t exit_code;
    uint64_t reserved[8];
};
#define PIDFD_INFO_EXIT UINT64_C(8)
#define PIDFD_GET_INFO_OF(type_) _IOWR(0xff, 11, type_)

bool wefti_pidfd_recall(int pidfd, int *status)
{
    struct pidfd_info info = {.mask = PIDFD_INFO_EXIT};
    bool known = ioctl(pidfd, PIDFD_GET_INFO_OF(struct pidfd_info), &info) == 0 && (info.mask & PIDFD_INFO_EXIT);
    if (known)
        *status = info.exit_code;
    return known;
}

int wefti_pidfd_status(int pidfd)
{
    int status = SIGKILL;
    for (int i = 0; i < 50 && !wefti_pidfd_recall(pidfd, &status); i++) { /* its parent may be about to */
        if (syscall(SYS_pidfd_send_signal, pidfd, 0, NULL, 0) != 0 && errno == ESRCH)
            break; /* reaped, and the kernel has kept nothing */
        nanosleep(&(struct timespec){.tv_nsec = 200000}, NULL);
    }
    return status;
}

pid_t wefti_pidfd_number(int pidfd)
{
    char path[64], line[128];
    int number = 0;
    snprintf(path, sizeof(path), "/proc/self/fdinfo/%d", pidfd);
    FILE *file = fopen(path, "re");
    while (file && fgets(line, sizeof(line), file))
        if (sscanf(line, "Pid: %d", &number) == 1)
            break;
    if (file)
        fclose(file);
    return number > 0 ? number : 0;
}

void wefti_pidfd_await(int pidfd)
{
    struct pollfd end = {.fd = pidfd, .events = POLLIN};
    while (pidfd >= 0 && poll(&end, 1, -1) < 0 && errno == EINTR)
        ;
    if (pidfd >= 0)
        close(pidfd);
}

/* When a process began, in nanoseconds since the boot, to a tick: 0 when there is none of that number. */
static uint64_t process_began(pid_t pid)
{
    char path[64], line[1024];
    unsigned long long ticks = 0;
    snprintf(path, sizeof(path), "/proc/%d/stat", pid);
    FILE *file = fopen(path, "re");
    const char *rest = file && fgets(line, sizeof(line), file) ? strrchr(line, ')') : NULL;
    if (rest)
        sscanf(rest, ") %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %*u %*u %*d %*d %*d %*d %*d %*d %llu", &ticks);
    if (file)
        fclose(file);
    return ticks * CLOCK_TICK;
}

int wefti_seat_pidfd(const struct wefti_seat *seat)
{
    pid_t pid = __atomic_load_n(&seat->pid, __ATOMIC_ACQUIRE);
    int pidfd = pid > 0 ? (int)syscall(SYS_pidfd_open, pid, 0) : -1;
    uint64_t began = pidfd >= 0 ? process_began(pid) : 0;
    bool same = seat->state != WEFTI_SEAT_TAKEN || began <= seat->started + 2 * CLOCK_TICK; /* before it is TAKEN nobody has said when */
    if (pidfd >= 0 && (began == 0 || !same)) {
        close(pidfd);
        return -1;
    }
    return pidfd;
}
