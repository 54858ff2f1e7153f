/* SPDX-License-Identifier: MIT */
/* Threads that Weft did not start: they may call everything, be waited for and cancelled, and leave nothing behind. */
#include <pthread.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "fixture.h"

static int destroyed;

static void destroy(void *pointer)
{
    free(pointer);
    __atomic_add_fetch(&destroyed, 1, __ATOMIC_RELAXED);
}

static weft_local local = WEFT_LOCAL(destroy);

static void *run_foreign(void *(*function)(void *), void *data)
{
    pthread_t thread;
    void *result;
    ck_assert_int_eq(pthread_create(&thread, NULL, function, data), 0);
    ck_assert_int_eq(pthread_join(thread, &result), 0);
    return result;
}

static weft_value same(weft_value argument)
{
    return weft_keep(argument);
}

static bool use_sync(void)
{
    weft_lock lock = {0};
    weft_rlock rlock = {0};
    weft_semaphore semaphore = WEFT_SEMAPHORE(1);
    weft_event event = {0};
    weft_condition condition = {0};
    weft_barrier barrier = WEFT_BARRIER(1);
    bool fine = weft_lock_acquire(&lock, WEFT_FOREVER) == 0 && weft_lock_acquire(&lock, WEFT_FOREVER) == -1 && errno == EDEADLK;
    fine = fine && weft_condition_wait(&condition, &lock, weft_in(0.001)) == -1 && errno == ETIMEDOUT && weft_lock_release(&lock) == 0;
    fine = fine && weft_rlock_acquire(&rlock, WEFT_NOW) == 0 && weft_rlock_acquire(&rlock, WEFT_NOW) == 0;
    fine = fine && weft_semaphore_acquire(&semaphore, WEFT_NOW) == 0 && weft_event_wait(&event, weft_in(0.001)) == -1;
    return fine && weft_barrier_wait(&barrier, WEFT_FOREVER) == 0;
}

static bool use_tasks(void)
{
    weft_value value = weft_none;
    weft_task *task = weft_spawn(WEFT_THREAD, same, weft_str("given"));
    bool fine = task && weft_task_result(task, &value, WEFT_FOREVER) == 0 && strcmp(weft_as_str(value), "given") == 0;
    weft_drop(value);
    weft_task_free(task);
    weft_pool *pool = weft_pool_new(WEFT_THREAD, .workers = 2);
    fine = fine && weft_pool_apply(pool, same, weft_int(7), &value, WEFT_FOREVER) == 0 && weft_as_int(value) == 7;
    weft_pool_free(pool);
    weft_queue *queue = weft_queue_new(.capacity = 1);
    fine = fine && weft_queue_put(queue, weft_int(1), WEFT_NOW) == 0 && weft_queue_put(queue, weft_int(2), weft_in(0.001)) == -1;
    weft_queue_free(queue);
    return fine;
}

/* A wait for descriptors gives the thread a doorbell, a descriptor that has to go with it. */
static bool use_commands(void)
{
    struct weft_command_result result;
    bool fine =
        weft_command_run(weft_argv("echo", "said"), &result, WEFT_FOREVER) == 0 && strcmp(weft_as_bytes(result.output), "said\n") == 0;
    weft_drop(result.output);
    weft_drop(result.error);
    return fine;
}

static void *use_everything(void *unused)
{
    (void)unused;
    bool fine = use_sync() && use_tasks() && use_commands() && weft_sleep(0.001) == 0 && !weft_cancelled();
    fine = fine && !weft_local_get(&local) && weft_local_set(&local, malloc(1)) == 0 && weft_local_get(&local);
    weft_shield
    {
        weft_yield();
    }
    weft_task *self = weft_current();
    fine = fine && weft_task_is_alive(self) && weft_task_daemon(self) && weft_task_native_id(self) == gettid();
    fine = fine && strncmp(weft_task_name(self), "Dummy-", 6) == 0 && weft_task_kind_of(self) == WEFT_THREAD;
    return fine ? self : NULL;
}

