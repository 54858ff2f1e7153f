/* SPDX-License-Identifier: MIT */
/*
 * Tasks as processes. Two things stand for one: the handle in the process that made it, and a record in the arena, which the process that
 * runs it has too.
 *
 * The maker encodes the argument into the record and asks the family's supervisor for a process; that decodes the argument, is the task
 * (its main task has the task's name and number), and encodes what the function returned. Nobody in the maker's process waits for the end:
 * the supervisor stores it in its own record (struct wefti_process), and the handle learns of it when somebody asks (process_look). Those
 * that nobody has a handle of are looked at when the next one starts, and when tasks are counted. The result stays in the record, and is
 * decoded by each who asks, until the last handle goes.
 *
 * The record. Its maker's until the process is asked for; from then on `cancel` is the maker's, `arrived`, `failure`, `result`, `length`
 * and last of all `outcome` (release; pairs with the acquire of process_outcome) are the process's. outcome is 0 until there is a result: a
 * process that ends before has none, and its task is lost. What it says once is true: a process that then dies while it leaves has done its
 * task, and only its exit code tells of that.
 *
 * A block with a result is linked before it is committed, and the sweep after a death commits what it finds linked (record_mend, which
 * comes before blocks in hand are taken back). So a death between any two stores leaves nothing that the record's end does not free.
 *
 * holds: MAKERS and RUNNERS, each cleared once, by its process or by the sweep after that one's death; the last frees the record. Each
 * stands among what its process holds (life.h) under the record's ticket, so a sweep that comes again finds the ticket gone. The runner
 * enters its own only when it runs: one that dies before that is seen off by its maker (record_leave); if that is dead too, the record
 * stays until the family ends.
 *
 * Signals are sent through a pidfd that is opened by number, and only when the record says RUNS after that: the supervisor says ENDED
 * before it reaps, so the number cannot be another's by then.
 *
 * fork: in a child of the host's own the handles are lost tasks; they keep away from records, which are not theirs to let go.
 */

#include <errno.h>
#include <fcntl.h>
#include <link.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/futex.h"
#include "base/leave.h"
#include "base/memory.h"
#include "base/opening.h"
#include "family/family.h"
#include "family/ids.h"
#include "family/joined.h"
#include "shared/block.h"
#include "shared/life.h"
#include "task/function.h"
#include "task/task.h"
#include "value/flat.h"

enum { MAKERS = 1, RUNNERS = 2 };
enum { COMING = 0, ARRIVED = 1, TURNED_BACK = 2 };
enum { LINEAGE = 64, SMALL = 160 };

struct record {
    uint32_t holds;
    uint32_t cancel;  /* 1: weft_task_cancel came; the process's main task waits for it wherever it sleeps */
    uint32_t arrived; /* whether the process could begin; waited for if `awaited` */
    uint32_t outcome; /* enum weft_outcome; 0: there is no result */
    uint64_t ticket;  /* no other record of the family ever had it; 0 once it is freed */
    int32_t pid;      /* of one that its maker forked; minus an errno number when that failed */
    uint32_t ended;   /* of such a one: 1 + its status as waitpid gives it, once that is known */
    int32_t failure;  /* errno number why there is no value: the result could not cross, or the process not begin */
    bool awaited, daemon;
    int32_t nice;
    uint64_t ident;
    uint64_t loosened; /* signals that are not blocked in it although they are in its starter */
    struct wefti_function function;
    char *result;  /* its flat form: `small`, or a block */
    size_t length; /* of it */
    size_t name_size, set_size, argument_size;
    char lineage[LINEAGE];
    char small[SMALL];
    char octets[]; /* the name with its zero, the set of processors, the argument's flat form */
};

/* In the process that made it; the handle's. */
struct wefti_task_process {
    struct record *record;
    struct wefti_process *process;
    uint16_t member; /* this process: another's are not this handle's to touch */
    pid_t between;   /* the parent of one that this process forked, which is to be reaped; 0: there is none */
    bool asked;      /* to end, by a signal */
    bool unknown;    /* nobody can say how it ended */
    weft_task *task;
    struct wefti_task_process *next, *previous; /* in `living`; guarded by its latch */
};

static struct wefti_latch living_latch; /* of the next, and of the entries' places in it */
static struct wefti_task_process *living;
static char lineage[LINEAGE]; /* of the names of this process's children: "", "1:", "1:2:" ... */

