/* SPDX-License-Identifier: MIT */
/*
 * What a crash has left: the core of the worker in which a task was lost, and the stack in it.
 *
 * Nothing of this is done when a worker dies, but that the mender writes down the times between which the core must have been written: who
 * waits for the task, and the worker's successor, wait for nothing more. Whoever asks has it looked for and read, by a thread that is there
 * for calls that block; what was found is not kept.
 */

#include <errno.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/memory.h"
#include "pool/core.h"
#include "pool/process.h"
#include <weft/coroutine.h>

enum { BILLION = 1000000000 };

void wefti_process_crash_note(struct wefti_process_task *task, uint32_t seat)
{
    struct timespec booted;
    const struct wefti_family *family = wefti_family_now();
    clock_gettime(CLOCK_BOOTTIME, &booted);
    task->died = time(NULL);
    task->since = task->died - booted.tv_sec + (int64_t)(family->seats[seat].started / BILLION) - 1; /* rounded down, both */
}

static bool task_dumped(const struct wefti_process_task *task)
{
    uint32_t phase = wefti_task_phase(__atomic_load_n(&task->state, __ATOMIC_ACQUIRE));
    return (phase == WEFTI_TASK_ENDED + WEFT_LOST || phase == WEFTI_TASK_ENDED + WEFT_TIMED_OUT) && task->pid &&
           WIFSIGNALED(task->status) && WCOREDUMP(task->status);
}

/* The pool's maker, or, where that is dead, this process. */
static pid_t neighbour_of(const struct wefti_process_pool *pool)
{
    uint16_t maker = pool->maker;
    return maker ? wefti_family_now()->seats[maker].pid : getpid();
}

/* A str that was made by the functions of core.h; the text goes. */
static weft_value text_value(char *text)
{
    weft_value value = text ? weft_str(text) : weft_error(errno, NULL);
    wefti_release(text);
    return value;
}

static weft_value core_find(weft_value octets)
{
    pid_t thread;
    char *path = NULL;
    struct wefti_core_dead dead;
    memcpy(&dead, weft_as_bytes(octets), sizeof(dead));
    int core = wefti_core_open(&dead, &path, &thread);
    if (core >= 0)
        close(core);
    return text_value(path);
}

static weft_value core_trace(weft_value octets)
{
    pid_t thread;
    char *path;
    struct wefti_core_dead dead;
    memcpy(&dead, weft_as_bytes(octets), sizeof(dead));
    int core = wefti_core_open(&dead, &path, &thread);
    if (core < 0)
        return weft_error(errno, NULL);
    wefti_release(path);
    char *text = wefti_core_backtrace(core, thread);
    int error = errno;
    close(core);
    errno = error;
    return text_value(text);
}

/* Has a helper do it. 0, and a str in *value; -1 with errno. */
static int crash_ask(weft_function *function, const struct wefti_core_dead *dead, weft_value *value, weft_time deadline)
{
    weft_value octets = weft_bytes(dead, sizeof(*dead)), text;
    if (weft_is_error(octets))
        return -1;
    if (weft_offload(function, octets, &text, deadline) != 0) {
        int error = errno;
        if (error != ETIMEDOUT && error != ECANCELED) /* else it is the helper's */
            weft_drop(octets);
        errno = error;
        return -1;
    }
    if (!weft_is_error(text)) {
        *value = text;
        return 0;
    }
    errno = weft_error_code(text);
    weft_drop(text);
    return -1;
}

static int crash_tell(weft_function *function, weft_future *future, weft_value *value, weft_time deadline)
{
    if (!future || !value) {
        errno = EINVAL;
        return -1;
    }
    if (wefti_future_wait(future, deadline) != 0)
        return -1;
    const struct wefti_process_task *task = (struct wefti_process_task *)(uintptr_t)future; /* NOLINT: it is one, if it is shared */
    if (!wefti_is_shared(future) || !wefti_member || !task_dumped(task)) {
        errno = ENOENT;
        return -1;
    }
    struct wefti_core_dead dead = {.pid = task->pid,
        .signal = WTERMSIG(task->status),
        .neighbour = neighbour_of(task->pool),
        .since = task->since,
        .died = task->died};
    return crash_ask(function, &dead, value, deadline);
}

int weft_future_core(weft_future *future, weft_value *path, weft_time deadline)
{
    return crash_tell(core_find, future, path, deadline);
}

int weft_future_backtrace(weft_future *future, weft_value *text, weft_time deadline)
{
    return crash_tell(core_trace, future, text, deadline);
}