START_TEST(a_foreign_thread_may_call_everything)
{
    size_t alive = weft_active_count();
    for (int i = 1; i <= 10; i++) {
        ck_assert_ptr_nonnull(run_foreign(use_everything, NULL));
        ck_assert_int_eq(destroyed, i);
        ck_assert_uint_eq(weft_active_count(), alive);
    }
}
END_TEST

static void *come_and_go(void *unused)
{
    for (int i = 0; i < 10; i++)
        if (!run_foreign(use_everything, NULL))
            return NULL;
    return weft_local_set(&local, malloc(1)) == 0 ? &local : unused;
}

START_TEST(many_come_and_go_at_once)
{
    pthread_t threads[4];
    for (int i = 0; i < 4; i++)
        ck_assert_int_eq(pthread_create(&threads[i], NULL, come_and_go, NULL), 0);
    for (int i = 0; i < 4; i++) {
        void *passed;
        ck_assert_int_eq(pthread_join(threads[i], &passed), 0);
        ck_assert_ptr_nonnull(passed);
    }
    ck_assert_int_eq(destroyed, 4 * 11);
    ck_assert_uint_eq(weft_active_count(), 1);
}
END_TEST

/* What a foreign thread and those who know its handle share. */
struct known {
    weft_event there, go, waited;
    weft_task *task;
    int error;
};

static void *be_known(void *data)
{
    struct known *known = data;
    known->task = weft_task_keep(weft_current());
    weft_event_set(&known->there);
    weft_event_wait(&known->go, WEFT_FOREVER);
    return NULL;
}

static weft_value join_known(weft_value known)
{
    struct known *with = weft_as_ptr(known);
    weft_value value = weft_int(1);
    if (weft_task_result(with->task, &value, WEFT_FOREVER) != 0)
        return weft_error(errno, NULL);
    return value;
}

static void *join_known_foreign(void *known)
{
    return weft_task_join(((struct known *)known)->task, WEFT_FOREVER) == 0 ? known : NULL;
}

START_TEST(its_end_lets_those_through_who_join_it)
{
    for (int round = 0; round < 20; round++) {
        struct known known = {0};
        pthread_t thread, foreign;
        weft_task *joiners[3];
        ck_assert_int_eq(pthread_create(&thread, NULL, be_known, &known), 0);
        ck_assert_int_eq(weft_event_wait(&known.there, WEFT_FOREVER), 0);
        ck_fails(weft_task_join(known.task, WEFT_NOW), EAGAIN);
        ck_assert_int_eq(weft_task_state_of(known.task), WEFT_STARTED);
        for (int i = 0; i < 3; i++)
            joiners[i] = weft_spawn(WEFT_THREAD, join_known, weft_ptr(&known));
        ck_assert_int_eq(pthread_create(&foreign, NULL, join_known_foreign, &known), 0);
        weft_event_set(&known.go);
        void *passed;
        ck_assert_int_eq(weft_task_join(known.task, WEFT_FOREVER), 0);
        ck_assert_int_eq(pthread_join(foreign, &passed), 0);
        ck_assert_ptr_nonnull(passed);
        for (int i = 0; i < 3; i++) {
            weft_value value;
            ck_assert_int_eq(weft_task_result(joiners[i], &value, WEFT_FOREVER), 0);
            ck_assert(weft_is_none(value));
            weft_task_free(joiners[i]);
        }
        pthread_join(thread, NULL);
        weft_task_free(known.task);
    }
}
END_TEST

/* The handle may be held longer than the thread lives, and be asked and told things. */
START_TEST(its_handle_outlives_it)
{
    struct known known = {0};
    weft_event_set(&known.go);
    run_foreign(be_known, &known);
    ck_assert_int_eq(weft_task_state_of(known.task), WEFT_STOPPED);
    ck_assert_int_eq(weft_task_outcome(known.task), WEFT_DONE);
    ck_assert_int_eq(weft_task_exitcode(known.task), 0);
    ck_assert(!weft_task_is_alive(known.task));
    weft_task_cancel(known.task);
    ck_assert_int_eq(weft_task_set_name(known.task, "departed"), 0);
    ck_assert_str_eq(weft_task_name(known.task), "departed");
    ck_assert_int_eq(weft_task_join(known.task, WEFT_NOW), 0);
    ck_fails(weft_task_start(known.task), EALREADY);
    ck_fails(weft_task_kill(known.task), ENOTSUP);
    weft_task_free(known.task);
}
END_TEST

