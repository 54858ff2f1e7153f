/* SPDX-License-Identifier: MIT */
/*
 * The supervisor: a small process of the family's own, with one thread, that runs no code of the program's. It is three things in one.
 *
 * The zygote. Processes are forked from it on request: what it was when the family began, so that it costs the same however large the program has
 * grown and however many threads it has.
 *
 * The undertaker. It watches each process by a pidfd. When one has died, its seat is GONE while what it left is put right, then EMPTY; its status is stored, and
 * whoever waits for it is woken.
 *
 * The life-line. It watches the root by a pidfd, and when that is gone it kills the family and ends. The processes it makes have SIGKILL as the signal of their
 * parent's death (it has one thread, so that is its own death), in case it dies first.
 *
 * It blocks all signals; it ends with the root, or by SIGKILL. Nothing of the host's but the arena is kept open, and the working directory is left.
 */

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <weft/wait.h>

#include "base/leave.h"
#include "base/memory.h"
#include "family/family.h"
#include "family/joined.h"
#include "shared/block.h"
#include "shared/life.h"

/* A process it has made: at the index of its pidfd in `polls`. */
struct made {
    struct wefti_process *process;
    uint32_t seat;
};

struct supervisor {
    struct wefti_family *family;
    struct wefti_supervisor_start start;
    nfds_t count;                         /* of the next two */
    struct pollfd polls[WEFTI_SEATS + 2]; /* the socket, the root, the processes */
    struct made made[WEFTI_SEATS + 2];
};

enum { SOCKET, ROOT, FIRST };

static struct supervisor supervisor;

static void process_state(struct wefti_process *process, enum wefti_process_state state)
{
    __atomic_store_n(&process->state, state, __ATOMIC_RELEASE);
    weft_wake(&process->state, UINT32_MAX);
}

static void refuse(struct wefti_process *process, int error)
{
    process->error = error;
    process_state(process, WEFTI_PROCESS_REFUSED);
    wefti_process_let_go(process);
}

/* Undertaking. */

/* What a dead member left is put right; only then may another have the seat. */
static void seat_clear(struct wefti_family *family, uint32_t number)
{
    struct wefti_seat *seat = &family->seats[number];
    __atomic_store_n(&seat->state, WEFTI_SEAT_GONE, __ATOMIC_RELEASE);
    wefti_seat_mend(family, number);
    __atomic_add_fetch(&seat->generation, 1, __ATOMIC_RELAXED);
    __atomic_store_n(&seat->state, WEFTI_SEAT_EMPTY, __ATOMIC_RELEASE);
}

static int status_of(const siginfo_t *info)
{
    return info->si_code == CLD_EXITED ? (info->si_status & 0xff) << 8 : info->si_status | (info->si_code == CLD_DUMPED ? 0x80 : 0);
}

static void undertake(nfds_t at)
{
    siginfo_t info;
    memset(&info, 0, sizeof(info));
    while (waitid(P_PIDFD, (id_t)supervisor.polls[at].fd, &info, WEXITED) != 0 && errno == EINTR)
        ;
    close(supervisor.polls[at].fd);
    struct made made = supervisor.made[at];
    supervisor.count--;
    supervisor.polls[at] = supervisor.polls[supervisor.count];
    supervisor.made[at] = supervisor.made[supervisor.count];
    seat_clear(supervisor.family, made.seat);
    made.process->status = status_of(&info);
    process_state(made.process, WEFTI_PROCESS_ENDED);
    wefti_process_let_go(made.process);
}

/* The root is gone: so is the family. */
_Noreturn static void end_all(void)
{
    for (nfds_t i = FIRST; i < supervisor.count; i++)
        syscall(SYS_pidfd_send_signal, supervisor.polls[i].fd, SIGKILL, NULL, 0);
    wefti_leave(0);
}

/* Making. */

static uint32_t seat_find(const struct wefti_family *family)
{
    for (uint32_t i = WEFTI_SEAT_FIRST; i < WEFTI_SEATS; i++)
        if (__atomic_load_n(&family->seats[i].state, __ATOMIC_ACQUIRE) == WEFTI_SEAT_EMPTY)
            return i;
    return 0;
}

/* Nothing of the supervisor's stays but the arena and the members' end of the socket. */
static void child_close(void)
{
    for (nfds_t i = SOCKET; i < supervisor.count; i++)
        close(supervisor.polls[i].fd);
}

/* The directory, and the first three descriptors; one that the asker had closed is closed. */
static int child_place(const int handed[WEFTI_HANDED])
{
    struct stat socket, one;
    if (fchdir(handed[0]) != 0 || fstat(supervisor.start.asking, &socket) != 0)
        return -1;
    for (int i = 1; i < WEFTI_HANDED; i++) {
        bool closed = fstat(handed[i], &one) == 0 && one.st_ino == socket.st_ino && one.st_dev == socket.st_dev;
        if (closed)
            close(i - 1);
        else if (dup2(handed[i], i - 1) < 0)
            return -1;
    }
    for (int i = 0; i < WEFTI_HANDED; i++)
        close(handed[i]);
    return 0;
}

_Noreturn static void child_run(struct wefti_process *process, uint32_t seat, const int handed[WEFTI_HANDED], pid_t parent)
{
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != parent)
        wefti_leave(1);
    child_close();
    if (child_place(handed) != 0)
        wefti_leave(1);
    umask(process->creation_mask);
    wefti_member = (uint16_t)seat;
    wefti_family_joined(supervisor.start.asking);
    prctl(PR_SET_NAME, "weft-process");
    syscall(SYS_rt_sigprocmask, SIG_SETMASK, &process->signals, NULL, sizeof(process->signals));
    int status = process->main(process);
    fflush(NULL);
    wefti_leave(status);
}

