/* SPDX-License-Identifier: MIT */
/*
 * The supervisor: a small process of the family's own, with one thread, that runs no code of the program's. It is three things in one.
 *
 * The zygote. Processes are forked from it on request: what it was when the family began, so that it costs the same however large the
 * program has grown and however many threads it has.
 *
 * The undertaker. It watches each process by a pidfd. When one has died, its seat is GONE while what it left is put right, then EMPTY; its
 * status is stored, and whoever waits for it is woken. Only then is it reaped, so that its number is nobody else's while a record says that
 * it runs.
 *
 * The life-line. It watches the root by a pidfd, and when that is gone it kills the family and ends. The processes it makes have SIGKILL as
 * the signal of their parent's death (it has one thread, so that is its own death), in case it dies first.
 *
 * The spare. The supervisor's first act is to fork another like itself, which does nothing but wait for its death, and then is the
 * supervisor: with the same socket, the same image, and a spare of its own. A spare that dies is forked again. So each of the two can be
 * killed at any time; if both are within the moment that takes, the family has nobody to look after it, and who waits for a process is told
 * (EPIPE). Those that a dead supervisor had forked die with it, by the signal of their parent's death; the next one finds them, and
 * processes that it only watched, by their seats:
 *   COMING  perhaps there is a process; if its number is in the seat, its end is awaited. The request, if it had one, comes again; so with
 *   READY
 *   TAKEN   its end is awaited as ever. The status is asked of its pidfd where the kernel keeps it, else it is that of SIGKILL
 *   GONE    it is dead; what it left is put right again
 * A child writes its number into the seat once the signal of its parent's death is set and the parent has been seen alive: one that has not
 * will not get further than that look.
 *
 * Standing by. From the first request on there is a process more than are asked for, forked in advance, with what it touches touched: its
 * seat is READY, and it sleeps in recvmsg on the socket of requests, which the supervisor leaves alone as long as there is one, also if it
 * is only coming: it is sooner there than another. Who asks so finds a process that begins at once. It claims the request (claim.c), makes
 * its seat TAKEN, says that it runs, and rings for the supervisor, who forks the next while that one works. What it cannot meet (an
 * adoption, a refusal that was not said) it leaves to the supervisor, and ends. Killed while it stands by it is one that was never there:
 * it may have had a request in its hand, so all who wait for an answer are made to ask again. With its supervisor it dies like all that
 * this has forked.
 *
 * Both block all signals; they end with the root, or by SIGKILL. Nothing of the host's but the arena is kept open, and the working
 * directory is left.
 */

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#ifdef WEFTI_TSAN
#include <sanitizer/tsan_interface.h>
#endif

#include <weft/wait.h>

#include "base/futex.h"
#include "base/large.h"
#include "base/leave.h"
#include "base/memory.h"
#include "family/below.h"
#include "family/claim.h"
#include "family/family.h"
#include "family/huge_pages.h"
#include "family/joined.h"
#include "family/pidfd.h"
#include "shared/block.h"
#include "shared/life.h"

/* A process it looks after: at the index of its pidfd in `polls`. */
struct made {
    uint32_t seat;
    bool child; /* it is one of this supervisor's own */
};

struct supervisor {
    struct wefti_family *family;
    struct wefti_supervisor_start start;
    unsigned number;                      /* which keeper it is */
    pid_t spare;                          /* 0: there is none */
    int room;                             /* a descriptor that keeps the place of another, or -1 */
    uint32_t ready;                       /* the seat of who stands by, or comes to; 0: nobody */
    bool asked;                           /* one is to stand by: from the first request on */
    bool ignored;                         /* SIGCHLD was ignored when the family began: so it is for those that are made */
    nfds_t count;                         /* of the next two */
    struct pollfd polls[WEFTI_SEATS + 4]; /* the socket, the root, the bell, the spare, the processes */
    struct made made[WEFTI_SEATS + 4];
};

enum { SOCKET, ROOT, BELL, SPARE, FIRST };
enum {
    LEFT_TO_OTHERS = 99 /* the exit status of who stood by, and got a request that he cannot meet */,
    SPARE_AGAIN = 1000 /* ms until it is tried again to have a spare */
};

static WEFTI_LARGE struct supervisor supervisor;
void (*wefti_process_warm)(void);