static void *be_cancelled(void *data)
{
    struct known *known = data;
    known->task = weft_task_keep(weft_current());
    weft_event_set(&known->there);
    known->error = weft_event_wait(&known->go, WEFT_FOREVER) == 0 ? 0 : errno;
    return weft_sleep_until(WEFT_FOREVER) == -1 && errno == ECANCELED && weft_cancelled() ? data : NULL;
}

START_TEST(it_can_be_cancelled)
{
    struct known known = {0};
    pthread_t thread;
    void *passed;
    ck_assert_int_eq(pthread_create(&thread, NULL, be_cancelled, &known), 0);
    ck_assert_int_eq(weft_event_wait(&known.there, WEFT_FOREVER), 0);
    weft_task_cancel(known.task);
    ck_assert_int_eq(pthread_join(thread, &passed), 0);
    ck_assert_ptr_nonnull(passed);
    ck_assert_int_eq(known.error, ECANCELED);
    ck_assert_int_eq(weft_task_outcome(known.task), WEFT_DONE); /* it has no result that could say otherwise */
    weft_task_free(known.task);
}
END_TEST

/* Destructors of the host's own thread-specific data come in any order with Weft's, and may use Weft: the thread is met anew then. */
static pthread_key_t keys[3];
static int key_calls;

static void key_end(void *data)
{
    bool fine = weft_local_get(&local) || weft_local_set(&local, malloc(1)) == 0; /* what was there would not be destroyed */
    if (fine && use_tasks() && use_sync() && weft_current())
        __atomic_add_fetch(&key_calls, 1, __ATOMIC_RELAXED);
    (void)data;
}

static void *with_keys(void *which)
{
    for (int i = 0; i < 3; i++)
        pthread_setspecific(keys[i], which);
    weft_local_set(&local, malloc(1));
    return weft_current();
}

START_TEST(destructors_of_the_host_may_use_weft)
{
    for (int i = 0; i < 3; i++)
        ck_assert_int_eq(pthread_key_create(&keys[i], key_end), 0);
    for (int i = 1; i <= 10; i++) {
        ck_assert_ptr_nonnull(run_foreign(with_keys, keys));
        ck_assert_int_eq(key_calls, 3 * i);
        ck_assert_uint_eq(weft_active_count(), 1);
    }
    ck_assert_int_ge(destroyed, 10);
    for (int i = 0; i < 3; i++)
        pthread_key_delete(keys[i]);
}
END_TEST

static weft_value exit_inside(weft_value unused)
{
    (void)unused;
    pthread_exit(&local);
}

static void *exit_early(void *data)
{
    be_known(data);
    weft_local_set(&local, malloc(1));
    exit_inside(weft_none);
    return NULL;
}

START_TEST(it_may_end_by_pthread_exit)
{
    struct known known = {0};
    weft_event_set(&known.go);
    ck_assert_ptr_eq(run_foreign(exit_early, &known), &local);
    ck_assert_int_eq(weft_task_outcome(known.task), WEFT_DONE);
    ck_assert_int_eq(destroyed, 1);
    weft_task_free(known.task);
}
END_TEST

/* So may one that Weft has started, whether it is joined before or after that. */
START_TEST(a_thread_of_wefts_may_end_by_pthread_exit)
{
    for (int late = 0; late < 2; late++) {
        weft_task *task = weft_spawn(WEFT_THREAD, exit_inside, weft_none);
        ck_assert_ptr_nonnull(task);
        if (late)
            fixture_until(weft_task_state_of(task) == WEFT_STOPPED);
        ck_assert_int_eq(weft_task_join(task, weft_in(20)), 0);
        weft_task_free(task);
    }
}
END_TEST

