/* SPDX-License-Identifier: MIT */
/*
 * Tasks as threads. A thread is joinable; it is joined by the first task that joins the handle after its end was visible, else when the
 * last handle goes, so that who has joined a task has its thread behind him, thread-locals destroyed. The one thread that cannot be joined,
 * that which frees its own last handle, is detached.
 */

#include <errno.h>
#include <limits.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "base/memory.h"
#include "base/opening.h"
#include "task/task.h"

/*
 * Where in what pthread_t points to the C library keeps the kernel's number of the thread, which the kernel sets to 0, and wakes, when the
 * thread has ended (CLONE_CHILD_CLEARTID). Found out, not assumed: by asking the kernel where that word is for the present thread.
 */
static uintptr_t thread_end_offset;

static const uint32_t *thread_end_word(pthread_t thread)
{
    return (const uint32_t *)((uintptr_t)thread + thread_end_offset);
}

static void *thread_main(void *data)
{
    weft_task *task = data;
    pthread_t self = pthread_self();
    wefti_signals_hold();
    int id = thread_end_offset ? (int)*thread_end_word(self) : gettid();
    __atomic_store_n(&task->thread, self, __ATOMIC_RELAXED);
    __atomic_store_n(&task->native_id, id, __ATOMIC_RELAXED);
    wefti_task_began(task);
    wefti_task_run(task);
    wefti_coroutines_join();
    wefti_task_gone(task);
    wefti_context_current()->task = NULL; /* the handle may go now, thread-locals are still to be destroyed */
    weft_task_free(task);
    return NULL;
}

/* The smallest stack that the system allows is made of what is asked; it is rounded to pages. */
static int attributes_set(pthread_attr_t *attributes, size_t stack_size)
{
    long least = sysconf(_SC_THREAD_STACK_MIN), page = sysconf(_SC_PAGESIZE);
    if (least > 0 && stack_size < (size_t)least)
        stack_size = (size_t)least;
    stack_size = (stack_size + (size_t)page - 1) / (size_t)page * (size_t)page;
    return pthread_attr_setstacksize(attributes, stack_size);
}

static int thread_create(size_t stack_size, void *(*function)(void *), void *data, pthread_t *thread)
{
    if (wefti_fails())
        return EAGAIN;
    if (stack_size == 0)
        return pthread_create(thread, NULL, function, data);
    pthread_attr_t attributes;
    pthread_attr_init(&attributes);
    int error = attributes_set(&attributes, stack_size);
    if (error == 0)
        error = pthread_create(thread, &attributes, function, data);
    pthread_attr_destroy(&attributes);
    return error;
}

/* What a thread that has to be placed tells its starter, on whose stack it lies: gone once `word` is set. */
struct arrival {
    weft_task *task;
    uint32_t word; /* 1: `error` is known */
    int error;
};

/* Places itself, then is the task; where it may not go, it was none. */
static void *thread_placed_main(void *data)
{
    struct arrival *arrival = data;
    weft_task *task = arrival->task;
    int error = arrival->error = wefti_placement_take(&task->placement);
    __atomic_store_n(&arrival->word, 1, __ATOMIC_RELEASE); /* pairs with the acquire of thread_create_placed */
    weft_wake(&arrival->word, 1);
    return error == 0 ? thread_main(task) : NULL;
}

static int thread_create_placed(weft_task *task, pthread_t *thread)
{
    struct arrival arrival = {.task = task};
    int error = thread_create(task->stack_size, thread_placed_main, &arrival, thread);
    if (error != 0)
        return error;
    wefti_shield_raise();
    while (__atomic_load_n(&arrival.word, __ATOMIC_ACQUIRE) == 0)
        weft_wait(&arrival.word, 0, WEFT_FOREVER);
    wefti_shield_lower();
    if (arrival.error != 0)
        pthread_join(*thread, NULL); /* it ends at once */
    return arrival.error;
}

static int thread_start(weft_task *task)
{
    pthread_t thread;
    int error = wefti_placement_any(&task->placement) ? thread_create_placed(task, &thread)
                                                      : thread_create(task->stack_size, thread_main, task, &thread);
    if (error != 0) {
        errno = error;
        return -1;
    }
    __atomic_store_n(&task->thread, thread, __ATOMIC_RELAXED);
    wefti_task_began(task);
    return 0;
}

static void thread_reap(weft_task *task)
{
    pthread_t thread = __atomic_load_n(&task->thread, __ATOMIC_RELAXED);
    if (pthread_equal(thread, pthread_self()))
        pthread_detach(thread);
    else
        pthread_join(thread, NULL); /* it has nothing left to do but end */
}

/*
 * Joins as pthread_join does, but with deadline and cancellation. To wait for the state and then for the thread would be two sleeps, and
 * cost a third more than pthread_join.
 */
static int thread_wait_and_reap(weft_task *task, weft_time deadline)
{
    struct wefti_item end = {.kind = WEFTI_KERNEL_WORD, .word = thread_end_word(__atomic_load_n(&task->thread, __ATOMIC_RELAXED))};
    while ((end.expected = __atomic_load_n(end.word, __ATOMIC_ACQUIRE)) != 0)
        if (wefti_wait_items(&end, 1, deadline) < 0)
            return -1;
    thread_reap(task);
    return 0;
}

static int thread_kill(weft_task *task)
{
    (void)task;
    errno = ENOTSUP;
    return -1;
}

/* Only a live thread is named: the guard that the caller holds keeps it alive. */
static void thread_renamed(weft_task *task)
{
    char cut[16];
    wefti_placement_name(task->name, cut);
    pthread_setname_np(__atomic_load_n(&task->thread, __ATOMIC_RELAXED), cut);
}

struct wefti_task_carrier wefti_task_thread = {
    .noun = "Thread", .start = thread_start, .reap = thread_reap, .kill = thread_kill, .renamed = thread_renamed};

/*
 * A kernel or emulator that lacks one of the two calls leaves joining in two steps; so does ThreadSanitizer, which takes that word for
 * memory of the thread that nobody else may read.
 */
WEFTI_OPENING_TASK static void thread_open(void)
{
#ifdef WEFTI_TSAN
    return;
#endif
    int *word = NULL;
    uintptr_t self = (uintptr_t)pthread_self();
    if (prctl(PR_GET_TID_ADDRESS, &word) != 0 || (uintptr_t)word <= self || (uintptr_t)word - self > 4096 || *word != gettid())
        return;
    if (wefti_futex_wait_any(NULL, 0, WEFT_FOREVER) != -EINVAL)
        return;
    thread_end_offset = (uintptr_t)word - self;
    wefti_task_thread.wait_and_reap = thread_wait_and_reap;
}