/* Records. */

static bool pointer_crosses(const void *pointer)
{
    return !pointer || wefti_is_shared(pointer);
}

static void record_free(struct record *record)
{
    char *result = record->result;
    __atomic_store_n(&record->ticket, 0, __ATOMIC_RELEASE);
    if (result && result != record->small)
        wefti_block_free(result);
    wefti_block_free(record);
}

static void record_release(struct record *record, uint32_t hold)
{
    uint32_t holds = __atomic_fetch_and(&record->holds, ~hold, __ATOMIC_ACQ_REL);
    if ((holds & hold) && (holds & ~hold) == 0)
        record_free(record);
}

/* What a holding of a record has as its detail. */
static uint64_t record_detail(uint64_t ticket, uint32_t hold)
{
    return ticket << 2 | hold;
}

/* The sweep after its maker's or its runner's death. */
static void record_mend(uint32_t dead, void *object, uint64_t detail)
{
    (void)dead;
    struct record *record = object;
    if (wefti_block_size(record) < sizeof(*record) || __atomic_load_n(&record->ticket, __ATOMIC_ACQUIRE) != detail >> 2)
        return;
    char *result = __atomic_load_n(&record->result, __ATOMIC_ACQUIRE);
    if (detail & RUNNERS && result && result != record->small)
        wefti_block_commit(result, record->length);
    record_release(record, (uint32_t)detail & (MAKERS | RUNNERS));
}

/* The maker lets go. `alone`: no process runs it any more, or ever. */
static void record_leave(struct record *record, bool alone)
{
    record_release(record, alone ? MAKERS | RUNNERS : MAKERS);
    wefti_unhold_process(WEFTI_HOLD_TASK, record);
}

static void record_fill(struct record *record, const weft_task *task)
{
    record->daemon = task->daemon;
    record->ident = task->ident;
    record->nice = task->placement.nice;
    record->loosened = wefti_signals_held() | UINT64_C(1) << (SIGTERM - 1);
    snprintf(record->lineage, sizeof(record->lineage), "%s", lineage);
    memcpy(record->octets, task->name, record->name_size);
    if (task->placement.set)
        memcpy(record->octets + record->name_size, task->placement.set, record->set_size);
}

/* A record of the task, the function and the argument in it. NULL with EFAULT (they cannot cross), ENOMEM, ESTALE. */
static struct record *record_make(const weft_task *task)
{
    struct wefti_function function;
    struct wefti_family *family = wefti_family_get();
    ssize_t argument = wefti_flat_write(task->argument, NULL, 0, pointer_crosses);
    if (!family || argument < 0 || wefti_function_pack(task->function, &function) != 0)
        return NULL;
    size_t name = strlen(task->name) + 1, set = task->placement.set ? task->placement.size : 0;
    size_t size = sizeof(struct record) + name + set + (size_t)argument;
    struct record *record = wefti_block_take(size);
    if (!record)
        return NULL;
    memset(record, 0, sizeof(*record));
    *record = (struct record){
        .holds = MAKERS | RUNNERS, .function = function, .name_size = name, .set_size = set, .argument_size = (size_t)argument};
    record_fill(record, task);
    record->ticket = __atomic_add_fetch(&family->tickets, 1, __ATOMIC_RELAXED);
    if (wefti_flat_write(task->argument, record->octets + name + set, (size_t)argument, pointer_crosses) != argument ||
        wefti_hold_process(WEFTI_HOLD_TASK, record, record_detail(record->ticket, MAKERS)) != 0) {
        wefti_block_cancel(record, size);
        return NULL;
    }
    wefti_block_commit(record, size);
    return record;
}

/* In the process that is the task. */

static void child_signals(const struct record *record)
{
    uint64_t loosened = record->loosened;
    syscall(SYS_rt_sigprocmask, SIG_UNBLOCK, &loosened, NULL, sizeof(loosened));
}

/* What the thread that began the family was in the middle of is not this task's. */
static void child_context(struct record *record)
{
    struct wefti_context *context = wefti_context_current();
    context->shield = context->limit_shield = 0;
    context->limit = WEFT_FOREVER;
    context->cancelled = 0;
    context->locals = NULL;
    context->locals_count = 0;
    context->run = NULL;
    context->watched = &record->cancel;
}