static void *wait_outside(void *data)
{
    struct known *known = data;
    weft_local_set(&local, malloc(1));
    known->task = weft_task_keep(weft_current());
    weft_event_set(&known->there);
    for (;;) { /* not in a call that ThreadSanitizer wraps: it would miss that the call was left */
        pthread_testcancel();
        sched_yield();
    }
    return NULL;
}

START_TEST(it_may_be_ended_by_pthread_cancel_outside_of_weft)
{
    struct known known = {0};
    pthread_t thread;
    ck_assert_int_eq(pthread_create(&thread, NULL, wait_outside, &known), 0);
    ck_assert_int_eq(weft_event_wait(&known.there, WEFT_FOREVER), 0);
    ck_assert_int_eq(pthread_cancel(thread), 0);
    ck_assert_int_eq(weft_task_join(known.task, WEFT_FOREVER), 0);
    pthread_join(thread, NULL);
    ck_assert_int_eq(destroyed, 1);
    weft_task_free(known.task);
}
END_TEST

static void *detached(void *data)
{
    struct known *known = data;
    known->task = weft_task_keep(weft_current());
    weft_event_set(&known->there);
    weft_event_wait(&known->go, WEFT_FOREVER);
    weft_local_set(&local, malloc(1));
    return NULL;
}

START_TEST(it_may_be_detached)
{
    struct known known = {0};
    pthread_t thread;
    ck_assert_int_eq(pthread_create(&thread, NULL, detached, &known), 0);
    pthread_detach(thread);
    ck_assert_int_eq(weft_event_wait(&known.there, WEFT_FOREVER), 0);
    weft_event_set(&known.go);
    ck_assert_int_eq(weft_task_join(known.task, WEFT_FOREVER), 0);
    ck_assert_int_eq(destroyed, 1);
    fixture_until(syscall(SYS_tgkill, getpid(), weft_task_native_id(known.task), 0) != 0); /* nobody else waits for it */
    weft_task_free(known.task);
}
END_TEST

static int ended_with(pid_t child)
{
    int status;
    ck_assert_int_eq(waitpid(child, &status, 0), child);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

/* In a child that a foreign thread has forked, that thread is the main task. */
static void *fork_here(void *data)
{
    weft_local_set(&local, malloc(1));
    weft_task *self = data ? weft_current() : NULL;
    pid_t child = fork();
    if (child == 0) {
        bool fine = weft_current() == weft_main() && (!self || weft_current() == self) && weft_active_count() == 1;
        fine = fine && weft_local_get(&local) && use_sync() && weft_task_native_id(weft_main()) == getpid();
        _exit(fine && (FIXTURE_TSAN || use_tasks()) ? 0 : 1);
    }
    return ended_with(child) == 0 ? &local : NULL;
}

START_TEST(it_may_fork)
{
    ck_assert_ptr_nonnull(run_foreign(fork_here, NULL));
    ck_assert_ptr_nonnull(run_foreign(fork_here, keys)); /* with a handle */
}
END_TEST

static void add(TCase *tests)
{
    tcase_add_test(tests, a_foreign_thread_may_call_everything);
    tcase_add_test(tests, many_come_and_go_at_once);
    tcase_add_test(tests, its_end_lets_those_through_who_join_it);
    tcase_add_test(tests, its_handle_outlives_it);
    tcase_add_test(tests, it_can_be_cancelled);
    tcase_add_test(tests, destructors_of_the_host_may_use_weft);
    tcase_add_test(tests, it_may_end_by_pthread_exit);
    tcase_add_test(tests, a_thread_of_wefts_may_end_by_pthread_exit);
    tcase_add_test(tests, it_may_be_ended_by_pthread_cancel_outside_of_weft);
    tcase_add_test(tests, it_may_be_detached);
    tcase_add_test(tests, it_may_fork);
}

int main(void)
{
    return fixture_main("foreign", add);
}
