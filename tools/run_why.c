/* SPDX-License-Identifier: MIT */
/*
 * See run_why.h. Where the kernel does not show the system call of a process (another user's), its wait channel says what there is to say.
 */
#include "run_why.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

/* System calls that wait, and what to say of a process in one. */
static const struct {
    long number;
    const char *text;
    bool names_descriptor; /* its first argument is what it is done to */
} why_calls[] = {
    {SYS_read, "reads from", true},
    {SYS_readv, "reads from", true},
    {SYS_pread64, "reads from", true},
    {SYS_write, "writes to", true},
    {SYS_writev, "writes to", true},
    {SYS_pwrite64, "writes to", true},
    {SYS_recvfrom, "receives from", true},
    {SYS_recvmsg, "receives from", true},
    {SYS_sendto, "sends to", true},
    {SYS_sendmsg, "sends to", true},
    {SYS_connect, "connects", true},
    {SYS_accept, "waits for a connection to", true},
    {SYS_accept4, "waits for a connection to", true},
    {SYS_flock, "waits for the lock of", true},
    {SYS_fcntl, "waits for the lock of", true},
    {SYS_fsync, "waits for the disk under", true},
    {SYS_fdatasync, "waits for the disk under", true},
    {SYS_openat, "opens a file", false},
    {SYS_wait4, "waits for its children", false},
    {SYS_waitid, "waits for its children", false},
    {SYS_nanosleep, "sleeps", false},
    {SYS_clock_nanosleep, "sleeps", false},
    {SYS_futex, "waits for a lock or another thread (futex)", false},
    {SYS_ppoll, "waits for events", false},
    {SYS_pselect6, "waits for events", false},
    {SYS_epoll_pwait, "waits for events", false},
    {SYS_rt_sigsuspend, "waits for a signal", false},
    {SYS_rt_sigtimedwait, "waits for a signal", false},
#ifdef SYS_poll /* only older architectures have these */
    {SYS_poll, "waits for events", false},
    {SYS_select, "waits for events", false},
    {SYS_epoll_wait, "waits for events", false},
    {SYS_pause, "waits for a signal", false},
    {SYS_open, "opens a file", false},
#endif
};

/* Reads a small file of a process; its length, 0 when it cannot be read. */
static size_t read_proc(pid_t pid, const char *name, char *buffer, size_t size)
{
    char path[64];
    snprintf(path, sizeof path, "/proc/%d/%s", (int)pid, name);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t length = fd < 0 ? 0 : read(fd, buffer, size - 1);
    if (fd >= 0)
        close(fd);
    buffer[length > 0 ? length : 0] = '\0';
    return length > 0 ? (size_t)length : 0;
}

static void add_descriptor(pid_t pid, unsigned long fd, struct text *out)
{
    char path[64], target[128];
    snprintf(path, sizeof path, "/proc/%d/fd/%lu", (int)pid, fd);
    ssize_t length = readlink(path, target, sizeof target);
    if (length > 0)
        text_format(out, " %.*s", (int)length, target);
    else
        text_format(out, " descriptor %lu", fd);
}

/* Adds what the system call says. False when it says nothing. */
static bool add_call(pid_t pid, struct text *out)
{
    char line[256], *end;
    if (!read_proc(pid, "syscall", line, sizeof line))
        return false;
    long number = strtol(line, &end, 10);
    if (end == line || number < 0)
        return false;
    for (size_t i = 0; i < sizeof why_calls / sizeof *why_calls; i++)
        if (why_calls[i].number == number) {
            text_add_string(out, why_calls[i].text);
            if (why_calls[i].names_descriptor)
                add_descriptor(pid, strtoul(end, NULL, 16), out);
            return true;
        }
    text_format(out, "is in system call %ld", number);
    return true;
}

static void add_state(pid_t pid, char state, struct text *out)
{
    char channel[64];
    if (state == 'R')
        text_add_string(out, "runs");
    else if (state == 'T' || state == 't')
        text_add_string(out, "is stopped");
    else if (state == 'Z' || state == 'X')
        text_add_string(out, "has ended");
    else if (!add_call(pid, out)) {
        text_add_string(out, state == 'D' ? "waits for a device" : "waits");
        if (read_proc(pid, "wchan", channel, sizeof channel) && strcmp(channel, "0") != 0)
            text_format(out, " (%s)", channel);
    } else if (state == 'D') {
        text_add_string(out, " (uninterruptible)");
    }
}

static void add_process(pid_t pid, unsigned depth, unsigned *left, struct text *out);

static void add_children(pid_t pid, unsigned depth, unsigned *left, struct text *out)
{
    char name[48], children[1024], *end;
    snprintf(name, sizeof name, "task/%d/children", (int)pid);
    read_proc(pid, name, children, sizeof children);
    for (char *at = children;; at = end) {
        long child = strtol(at, &end, 10);
        if (end == at || !*left)
            return;
        add_process((pid_t)child, depth, left, out);
    }
}

static void add_process(pid_t pid, unsigned depth, unsigned *left, struct text *out)
{
    char line[512];
    if (!read_proc(pid, "stat", line, sizeof line))
        return;
    char *open = strchr(line, '('), *close = strrchr(line, ')');
    if (!open || !close || close[1] != ' ')
        return;
    --*left;
    text_format(out, "%*s%d %.*s: ", (int)(2 * depth), "", (int)pid, (int)(close - open - 1), open + 1);
    add_state(pid, close[2], out);
    text_add_char(out, '\n');
    add_children(pid, depth + 1, left, out);
}

void run_why_tree(pid_t pid, struct text *out)
{
    unsigned left = RUN_WHY_PROCESSES;
    add_process(pid, 1, &left, out);
}