/* The number at the end of a default name, or the ident: what the names of its children begin with. */
static void child_lineage(const struct record *record)
{
    const char *name = record->octets, *number = strrchr(name, '-');
    if (strncmp(name, "Process-", 8) == 0 && number == name + 7 && number[1])
        snprintf(lineage, sizeof(lineage), "%.60s:", number + 1);
    else
        snprintf(lineage, sizeof(lineage), "%.40s%llu:", record->lineage, (unsigned long long)record->ident & UINT32_MAX);
    wefti_task_process.lineage = lineage;
}

/* Finds and decodes what is to be done. 0, or an errno number. */
static int child_prepare(struct record *record, weft_task *task)
{
    struct wefti_placement placement = {.size = record->set_size, .nice = record->nice};
    if (wefti_hold_process(WEFTI_HOLD_TASK, record, record_detail(record->ticket, RUNNERS)) != 0)
        return errno;
    if (record->set_size && !(placement.set = wefti_alloc(record->set_size)))
        return errno;
    if (placement.set)
        memcpy(placement.set, record->octets + record->name_size, record->set_size);
    int error = wefti_placement_take(&placement);
    wefti_placement_clear(&placement);
    if (error)
        return error;
    if (wefti_function_find(&record->function, &task->function) != 0 ||
        wefti_flat_read(record->octets + record->name_size + record->set_size, record->argument_size, &task->argument) != 0)
        return errno;
    return 0;
}

static void child_arrive(struct record *record, int error)
{
    if (error) {
        record->failure = error;
        __atomic_store_n(&record->outcome, WEFT_FAILED, __ATOMIC_RELEASE);
    }
    __atomic_store_n(&record->arrived, error ? TURNED_BACK : ARRIVED, __ATOMIC_RELEASE);
    if (record->awaited)
        weft_wake(&record->arrived, UINT32_MAX);
}

/* Where the flat form goes: in the record, or in a block that is linked before it is committed. NULL with ENOMEM. */
static char *result_room(struct record *record, size_t length)
{
    record->length = length;
    char *room = length <= SMALL ? record->small : wefti_block_take(length);
    __atomic_store_n(&record->result, room, __ATOMIC_RELEASE); /* see record_mend */
    return room;
}

/* Lets the maker have the result. 0, or the errno number why it cannot cross. */
static int child_give(struct record *record, weft_value result)
{
    ssize_t length = wefti_flat_write(result, NULL, 0, pointer_crosses);
    char *room = length >= 0 ? result_room(record, (size_t)length) : NULL;
    if (!room || wefti_flat_write(result, room, (size_t)length, pointer_crosses) != length)
        return errno;
    if (room != record->small)
        wefti_block_commit(room, (size_t)length);
    return 0;
}

/* Tells the outcome. True when it is an error. */
static bool child_publish(struct record *record, const weft_task *task)
{
    int failure = child_give(record, task->result);
    record->failure = failure;
    __atomic_store_n(
        &record->outcome, failure ? WEFT_FAILED : task->outcome, __ATOMIC_RELEASE); /* pairs with the acquire of process_outcome */
    return failure || weft_is_error(task->result);
}

static int child_given = -1;

int wefti_process_given(void)
{
    int given = child_given;
    child_given = -1;
    return given;
}

static weft_value child_nothing(weft_value nothing)
{
    return nothing;
}

/* In one that stands by, before anybody has asked for it: what it will use in child_main it uses once now, so that the pages are there. */
static void child_warm(void)
{
    struct wefti_function function;
    char text[LINEAGE];
    snprintf(text, sizeof(text), "%.40s%llu:", lineage, (unsigned long long)weft_clock());
    char *volatile copy = strdup(text); /* volatile, or there would be no call */
    free(copy);
    wefti_context_current();
    wefti_function_pack(child_nothing, &function);
    fflush(NULL);
}

/* The process, as main(): its exit status. */
static int child_main(struct wefti_process *self)
{
    struct record *record = self->data;
    child_given = (int)self->given - 1;
    if (child_given >= 0)
        fcntl(child_given, F_SETFD, FD_CLOEXEC);
    child_signals(record);
    child_context(record);
    child_lineage(record);
    weft_task *task = wefti_register_become(record->octets, record->ident, record->daemon);
    int error = child_prepare(record, task);
    child_arrive(record, error);
    if (error)
        return 1;
    wefti_task_run(task);
    bool failed = child_publish(record, task);
    wefti_exit_join();
    if (wefti_exit_hook)
        wefti_exit_hook();
    return failed;
}

