/* SPDX-License-Identifier: MIT */
/*
 * The supervisor: a small process of the family's own, with one thread, that runs no code of the program's. It is three things in one.
 *
 * The zygote. Processes are forked from it on request: what it was when the family began, so that it costs the same however large the program has
 * grown and however many threads it has.
 *
 * The undertaker. It watches each process by a pidfd. When one has died, its seat is GONE while what it left is put right, then EMPTY; its status is stored, and
 * whoever waits for it is woken. Only then is it reaped, so that its number is nobody else's while a record says that it runs.
 *
 * The life-line. It watches the root by a pidfd, and when that is gone it kills the family and ends. The processes it makes have SIGKILL as the signal of their
 * parent's death (it has one thread, so that is its own death), in case it dies first.
 *
 * The spare. The supervisor's first act is to fork another like itself, which does nothing but wait for its death, and then is the supervisor: with the same socket, the same
 * image, and a spare of its own. A spare that dies is forked again. So each of the two can be killed at any time; if both are within the moment that takes, the family has
 * nobody to look after it, and who waits for a process is told (EPIPE). Those that a dead supervisor had forked die with it, by the signal of their
 * parent's death; the next one finds them, and processes that it only watched, by their seats:
 *   COMING  perhaps there is a process; if its number is in the seat, its end is awaited. The request is refused with ERESTART, and comes again
 *   TAKEN   its end is awaited as ever. The status is asked of its pidfd where the kernel keeps it, else it is that of SIGKILL
 *   GONE    it is dead; what it left is put right again
 * A child writes its number into the seat once the signal of its parent's death is set and the parent has been seen alive: one that has not will not get further than that look.
 *
 * Both block all signals; they end with the root, or by SIGKILL. Nothing of the host's but the arena is kept open, and the working directory is left.
 */

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/resource.h>
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

/* A process it looks after: at the index of its pidfd in `polls`. */
struct made {
    struct wefti_process *process;
    uint32_t seat;
    bool child; /* it is one of this supervisor's own */
};

struct supervisor {
    struct wefti_family *family;
    struct wefti_supervisor_start start;
    unsigned number;                      /* which keeper it is */
    pid_t spare;                          /* 0: there is none */
    nfds_t count;                         /* of the next two */
    struct pollfd polls[WEFTI_SEATS + 3]; /* the socket, the root, the spare, the processes */
    struct made made[WEFTI_SEATS + 3];
};

enum { SOCKET, ROOT, SPARE, FIRST };
enum { SPARE_AGAIN = 1000 /* ms until it is tried again to have a spare */, CLOCK_TICK = 10000000 /* ns; /proc's unit */ };

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
    wefti_process_release(process, WEFTI_PROCESS_SUPERVISORS);
}

/* Undertaking. */

/* What a dead member left has been put right: another may have the seat. Each store may be the last. */
static void seat_clear(struct wefti_family *family, uint32_t number)
{
    struct wefti_seat *seat = &family->seats[number];
    __atomic_store_n(&seat->process, NULL, __ATOMIC_RELEASE);
    __atomic_store_n(&seat->pid, 0, __ATOMIC_RELEASE);
    __atomic_add_fetch(&seat->generation, 1, __ATOMIC_RELAXED);
    __atomic_store_n(&seat->state, WEFTI_SEAT_EMPTY, __ATOMIC_RELEASE);
}

static int status_of(const siginfo_t *info)
{
    return info->si_code == CLD_EXITED ? (info->si_status & 0xff) << 8 : info->si_status | (info->si_code == CLD_DUMPED ? 0x80 : 0);
}

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

/* The status of one that somebody else reaps or has reaped. */
static int status_asked(int pidfd)
{
    struct pidfd_info info = {.mask = PIDFD_INFO_EXIT};
    for (int i = 0; i < 50; i++) { /* its parent may be about to */
        if (ioctl(pidfd, PIDFD_GET_INFO_OF(struct pidfd_info), &info) == 0 && (info.mask & PIDFD_INFO_EXIT))
            return info.exit_code;
        if (syscall(SYS_pidfd_send_signal, pidfd, 0, NULL, 0) != 0 && errno == ESRCH)
            break; /* reaped, and the kernel has kept nothing */
        nanosleep(&(struct timespec){.tv_nsec = 200000}, NULL);
        info.mask = PIDFD_INFO_EXIT;
    }
    return SIGKILL;
}

