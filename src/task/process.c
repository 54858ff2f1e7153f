/* SPDX-License-Identifier: MIT */
/*
 * The handles of process tasks, in the process that made them: how an end is learned of, what is sent to a process, what is told of it.
 *
 * Nobody waits for the end of a process whose handle nobody asks: the handle learns of it when somebody does (process_look). Those that
 * nobody has a handle of are looked at when the next one starts, and when tasks are counted. The result stays in the record, and is decoded
 * by each who asks, until the last handle goes.
 *
 * Signals are sent through a pidfd that is opened by number, and only when the supervisor's record says RUNS after that: it says ENDED
 * before the process is reaped, so the number cannot be another's by then.
 *
 * fork: in a child of the host's own the handles are lost tasks; they keep away from records, which are not theirs to let go.
 */

#include "task/process.h"

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/memory.h"
#include "base/opening.h"
#include "shared/block.h"
#include "value/flat.h"

static struct wefti_latch living_latch; /* of the next, and of the entries' places in it */
static struct wefti_task_process *living;

static bool process_mine(const struct wefti_task_process *own)
{
    return own && own->member == wefti_member;
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
    wefti_task_process_reap(task->process);
    wefti_task_end(task, process_outcome(task->process));
    living_remove(task->process);
    weft_task_free(task);
}

static void process_look(weft_task *task)
{
    struct wefti_task_process *own = task->process;
    if (process_mine(own) && wefti_task_process_state(own) == WEFTI_PROCESS_ENDED)
        process_settle(task);
}

static bool process_is_over(const struct wefti_task_process *own)
{
    return wefti_task_process_state(own) == WEFTI_PROCESS_ENDED;
}

void wefti_processes_look(void)
{
    for (weft_task *task; __atomic_load_n(&living, __ATOMIC_RELAXED) && (task = living_find(process_is_over));)
        weft_task_free(task); /* which looks */
}

static void process_drop(struct wefti_task_process *own, bool alone)
{
    if (own->record)
        wefti_task_record_leave(own->record, alone);
    wefti_process_let_go(own->process);
    wefti_task_process_forget(own);
    wefti_release(own);
}

static void process_lose(weft_task *task)
{
    if (task->process)
        wefti_task_process_forget(task->process);
    wefti_release(task->process);
    task->process = NULL;
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

static int process_start(weft_task *task)
{
    if (wefti_task_process_method(task) != 0)
        return -1;
    wefti_processes_look();
    struct wefti_task_process *own = wefti_alloc(sizeof(*own));
    if (!own)
        return -1;
    bool alone;
    int error = errno;
    *own = (struct wefti_task_process){.member = wefti_member, .task = task};
    if (wefti_task_process_run(task, own, &alone)) {
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
    uint32_t ended = process_mine(own) && own->forked ? __atomic_load_n(&own->forked->ended, __ATOMIC_ACQUIRE) : 0;
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
    const struct wefti_task_record *record = own->record;
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

/* Sends it, if it runs: see above. 0, also when it does not; -1 with EMFILE, ENFILE, EPERM. */
static int process_send(const struct wefti_task_process *own, int signal)
{
    int pidfd = wefti_fails_with(EMFILE) ? -1 : (int)syscall(SYS_pidfd_open, own->process->pid, 0);
    if (pidfd < 0)
        return errno == ESRCH ? 0 : -1;
    int failed = 0;
    if (wefti_task_process_state(own) == WEFTI_PROCESS_RUNS && syscall(SYS_pidfd_send_signal, pidfd, signal, NULL, 0) != 0)
        failed = errno == EPERM ? -1 : 0;
    close(pidfd);
    errno = failed ? EPERM : errno;
    return failed;
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
        process_lose(task);
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

static WEFTI_FORKED void processes_forked(void)
{
    living_latch = (struct wefti_latch){0};
    living = NULL;
}

WEFTI_OPENING_TASK static void processes_open(void)
{
    pthread_atfork(NULL, NULL, processes_forked);
}
