/* SPDX-License-Identifier: MIT */
/*
 * The members' side of a family: its beginning, and asking the supervisor for processes.
 *
 * A request is a message on a socket that all members have: the address of a struct wefti_process in the arena, and four descriptors (working directory,
 * standard input, output and error; one that is closed is stood for by the socket itself). The answer is the process's state. Who waits for an answer waits for
 * two words: the state, and the life of the supervisor, which the kernel marks when it dies.
 *
 * The life is the word of a robust mutex that the supervisor holds. A waiter sets FUTEX_WAITERS in it before he sleeps, as the kernel asks for who wants
 * to be woken by a death. The kernel wakes one; so each who finds the supervisor dead wakes all others.
 */

#include "family/family.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/futex.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/futex.h"
#include "base/leave.h"
#include "base/memory.h"
#include "family/joined.h"
#include "shared/block.h"
#include "wait/wait.h"

static int asking = -1; /* the members' end of the socket */

static uint32_t *life_word(struct wefti_family *family)
{
    return (uint32_t *)&family->life.__data.__lock;
}

/* Whether the supervisor is dead; if not, *life is the word while it lives, marked as waited for. */
static bool supervisor_dead(struct wefti_family *family, uint32_t *life)
{
    uint32_t word = __atomic_load_n(life_word(family), __ATOMIC_ACQUIRE);
    while ((word & FUTEX_TID_MASK) && !(word & (FUTEX_WAITERS | FUTEX_OWNER_DIED)))
        if (__atomic_compare_exchange_n(life_word(family), &word, word | FUTEX_WAITERS, false, __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE))
            word |= FUTEX_WAITERS;
    *life = word;
    if ((word & FUTEX_TID_MASK) && !(word & FUTEX_OWNER_DIED))
        return false;
    weft_wake(life_word(family), UINT32_MAX);
    return true;
}

/* Waits while the word has this value. 0; -1 with EPIPE when the supervisor is dead, and the errors of wefti_wait_items. */
static int wait_while(struct wefti_family *family, const uint32_t *word, uint32_t value, weft_time deadline)
{
    uint32_t life;
    while (__atomic_load_n(word, __ATOMIC_ACQUIRE) == value) {
        bool dead = supervisor_dead(family, &life);
        if (dead && __atomic_load_n(word, __ATOMIC_ACQUIRE) == value) {
            errno = EPIPE;
            return -1;
        }
        struct wefti_item items[2] = {
            {.kind = WEFTI_WORD, .word = word, .expected = value}, {.kind = WEFTI_WORD, .word = life_word(family), .expected = life}};
        if (!dead && wefti_wait_items(items, 2, deadline) < 0)
            return -1;
    }
    return 0;
}

/* The beginning. */

#ifdef WEFTI_TSAN
enum { OWN_THREADS = 2 }; /* it has one itself */
#else
enum { OWN_THREADS = 1 };
#endif

static bool threads_live(void)
{
    int count = 0;
    DIR *folder = opendir("/proc/self/task");
    for (struct dirent *entry; folder && (entry = readdir(folder));)
        count += entry->d_name[0] != '.';
    if (folder)
        closedir(folder);
    return count > OWN_THREADS;
}

/* The process in between: it is gone when the supervisor runs, which is then no child of the host's. */
_Noreturn static void between_run(struct wefti_family *family, struct wefti_supervisor_start *start)
{
    pid_t supervisor = start->root < 0 ? -1 : fork();
    if (supervisor == 0)
        wefti_supervisor_run(family, start);
    wefti_leave(0);
}

/*
 * Waits for the supervisor's word that it takes requests. It alone has the other end now, so its death is the end of the socket: then EAGAIN. In recv
 * and not in `wait`, for this is the only thread, and giving up would leave a supervisor behind.
 */
static int supervisor_await(int socket)
{
    char word;
    ssize_t got;
    do
        got = recv(socket, &word, sizeof(word), 0);
    while (got < 0 && errno == EINTR);
    return got == sizeof(word) ? 0 : EAGAIN;
}

/* The host's SIGCHLD and its waitpid(-1) do not see this child, which sends no signal. Closes the supervisor's end. 0 or an error number. */
static int supervisor_start(struct wefti_family *family, struct wefti_supervisor_start *start)
{
    start->root = (int)syscall(SYS_pidfd_open, getpid(), 0);
    fflush(NULL); /* what is buffered here would be printed again by each process that is made */
    long between = wefti_fails_with(EAGAIN) ? -1 : syscall(SYS_clone, 0, NULL, NULL, NULL, NULL);
    if (between == 0)
        between_run(family, start);
    int error = between < 0 ? errno : 0;
    if (start->root >= 0)
        close(start->root);
    close(start->requests);
    if (error)
        return error;
    siginfo_t info;
    while (syscall(SYS_waitid, P_PID, between, &info, WEXITED | __WALL, NULL) != 0 && errno == EINTR)
        ;
    return supervisor_await(start->asking);
}

