/* SPDX-License-Identifier: MIT */
/*
 * How a process is begun that is to be a task: from the zygote, as a new image from that, or forked from the caller.
 *
 * The starter waits only for what may be refused: a process that has to place itself, that may not find the function (a module that was
 * loaded after the zygote was made), or that begins as a new image. All others are taken to begin, and what keeps them from it is the
 * task's end.
 *
 * WEFT_ZYGOTE (the supervisor forks itself) needs a family that began while there was one thread. When there were more, new images stand in
 * for it, if the program has called weft_init.
 */

#include "task/process.h"

#include <errno.h>
#include <fcntl.h>
#include <link.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/futex.h"
#include "base/leave.h"
#include "base/memory.h"
#include "base/opening.h"
#include "family/ids.h"
#include "family/joined.h"
#include "family/pidfd.h"
#include "shared/arena.h"
#include "shared/block.h"

/*
 * WEFT_SPAWN. In a copy of the zygote: becomes the program anew, which finds in its environment where everything is. Comes back when that
 * cannot be.
 */

static const char spawn_variable[] = "WEFT_SPAWN";
static bool spawn_possible; /* weft_init was called */

static int spawn_main(struct wefti_process *self)
{
    char told[128];
    struct wefti_task_record *record = self->data;
    int arena = wefti_arena_descriptor(), socket = wefti_family_socket();
    snprintf(told, sizeof(told), "%d %d %#llx %#llx %#llx %#llx %u", arena, socket, (unsigned long long)wefti_arena_base,
        (unsigned long long)wefti_arena_size, (unsigned long long)(uintptr_t)self, (unsigned long long)(uintptr_t)spawn_main,
        (unsigned)wefti_member);
    char *arguments[] = {program_invocation_name, NULL};
    if (fcntl(arena, F_SETFD, 0) == 0 && fcntl(socket, F_SETFD, 0) == 0 && setenv(spawn_variable, told, 1) == 0)
        execv("/proc/self/exe", arguments);
    wefti_task_child_arrive(record, errno);
    return 1;
}

/* What such a process was told: false when this is none. */
static bool spawn_told(int *arena, int *socket, unsigned long long numbers[4], unsigned *member)
{
    const char *told = secure_getenv(spawn_variable);
    return told &&
           sscanf(told, "%d %d %llx %llx %llx %llx %u", arena, socket, &numbers[0], &numbers[1], &numbers[2], &numbers[3], member) == 7;
}

int weft_init(int argc, char **argv)
{
    int arena, socket;
    unsigned member;
    unsigned long long numbers[4]; /* base, size, process, where spawn_main is in the supervisor */
    (void)argc;
    (void)argv;
    spawn_possible = true;
    if (!spawn_told(&arena, &socket, numbers, &member))
        return 0;
    unsetenv(spawn_variable);
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (fcntl(arena, F_SETFD, FD_CLOEXEC) != 0 || fcntl(socket, F_SETFD, FD_CLOEXEC) != 0 ||
        wefti_arena_adopt(arena, numbers[0], numbers[1]) != 0)
        wefti_leave(1);
    wefti_member = (uint16_t)member;
    wefti_family_joined(socket);
    wefti_family_shift = (uintptr_t)numbers[3] - (uintptr_t)spawn_main;
    wefti_ids_note();
    if (getppid() == 1) /* whoever made it died before it could see that */
        wefti_leave(1);
    int status = wefti_task_child_main((struct wefti_process *)(uintptr_t)numbers[2]); /* NOLINT: an address in the arena */
    fflush(NULL);
    wefti_leave(status);
}

/*
 * WEFT_FORK. The process has a parent of its own, in between, so that the host never sees it as a child; that one closes all it has, waits
 * for its child's end, and writes down how it ended. It is reaped by name, and sends no signal.
 *
 * It is no member of the family, and so its death is seen by nobody but its maker; nor can it hold anything in the arena, and what lies
 * there may be another's as soon as the maker is dead. So it has no arena any more once it has forked, and writes what it has to say into a
 * page that it shares with the maker, which is there for as long as one of them is. Whoever of the three dies, and when: a maker takes it
 * for failed when the one in between dies before it said the number; the child dies with its parent; how it ended is told by the
 * supervisor, when nobody else did.
 */