/*
 * WEFT_SPAWN. In a copy of the zygote: becomes the program anew, which finds in its environment where everything is. Comes back when that
 * cannot be.
 */

static const char spawn_variable[] = "WEFT_SPAWN";
static bool spawn_possible; /* weft_init was called */

static int spawn_main(struct wefti_process *self)
{
    char told[128];
    struct record *record = self->data;
    int arena = wefti_arena_descriptor(), socket = wefti_family_socket();
    snprintf(told, sizeof(told), "%d %d %#llx %#llx %#llx %#llx %u", arena, socket, (unsigned long long)wefti_arena_base,
        (unsigned long long)wefti_arena_size, (unsigned long long)(uintptr_t)self, (unsigned long long)(uintptr_t)spawn_main,
        (unsigned)wefti_member);
    char *arguments[] = {program_invocation_name, NULL};
    if (fcntl(arena, F_SETFD, 0) == 0 && fcntl(socket, F_SETFD, 0) == 0 && setenv(spawn_variable, told, 1) == 0)
        execv("/proc/self/exe", arguments);
    child_arrive(record, errno);
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
    int status = child_main((struct wefti_process *)(uintptr_t)numbers[2]); /* NOLINT: an address in the arena */
    fflush(NULL);
    wefti_leave(status);
}

/*
 * WEFT_FORK. The process has a parent of its own, in between, so that the host never sees it as a child; that one closes all it has, waits
 * for its child's end, and writes down how it ended. It is reaped by name, and sends no signal.
 */

_Noreturn static void fork_child(struct wefti_process *process, pid_t parent, const sigset_t *signals)
{
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != parent || wefti_process_join(process) != 0)
        wefti_leave(1);
    wefti_handlers_reset();
    sigprocmask(SIG_SETMASK, signals, NULL);
    int status = child_main(process);
    fflush(NULL);
    wefti_leave(status);
}

_Noreturn static void between_run(struct wefti_process *process, struct record *record)
{
    sigset_t all, signals;
    sigfillset(&all);
    sigprocmask(SIG_SETMASK, &all, &signals);
    pid_t self = getpid(), child = fork();
    if (child == 0)
        fork_child(process, self, &signals);
    __atomic_store_n(&record->pid, child > 0 ? child : -errno, __ATOMIC_RELEASE);
    wefti_futex_wake_shared((uint32_t *)&record->pid, UINT32_MAX);
    syscall(SYS_close_range, 0, ~0U, 0);
    prctl(PR_SET_NAME, "weft-between");
    siginfo_t info;
    memset(&info, 0, sizeof(info));
    while (child > 0 && waitid(P_PID, (id_t)child, &info, WEXITED | WNOWAIT) != 0 && errno == EINTR)
        ;
    int status = info.si_code == CLD_EXITED ? (info.si_status & 0xff) << 8 : info.si_status;
    __atomic_store_n(&record->ended, 1 + (uint32_t)status, __ATOMIC_RELEASE);
    wefti_futex_wake_shared(&record->ended, UINT32_MAX);
    while (child > 0 && waitid(P_PID, (id_t)child, &info, WEXITED) != 0 && errno == EINTR)
        ;
    wefti_leave(0);
}

/* Forks it, and has it watched by the supervisor. 0; -1 with errno. */
static int fork_start(struct wefti_task_process *own, bool threads)
{
    struct record *record = own->record;
    fflush(NULL); /* what is buffered would be printed twice */
    own->between = wefti_fails_with(EAGAIN) ? -1 : threads ? fork() : (pid_t)syscall(SYS_clone, 0, NULL, NULL, NULL, NULL);
    if (own->between == 0)
        between_run(own->process, record);
    if (own->between < 0) {
        own->between = 0;
        return -1;
    }
    while (__atomic_load_n(&record->pid, __ATOMIC_ACQUIRE) == 0)
        weft_wait((uint32_t *)&record->pid, 0, WEFT_FOREVER);
    int pidfd = record->pid > 0 ? (int)syscall(SYS_pidfd_open, record->pid, 0) : (errno = -record->pid, -1);
    int adopted = pidfd < 0 ? -1 : wefti_process_adopt(own->process, pidfd), error = errno;
    if (pidfd >= 0)
        close(pidfd);
    if (adopted != 0 && record->pid > 0)
        kill(record->pid, SIGKILL); /* its parent has not reaped it: it waits for what comes of this */
    errno = error;
    return adopted;
}