/* How it ended; a child of this supervisor's stays unreaped. */
static int status_learn(const struct made *made, int pidfd)
{
    siginfo_t info;
    struct rusage usage;
    memset(&info, 0, sizeof(info));
    memset(&usage, 0, sizeof(usage));
    if (!made->child)
        return status_asked(pidfd);
    while (syscall(SYS_waitid, P_PIDFD, pidfd, &info, WEXITED | WNOWAIT, &usage) != 0 && errno == EINTR)
        ;
    made->process->peak = (uint64_t)usage.ru_maxrss << 10;
    return status_of(&info);
}

/* Told to whoever waits for it. */
static void process_end(struct wefti_process *process, int status)
{
    process->status = status;
    process_state(process, WEFTI_PROCESS_ENDED);
    wefti_process_release(process, WEFTI_PROCESS_SUPERVISORS);
}

/*
 * The status is stored before the sweep, which tells those who waited for what the dead was doing; the record says ENDED after it, so that who has seen the end
 * finds everything in order.
 */
static void undertake(nfds_t at)
{
    struct made made = supervisor.made[at];
    struct wefti_seat *seat = &supervisor.family->seats[made.seat];
    int pidfd = supervisor.polls[at].fd;
    supervisor.count--;
    supervisor.polls[at] = supervisor.polls[supervisor.count];
    supervisor.made[at] = supervisor.made[supervisor.count];
    made.process->status = status_learn(&made, pidfd);
    __atomic_store_n(&seat->state, WEFTI_SEAT_GONE, __ATOMIC_RELEASE);
    wefti_seat_mend(supervisor.family, made.seat, &made.process->state);
    process_end(made.process, made.process->status);
    seat_clear(supervisor.family, made.seat);
    siginfo_t info;
    while (made.child && waitid(P_PIDFD, (id_t)pidfd, &info, WEXITED) != 0 && errno == EINTR)
        ;
    close(pidfd);
}

/* The root is gone: so is the family. The spare too, if it has not seen it. */
_Noreturn static void end_all(void)
{
    if (supervisor.spare)
        kill(supervisor.spare, SIGKILL); /* its child, not reaped yet: nobody else's number */
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
        if (supervisor.polls[i].fd >= 0)
            close(supervisor.polls[i].fd);
}

/* The directory, and the first three descriptors; one that the asker had closed is closed. What is given stays where it is, through an exec, too. */
static int child_place(struct wefti_process *process, const int *handed)
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
    if (process->given) {
        process->given = (uint32_t)handed[WEFTI_HANDED] + 1;
        fcntl(handed[WEFTI_HANDED], F_SETFD, 0);
    }
    return 0;
}

