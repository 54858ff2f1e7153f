/* SPDX-License-Identifier: MIT */
/*
 * See run_sweep.h. A process is opened before it is looked at, so that what is killed is what was looked at, whatever becomes of its
 * number.
 */
#include "run_sweep.h"

#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>
#include <weft.h>

#include "text.h"

enum { SWEEP_PIECE = 65536 };
static const double sweep_seconds = 2, sweep_pause = 0.01;

void run_sweep_mark(char mark[RUN_MARK_SIZE])
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    snprintf(mark, RUN_MARK_SIZE, "WEFT_RUN_ID=%d.%lld.%09ld", (int)getpid(), (long long)now.tv_sec, now.tv_nsec);
}

static bool environment_has(int proc, const char *pid, const char *mark, struct text *environment)
{
    char path[64];
    snprintf(path, sizeof path, "%.32s/environ", pid);
    int fd = openat(proc, path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return false;
    text_clear(environment);
    text_add_char(environment, '\0');
    ssize_t length;
    do {
        text_reserve(environment, SWEEP_PIECE);
        length = read(fd, environment->at + environment->length, SWEEP_PIECE);
        environment->length += length > 0 ? (size_t)length : 0;
    } while (length > 0);
    close(fd);
    char wanted[RUN_MARK_SIZE + 2] = {0};
    snprintf(wanted + 1, RUN_MARK_SIZE, "%s", mark);
    return memmem(environment->at, environment->length, wanted, strlen(mark) + 2) != NULL;
}

/* Kills one if it has the mark. Whether it had. */
static bool sweep_one(int proc, const char *pid, const char *mark, struct text *environment)
{
    int process = (int)syscall(SYS_pidfd_open, atoi(pid), 0);
    if (process < 0)
        return false;
    bool marked = environment_has(proc, pid, mark, environment);
    if (marked)
        syscall(SYS_pidfd_send_signal, process, SIGKILL, NULL, 0);
    close(process);
    return marked;
}

/* Looks at all processes once. Whether one had the mark. */
static bool sweep_all(const char *mark, struct text *environment)
{
    DIR *proc = opendir("/proc");
    bool found = false;
    if (!proc)
        return false;
    for (struct dirent *entry; (entry = readdir(proc));)
        if (entry->d_name[0] >= '1' && entry->d_name[0] <= '9' && atoi(entry->d_name) != (int)getpid())
            found |= sweep_one(dirfd(proc), entry->d_name, mark, environment);
    closedir(proc);
    return found;
}

void run_sweep(const char *mark)
{
    struct text environment = {0};
    weft_time late = weft_in(sweep_seconds);
    while (sweep_all(mark, &environment) && weft_clock() < late)
        weft_sleep(sweep_pause);
    text_free(&environment);
}