/* The parent in between is gone, or about to be: its word about how its child ended is there. */
static void fork_reap(struct wefti_task_process *own)
{
    siginfo_t info;
    while (own->between && syscall(SYS_waitid, P_PID, own->between, &info, WEXITED | __WALL, NULL) != 0 && errno == EINTR)
        ;
    own->between = 0;
}

/* The maker's side. */

static bool process_mine(const struct wefti_task_process *own)
{
    return own && own->member == wefti_member;
}

static uint32_t process_state(const struct wefti_task_process *own)
{
    return __atomic_load_n(&own->process->state, __ATOMIC_ACQUIRE);
}

static enum weft_outcome process_outcome(const struct wefti_task_process *own)
{
    enum weft_outcome outcome = (enum weft_outcome)__atomic_load_n(&own->record->outcome, __ATOMIC_ACQUIRE);
    return outcome ? outcome : WEFT_LOST;
}

static void living_add(struct wefti_task_process *own)
{
    wefti_latch_close(&living_latch);
    own->next = living;
    if (living)
        living->previous = own;
    __atomic_store_n(&living, own, __ATOMIC_RELAXED);
    wefti_latch_open(&living_latch);
}

static void living_remove(struct wefti_task_process *own)
{
    wefti_latch_close(&living_latch);
    __atomic_store_n(own->previous ? &own->previous->next : &living, own->next, __ATOMIC_RELAXED);
    if (own->next)
        own->next->previous = own->previous;
    wefti_latch_open(&living_latch);
}

/* The first of the living for which `is` holds, its task kept, or NULL. */
static weft_task *living_find(bool (*is)(const struct wefti_task_process *own))
{
    weft_task *found = NULL;
    wefti_latch_close(&living_latch);
    for (struct wefti_task_process *own = living; own && !found; own = own->next)
        if (is(own))
            found = weft_task_keep(own->task);
    wefti_latch_open(&living_latch);
    return found;
}

/* It has ended, or nobody can say so any more. The reference of what runs goes; the caller has another. */
static void process_settle(weft_task *task)
{
    if (!wefti_task_end_begin(task))
        return;
    fork_reap(task->process);
    wefti_task_end(task, process_outcome(task->process));
    living_remove(task->process);
    weft_task_free(task);
}

static void process_look(weft_task *task)
{
    struct wefti_task_process *own = task->process;
    if (process_mine(own) && process_state(own) == WEFTI_PROCESS_ENDED)
        process_settle(task);
}

static bool process_is_over(const struct wefti_task_process *own)
{
    return process_state(own) == WEFTI_PROCESS_ENDED;
}

void wefti_processes_look(void)
{
    for (weft_task *task; __atomic_load_n(&living, __ATOMIC_RELAXED) && (task = living_find(process_is_over));)
        weft_task_free(task); /* which looks */
}

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
    struct record *record = own->record;
    while (__atomic_load_n(&record->arrived, __ATOMIC_ACQUIRE) == COMING && process_state(own) == WEFTI_PROCESS_RUNS) {
        int status;
        struct wefti_item items[2] = {{.kind = WEFTI_WORD, .word = &record->arrived, .expected = COMING},
            {.kind = WEFTI_WORD, .word = &own->process->state, .expected = WEFTI_PROCESS_RUNS}};
        if (wefti_wait_items(items, 2, weft_in(1)) < 0 && wefti_process_wait(own->process, &status, WEFT_NOW) < 0 && errno == EPIPE)
            return EPIPE;
    }
    return __atomic_load_n(&record->arrived, __ATOMIC_ACQUIRE) == TURNED_BACK ? record->failure : 0;
}

static void process_drop(struct wefti_task_process *own, bool alone)
{
    if (own->record)
        record_leave(own->record, alone);
    wefti_process_let_go(own->process);
    wefti_release(own);
}