_Noreturn static void child_run(struct wefti_process *process, uint32_t seat, const int *handed, pid_t parent)
{
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != parent)
        kill(getpid(), SIGKILL); /* as the signal would have; no status of its own is to be taken for its task's */
    __atomic_store_n(&supervisor.family->seats[seat].pid, getpid(), __ATOMIC_RELEASE);
    child_close();
    if (child_place(process, handed) != 0)
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
static int child_fork(struct wefti_process *process, uint32_t seat, const int *handed)
{
    pid_t parent = getpid();
    pid_t child = supervisor.count < WEFTI_SEATS + 3 ? fork() : (errno = EAGAIN, -1);
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

/* It runs, and this is its pidfd: it is looked after from here on. */
static void watch(struct wefti_process *process, uint32_t number, int pidfd, bool child)
{
    supervisor.polls[supervisor.count] = (struct pollfd){.fd = pidfd, .events = POLLIN};
    supervisor.made[supervisor.count++] = (struct made){.process = process, .seat = number, .child = child};
}

static void seat_take(struct wefti_process *process, uint32_t number)
{
    struct timespec now;
    struct wefti_seat *seat = &supervisor.family->seats[number];
    clock_gettime(CLOCK_BOOTTIME, &now);
    seat->started = (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
    __atomic_store_n(&seat->pid, process->pid, __ATOMIC_RELEASE);
    __atomic_store_n(&seat->state, WEFTI_SEAT_TAKEN, __ATOMIC_RELEASE);
    process_state(process, WEFTI_PROCESS_RUNS);
}

/* A seat for it, COMING: 0 when there is none. */
static uint32_t seat_reserve(struct wefti_process *process)
{
    uint32_t number = seat_find(supervisor.family);
    struct wefti_seat *seat = &supervisor.family->seats[number];
    process->pid = 0; /* it may have been begun before, by a supervisor that died */
    __atomic_fetch_or(&process->holds, WEFTI_PROCESS_SUPERVISORS, __ATOMIC_RELAXED);
    if (!number)
        return 0;
    __atomic_store_n(&seat->process, process, __ATOMIC_RELEASE);
    __atomic_store_n(&seat->state, WEFTI_SEAT_COMING, __ATOMIC_RELEASE);
    process->seat = number;
    return number;
}

static void make(struct wefti_process *process, const int *handed)
{
    uint32_t number = seat_reserve(process);
    int pidfd = number ? child_fork(process, number, handed) : (errno = EAGAIN, -1);
    if (pidfd < 0) {
        int error = errno;
        if (number)
            seat_clear(supervisor.family, number);
        refuse(process, error);
        return;
    }
    watch(process, number, pidfd, true);
    seat_take(process, number);
}

/* The number of the process that a pidfd is of, or 0. */
static pid_t pidfd_number(int pidfd)
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

/* One that somebody else has forked. The pidfd is kept. */
static void adopt(struct wefti_process *process, int pidfd)
{
    pid_t pid = pidfd_number(pidfd);
    uint32_t number = pid ? seat_reserve(process) : 0;
    int kept = number && supervisor.count < WEFTI_SEATS + 3 ? fcntl(pidfd, F_DUPFD_CLOEXEC, 3) : -1;
    if (kept < 0) {
        if (number)
            seat_clear(supervisor.family, number);
        refuse(process, pid ? EAGAIN : ESRCH);
        return;
    }
    process->pid = pid;
    watch(process, number, kept, false);
    seat_take(process, number);
}

/* Whether this is still asked for: it may have been met already, or given up. */
static bool request_stands(const struct wefti_request *request)
{
    return wefti_block_size(request->process) >= sizeof(*request->process) &&
           __atomic_load_n(&request->process->ticket, __ATOMIC_ACQUIRE) == request->ticket &&
           __atomic_load_n(&request->process->state, __ATOMIC_ACQUIRE) == WEFTI_PROCESS_NEW;
}

static void request_meet(const struct wefti_request *request, const int *handed, int count)
{
    if (!request_stands(request))
        return;
    if (request->adopt && count == 1)
        adopt(request->process, handed[0]);
    else if (!request->adopt && count == (request->process->given ? WEFTI_HANDED_MOST : WEFTI_HANDED))
        make(request->process, handed);
    else
        refuse(request->process, EMFILE); /* there was no room for the descriptors */
}

/* One request, if there is a whole one. */
static void request_take(void)
{
    union {
        char octets[CMSG_SPACE(WEFTI_HANDED_MOST * sizeof(int))];
        struct cmsghdr header;
    } control;
    struct wefti_request request = {.process = NULL};
    struct iovec body = {.iov_base = &request, .iov_len = sizeof(request)};
    struct msghdr message = {.msg_iov = &body, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof(control)};
    ssize_t got = recvmsg(supervisor.start.requests, &message, MSG_CMSG_CLOEXEC | MSG_DONTWAIT);
    struct cmsghdr *header = got == sizeof(request) ? CMSG_FIRSTHDR(&message) : NULL;
    int handed[WEFTI_HANDED_MOST],
        count = header && header->cmsg_type == SCM_RIGHTS ? (int)((header->cmsg_len - CMSG_LEN(0)) / sizeof(int)) : 0;
    if (count > 0)
        memcpy(handed, CMSG_DATA(header), (size_t)count * sizeof(int));
    if (got == sizeof(request))
        request_meet(&request, handed, count);
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

/* The spare. */

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

/* A pidfd of the process that has this seat: -1 when it is dead, and perhaps another has its number. */
static int seat_pidfd(const struct wefti_seat *seat)
{
    pid_t pid = __atomic_load_n(&seat->pid, __ATOMIC_ACQUIRE);
    int pidfd = pid > 0 ? (int)syscall(SYS_pidfd_open, pid, 0) : -1;
    uint64_t began = pidfd >= 0 ? process_began(pid) : 0;
    bool same = seat->state == WEFTI_SEAT_COMING || began <= seat->started + 2 * CLOCK_TICK;
    if (pidfd >= 0 && (began == 0 || !same)) {
        close(pidfd);
        return -1;
    }
    return pidfd;
}

static void pidfd_await(int pidfd)
{
    struct pollfd end = {.fd = pidfd, .events = POLLIN};
    while (pidfd >= 0 && poll(&end, 1, -1) < 0 && errno == EINTR)
        ;
    if (pidfd >= 0)
        close(pidfd);
}

/* Of a seat that is given up: its process, if there is one, has ended, never was, or has been let go already. */
static void process_leave(struct wefti_process *process)
{
    uint32_t state = process ? __atomic_load_n(&process->state, __ATOMIC_ACQUIRE) : WEFTI_PROCESS_NEW;
    if (!process || !(__atomic_load_n(&process->holds, __ATOMIC_RELAXED) & WEFTI_PROCESS_SUPERVISORS))
        return;
    if (state == WEFTI_PROCESS_NEW)
        refuse(process, ERESTART);
    else if (state == WEFTI_PROCESS_RUNS)
        process_end(process, process->status);
    else
        wefti_process_release(process, WEFTI_PROCESS_SUPERVISORS);
}

/* Takes over one seat of the supervisor before. */
static void seat_inherit(uint32_t number)
{
    struct wefti_seat *seat = &supervisor.family->seats[number];
    struct wefti_process *process = seat->process;
    enum wefti_seat_state state = (enum wefti_seat_state)__atomic_load_n(&seat->state, __ATOMIC_ACQUIRE);
    if (state == WEFTI_SEAT_EMPTY)
        return;
    int pidfd = state == WEFTI_SEAT_GONE ? -1 : seat_pidfd(seat);
    if (state == WEFTI_SEAT_TAKEN && process->state == WEFTI_PROCESS_NEW) /* what the supervisor before did not come to say */
        process_state(process, WEFTI_PROCESS_RUNS);
    if (state == WEFTI_SEAT_TAKEN && pidfd >= 0) {
        watch(process, number, pidfd, false);
        return;
    }
    pidfd_await(pidfd);
    if (state == WEFTI_SEAT_TAKEN)
        process->status = SIGKILL;
    __atomic_store_n(&seat->state, WEFTI_SEAT_GONE, __ATOMIC_RELEASE);
    wefti_seat_mend(supervisor.family, number, NULL);
    process_leave(process);
    seat_clear(supervisor.family, number);
}

/* The supervisor before is dead: what it was is this one now. */
static void inherit(unsigned before)
{
    for (nfds_t i = SPARE; i < supervisor.count; i++)
        if (supervisor.polls[i].fd >= 0)
            close(supervisor.polls[i].fd);
    supervisor.count = FIRST;
    wefti_seat_mend(supervisor.family, WEFTI_SEAT_KEEPER + before, NULL);
    for (uint32_t i = WEFTI_SEAT_FIRST; i < WEFTI_SEATS; i++)
        seat_inherit(i);
}

/* From here on this process is the keeper of that number. */
static void keeper_be(unsigned number)
{
    struct wefti_keeper *keeper = &supervisor.family->keepers[number];
    supervisor.number = number;
    wefti_member = (uint16_t)(WEFTI_SEAT_KEEPER + number);
    if (pthread_mutex_lock(&keeper->life) == EOWNERDEAD)
        pthread_mutex_consistent(&keeper->life);
    __atomic_store_n(&keeper->pid, getpid(), __ATOMIC_RELEASE);
}

/* In the spare: comes back as the supervisor, when that is dead. */
static void spare_wait(unsigned number, int pidfd)
{
    prctl(PR_SET_NAME, "weft-spare");
    for (nfds_t i = SPARE; i < supervisor.count; i++)
        if (supervisor.polls[i].fd >= 0)
            close(supervisor.polls[i].fd);
    supervisor.count = FIRST;
    supervisor.spare = 0;
    unsigned before = supervisor.number;
    keeper_be(number);
    pidfd_await(pidfd);
    prctl(PR_SET_NAME, "weft-supervisor");
    inherit(before);
}

static bool root_dead(void)
{
    struct pollfd root = {.fd = supervisor.polls[ROOT].fd, .events = POLLIN};
    return poll(&root, 1, 0) > 0;
}

/*
 * Sees to it that there is a spare. In the supervisor that goes on with its work; in the spare it comes back when that one is dead, and this is the supervisor,
 * who has no spare yet.
 */
static void spare_have(void)
{
    while (!supervisor.spare) {
        unsigned number = 1 - supervisor.number;
        int own = (int)syscall(SYS_pidfd_open, getpid(), 0);
        pid_t spare = own < 0 ? -1 : fork();
        if (spare == 0) {
            spare_wait(number, own);
            if (root_dead()) /* before there is another that would find the same */
                end_all();
            continue;
        }
        close(own);
        if (spare < 0)
            return;
        supervisor.spare = spare;
        supervisor.polls[SPARE] = (struct pollfd){.fd = (int)syscall(SYS_pidfd_open, spare, 0), .events = POLLIN};
    }
}

static void spare_bury(void)
{
    while (waitpid(supervisor.spare, NULL, 0) < 0 && errno == EINTR)
        ;
    close(supervisor.polls[SPARE].fd);
    supervisor.polls[SPARE].fd = -1;
    supervisor.spare = 0;
}

/* It takes requests. */
static void supervisor_open(void)
{
    struct wefti_family *family = supervisor.family;
    __atomic_store_n(&family->supervisor, getpid(), __ATOMIC_RELEASE);
    __atomic_add_fetch(&family->epoch, 1, __ATOMIC_RELEASE);
    weft_wake(&family->epoch, UINT32_MAX);
}

/* One round. */
static void supervisor_serve(void)
{
    if (poll(supervisor.polls, supervisor.count, supervisor.spare ? -1 : SPARE_AGAIN) < 0)
        return;
    if (supervisor.polls[ROOT].revents)
        end_all();
    if (supervisor.spare && supervisor.polls[SPARE].revents)
        spare_bury();
    for (nfds_t i = supervisor.count; i-- > FIRST;)
        if (supervisor.polls[i].revents)
            undertake(i);
    if (supervisor.polls[SOCKET].revents)
        request_take();
}

void wefti_handlers_reset(void)
{
    struct sigaction action;
    for (int number = 1; number < NSIG; number++)
        if (sigaction(number, NULL, &action) == 0 && action.sa_handler != SIG_DFL && action.sa_handler != SIG_IGN)
            sigaction(number, &(struct sigaction){.sa_handler = SIG_DFL}, NULL);
}

_Noreturn void wefti_supervisor_run(struct wefti_family *family, const struct wefti_supervisor_start *start)
{
    sigset_t all;
    sigfillset(&all);
    sigprocmask(SIG_SETMASK, &all, NULL);
    wefti_handlers_reset(); /* for those it makes */
    prctl(PR_SET_NAME, "weft-supervisor");
    supervisor.family = family;
    supervisor.start = *start;
    descriptors_keep();
    if (chdir("/") != 0)
        wefti_leave(1);
    streams_null();
    supervisor.polls[SOCKET] = (struct pollfd){.fd = start->requests, .events = POLLIN};
    supervisor.polls[ROOT] = (struct pollfd){.fd = start->root, .events = POLLIN};
    supervisor.polls[SPARE].fd = -1;
    supervisor.count = FIRST;
    keeper_be(0);
    supervisor_open();
    if (send(start->requests, "", 1, MSG_NOSIGNAL) < 0) /* it takes requests: see supervisor_await */
        wefti_leave(1);
    for (pid_t me = getpid();;) {
        spare_have();
        if (me != getpid()) /* the supervisor before is dead, and this was its spare */
            supervisor_open();
        me = getpid();
        supervisor_serve();
    }
}
