/* SPDX-License-Identifier: MIT */
/*
 * Calls that block, made by threads that are there for that. A call is a job in a list; a helper takes the oldest. If there are more jobs
 * than helpers who wait for one, a helper is started. A helper that has had nothing to do for IDLE ends.
 *
 * state of a job: PENDING; DONE, moved by the helper when the result is there; LEFT, moved by a caller who waits no more: then the helper
 * frees the job, else the caller does. One compare-and-swap decides; its release pairs with the acquire of the other's.
 *
 * The list, and the count of helpers that wait, are guarded by a latch; a helper that is woken takes its job under it.
 *
 * A helper blocks all signals while it waits, so that the program's come to none of its threads that it does not know of; a job runs with
 * the signals blocked that its caller has blocked, and so do the programs that it starts.
 *
 * fork: the child has no helpers, and the jobs are the parent's.
 */

#include <errno.h>
#include <pthread.h>
#include <signal.h>

#include "base/memory.h"
#include "base/opening.h"
#include "task/task.h"
#include "value/value.h"
#include <weft/coroutine.h>

enum { PENDING, DONE, LEFT };
enum { IDLE = 200000000 /* ns */ };

struct job {
    struct job *next;
    weft_function *function;
    weft_value argument, result;
    sigset_t blocked; /* the caller's */
    uint32_t state;
};

static struct wefti_latch jobs_latch; /* of the next four */
static struct job *jobs_first, *jobs_last;
static unsigned jobs_count;
static unsigned helpers_waiting;
static uint32_t jobs_bell; /* changes with each job, under the latch */

static struct job *job_take(void)
{
    struct job *job = jobs_first;
    if (job) {
        jobs_first = job->next;
        jobs_count--;
    }
    return job;
}

/* Waits for a job. NULL: none has come for a while. */
static struct job *job_await(void)
{
    weft_time until = weft_clock() + IDLE;
    bool late = false;
    wefti_latch_close(&jobs_latch);
    helpers_waiting++;
    struct job *job = job_take();
    while (!job && !late) {
        uint32_t bell = jobs_bell;
        wefti_latch_open(&jobs_latch);
        late = weft_wait(&jobs_bell, bell, until) != 0;
        wefti_latch_close(&jobs_latch);
        job = job_take();
    }
    helpers_waiting--;
    wefti_latch_open(&jobs_latch);
    return job;
}

static bool job_move(struct job *job, uint32_t to)
{
    uint32_t pending = PENDING;
    return __atomic_compare_exchange_n(&job->state, &pending, to, false, __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE);
}

static void job_do(struct job *job)
{
    const uint32_t *word = &job->state;
    sigset_t all;
    pthread_sigmask(SIG_SETMASK, &job->blocked, &all);
    job->result = wefti_value_take(job->function(job->argument));
    weft_drop(job->argument);
    pthread_sigmask(SIG_SETMASK, &all, NULL);
    if (job_move(job, DONE)) {
        weft_wake(word, 1);
        return;
    }
    weft_drop(job->result);
    wefti_release(job);
}

static weft_value helper_main(weft_value none)
{
    for (struct job *job; (job = job_await());)
        job_do(job);
    return none;
}

static bool helper_start(void)
{
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_BLOCK, &all, &before);
    weft_task *helper = weft_spawn(WEFT_THREAD, helper_main, weft_none, .name = "Offload", .daemon = true);
    int error = errno;
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    weft_task_free(helper);
    errno = error;
    return helper != NULL;
}

/* Hands the job over. False with errno: there is nobody who would do it. */
static bool job_add(struct job *job)
{
    wefti_latch_close(&jobs_latch);
    bool helped = helpers_waiting > jobs_count;
    wefti_latch_open(&jobs_latch);
    if (!helped && !helper_start())
        return false;
    job->argument = wefti_value_take(job->argument);
    wefti_latch_close(&jobs_latch);
    *(jobs_first ? &jobs_last->next : &jobs_first) = job;
    jobs_last = job;
    jobs_count++;
    __atomic_store_n(&jobs_bell, jobs_bell + 1, __ATOMIC_RELEASE);
    wefti_latch_open(&jobs_latch);
    weft_wake(&jobs_bell, 1);
    return true;
}

int weft_offload(weft_function *function, weft_value argument, weft_value *result, weft_time deadline)
{
    if (!function || deadline <= WEFT_NOW) {
        errno = function ? EAGAIN : EINVAL;
        return -1;
    }
    struct job *job = wefti_alloc(sizeof(*job));
    if (!job)
        return -1;
    *job = (struct job){.function = function, .argument = argument};
    pthread_sigmask(SIG_SETMASK, NULL, &job->blocked);
    if (!job_add(job)) {
        wefti_release(job);
        return -1;
    }
    int waited = 0;
    while (waited == 0 && __atomic_load_n(&job->state, __ATOMIC_ACQUIRE) == PENDING)
        waited = weft_wait(&job->state, PENDING, deadline);
    int error = errno;
    if (waited != 0 && job_move(job, LEFT)) {
        errno = error;
        return -1;
    }
    if (result)
        *result = job->result;
    else
        weft_drop(job->result);
    wefti_release(job);
    return 0;
}

static WEFTI_FORKED void offload_forked(void)
{
    jobs_latch = (struct wefti_latch){0};
    jobs_first = NULL;
    jobs_count = helpers_waiting = 0;
}

WEFTI_OPENING_TASK static void offload_open(void)
{
    pthread_atfork(NULL, NULL, offload_forked);
}