static int family_start(void)
{
    int ends[2];
    if (wefti_fails_with(EMFILE) || socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) != 0)
        return errno;
    struct wefti_family *family = wefti_family_get();
    struct wefti_supervisor_start start = {.requests = ends[0], .asking = ends[1]};
    int error = family ? supervisor_start(family, &start) : errno;
    if (!family)
        close(ends[0]);
    if (!error) {
        asking = ends[1];
        return 0;
    }
    close(ends[1]);
    return error;
}

int wefti_family_begin(void)
{
    if (!wefti_arena_get())
        return -1;
    int error = 0;
    if (asking < 0) /* with one thread nobody else can be here */
        error = threads_live() ? EBUSY : family_start();
    if (!error)
        return 0;
    errno = error;
    return -1;
}

/* Processes. */

struct wefti_process *wefti_process_new(int (*main)(struct wefti_process *self), void *data)
{
    struct wefti_process *process = wefti_block_take(sizeof(*process));
    if (!process)
        return NULL;
    *process = (struct wefti_process){.holds = 1, .main = main, .data = data};
    wefti_block_commit(process, sizeof(*process));
    return process;
}

void wefti_process_let_go(struct wefti_process *process)
{
    if (process && __atomic_sub_fetch(&process->holds, 1, __ATOMIC_ACQ_REL) == 0)
        wefti_block_free(process);
}

static uint64_t mask_now(void)
{
    uint64_t mask = 0;
    syscall(SYS_rt_sigprocmask, SIG_BLOCK, NULL, &mask, sizeof(mask));
    return mask;
}

static uint32_t creation_mask_now(void)
{
    char line[128];
    unsigned mask = 022;
    FILE *file = fopen("/proc/self/status", "re"); /* umask(2) cannot ask without changing, and it is all threads' */
    while (file && fgets(line, sizeof(line), file))
        if (sscanf(line, "Umask: %o", &mask) == 1)
            break;
    if (file)
        fclose(file);
    return mask;
}

/* Sends the address and the descriptors; waits while the socket is full. */
static int request_send(struct wefti_process *process, const int descriptors[WEFTI_HANDED])
{
    union {
        char octets[CMSG_SPACE(WEFTI_HANDED * sizeof(int))];
        struct cmsghdr header;
    } control;
    struct iovec body = {.iov_base = &process, .iov_len = sizeof(process)};
    struct msghdr message = {.msg_iov = &body, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof(control)};
    control.header = (struct cmsghdr){.cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS, .cmsg_len = CMSG_LEN(WEFTI_HANDED * sizeof(int))};
    memcpy(CMSG_DATA(&control.header), descriptors, WEFTI_HANDED * sizeof(int));
    for (;;) {
        if (sendmsg(asking, &message, MSG_NOSIGNAL | MSG_DONTWAIT) >= 0)
            return 0;
        if (errno == ECONNRESET)
            errno = EPIPE;
        if (errno != EAGAIN && errno != EINTR)
            return -1;
        struct wefti_item item = {.kind = WEFTI_DESCRIPTOR, .descriptor = asking, .events = POLLOUT};
        if (wefti_wait_items(&item, 1, WEFT_FOREVER) < 0)
            return -1;
    }
}

static int process_ask(struct wefti_family *family, struct wefti_process *process)
{
    int handed[WEFTI_HANDED];
    for (int i = 1; i < WEFTI_HANDED; i++) /* before another can come to lie where one is closed */
        handed[i] = fcntl(i - 1, F_GETFD) < 0 ? asking : i - 1;
    handed[0] = wefti_fails_with(EMFILE) ? -1 : open(".", O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (handed[0] < 0)
        return -1;
    process->signals = mask_now();
    process->creation_mask = creation_mask_now();
    __atomic_add_fetch(&process->holds, 1, __ATOMIC_RELAXED); /* the supervisor's */
    int failed = request_send(process, handed);
    int error = errno;
    close(handed[0]);
    errno = error;
    if (failed) {
        __atomic_sub_fetch(&process->holds, 1, __ATOMIC_RELAXED);
        return -1;
    }
    return wait_while(family, &process->state, WEFTI_PROCESS_NEW, WEFT_FOREVER);
}

int wefti_process_start(struct wefti_process *process)
{
    struct wefti_family *family = wefti_family_now();
    if (!family || !wefti_member || asking < 0) {
        errno = ESTALE;
        return -1;
    }
    wefti_shield_raise();
    int failed = process_ask(family, process);
    wefti_shield_lower();
    if (failed)
        return -1;
    if (__atomic_load_n(&process->state, __ATOMIC_ACQUIRE) != WEFTI_PROCESS_REFUSED)
        return 0;
    errno = process->error;
    return -1;
}

int wefti_process_wait(struct wefti_process *process, int *status, weft_time deadline)
{
    uint32_t state;
    while ((state = __atomic_load_n(&process->state, __ATOMIC_ACQUIRE)) != WEFTI_PROCESS_ENDED) {
        if (state != WEFTI_PROCESS_RUNS) {
            errno = EINVAL;
            return -1;
        }
        if (wait_while(wefti_family_now(), &process->state, WEFTI_PROCESS_RUNS, deadline) < 0)
            return -1;
    }
    *status = process->status;
    return 0;
}

void wefti_family_joined(int socket)
{
    asking = socket;
}