/* Its pidfd; -1 with errno. */
static int child_fork(struct wefti_process *process, uint32_t seat, const int handed[WEFTI_HANDED])
{
    pid_t parent = getpid();
    pid_t child = supervisor.count < WEFTI_SEATS + 2 ? fork() : (errno = EAGAIN, -1);
    if (child == 0)
        child_run(process, seat, handed, parent);
    if (child < 0)
        return -1;
    int pidfd = (int)syscall(SYS_pidfd_open, child, 0);
    if (pidfd < 0) {
        int error = errno;
        kill(child, SIGKILL);
        while (waitpid(child, NULL, 0) < 0 && errno == EINTR)
            ;
        errno = error;
        return -1;
    }
    process->pid = child;
    return pidfd;
}

static void make(struct wefti_process *process, const int handed[WEFTI_HANDED])
{
    struct wefti_family *family = supervisor.family;
    uint32_t number = seat_find(family);
    if (!number) {
        refuse(process, EAGAIN);
        return;
    }
    struct wefti_seat *seat = &family->seats[number];
    __atomic_store_n(&seat->state, WEFTI_SEAT_COMING, __ATOMIC_RELEASE);
    process->seat = number;
    int pidfd = child_fork(process, number, handed);
    if (pidfd < 0) {
        int error = errno;
        seat_clear(family, number);
        refuse(process, error);
        return;
    }
    struct timespec now;
    clock_gettime(CLOCK_BOOTTIME, &now);
    seat->pid = process->pid;
    seat->started = (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
    __atomic_store_n(&seat->state, WEFTI_SEAT_TAKEN, __ATOMIC_RELEASE);
    supervisor.polls[supervisor.count] = (struct pollfd){.fd = pidfd, .events = POLLIN};
    supervisor.made[supervisor.count++] = (struct made){.process = process, .seat = number};
    process_state(process, WEFTI_PROCESS_RUNS);
}

/* One request, if there is a whole one. */
static void request_take(void)
{
    union {
        char octets[CMSG_SPACE(WEFTI_HANDED * sizeof(int))];
        struct cmsghdr header;
    } control;
    struct wefti_process *process = NULL;
    struct iovec body = {.iov_base = &process, .iov_len = sizeof(process)};
    struct msghdr message = {.msg_iov = &body, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof(control)};
    ssize_t got = recvmsg(supervisor.start.requests, &message, MSG_CMSG_CLOEXEC | MSG_DONTWAIT);
    struct cmsghdr *header = got == sizeof(process) ? CMSG_FIRSTHDR(&message) : NULL;
    int handed[WEFTI_HANDED], count = header && header->cmsg_type == SCM_RIGHTS ? (int)((header->cmsg_len - CMSG_LEN(0)) / sizeof(int)) : 0;
    if (count > 0)
        memcpy(handed, CMSG_DATA(header), (size_t)count * sizeof(int));
    if (got == sizeof(process) && count == WEFTI_HANDED)
        make(process, handed);
    else if (got == sizeof(process))
        refuse(process, EMFILE); /* there was no room for the descriptors */
    for (int i = 0; i < count; i++)
        close(handed[i]);
}

/* The descriptors that stay, all others being closed. */
static void descriptors_keep(void)
{
    int kept[4] = {supervisor.start.requests, supervisor.start.asking, supervisor.start.root, wefti_arena_descriptor()}, from = 0;
    for (int round = 0; round < 4; round++) { /* in order of size */
        int least = -1;
        for (int i = 0; i < 4; i++)
            if (kept[i] >= from && (least < 0 || kept[i] < least))
                least = kept[i];
        if (least < 0)
            break;
        if (least > from)
            syscall(SYS_close_range, from, least - 1, 0);
        from = least + 1;
    }
    syscall(SYS_close_range, from, ~0U, 0);
}

/* The lowest three are taken, so that no descriptor that is handed on comes to lie there. */
static void streams_null(void)
{
    int fd;
    do
        fd = open("/dev/null", O_RDWR | O_CLOEXEC);
    while (fd >= 0 && fd < 3);
    close(fd);
}

_Noreturn void wefti_supervisor_run(struct wefti_family *family, const struct wefti_supervisor_start *start)
{
    sigset_t all;
    sigfillset(&all);
    sigprocmask(SIG_SETMASK, &all, NULL);
    prctl(PR_SET_NAME, "weft-supervisor");
    supervisor.family = family;
    supervisor.start = *start;
    descriptors_keep();
    if (chdir("/") != 0)
        wefti_leave(1);
    streams_null();
    wefti_member = WEFTI_SEAT_SUPERVISOR;
    pthread_mutex_lock(&family->life);
    supervisor.polls[SOCKET] = (struct pollfd){.fd = start->requests, .events = POLLIN};
    supervisor.polls[ROOT] = (struct pollfd){.fd = start->root, .events = POLLIN};
    supervisor.count = FIRST;
    family->supervisor = getpid();
    if (send(start->requests, "", 1, MSG_NOSIGNAL) < 0) /* it takes requests: see supervisor_await */
        wefti_leave(1);
    for (;;) {
        if (poll(supervisor.polls, supervisor.count, -1) < 0)
            continue;
        if (supervisor.polls[ROOT].revents)
            end_all();
        for (nfds_t i = supervisor.count; i-- > FIRST;)
            if (supervisor.polls[i].revents)
                undertake(i);
        if (supervisor.polls[SOCKET].revents)
            request_take();
    }
}