/* ThreadSanitizer takes a mutex that the parent holds for held by the forked child, and ends one that then takes what it "has". */
#ifdef WEFTI_TSAN
static void life_forget(struct wefti_keeper *keeper)
{
    __tsan_mutex_pre_unlock(&keeper->life, 0);
    __tsan_mutex_post_unlock(&keeper->life, 0);
}
#else
static void life_forget(struct wefti_keeper *keeper)
{
    (void)keeper;
}
#endif

/* Undertaking. */

/* What a dead member left has been put right: another may have the seat. Each store may be the last. */
static void seat_clear(struct wefti_family *family, uint32_t number)
{
    struct wefti_seat *seat = &family->seats[number];
    __atomic_store_n(&seat->process, NULL, __ATOMIC_RELEASE);
    __atomic_store_n(&seat->pid, 0, __ATOMIC_RELEASE);
    __atomic_store_n(&seat->asks, 0, __ATOMIC_RELAXED);
    __atomic_store_n(&seat->reaps, 0, __ATOMIC_RELAXED);
    __atomic_add_fetch(&seat->generation, 1, __ATOMIC_SEQ_CST);
    __atomic_store_n(&seat->maker, 0, __ATOMIC_RELEASE); /* after it: see below.c */
    __atomic_store_n(&seat->state, WEFTI_SEAT_EMPTY, __ATOMIC_RELEASE);
}

/*
 * The seat's member is dead: what it left is put right, and its request, if it has this one. True when who waits for an answer is to ask
 * again.
 */
static bool seat_mend(uint32_t number, const struct wefti_process *process, int status)
{
    struct wefti_family *family = supervisor.family;
    __atomic_store_n(&family->seats[number].state, WEFTI_SEAT_GONE, __ATOMIC_SEQ_CST); /* see below.c */
    wefti_below_inherit(family, number);
    wefti_seat_mend(family, number, wefti_claim_born(family, number), process ? &process->state : NULL);
    bool again = wefti_claim_end(family, number, status);
    seat_clear(family, number);
    return again;
}

/* How it ended; a child of this supervisor's stays unreaped. */
static int status_learn(const struct made *made, int pidfd, struct wefti_process *process)
{
    siginfo_t info;
    struct rusage usage;
    memset(&info, 0, sizeof(info));
    memset(&usage, 0, sizeof(usage));
    if (!made->child)
        return wefti_pidfd_status(pidfd);
    while (syscall(SYS_waitid, P_PIDFD, pidfd, &info, WEXITED | WNOWAIT, &usage) != 0 && errno == EINTR)
        ;
    if (process)
        process->peak = (uint64_t)usage.ru_maxrss << 10;
    return wefti_status_of(&info);
}

/* Who waits for an answer asks again, if he has none yet. */
static void asked_again(void)
{
    __atomic_add_fetch(&supervisor.family->epoch, 1, __ATOMIC_RELEASE);
    weft_wake(&supervisor.family->epoch, UINT32_MAX);
}

/*
 * The status is stored before the sweep, which tells those who waited for what the dead was doing; the record says ENDED after it, so that
 * who has seen the end finds everything in order.
 */