/* Has the process made. True: it runs, or did. False with errno; *alone: and never ran. */
static bool process_run(weft_task *task, struct wefti_task_process *own, bool *alone)
{
    *alone = true;
    int (*main)(struct wefti_process * self) = task->method == WEFT_SPAWN ? spawn_main : child_main;
    if (!(own->record = record_make(task)) || !(own->process = wefti_process_new(main, own->record)))
        return false;
    own->record->awaited = task->method == WEFT_SPAWN || process_doubtful(task);
    own->process->given = (uint32_t)task->given;
    int started = task->method == WEFT_FORK ? fork_start(own, task->insist && wefti_threads_live()) : wefti_process_start(own->process);
    if (started != 0) {
        int error = errno;
        fork_reap(own);
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

/* The argument has been taken. */
static void process_began(weft_task *task, struct wefti_task_process *own)
{
    weft_value argument = task->untaken ? wefti_value_take(task->argument) : task->argument;
    task->untaken = false;
    task->argument = weft_none;
    weft_drop(argument);
    task->process = own;
    __atomic_store_n(&task->native_id, own->process->pid, __ATOMIC_RELAXED);
    living_add(own);
    wefti_task_began(task);
}

/* Begins the family if need be, and settles the method. -1 with errno. */
static int method_choose(weft_task *task)
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

static int process_start(weft_task *task)
{
    if (method_choose(task) != 0)
        return -1;
    wefti_processes_look();
    struct wefti_task_process *own = wefti_alloc(sizeof(*own));
    if (!own)
        return -1;
    bool alone;
    int error = errno;
    *own = (struct wefti_task_process){.member = wefti_member, .task = task};
    if (process_run(task, own, &alone)) {
        process_began(task, own);
        errno = error;
        return 0;
    }
    error = errno;
    process_drop(own, alone);
    errno = error;
    return -1;
}

static int process_wait(weft_task *task, weft_time deadline)
{
    struct wefti_task_process *own = task->process;
    for (uint32_t state; (state = __atomic_load_n(&task->state, __ATOMIC_ACQUIRE)) != WEFT_STOPPED;) {
        int status;
        if (state == WEFTI_ENDING) {
            if (weft_wait(&task->state, WEFTI_ENDING, deadline) != 0)
                return -1;
            continue;
        }
        if (wefti_process_wait(own->process, &status, deadline) != 0) {
            if (errno != EPIPE)
                return -1;
            __atomic_store_n(&own->unknown, true, __ATOMIC_RELAXED); /* they die with the last supervisor */
        }
        process_settle(task);
    }
    return 0;
}

static void process_word(weft_task *task, struct wefti_item *item)
{
    item->word = &task->process->process->state;
    item->expected = WEFTI_PROCESS_RUNS;
}

static int process_status(const struct wefti_task_process *own)
{
    uint32_t ended = process_mine(own) ? __atomic_load_n(&own->record->ended, __ATOMIC_ACQUIRE) : 0;
    if (ended)
        return (int)(ended - 1);
    return process_mine(own) && !__atomic_load_n(&own->unknown, __ATOMIC_RELAXED) ? own->process->status : SIGKILL;
}

static int process_exitcode(const weft_task *task)
{
    int status = process_status(task->process);
    return WIFSIGNALED(status) ? -WTERMSIG(status) : WEXITSTATUS(status);
}

/* It ended without a result. */
static weft_value lost_error(const weft_task *task)
{
    int status = process_status(task->process);
    if (WIFSIGNALED(status))
        return weft_error(EOWNERDEAD, "task %s (pid %d) was killed by signal %d%s", weft_task_name(task), weft_task_native_id(task),
            WTERMSIG(status), WCOREDUMP(status) ? ", core dumped" : "");
    return weft_error(
        EOWNERDEAD, "task %s (pid %d) exited with status %d", weft_task_name(task), weft_task_native_id(task), WEXITSTATUS(status));
}

static weft_value failure_error(const weft_task *task, int failure)
{
    if (failure == EFAULT)
        return weft_error(EFAULT, "the result of task %s has a pointer that means nothing in another process", weft_task_name(task));
    if (failure == ENOEXEC)
        return weft_error(ENOEXEC, "task %s found no module %s", weft_task_name(task), task->process->record->function.name);
    return weft_error(failure, "task %s could not begin, or its result not be given: %s", weft_task_name(task), strerrordesc_np(failure));
}

/* An error value, yours; -1 with ENOMEM when there was no memory for its text. */
static int error_give(weft_value error, int code, weft_value *value)
{
    if (weft_error_code(error) != code) {
        errno = ENOMEM;
        return -1;
    }
    *value = error;
    return 0;
}

static int process_collect(weft_task *task, weft_value *value)
{
    const struct wefti_task_process *own = task->process;
    if (!process_mine(own) || process_outcome(own) == WEFT_LOST)
        return error_give(lost_error(task), EOWNERDEAD, value);
    const struct record *record = own->record;
    if (record->failure)
        return error_give(failure_error(task, record->failure), record->failure, value);
    return wefti_flat_read(record->result, record->length, value);
}

static void process_cancel(weft_task *task)
{
    if (!process_mine(task->process))
        return;
    uint32_t *word = &task->process->record->cancel;
    __atomic_store_n(word, 1, __ATOMIC_RELEASE);
    weft_wake(word, UINT32_MAX);
}

/* Sends it, if it runs: see above. 0, also when it does not; -1 with EMFILE, ENFILE. */
static int process_send(const struct wefti_task_process *own, int signal)
{
    int pidfd = wefti_fails_with(EMFILE) ? -1 : (int)syscall(SYS_pidfd_open, own->process->pid, 0);
    if (pidfd < 0)
        return errno == ESRCH ? 0 : -1;
    if (process_state(own) == WEFTI_PROCESS_RUNS)
        syscall(SYS_pidfd_send_signal, pidfd, signal, NULL, 0);
    close(pidfd);
    return 0;
}

static int process_signal(weft_task *task, int signal)
{
    if (wefti_task_cancel_initial(task))
        return 0;
    wefti_task_settle(task);
    if (task == weft_main() && !task->process)
        return kill(getpid(), signal);
    if (weft_task_state_of(task) != WEFT_STARTED || !process_mine(task->process))
        return 0;
    int error = errno;
    __atomic_store_n(&task->process->asked, true, __ATOMIC_RELAXED);
    if (process_send(task->process, signal) != 0)
        return -1;
    errno = error;
    return 0;
}

static int process_terminate(weft_task *task)
{
    return process_signal(task, SIGTERM);
}

static int process_kill(weft_task *task)
{
    return process_signal(task, SIGKILL);
}

static bool process_regrets(weft_task *task)
{
    return process_mine(task->process) && !__atomic_load_n(&task->process->asked, __ATOMIC_RELAXED);
}

static void process_clear(weft_task *task)
{
    if (process_mine(task->process))
        process_drop(task->process, true);
    else
        wefti_release(task->process);
    task->process = NULL;
}

static void process_lose(weft_task *task)
{
    wefti_release(task->process);
    task->process = NULL;
}

/* In the process itself. */
static void process_renamed(weft_task *task)
{
    char cut[16];
    wefti_placement_name(task->name, cut);
    if (task->context)
        pthread_setname_np(task->thread, cut);
}

struct wefti_task_carrier wefti_task_process = {.noun = "Process",
    .start = process_start,
    .kill = process_kill,
    .renamed = process_renamed,
    .look = process_look,
    .wait = process_wait,
    .word = process_word,
    .collect = process_collect,
    .exitcode = process_exitcode,
    .cancel = process_cancel,
    .terminate = process_terminate,
    .regrets = process_regrets,
    .clear = process_clear,
    .lose = process_lose};

int wefti_processes_begin(void)
{
    return wefti_family_begin();
}

static bool process_is_daemon(const struct wefti_task_process *own)
{
    return own->task->daemon && !own->asked;
}

/* Those that are daemons are killed; each is given a little time to be gone. */
void wefti_processes_end(void)
{
    weft_time soon = weft_in(1);
    for (weft_task *task; __atomic_load_n(&living, __ATOMIC_RELAXED) && (task = living_find(process_is_daemon));) {
        __atomic_store_n(&task->process->asked, true, __ATOMIC_RELAXED);
        if (weft_task_kill(task) == 0)
            weft_task_join(task, soon);
        weft_task_free(task);
    }
}

static void processes_forked(void)
{
    living_latch = (struct wefti_latch){0};
    living = NULL;
}

WEFTI_OPENING_TASK static void processes_open(void)
{
    unsigned long long counts[2] = {0, 0};
    dl_iterate_phdr(modules_count, counts);
    modules_added = counts[0];
    modules_removed = counts[1];
    wefti_menders[WEFTI_HOLD_TASK] = record_mend;
    wefti_process_warm = child_warm;
    pthread_atfork(NULL, NULL, processes_forked);
}