/* The page. NULL with ENOMEM. */
static struct wefti_task_fork *forked_map(void)
{
    bool fails = wefti_fails_with(ENOMEM);
    void *page = fails ? MAP_FAILED : mmap(NULL, sizeof(struct wefti_task_fork), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    return page == MAP_FAILED ? NULL : page;
}

void wefti_task_process_forget(struct wefti_task_process *own)
{
    if (own->forked)
        munmap(own->forked, sizeof(*own->forked));
    own->forked = NULL;
}

_Noreturn static void fork_child(struct wefti_process *process, uint64_t ticket, pid_t parent, const sigset_t *signals, bool ignored)
{
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != parent || wefti_process_join(process, ticket) != 0)
        wefti_leave(1);
    wefti_handlers_reset();
    wefti_children_ignore(ignored);
    sigprocmask(SIG_SETMASK, signals, NULL);
    int status = wefti_task_child_main(process);
    fflush(NULL);
    wefti_leave(status);
}

_Noreturn static void between_run(struct wefti_process *process, uint64_t ticket, struct wefti_task_fork *forked)
{
    sigset_t all, signals;
    sigfillset(&all);
    sigprocmask(SIG_SETMASK, &all, &signals);
    bool ignored = wefti_children_heed();
    pid_t self = getpid(), child = fork();
    if (child == 0)
        fork_child(process, ticket, self, &signals, ignored);
    __atomic_store_n(&forked->number, (uint32_t)(child > 0 ? child : -errno), __ATOMIC_RELEASE);
    wefti_futex_wake_shared(&forked->number, UINT32_MAX);
    munmap((void *)wefti_arena_base, wefti_arena_size); /* NOLINT: an address */
    syscall(SYS_close_range, 0, ~0U, 0);
    prctl(PR_SET_NAME, "weft-between");
    siginfo_t info;
    memset(&info, 0, sizeof(info));
    while (child > 0 && waitid(P_PID, (id_t)child, &info, WEXITED | WNOWAIT) != 0 && errno == EINTR)
        ;
    __atomic_store_n(&forked->ended, 1 + (uint32_t)wefti_status_of(&info), __ATOMIC_RELEASE); /* pairs with the acquire of process_status */
    while (child > 0 && waitid(P_PID, (id_t)child, &info, WEXITED) != 0 && errno == EINTR)
        ;
    wefti_leave(0);
}

/* Whether the one in between is dead; it is not reaped. */
static bool between_dead(pid_t between)
{
    siginfo_t info = {.si_pid = 0};
    return syscall(SYS_waitid, P_PID, between, &info, WEXITED | WNOHANG | WNOWAIT | __WALL, NULL) != 0 || info.si_pid != 0;
}

/* The number of the process, or minus an errno number: EAGAIN when the one in between has died before it said so. */
static int32_t fork_number(const struct wefti_task_process *own)
{
    const uint32_t *number = &own->forked->number;
    double look = 0.001; /* seconds, until it is looked whether he lives: more and more seldom */
    for (bool dead = false; __atomic_load_n(number, __ATOMIC_ACQUIRE) == 0; dead = between_dead(own->between), look *= 2) {
        if (dead)
            return -EAGAIN;
        wefti_futex_wait_shared(number, 0, weft_in(look));
    }
    return (int32_t)*number;
}

/* Forks it, and has it watched by the supervisor. 0; -1 with errno. */
static int fork_start(struct wefti_task_process *own, bool threads)
{
    uint64_t ticket = wefti_held_ticket(&own->process->held);
    if (!(own->forked = forked_map()))
        return -1;
    fflush(NULL); /* what is buffered would be printed twice */
    own->between = wefti_fails_with(EAGAIN) ? -1 : threads ? fork() : (pid_t)syscall(SYS_clone, 0, NULL, NULL, NULL, NULL);
    if (own->between == 0)
        between_run(own->process, ticket, own->forked);
    if (own->between < 0) {
        own->between = 0;
        return -1;
    }
    int32_t number = fork_number(own);
    int pidfd = number > 0 ? (int)syscall(SYS_pidfd_open, number, 0) : (errno = -number, -1);
    if (pidfd < 0 && errno == ESRCH)
        errno = EAGAIN; /* dead, and reaped: its parent died */
    int adopted = pidfd < 0 ? -1 : wefti_process_adopt(own->process, pidfd), error = errno;
    if (pidfd >= 0)
        close(pidfd);
    if (adopted != 0 && number > 0)
        kill(number, SIGKILL); /* its parent has not reaped it: it waits for what comes of this */
    errno = error;
    return adopted;
}