static void undertake(nfds_t at)
{
    struct made made = supervisor.made[at];
    int pidfd = supervisor.polls[at].fd;
    supervisor.count--;
    supervisor.polls[at] = supervisor.polls[supervisor.count];
    supervisor.made[at] = supervisor.made[supervisor.count];
    struct wefti_process *process = wefti_claimed(supervisor.family, made.seat);
    int status = status_learn(&made, pidfd, process);
    if (process)
        process->status = status;
    if (seat_mend(made.seat, process, status))
        asked_again();
    if (supervisor.ready == made.seat) {
        supervisor.ready = 0;
        supervisor.asked = status != LEFT_TO_OTHERS << 8; /* else the next request is for this one, before somebody stands by again */
    }
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

static void room_give(void)
{
    if (supervisor.room >= 0)
        close(supervisor.room);
    supervisor.room = -1;
}

/* Nothing of the supervisor's stays but the arena and the members' end of the socket; and what one that stands by needs until it begins. */
static void child_close(bool stands_by)
{
    room_give();
    for (nfds_t i = SOCKET; i < supervisor.count; i++) {
        if (supervisor.polls[i].fd < 0 || (stands_by && (i == SOCKET || i == BELL)))
            continue;
        close(supervisor.polls[i].fd);
        supervisor.polls[i].fd = -1;
    }
}

/* The directory, and the first three descriptors; one that the asker had closed is closed. What is given stays where it is, through an
 * exec, too. */
static int child_place(struct wefti_process *process, const int *handed)
{
    if (fchdir(handed[0]) != 0)
        return -1;
    for (int i = 1; i < WEFTI_HANDED; i++) {
        if (process->closed & 1U << (i - 1))
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

/* In a process that was forked just now. */
static void child_begin(uint32_t seat, pid_t parent)
{
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != parent)
        kill(getpid(), SIGKILL); /* as the signal would have; no status of its own is to be taken for its task's */
    __atomic_store_n(&supervisor.family->seats[seat].pid, getpid(), __ATOMIC_RELEASE);
    wefti_member = (uint16_t)seat;
    wefti_family_joined(supervisor.start.asking);
}

_Noreturn static void child_run(struct wefti_process *process, const int *handed)
{
    if (child_place(process, handed) != 0)
        wefti_leave(1);
    umask(process->creation_mask);
    prctl(PR_SET_NAME, "weft-process");
    wefti_children_ignore(supervisor.ignored);
    wefti_below_begin(supervisor.family);
    syscall(SYS_rt_sigprocmask, SIG_SETMASK, &process->signals, NULL, sizeof(process->signals));
    int status = process->main(process);
    fflush(NULL);
    wefti_leave(status);
}

/* Until the record says that it runs: one that had begun before would be asked for again, if the supervisor died before it said so. When it
 * is refused, it is killed before that is said. */
static void said_await(const struct wefti_process *process)
{
    while (__atomic_load_n(&process->state, __ATOMIC_ACQUIRE) == WEFTI_PROCESS_NEW)
        wefti_futex_wait_shared(&process->state, WEFTI_PROCESS_NEW, WEFT_FOREVER);
}

_Noreturn static void stand_by(uint32_t seat);

/* A child of this supervisor's that has not begun, and that nobody will hear of. */
static void child_end(pid_t child)
{
    kill(child, SIGKILL);
    while (waitpid(child, NULL, 0) < 0 && errno == EINTR)
        ;
}

/* Forks one for the seat, which meets this request, or stands by for one if that is NULL. Its pidfd; -1 with errno. */
static int child_fork(struct wefti_process *process, uint32_t seat, const int *handed, pid_t *number)
{
    pid_t parent = getpid();
    pid_t child = supervisor.count < WEFTI_SEATS + 4 ? fork() : (errno = EAGAIN, -1);
    if (child == 0) {
        child_begin(seat, parent);
        if (!process)
            stand_by(seat);
        said_await(process);
        child_close(false);
        child_run(process, handed);
    }
    if (child < 0)
        return -1;
    room_give();
    int pidfd = (int)syscall(SYS_pidfd_open, child, 0);
    if (pidfd < 0) {
        int error = errno;
        child_end(child);
        errno = error;
        return -1;
    }
    *number = child;
    return pidfd;
}

/* This is its pidfd: it is looked after from here on. */
static void watch(uint32_t number, int pidfd, bool child)
{
    supervisor.polls[supervisor.count] = (struct pollfd){.fd = pidfd, .events = POLLIN};
    supervisor.made[supervisor.count++] = (struct made){.seat = number, .child = child};
}

/* A seat that is COMING: 0 when there is none. */
static uint32_t seat_reserve(void)
{
    uint32_t number = seat_find(supervisor.family);
    if (number)
        __atomic_store_n(&supervisor.family->seats[number].state, WEFTI_SEAT_COMING, __ATOMIC_RELEASE);
    return number;
}

/* Of a request that was claimed for the seat. */
static void claimed_refuse(struct wefti_process *process, uint32_t number, int error)
{
    wefti_process_refuse(process, error);
    seat_mend(number, NULL, SIGKILL);
}

/* It cannot be met. */
static void request_refuse(const struct wefti_request *request, int error)
{
    wefti_claim_refuse(request->process, request->ticket, error);
}

/* A seat in which the request is claimed. 0: it has been refused, or is not asked for any more. */
static uint32_t request_seat(const struct wefti_request *request)
{
    uint32_t number = seat_reserve();
    if (!number)
        request_refuse(request, EAGAIN);
    else if (!wefti_claim_for_seat(supervisor.family, number, request->process, request->ticket)) {
        seat_clear(supervisor.family, number);
        return 0;
    }
    return number;
}

/* Whether a descriptor that was to be given did not come: there was no room for it. */
static bool handed_lack(const struct wefti_process *process, int count)
{
    return process->given && count < WEFTI_HANDED_MOST;
}

static void make(const struct wefti_request *request, const int *handed, int count)
{
    pid_t child;
    uint32_t number = request_seat(request);
    bool lack = number && handed_lack(request->process, count);
    int pidfd = lack ? (errno = EMFILE, -1) : number ? child_fork(request->process, number, handed, &child) : -1;
    if (pidfd >= 0 && !wefti_claim_begin(supervisor.family, number, child)) {
        child_end(child);
        close(pidfd);
        pidfd = (errno = ECANCELED, -1);
    }
    if (pidfd >= 0)
        watch(number, pidfd, true);
    else if (number)
        claimed_refuse(request->process, number, errno);
}

/* One that somebody else has forked. The pidfd is kept. */
static void adopt(const struct wefti_request *request, int pidfd)
{
    pid_t pid = wefti_pidfd_number(pidfd);
    uint32_t number = pid ? request_seat(request) : 0;
    int kept = number && supervisor.count < WEFTI_SEATS + 4 ? fcntl(pidfd, F_DUPFD_CLOEXEC, 3) : -1;
    bool begins = kept >= 0 && wefti_claim_begin(supervisor.family, number, pid);
    if (begins)
        watch(number, kept, false);
    else if (kept >= 0)
        close(kept);
    if (number && !begins)
        claimed_refuse(request->process, number, kept >= 0 ? ECANCELED : EAGAIN);
    else if (!pid)
        request_refuse(request, ESRCH);
}

static void request_meet(const struct wefti_request *request, const int *handed, int count)
{
    if (wefti_claim_unsaid(request->process, request->ticket))
        request_refuse(request, EAGAIN);
    else if (request->adopt && count == 1)
        adopt(request, handed[0]);
    else if (!request->adopt && count >= WEFTI_HANDED)
        make(request, handed, count);
    else
        request_refuse(request, EMFILE); /* there was no room for the descriptors */
    supervisor.asked = true;             /* also after an adoption: what was left to this one has been met */
}

/* What came with a request: how many descriptors. 0: none came, or not a whole request; -1: nothing came. */
static int request_take(struct wefti_request *request, int *handed, int flags)
{
    union {
        char octets[CMSG_SPACE(WEFTI_HANDED_MOST * sizeof(int))];
        struct cmsghdr header;
    } control;
    struct iovec body = {.iov_base = request, .iov_len = sizeof(*request)};
    struct msghdr message = {.msg_iov = &body, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof(control)};
    request->process = NULL;
    ssize_t got = recvmsg(supervisor.start.requests, &message, MSG_CMSG_CLOEXEC | flags);
    struct cmsghdr *header = got == sizeof(*request) ? CMSG_FIRSTHDR(&message) : NULL;
    int count = header && header->cmsg_type == SCM_RIGHTS ? (int)((header->cmsg_len - CMSG_LEN(0)) / sizeof(int)) : 0;
    if (count > 0)
        memcpy(handed, CMSG_DATA(header), (size_t)count * sizeof(int));
    return got == sizeof(*request) ? count : -1;
}

static void handed_close(const int *handed, int count)
{
    for (int i = 0; i < count; i++)
        close(handed[i]);
}

/* One request, if there is one. */
static void request_serve(void)
{
    int handed[WEFTI_HANDED_MOST];
    struct wefti_request request;
    int count = request_take(&request, handed, MSG_DONTWAIT);
    if (count >= 0)
        request_meet(&request, handed, count);
    handed_close(handed, count);
}

/* Standing by. */

/* Signals that came to a process that nobody had asked for are not those of the one that it becomes. */
static void pending_drop(void)
{
    sigset_t all;
    uint64_t pending;
    memset(&all, UINT8_MAX, sizeof(all));
    while (syscall(SYS_rt_sigpending, &pending, sizeof(pending)) == 0 && pending && sigtimedwait(&all, NULL, &(struct timespec){0}) > 0)
        ;
}

/* What it will touch it touches now, so that the pages are there: each is a fault of one to three microseconds. */
static void ready_warm(struct wefti_seat *seat)
{
    const struct wefti_life *life = __atomic_load_n(&seat->lives, __ATOMIC_ACQUIRE);
    while (life && __atomic_load_n(&life->next, __ATOMIC_RELAXED))
        life = life->next;
    wefti_block_size(seat->process);
    pending_drop();
    if (wefti_process_warm)
        wefti_process_warm();
}

static bool request_waits(void)
{
    struct pollfd requests = {.fd = supervisor.start.requests, .events = POLLIN};
    return poll(&requests, 1, 0) > 0;
}

/* In the process: until there is a request for it. */
_Noreturn static void stand_by(uint32_t number)
{
    int handed[WEFTI_HANDED_MOST], count;
    struct wefti_request request;
    struct wefti_seat *seat = &supervisor.family->seats[number];
    prctl(PR_SET_NAME, "weft-ready");
    child_close(true);
    if (!request_waits())
        ready_warm(seat);
    __atomic_store_n(&seat->state, WEFTI_SEAT_READY, __ATOMIC_RELEASE);
    for (;;) {
        while ((count = request_take(&request, handed, 0)) < 0)
            ;
        if (request.adopt || count < WEFTI_HANDED || wefti_claim_unsaid(request.process, request.ticket))
            wefti_leave(LEFT_TO_OTHERS);
        if (wefti_claim_for_seat(supervisor.family, number, request.process, request.ticket))
            break;
        handed_close(handed, count);
    }
    if (handed_lack(request.process, count)) {
        wefti_process_refuse(request.process, EMFILE);
        wefti_leave(1);
    }
    pending_drop(); /* not later: what comes once it is said to run is meant for it */
    if (!wefti_claim_begin(supervisor.family, number, getpid())) {
        wefti_process_refuse(request.process, ECANCELED);
        wefti_leave(1);
    }
    eventfd_write(supervisor.polls[BELL].fd, 1);
    child_close(false);
    child_run(request.process, handed);
}

/* One that stands by cannot be looked after, for want of memory: it is killed and reaped already, and may have had a request. */
static void ready_lose(uint32_t number)
{
    if (seat_mend(number, NULL, SIGKILL))
        asked_again();
}

/* Sees to it that somebody stands by, if anybody has ever asked for a process. */
static void ready_have(void)
{
    pid_t child;
    if (supervisor.ready && supervisor.family->seats[supervisor.ready].state == WEFTI_SEAT_TAKEN)
        supervisor.ready = 0;
    if (!supervisor.asked || supervisor.ready || supervisor.polls[BELL].fd < 0)
        return;
    supervisor.room = fcntl(supervisor.start.requests, F_DUPFD_CLOEXEC, 3); /* of its pidfd: once it is forked it may meet a request */
    uint32_t number = supervisor.room >= 0 ? seat_reserve() : 0;
    int pidfd = number ? child_fork(NULL, number, NULL, &child) : -1;
    room_give();
    if (pidfd >= 0) {
        watch(number, pidfd, true);
        supervisor.ready = number;
        wefti_huge_pages_forked();
    } else if (number)
        ready_lose(number);
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

/* Takes over one seat of the supervisor before. */
static void seat_inherit(uint32_t number)
{
    struct wefti_seat *seat = &supervisor.family->seats[number];
    struct wefti_process *process = wefti_claimed(supervisor.family, number);
    enum wefti_seat_state state = (enum wefti_seat_state)__atomic_load_n(&seat->state, __ATOMIC_ACQUIRE);
    if (state == WEFTI_SEAT_EMPTY)
        return;
    int pidfd = state == WEFTI_SEAT_GONE ? -1 : wefti_seat_pidfd(seat);
    if (state == WEFTI_SEAT_TAKEN && process && process->state == WEFTI_PROCESS_NEW) /* what nobody came to say */
        wefti_process_say(process, WEFTI_PROCESS_RUNS);
    if (state == WEFTI_SEAT_TAKEN && pidfd >= 0) {
        watch(number, pidfd, false);
        return;
    }
    wefti_pidfd_await(pidfd);
    process = wefti_claimed(supervisor.family, number); /* it may have come so far before it ended */
    if (process && state != WEFTI_SEAT_GONE)
        process->status = SIGKILL;
    seat_mend(number, NULL, process ? process->status : SIGKILL);
}

/* The supervisor before is dead: what it was is this one now. */
static void inherit(unsigned before)
{
    for (nfds_t i = SPARE; i < supervisor.count; i++)
        if (supervisor.polls[i].fd >= 0)
            close(supervisor.polls[i].fd);
    supervisor.count = FIRST;
    supervisor.ready = 0;
    for (uint32_t i = WEFTI_SEAT_FIRST; i < WEFTI_SEATS; i++)
        seat_inherit(i);
    /* Last: what he had in hand is what he was putting right, and until that is done again nobody else may have those blocks. */
    wefti_seat_mend(supervisor.family, WEFTI_SEAT_KEEPER + before, NULL, NULL);
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
    life_forget(&supervisor.family->keepers[before]);
    keeper_be(number);
    wefti_pidfd_await(pidfd);
    prctl(PR_SET_NAME, "weft-supervisor");
    inherit(before);
}

static bool root_dead(void)
{
    struct pollfd root = {.fd = supervisor.polls[ROOT].fd, .events = POLLIN};
    return poll(&root, 1, 0) > 0;
}

/*
 * Sees to it that there is a spare. In the supervisor that goes on with its work; in the spare it comes back when that one is dead, and
 * this is the supervisor, who has no spare yet.
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
    asked_again();
}

/* One round. */
static void supervisor_serve(void)
{
    eventfd_t rung;
    supervisor.polls[SOCKET].events = supervisor.ready ? 0 : POLLIN;
    if (poll(supervisor.polls, supervisor.count, supervisor.spare ? -1 : SPARE_AGAIN) < 0)
        return;
    if (supervisor.polls[ROOT].revents)
        end_all();
    if (supervisor.spare && supervisor.polls[SPARE].revents)
        spare_bury();
    for (nfds_t i = supervisor.count; i-- > FIRST;)
        if (supervisor.polls[i].revents)
            undertake(i);
    if (supervisor.polls[BELL].revents)
        eventfd_read(supervisor.polls[BELL].fd, &rung);
    if (supervisor.polls[SOCKET].revents && !supervisor.ready)
        request_serve();
}

void wefti_handlers_reset(void)
{
    struct sigaction action;
    for (int number = 1; number < NSIG; number++)
        if (sigaction(number, NULL, &action) == 0 && action.sa_handler != SIG_DFL && action.sa_handler != SIG_IGN)
            sigaction(number, &(struct sigaction){.sa_handler = SIG_DFL}, NULL);
}

bool wefti_children_heed(void)
{
    struct sigaction before = {.sa_handler = SIG_DFL};
    sigaction(SIGCHLD, &(struct sigaction){.sa_handler = SIG_DFL}, &before);
    return before.sa_handler == SIG_IGN;
}

void wefti_children_ignore(bool ignored)
{
    if (ignored)
        sigaction(SIGCHLD, &(struct sigaction){.sa_handler = SIG_IGN}, NULL);
}

_Noreturn void wefti_supervisor_run(struct wefti_family *family, const struct wefti_supervisor_start *start)
{
    sigset_t all;
    sigfillset(&all);
    sigprocmask(SIG_SETMASK, &all, NULL);
    wefti_handlers_reset(); /* for those it makes */
    prctl(PR_SET_NAME, "weft-supervisor");
    supervisor.family = family;
    supervisor.ignored = wefti_children_heed();
    supervisor.room = -1;
    supervisor.start = *start;
    descriptors_keep();
    if (chdir("/") != 0)
        wefti_leave(1);
    streams_null();
    supervisor.polls[SOCKET] = (struct pollfd){.fd = start->requests, .events = POLLIN};
    supervisor.polls[ROOT] = (struct pollfd){.fd = start->root, .events = POLLIN};
    supervisor.polls[BELL] = (struct pollfd){.fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK), .events = POLLIN};
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
        ready_have();
        supervisor_serve();
    }
}