void wefti_task_process_reap(struct wefti_task_process *own)
{
    siginfo_t info;
    while (own->between && syscall(SYS_waitid, P_PID, own->between, &info, WEXITED | __WALL, NULL) != 0 && errno == EINTR)
        ;
    own->between = 0;
}

/* All methods. */

/* The modules that were there when the library was loaded: those the zygote has, too. */
static unsigned long long modules_added, modules_removed;

static int modules_count(struct dl_phdr_info *info, size_t size, void *data)
{
    unsigned long long *counts = data;
    (void)size;
    counts[0] = info->dlpi_adds;
    counts[1] = info->dlpi_subs;
    return 1;
}

/* Whether the process may be unable to begin, so that the starter has to wait until it has. */
static bool process_doubtful(const weft_task *task)
{
    unsigned long long counts[2] = {0, 0};
    if (wefti_placement_any(&task->placement))
        return true;
    dl_iterate_phdr(modules_count, counts);
    return (counts[0] != modules_added || counts[1] != modules_removed) && !wefti_function_lasts(task->function);
}

/* Waits until the process has begun. 0, or the errno number why it did not. */
static int process_await(const struct wefti_task_process *own)
{
    struct wefti_task_record *record = own->record;
    while (
        __atomic_load_n(&record->arrived, __ATOMIC_ACQUIRE) == WEFTI_TASK_COMING && wefti_task_process_state(own) == WEFTI_PROCESS_RUNS) {
        int status;
        struct wefti_item items[2] = {{.kind = WEFTI_WORD, .word = &record->arrived, .expected = WEFTI_TASK_COMING},
            {.kind = WEFTI_WORD, .word = &own->process->state, .expected = WEFTI_PROCESS_RUNS}};
        if (wefti_wait_items(items, 2, weft_in(1)) < 0 && wefti_process_wait(own->process, &status, WEFT_NOW) < 0 && errno == EPIPE)
            return EPIPE;
    }
    return __atomic_load_n(&record->arrived, __ATOMIC_ACQUIRE) == WEFTI_TASK_TURNED_BACK ? record->failure : 0;
}

bool wefti_task_process_run(weft_task *task, struct wefti_task_process *own, bool *alone)
{
    *alone = true;
    int (*main)(struct wefti_process * self) = task->method == WEFT_SPAWN ? spawn_main : wefti_task_child_main;
    if (!(own->record = wefti_task_record_make(task)) || !(own->process = wefti_process_new(main, own->record)))
        return false;
    wefti_task_record_give(own->record, own->process);
    own->record->awaited = task->method == WEFT_SPAWN || process_doubtful(task);
    own->process->given = (uint32_t)task->given;
    int started = task->method == WEFT_FORK ? fork_start(own, task->insist && wefti_threads_live()) : wefti_process_start(own->process);
    if (started != 0) {
        int error = errno;
        wefti_task_process_reap(own);
        errno = error;
        return false;
    }
    *alone = false;
    int error = 0;
    if (own->record->awaited) {
        wefti_shield_raise();
        error = process_await(own);
        wefti_shield_lower();
    }
    errno = error;
    return error == 0;
}

int wefti_task_process_method(weft_task *task)
{
    if (task->method == WEFT_SPAWN && !spawn_possible) {
        errno = ENOSYS;
        return -1;
    }
    if (task->method == WEFT_FORK && !task->insist && wefti_threads_live()) {
        errno = EBUSY;
        return -1;
    }
    if (task->method == WEFT_ZYGOTE && wefti_processes_begin() == 0)
        return 0;
    if (task->method == WEFT_ZYGOTE && (errno != EBUSY || !spawn_possible))
        return -1;
    if (task->method == WEFT_ZYGOTE)
        task->method = WEFT_SPAWN; /* there were threads before the family: the zygote is none, but may begin images anew */
    return wefti_family_begin_threaded();
}

WEFTI_OPENING_TASK static void starts_open(void)
{
    unsigned long long counts[2] = {0, 0};
    dl_iterate_phdr(modules_count, counts);
    modules_added = counts[0];
    modules_removed = counts[1];
}
