/* SPDX-License-Identifier: MIT */
/* Pools of processes: what they add to the interface of pools. What all kinds have in common is tested in test_pool_kinds.c. */
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <linux/sockios.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include "family/family.h"
#include "family/joined.h"
#include "family_root.h"
#include "pool/process.h"
#include "pool/stop.h"
#include "pool_tasks.h"
#include "shared/block.h"
#include "shared/life.h"
#include "step.h"

static weft_pool *pool_of(unsigned workers)
{
    weft_pool *pool = weft_pool_new(WEFT_PROCESS, .workers = workers);
    MUST(pool);
    return pool;
}

static void root_of_one(void)
{
    weft_pool *pool = pool_of(2);
    for (int i = 0; i < 1000; i++) {
        weft_value value = weft_none;
        weft_future *future = weft_pool_submit(pool, twice, weft_int(i));
        MUST(future && weft_future_result(future, &value, WEFT_FOREVER) == 0 && weft_as_int(value) == 2 * i);
        weft_future_free(future);
    }
    weft_pool_free(pool);
}

START_TEST(a_task_runs_in_another_process)
{
    NEEDS_PIDFDS;
    root_runs(root_of_one);
}
END_TEST

static weft_value echo(weft_value value)
{
    return weft_keep(value);
}

static weft_value text_of(size_t length)
{
    char *octets = malloc(length + 1);
    memset(octets, 'x', length);
    octets[length] = 0;
    weft_value text = weft_str(octets);
    free(octets);
    return text;
}

static struct wefti_blocks_census census_now(void)
{
    struct wefti_blocks_census census;
    wefti_blocks_count(&census);
    return census;
}

/* Values of every size there and back, and no block of the pool's is left. */
static void root_of_values(void)
{
    static const size_t sizes[] = {0, 1, 20, 60, 79, 80, 81, 200, 5000, 70000, 3000000};
    weft_pool_free(pool_of(1)); /* what the family itself has is there now */
    uint64_t before = census_now().committed;
    weft_pool *pool = pool_of(2);
    for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
        weft_value there = text_of(sizes[i]), back = weft_none;
        MUST(weft_pool_apply(pool, echo, weft_keep(there), &back, WEFT_FOREVER) == 0 && weft_equal(there, back));
        weft_drop(there);
        weft_drop(back);
    }
    weft_pool_free(pool);
    struct wefti_blocks_census after = census_now();
    MUST(after.wrong == 0 && after.in_hand == 0);
    MUST(after.committed <= before + 8); /* lives of workers that are used again */
}

START_TEST(values_of_any_size_cross)
{
    NEEDS_PIDFDS;
    root_runs(root_of_values);
}
END_TEST

/* Deaths. */

static weft_value dies(weft_value unused)
{
    (void)unused;
    raise(SIGKILL);
    return weft_none;
}

static bool says(weft_value error, int code, const char *words)
{
    bool it = weft_is_error(error) && weft_error_code(error) == code && strstr(weft_error_text(error), words);
    weft_drop(error);
    return it;
}

static void future_ends(weft_future *future, enum weft_outcome outcome, int code, const char *words)
{
    weft_value value = weft_none;
    MUST(future && weft_future_result(future, &value, weft_in(20)) == 0);
    MUST(weft_future_outcome(future) == outcome);
    if (code)
        MUST(says(value, code, words));
    else
        weft_drop(value);
    weft_future_free(future);
}

/* One worker dies in its task: that task is lost and says why; all others end as ever, before and after. */
static void root_of_the_dead(void)
{
    enum { MANY = 100 };
    weft_pool *pool = pool_of(2);
    weft_future *futures[MANY];
    for (int i = 0; i < MANY; i++)
        MUST((futures[i] =
                  i == MANY / 2 ? weft_pool_submit(pool, dies, weft_none, .name = "fragile") : weft_pool_submit(pool, twice, weft_int(i))));
    for (int i = 0; i < MANY; i++)
        if (i == MANY / 2)
            future_ends(futures[i], WEFT_LOST, EOWNERDEAD, "fragile");
        else
            future_ends(futures[i], WEFT_DONE, 0, NULL);
    future_ends(weft_pool_submit(pool, dies, weft_none), WEFT_LOST, EOWNERDEAD, "signal 9");
    for (int i = 0; i < MANY; i++) {
        weft_value value;
        MUST(weft_pool_apply(pool, twice, weft_int(i), &value, weft_in(20)) == 0 && weft_as_int(value) == 2 * i);
    }
    struct weft_pool_counts counts = counts_of(pool);
    MUST(counts.lost == 2 && counts.done == 2 * MANY - 1 && counts.submitted == 2 * MANY + 1);
    weft_pool_free(pool);
}

START_TEST(a_death_costs_its_own_task_only)
{
    NEEDS_PIDFDS;
    root_runs(root_of_the_dead);
}
END_TEST

/* Dies while the number that the argument points to can be counted down. */
static weft_value dies_sometimes(weft_value pointer)
{
    int *left = weft_as_ptr(pointer);
    if (__atomic_fetch_sub(left, 1, __ATOMIC_RELAXED) > 0)
        raise(SIGSEGV);
    return weft_str("alive");
}

static void root_of_retries(void)
{
    weft_pool *pool = weft_pool_new(WEFT_PROCESS, .workers = 2, .retries = 3);
    int *left = weft_shared_new(int);
    MUST(pool && left);
    *left = 3;
    future_ends(weft_pool_submit(pool, dies_sometimes, weft_ptr(left)), WEFT_DONE, 0, NULL);
    *left = 4;
    future_ends(weft_pool_submit(pool, dies_sometimes, weft_ptr(left)), WEFT_LOST, EOWNERDEAD, "signal 11");
    *left = 1;
    future_ends(weft_pool_submit(pool, dies_sometimes, weft_ptr(left), .retries = -1), WEFT_LOST, EOWNERDEAD, "signal 11");
    *left = 5;
    future_ends(weft_pool_submit(pool, dies_sometimes, weft_ptr(left), .retries = 5), WEFT_DONE, 0, NULL);
    weft_pool_free(pool);
    weft_shared_free(left);
}

START_TEST(a_task_begins_again_as_often_as_was_said)
{
    NEEDS_PIDFDS;
    root_runs(root_of_retries);
}
END_TEST

static weft_value own_pid(weft_value unused)
{
    (void)unused;
    return weft_int(getpid());
}

static weft_value waits_to_die(weft_value pointer)
{
    __atomic_add_fetch((uint32_t *)weft_as_ptr(pointer), 1, __ATOMIC_RELEASE);
    while (weft_as_ptr(pointer))
        pause();
    return weft_none;
}

static void root_that_kills(void)
{
    weft_pool *pool = pool_of(3);
    weft_value pid;
    uint32_t *begun = weft_shared_new(uint32_t);
    for (int i = 0; i < 10; i++) { /* killed at rest, or at the edge of it */
        MUST(weft_pool_apply(pool, own_pid, weft_none, &pid, weft_in(20)) == 0);
        MUST(kill((pid_t)weft_as_int(pid), SIGKILL) == 0);
        MUST(weft_pool_apply(pool, own_pid, weft_none, NULL, weft_in(20)) == 0);
    }
    weft_future *future = weft_pool_submit(pool, waits_to_die, weft_ptr(begun));
    MUST(root_until(begun, 1));
    struct wefti_process_pool *shared = (struct wefti_process_pool *)(void *)pool;
    for (uint32_t i = 0; i < wefti_process_places(shared); i++) { /* those of the dead may not be free yet: it may be in a fourth */
        struct wefti_process_worker *worker = shared->table[i];
        if (worker && __atomic_load_n(&worker->state, __ATOMIC_ACQUIRE) == WEFTI_WORKER_THERE)
            kill(worker->pid, SIGKILL);
    }
    future_ends(future, WEFT_LOST, EOWNERDEAD, "signal 9");
    MUST(weft_pool_apply(pool, own_pid, weft_none, NULL, weft_in(20)) == 0);
    weft_pool_free(pool);
    weft_shared_free(begun);
}

START_TEST(killed_workers_are_replaced)
{
    NEEDS_PIDFDS;
    root_runs(root_that_kills);
}
END_TEST

/* The supervisor is killed, and all workers with it. */
static void root_without_supervisor(void)
{
    weft_pool *pool = weft_pool_new(WEFT_PROCESS, .workers = 2, .retries = 2);
    for (int i = 0; i < 5; i++) {
        MUST(weft_pool_apply(pool, own_pid, weft_none, NULL, weft_in(20)) == 0);
        kill(wefti_family_now()->supervisor, SIGKILL);
        MUST(weft_pool_apply(pool, own_pid, weft_none, NULL, weft_in(20)) == 0);
    }
    weft_pool_free(pool);
}

START_TEST(a_dead_supervisor_is_survived)
{
    NEEDS_PIDFDS;
    root_runs(root_without_supervisor);
}
END_TEST

/* Both are killed, and nobody is left to mend: what was submitted is lost, and that is said. */
static void root_of_a_lost_family(void)
{
    uint32_t *begun = weft_shared_new(uint32_t);
    weft_pool *pool = pool_of(1);
    weft_future *running = weft_pool_submit(pool, waits_to_die, weft_ptr(begun)), *waiting = weft_pool_submit(pool, twice, weft_int(1));
    MUST(running && waiting && root_until(begun, 1));
    for (weft_time late = weft_in(20); weft_future_outcome(running) == WEFT_PENDING && weft_clock() < late; weft_sleep(0.001))
        for (int i = 0; i < WEFTI_KEEPERS; i++)
            if (wefti_family_now()->keepers[i].pid > 0)
                kill(wefti_family_now()->keepers[i].pid, SIGKILL);
    future_ends(running, WEFT_LOST, EOWNERDEAD, "");
    weft_value value;
    MUST(weft_future_result(waiting, &value, weft_in(20)) == 0); /* it may have begun with a worker that another supervisor made */
    weft_drop(value);
    weft_future_free(waiting);
    weft_pool_free(pool);
}

START_TEST(a_lost_family_is_told)
{
    NEEDS_PIDFDS;
    root_runs(root_of_a_lost_family);
}
END_TEST

/* Copies. */

/* Forks; returns in the copy, too, and here when that has ended. */
static weft_value forks_and_returns(weft_value of_the_copy)
{
    int status = -1;
    pid_t copy = fork();
    if (copy == 0)
        return weft_as_int(of_the_copy) ? weft_error(ENOENT, "of the copy") : weft_int(-1);
    return weft_int(copy > 0 && waitpid(copy, &status, 0) == copy ? status : -2);
}

static weft_value had_by_worker(weft_value unused)
{
    (void)unused;
    return weft_keep(weft_worker_value());
}

static void root_of_copies(void)
{
    weft_value value;
    weft_pool *pool = weft_pool_new(WEFT_PROCESS, .workers = 1, .initializer = forks_and_returns, .initializer_argument = weft_int(0));
    for (int i = 0; i < 6; i++) { /* one after the other, by the same worker */
        MUST(pool && weft_pool_apply(pool, forks_and_returns, weft_int(i % 2), &value, weft_in(60)) == 0);
        MUST(weft_as_int(value) == (i % 2 ? 1 << 8 : 0));
    }
    MUST(weft_pool_apply(pool, had_by_worker, weft_none, &value, weft_in(60)) == 0);
    MUST(weft_kind(value) == WEFT_INT && weft_as_int(value) == 0);
    MUST(counts_of(pool).done == 7 && counts_of(pool).lost == 0);
    weft_pool_free(pool);
}

START_TEST(what_a_worker_forked_takes_no_tasks)
{
    NEEDS_PIDFDS;
    root_runs(root_of_copies);
}
END_TEST

/* Time limits. */

static weft_value sleeps_long(weft_value seconds)
{
    weft_sleep(weft_as_float(seconds));
    return weft_none;
}

/* Leaves a grandchild in a session of its own, whose parent is gone, and writes down its number. */
static weft_value leaves_grandchild(weft_value pointer)
{
    int32_t *pid = weft_as_ptr(pointer);
    if (fork() == 0) {
        setsid();
        if (fork() == 0) {
            __atomic_store_n(pid, getpid(), __ATOMIC_RELEASE);
            while (pid)
                pause();
        }
        _exit(0);
    }
    while (pid)
        pause();
    return weft_none;
}

/* Whether there is such a process, and no zombie. */
static bool runs(int32_t pid)
{
    char path[64], line[512] = "";
    snprintf(path, sizeof(path), "/proc/%d/stat", pid);
    FILE *file = fopen(path, "r");
    const char *end = file && fgets(line, sizeof(line), file) ? strrchr(line, ')') : NULL;
    if (file)
        fclose(file);
    return end && end[1] && end[2] != 'Z' && end[2] != 'X';
}

static void root_of_limits(void)
{
    weft_pool *pool = weft_pool_new(WEFT_PROCESS, .workers = 2, .task_timeout = 0.2);
    int32_t *pid = weft_shared_new(int32_t);
    weft_future *future = weft_pool_submit(pool, leaves_grandchild, weft_ptr(pid), .name = "nest", .timeout = 0.5);
    weft_future *other = weft_pool_submit(pool, sleeps_long, weft_float(30));
    future_ends(other, WEFT_TIMED_OUT, ETIMEDOUT, "0.200");
    future_ends(future, WEFT_TIMED_OUT, ETIMEDOUT, "nest");
    MUST(*pid > 0 && !runs(*pid));
    for (int i = 0; i < 20; i++) {
        weft_value value;
        MUST(weft_pool_apply(pool, twice, weft_int(i), &value, weft_in(20)) == 0 && weft_as_int(value) == 2 * i);
    }
    MUST(counts_of(pool).timed_out == 2);
    weft_pool_free(pool);
    weft_shared_free(pid);
}

START_TEST(what_has_timed_out_is_stopped_with_all_it_started)
{
    NEEDS_PIDFDS;
    root_runs(root_of_limits);
}
END_TEST

/* Writes down its number, and stays. */
static weft_value tells_and_stays(weft_value pointer)
{
    __atomic_store_n((int32_t *)weft_as_ptr(pointer), getpid(), __ATOMIC_RELEASE);
    return sleeps_long(weft_float(1000));
}

static void told_wait(const int32_t *pid)
{
    while (__atomic_load_n(pid, __ATOMIC_ACQUIRE) == 0)
        weft_sleep(0.001);
}

/* Ends before what it has asked for. */
static weft_value leaves_a_process(weft_value pointer)
{
    if (weft_spawn(WEFT_PROCESS, tells_and_stays, weft_keep(pointer)))
        told_wait(weft_as_ptr(pointer));
    _exit(0);
}

enum { BELOW = 3 };

/* They are children of the supervisor's. */
static weft_value asks_for_processes(weft_value pointer)
{
    int32_t *pids = weft_as_ptr(pointer);
    weft_task *one = weft_spawn(WEFT_PROCESS, tells_and_stays, weft_ptr(&pids[0]));
    weft_task *other = weft_spawn(WEFT_PROCESS, leaves_a_process, weft_ptr(&pids[1]));
    weft_pool *pool = weft_pool_new(WEFT_PROCESS, .workers = 1);
    if (!one || !other || !pool || weft_task_join(other, WEFT_FOREVER) != 0 ||
        weft_pool_start(pool, tells_and_stays, weft_ptr(&pids[2])) != 0)
        return weft_error(errno, NULL);
    return sleeps_long(weft_float(1000));
}

static void root_of_those_below(void)
{
    int32_t *pids = weft_shared_alloc((BELOW + 1) * sizeof(int32_t));
    weft_task *stranger = weft_spawn(WEFT_PROCESS, tells_and_stays, weft_ptr(&pids[BELOW]), .daemon = true);
    for (int terminated = 0; terminated < 2; terminated++) {
        weft_pool *pool = weft_pool_new(WEFT_PROCESS, .workers = 1);
        weft_future *future = weft_pool_submit(pool, asks_for_processes, weft_ptr(pids), .timeout = terminated ? 1000 : 1.5);
        for (int i = 0; i <= BELOW; i++)
            told_wait(&pids[i]);
        MUST(!terminated || weft_pool_terminate(pool, weft_in(20)) == 0);
        future_ends(future, terminated ? WEFT_CANCELLED : WEFT_TIMED_OUT, terminated ? 0 : ETIMEDOUT, terminated ? NULL : "1.500");
        for (int i = 0; i < BELOW; i++) {
            MUST(!runs(pids[i]));
            pids[i] = 0;
        }
        MUST(runs(pids[BELOW]));
        weft_pool_free(pool);
    }
    weft_task_kill(stranger);
    weft_task_join(stranger, WEFT_FOREVER);
    weft_task_free(stranger);
    weft_shared_free(pids);
}

START_TEST(what_a_task_has_asked_for_is_stopped_with_it)
{
    NEEDS_PIDFDS;
    root_runs(root_of_those_below);
}
END_TEST

/* Requests that are under way while their maker is stopped. */

struct late {
    uint32_t begun, go; /* 1: who asks is there; he may */
    int32_t pids[2];    /* of who asks, and whom he asked for */
};

static weft_value asks_late(weft_value pointer)
{
    struct late *late = weft_as_ptr(pointer);
    late->pids[0] = getpid();
    __atomic_store_n(&late->begun, 1, __ATOMIC_RELEASE);
    if (!root_until(&late->go, 1) || !weft_spawn(WEFT_PROCESS, tells_and_stays, weft_ptr(&late->pids[1])))
        return weft_error(errno, NULL);
    return sleeps_long(weft_float(1000));
}

static weft_value lets_ask_late(weft_value pointer)
{
    weft_task *task = weft_spawn(WEFT_PROCESS, asks_late, weft_keep(pointer));
    return task ? sleeps_long(weft_float(1000)) : weft_error(errno, NULL);
}

static int32_t ready_find(void)
{
    const struct wefti_family *family = wefti_family_now();
    for (uint32_t i = WEFTI_SEAT_FIRST;; i = i + 1 < WEFTI_SEATS ? i + 1 : WEFTI_SEAT_FIRST) {
        if (__atomic_load_n(&family->seats[i].state, __ATOMIC_ACQUIRE) == WEFTI_SEAT_READY)
            return family->seats[i].pid;
        if (i + 1 == WEFTI_SEATS)
            weft_sleep(0.001);
    }
}

static void freeze(int32_t pid)
{
    char path[64], state = 0;
    snprintf(path, sizeof(path), "/proc/%d/stat", pid);
    MUST(kill(pid, SIGSTOP) == 0);
    for (weft_time late = weft_in(20); state != 'T'; weft_sleep(0.001)) {
        FILE *file = fopen(path, "r");
        MUST(weft_clock() < late && file && fscanf(file, "%*d (%*[^)]) %c", &state) == 1 && fclose(file) == 0);
    }
}

/* Whether there are requests that nobody has received. */
static bool requests_wait(void)
{
    int octets = 0;
    return ioctl(wefti_family_socket(), SIOCOUTQ, &octets) == 0 && octets > 0;
}

/*
 * Who stands by, and the supervisor, get no processor until the worker is dead, as on a busy machine they may not; then who stands by is
 * first. So the request is met when its maker has been stopped, and the supervisor has not seen that.
 */
static void late_request_is_met(weft_function *function)
{
    weft_value value;
    struct late *late = weft_shared_new(struct late);
    weft_pool *pool = weft_pool_new(WEFT_PROCESS, .workers = 1);
    weft_future *future = weft_pool_submit(pool, function, weft_ptr(late));
    MUST(future && root_until(&late->begun, 1));
    const struct wefti_process_pool *shared = (const struct wefti_process_pool *)(const void *)pool;
    int32_t supervisor = wefti_family_now()->supervisor, ready = ready_find();
    MUST(weft_future_running(future) && wefti_process_places(shared) == 1);
    int32_t worker = __atomic_load_n(&shared->table[0]->pid, __ATOMIC_RELAXED);
    freeze(supervisor);
    freeze(ready);
    __atomic_store_n(&late->go, 1, __ATOMIC_RELEASE);
    for (weft_time end = weft_in(20); !requests_wait(); weft_sleep(0.001))
        MUST(weft_clock() < end);
    wefti_process_stop_worker(worker);
    while (runs(worker)) /* the last to be killed */
        weft_sleep(0.001);
    MUST(!runs(late->pids[0]) && requests_wait());
    kill(ready, SIGCONT);
    while (runs(ready) && __atomic_load_n(&late->pids[1], __ATOMIC_ACQUIRE) == 0)
        weft_sleep(0.001);
    MUST(late->pids[1] == 0);
    kill(supervisor, SIGCONT);
    future_ends(future, WEFT_LOST, EOWNERDEAD, "signal 9");
    MUST(weft_pool_apply(pool, twice, weft_int(1), &value, weft_in(20)) == 0 && late->pids[1] == 0);
    weft_pool_free(pool);
    weft_shared_free(late);
}

static void root_of_late_requests(void)
{
    late_request_is_met(asks_late);
    late_request_is_met(lets_ask_late);
}

START_TEST(what_a_stopped_task_was_asking_for_never_runs)
{
    NEEDS_PIDFDS;
    root_runs(root_of_late_requests);
}
END_TEST

/* A process that a task has asked for leaves one that is nobody's child, in a session of its own. */
static weft_value lets_leave_grandchild(weft_value pointer)
{
    weft_task *task = weft_spawn(WEFT_PROCESS, leaves_grandchild, weft_keep(pointer));
    return task ? sleeps_long(weft_float(1000)) : weft_error(errno, NULL);
}

static weft_value lets_let_leave_grandchild(weft_value pointer)
{
    weft_pool *pool = weft_pool_new(WEFT_PROCESS, .workers = 1);
    if (!pool || weft_pool_start(pool, lets_leave_grandchild, weft_keep(pointer)) != 0)
        return weft_error(errno, NULL);
    return sleeps_long(weft_float(1000));
}

static void root_of_grandchildren_below(void)
{
    weft_pool *pool = weft_pool_new(WEFT_PROCESS, .workers = 2);
    int32_t *pids = weft_shared_alloc(2 * sizeof(int32_t));
    weft_future *one = weft_pool_submit(pool, lets_leave_grandchild, weft_ptr(&pids[0]), .timeout = 1000);
    weft_future *other = weft_pool_submit(pool, lets_let_leave_grandchild, weft_ptr(&pids[1]), .timeout = 1000);
    told_wait(&pids[0]);
    told_wait(&pids[1]);
    weft_sleep(0.05); /* their parents are gone by then */
    MUST(runs(pids[0]) && runs(pids[1]) && weft_pool_terminate(pool, weft_in(20)) == 0);
    future_ends(one, WEFT_CANCELLED, 0, NULL);
    future_ends(other, WEFT_CANCELLED, 0, NULL);
    bool left = runs(pids[0]) || runs(pids[1]);
    for (int i = 0; left && i < 2; i++)
        kill(pids[i], SIGKILL);
    MUST(!left);
    weft_pool_free(pool);
    weft_shared_free(pids);
}

START_TEST(what_those_leave_that_a_task_has_asked_for_is_stopped_too)
{
    NEEDS_PIDFDS;
    root_runs(root_of_grandchildren_below);
}
END_TEST

/* What a task has started as another user. */

static char set_user_id[300]; /* a program that runs what it is told as root */
static int32_t *left_running;

static weft_value runs_as_root(weft_value pointer)
{
    int32_t *pid = weft_as_ptr(pointer);
    pid_t child = fork();
    if (child == 0) {
        execl(set_user_id, set_user_id, "--reuid", "0", "sleep", "1000", (char *)NULL);
        _exit(1);
    }
    __atomic_store_n(pid, child, __ATOMIC_RELEASE);
    return sleeps_long(weft_float(1000));
}

/* Whether its real user is root. */
static bool is_root(int32_t pid)
{
    char path[64], line[256];
    unsigned user = 1;
    snprintf(path, sizeof(path), "/proc/%d/status", pid);
    FILE *file = fopen(path, "r");
    while (file && fgets(line, sizeof(line), file) && sscanf(line, "Uid: %u", &user) != 1)
        ;
    if (file)
        fclose(file);
    return user == 0;
}

static void root_that_may_not_stop_all(void)
{
    MUST(setresuid(65534, 65534, 65534) == 0);
    int32_t *pid = weft_shared_new(int32_t);
    weft_pool *pool = weft_pool_new(WEFT_PROCESS, .workers = 1);
    weft_future *future = weft_pool_submit(pool, runs_as_root, weft_ptr(pid), .timeout = 1000);
    told_wait(pid);
    while (runs(*pid) && !is_root(*pid))
        weft_sleep(0.001);
    if (!runs(*pid))
        fixture_leave(252);
    *left_running = *pid;
    MUST(weft_pool_terminate(pool, weft_in(20)) == 0);
    future_ends(future, WEFT_CANCELLED, 0, NULL);
    MUST(runs(*pid));
    weft_pool_free(pool);
    weft_shared_free(pid);
}

START_TEST(what_a_task_runs_as_another_user_holds_up_no_pool)
{
    char command[700];
    NEEDS_PIDFDS;
    if (geteuid() != 0)
        fixture_skip("only root can become another user");
    snprintf(set_user_id, sizeof(set_user_id), "%s/as-root", fixture_folder());
    snprintf(command, sizeof(command), "cp $(command -v setpriv) %s && chmod 4755 %s && chmod 755 %s %s/..", set_user_id, set_user_id,
        fixture_folder(), fixture_folder());
    if (system(command) != 0)
        fixture_skip("there is no setpriv");
    int32_t *left = mmap(NULL, sizeof(*left), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    ck_assert_ptr_ne(left, MAP_FAILED);
    left_running = left;
    int status = root_status(root_start(root_that_may_not_stop_all));
    if (*left)
        kill(*left, SIGKILL);
    munmap(left, sizeof(*left));
    if (status == 252 << 8)
        fixture_skip("set-user-id means nothing here");
    ck_assert_int_eq(status, 0);
}
END_TEST
/* As a daemon that gives up its rights when it has made its pools: its workers are another user's then. */
static void root_that_gives_up_its_rights(void)
{
    weft_pool *pool = weft_pool_new(WEFT_PROCESS, .workers = 2);
    int32_t *pid = weft_shared_new(int32_t);
    weft_task *task = weft_spawn(WEFT_PROCESS, sleeps_long, weft_float(100), .daemon = true);
    weft_future *limited = weft_pool_submit(pool, leaves_grandchild, weft_ptr(pid), .timeout = 0.5);
    weft_future *other = weft_pool_submit(pool, sleeps_long, weft_float(100));
    while (__atomic_load_n(pid, __ATOMIC_ACQUIRE) == 0 || !weft_future_running(other))
        weft_sleep(0.001);
    MUST(task && setresuid(65534, 65534, 65534) == 0);
    MUST(weft_task_kill(task) == -1 && errno == EPERM && weft_task_terminate(task) == -1 && errno == EPERM);
    future_ends(limited, WEFT_TIMED_OUT, ETIMEDOUT, "0.500");
    MUST(!runs(*pid) && weft_task_is_alive(task));
    MUST(weft_pool_terminate(pool, weft_in(20)) == 0);
    future_ends(other, WEFT_CANCELLED, 0, NULL);
    weft_pool_free(pool);
    weft_shared_free(pid);
    weft_task_free(task);
}

START_TEST(who_is_another_user_by_now_can_stop_tasks)
{
    NEEDS_PIDFDS;
    if (geteuid() != 0)
        fixture_skip("only root can become another user");
    root_runs(root_that_gives_up_its_rights);
}
END_TEST

static void root_of_few_tasks_a_worker(void)
{
    enum { MANY = 12 };
    weft_pool *pool = weft_pool_new(WEFT_PROCESS, .workers = 1, .max_tasks_per_worker = 3);
    int64_t pids[MANY];
    for (int i = 0; i < MANY; i++) {
        weft_value pid;
        MUST(weft_pool_apply(pool, own_pid, weft_none, &pid, weft_in(20)) == 0);
        pids[i] = weft_as_int(pid);
        MUST(i % 3 == 0 || pids[i] == pids[i - 1]);
        MUST(i % 3 != 0 || i == 0 || pids[i] != pids[i - 1]);
    }
    weft_pool_free(pool);
}

START_TEST(a_worker_ends_after_as_many_tasks_as_was_said)
{
    NEEDS_PIDFDS;
    root_runs(root_of_few_tasks_a_worker);
}
END_TEST

/* Memory. */

static weft_value hoards(weft_value mebibytes)
{
    size_t size = (size_t)weft_as_int(mebibytes) << 20;
    char *octets = malloc(size);
    memset(octets, 1, size);
    weft_sleep(octets[size / 2] == 1 ? 10 : 0);
    free(octets);
    return weft_none;
}

static weft_value hoards_and_dies(weft_value mebibytes)
{
    size_t size = (size_t)weft_as_int(mebibytes) << 20;
    char *octets = malloc(size);
    memset(octets, 1, size);
    kill(getpid(), octets[size / 2] == 1 ? SIGABRT : SIGKILL);
    return weft_none;
}

static void root_of_much_memory(void)
{
    weft_pool *pool = weft_pool_new(WEFT_PROCESS, .workers = 1, .memory = 64 << 20, .retries = 2);
    future_ends(weft_pool_submit(pool, hoards, weft_int(200), .name = "hoard"), WEFT_LOST, ENOMEM, "hoard");
    MUST(weft_pool_apply(pool, own_pid, weft_none, NULL, weft_in(20)) == 0);
    weft_pool_free(pool);
}

START_TEST(a_worker_has_no_more_memory_than_it_may)
{
    NEEDS_PIDFDS;
    root_runs(root_of_much_memory);
}
END_TEST

static uint64_t peak_of(weft_pool *pool, int64_t mebibytes)
{
    unsigned long long kibibytes = 0;
    weft_value error = weft_none;
    MUST(weft_pool_apply(pool, hoards_and_dies, weft_int(mebibytes), &error, weft_in(20)) == 0 && weft_is_error(error));
    const char *peak = strstr(weft_error_text(error), "peak memory ");
    MUST(strstr(weft_error_text(error), "signal 6") && peak && sscanf(peak, "peak memory %llu KiB", &kibibytes) == 1);
    weft_drop(error);
    return kibibytes >> 10;
}

static void root_of_peaks(void)
{
    weft_pool *pool = pool_of(1);
    MUST(peak_of(pool, 100) >= 100);
    weft_future *future = weft_pool_submit(pool, hoards, weft_int(300));
    MUST(future && weft_future_result(future, NULL, weft_in(0.3)) == -1);
    MUST(weft_future_cancel(future) && weft_future_result(future, NULL, weft_in(20)) == 0);
    weft_future_free(future);
    MUST(peak_of(pool, 1) < 300); /* the same worker, which had more before */
    weft_pool_free(pool);
}

START_TEST(the_peak_of_the_dead_is_told)
{
    NEEDS_PIDFDS;
    root_runs(root_of_peaks);
}
END_TEST

static weft_value cpus_and_nice(weft_value unused)
{
    (void)unused;
    cpu_set_t set;
    sched_getaffinity(0, sizeof(set), &set);
    return weft_int(CPU_COUNT(&set) * 100 + getpriority(PRIO_PROCESS, 0));
}

static void root_of_the_placed(void)
{
    cpu_set_t set;
    size_t first = 0;
    MUST(sched_getaffinity(0, sizeof(set), &set) == 0);
    while (!CPU_ISSET(first, &set))
        first++;
    char cpus[16];
    snprintf(cpus, sizeof(cpus), "%zu", first);
    MUST(!weft_pool_new(WEFT_PROCESS, .cpus = "x") && errno == EINVAL);
    weft_pool *pool = weft_pool_new(WEFT_PROCESS, .workers = 1, .cpus = cpus, .nice = 3);
    weft_value value;
    MUST(weft_pool_apply(pool, cpus_and_nice, weft_none, &value, weft_in(20)) == 0);
    int nice = getpriority(PRIO_PROCESS, 0) + 3;
    MUST(weft_as_int(value) == 100 + (nice < 19 ? nice : 19));
    weft_pool_free(pool);
}

START_TEST(workers_are_placed)
{
    NEEDS_PIDFDS;
    root_runs(root_of_the_placed);
}
END_TEST

static weft_value interrupts_itself(weft_value unused)
{
    (void)unused;
    return weft_bool(raise(SIGINT) == 0);
}

static void root_that_is_interrupted(void)
{
    weft_pool *pool = pool_of(1);
    weft_value before, after;
    MUST(weft_pool_apply(pool, own_pid, weft_none, &before, weft_in(20)) == 0);
    MUST(weft_pool_apply(pool, interrupts_itself, weft_none, NULL, weft_in(20)) == 0);
    MUST(weft_pool_apply(pool, own_pid, weft_none, &after, weft_in(20)) == 0 && weft_as_int(before) == weft_as_int(after));
    weft_pool_free(pool);
}

START_TEST(an_interrupt_is_for_the_program_to_answer)
{
    NEEDS_PIDFDS;
    root_runs(root_that_is_interrupted);
}
END_TEST

/* A pool that nobody frees: what was submitted is finished when the program exits. */
static void exits_without_freeing(int output)
{
    weft_pool *pool = weft_pool_new(WEFT_PROCESS, .workers = 2);
    (void)output;
    for (int i = 0; i < 50; i++)
        MUST(weft_pool_start(pool, twice, weft_int(i), .on_done = NULL) == 0);
    exit(0);
}

START_TEST(a_program_that_exits_finishes_its_pools)
{
    NEEDS_PIDFDS;
    char text[64];
    fixture_exit_output(exits_without_freeing, text, sizeof(text));
}
END_TEST

/* What cannot cross is told. */
static weft_value private_pointer(weft_value unused)
{
    (void)unused;
    static int mine;
    return weft_ptr(&mine);
}

static void root_of_pointers(void)
{
    int here;
    weft_pool *pool = pool_of(1);
    weft_value error, argument = weft_ptr(&here);
    MUST(!weft_pool_submit(pool, twice, argument) && errno == EFAULT);
    MUST(weft_pool_apply(pool, private_pointer, weft_none, &error, weft_in(20)) == 0 && weft_error_code(error) == EFAULT);
    weft_drop(error);
    MUST(!weft_pool_new(WEFT_PROCESS, .workers = 5000) && errno == EINVAL);
    MUST(!weft_pool_new(WEFT_PROCESS, .retries = 300) && errno == EINVAL);
    MUST(!weft_pool_new(WEFT_PROCESS, .task_timeout = -0.5) && errno == EINVAL);
    MUST(!weft_pool_new(WEFT_PROCESS, .task_timeout = (double)NAN) && errno == EINVAL);
    MUST(!weft_pool_submit(pool, twice, weft_none, .timeout = -1) && errno == EINVAL);
    MUST(weft_parallel_for(3, NULL, NULL, .pool = pool) == -1);
    weft_pool_free(pool);
}

START_TEST(what_cannot_cross_is_told)
{
    NEEDS_PIDFDS;
    root_runs(root_of_pointers);
}
END_TEST

/* The end of a pool. */

static void root_that_terminates(void)
{
    weft_pool *pool = weft_pool_new(WEFT_PROCESS, .workers = 2, .backlog = 20);
    MUST(pool);
    weft_future *running = weft_pool_submit(pool, sleeps_long, weft_float(100)), *waiting[10];
    while (!weft_future_running(running))
        weft_sleep(0.001);
    for (int i = 0; i < 10; i++)
        MUST((waiting[i] = weft_pool_submit(pool, sleeps_long, weft_float(100))));
    MUST(weft_pool_terminate(pool, weft_in(20)) == 0 && weft_pool_terminate(pool, weft_in(20)) == 0);
    future_ends(running, WEFT_CANCELLED, 0, NULL);
    for (int i = 0; i < 10; i++)
        future_ends(waiting[i], WEFT_CANCELLED, 0, NULL);
    MUST(!weft_pool_submit(pool, twice, weft_int(1)) && errno == ESHUTDOWN);
    struct weft_pool_counts counts = counts_of(pool);
    MUST(counts.workers == 0 && counts.cancelled == 11 && counts.running == 0 && counts.queued == 0);
    weft_pool_free(pool);
}

START_TEST(terminate_ends_what_runs)
{
    NEEDS_PIDFDS;
    root_runs(root_that_terminates);
}
END_TEST

/* Its maker dies, and others have futures of it. */
static weft_value makes_and_dies(weft_value pointer)
{
    uint32_t *words = weft_as_ptr(pointer);
    weft_pool *pool = pool_of(1);
    __atomic_store_n((weft_pool **)(void *)(words + 2), pool, __ATOMIC_RELEASE);
    MUST(weft_pool_start(pool, waits_to_die, weft_ptr(words)) == 0 && root_until(words, 1));
    __atomic_store_n(&words[1], 1, __ATOMIC_RELEASE);
    while (words)
        pause();
    return weft_none;
}

static void root_of_a_dead_maker(void)
{
    uint32_t *words = weft_shared_alloc(64);
    weft_pool *outer = pool_of(1);
    weft_future *maker = weft_pool_submit(outer, makes_and_dies, weft_ptr(words));
    MUST(maker && root_until(&words[1], 1));
    weft_pool *inner = *(weft_pool **)(void *)(words + 2);
    weft_future *mine = weft_pool_submit(inner, twice, weft_int(1)); /* its only worker is busy */
    MUST(mine);
    const struct wefti_process_pool *shared = (struct wefti_process_pool *)(void *)outer;
    MUST(wefti_process_places(shared) == 1 && kill(__atomic_load_n(&shared->table[0]->pid, __ATOMIC_RELAXED), SIGKILL) == 0);
    future_ends(maker, WEFT_LOST, EOWNERDEAD, "signal 9");
    future_ends(mine, WEFT_LOST, EOWNERDEAD, "");
    MUST(!weft_pool_submit(inner, twice, weft_int(1)) && errno == EOWNERDEAD);
    weft_pool_free(outer);
}

START_TEST(a_pool_ends_with_its_maker)
{
    NEEDS_PIDFDS;
    root_runs(root_of_a_dead_maker);
}
END_TEST

/* Who has submitted a task dies, and another process, which waits for it, comes to look when the task has ended and is forgotten. */
struct orphan {
    weft_pool *pool;
    weft_future *future;
    weft_event submitted, gate;
};

static weft_value waits_at_gate(weft_value pointer)
{
    struct orphan *orphan = weft_as_ptr(pointer);
    weft_event_wait(&orphan->gate, WEFT_FOREVER);
    return weft_none;
}

static weft_value submits_and_sleeps(weft_value pointer)
{
    struct orphan *orphan = weft_as_ptr(pointer);
    orphan->future = weft_pool_submit(orphan->pool, waits_at_gate, pointer);
    MUST(orphan->future);
    weft_event_set(&orphan->submitted);
    weft_sleep(1000);
    return weft_none;
}

static weft_value waits_for_orphan(weft_value pointer)
{
    struct orphan *orphan = weft_as_ptr(pointer);
    weft_value value = weft_none;
    MUST(weft_future_result(orphan->future, &value, WEFT_FOREVER) == 0);
    MUST(weft_future_outcome(orphan->future) == WEFT_LOST && weft_future_done(orphan->future));
    return value;
}

/* Who waits for the task of a dead submitter, and is stopped until its record is free. */
struct orphaned {
    struct orphan *orphan;
    weft_task *submitter, *waiter;
};

static struct orphaned orphaned_begin(weft_function *waits)
{
    struct orphan *orphan = weft_shared_new(struct orphan);
    MUST(orphan);
    orphan->pool = weft_pool_new(WEFT_PROCESS, .workers = 1, .backlog = WEFTI_PROCESS_FIRST);
    MUST(orphan->pool);
    weft_task *submitter = weft_spawn(WEFT_PROCESS, submits_and_sleeps, weft_ptr(orphan));
    MUST(submitter && weft_event_wait(&orphan->submitted, WEFT_FOREVER) == 0);
    weft_task *waiter = weft_spawn(WEFT_PROCESS, waits, weft_ptr(orphan));
    const struct wefti_process_task *task = (struct wefti_process_task *)(void *)orphan->future;
    MUST(waiter);
    while (!(__atomic_load_n(&task->state, __ATOMIC_ACQUIRE) & WEFTI_TASK_WAITED))
        weft_sleep(0.001);
    MUST(weft_task_kill(submitter) == 0 && weft_task_join(submitter, WEFT_FOREVER) == 0);
    MUST(kill(weft_task_native_id(waiter), SIGSTOP) == 0);
    weft_event_set(&orphan->gate);
    while (wefti_task_phase(__atomic_load_n(&task->state, __ATOMIC_ACQUIRE)) != WEFTI_TASK_FREE)
        weft_sleep(0.001);
    return (struct orphaned){.orphan = orphan, .submitter = submitter, .waiter = waiter};
}

/* He goes on, and has been told. */
static void orphaned_told(struct orphaned orphaned)
{
    weft_value value = weft_none;
    MUST(kill(weft_task_native_id(orphaned.waiter), SIGCONT) == 0);
    MUST(weft_task_result(orphaned.waiter, &value, weft_in(20)) == 0 && weft_error_code(value) == EOWNERDEAD);
    weft_drop(value);
}

static void orphaned_end(struct orphaned orphaned)
{
    weft_task_free(orphaned.waiter);
    weft_task_free(orphaned.submitter);
    weft_pool_free(orphaned.orphan->pool);
    weft_shared_free(orphaned.orphan);
}

static void root_of_an_orphan(void)
{
    struct orphaned orphaned = orphaned_begin(waits_for_orphan);
    weft_future *future = orphaned.orphan->future;
    orphaned_told(orphaned);
    weft_value now = weft_none;
    MUST(weft_future_result(future, &now, WEFT_NOW) == 0 && weft_error_code(now) == EOWNERDEAD);
    weft_case ended = weft_case_future(future, NULL);
    MUST(weft_select(&ended, 1, weft_in(20)) == 0);
    weft_drop(now);
    orphaned_end(orphaned);
}

/* Waits in a select that is not to take another task of the same record for the one that it began with. */
static weft_value selects_orphan(weft_value pointer)
{
    struct orphan *orphan = weft_as_ptr(pointer);
    weft_value value = weft_none;
    weft_case ended = weft_case_future(orphan->future, &value);
    MUST(weft_select(&ended, 1, WEFT_FOREVER) == 0 && ended.error == 0);
    return value;
}

/* While the waiter is stopped the record gets another task, which does not end as long as he waits. */
static void root_of_a_selected_orphan(void)
{
    struct orphaned orphaned = orphaned_begin(selects_orphan);
    struct orphan *next = weft_shared_new(struct orphan);
    weft_future *others[WEFTI_PROCESS_FIRST]; /* one of which has the record */
    bool again = false;
    MUST(next);
    for (int i = 0; i < WEFTI_PROCESS_FIRST; i++) {
        others[i] = weft_pool_submit(orphaned.orphan->pool, waits_at_gate, weft_ptr(next));
        again |= others[i] == orphaned.orphan->future;
        MUST(others[i]);
    }
    MUST(again);
    orphaned_told(orphaned);
    weft_event_set(&next->gate);
    for (int i = 0; i < WEFTI_PROCESS_FIRST; i++) {
        MUST(weft_future_result(others[i], NULL, WEFT_FOREVER) == 0);
        weft_future_free(others[i]);
    }
    weft_shared_free(next);
    orphaned_end(orphaned);
}

START_TEST(who_selects_on_the_task_of_a_dead_submitter_goes_on)
{
    NEEDS_PIDFDS;
    root_runs(root_of_a_selected_orphan);
}
END_TEST

/* A future that another process keeps is there, with its result, when who has submitted the task is dead. */
static void root_that_keeps(void)
{
    struct orphan *orphan = weft_shared_new(struct orphan);
    MUST(orphan);
    orphan->pool = pool_of(1);
    weft_task *submitter = weft_spawn(WEFT_PROCESS, submits_and_sleeps, weft_ptr(orphan));
    MUST(submitter && weft_event_wait(&orphan->submitted, WEFT_FOREVER) == 0);
    weft_future *kept = weft_future_keep(orphan->future);
    MUST(weft_task_kill(submitter) == 0 && weft_task_join(submitter, WEFT_FOREVER) == 0);
    weft_event_set(&orphan->gate);
    for (int i = 0; i < WEFTI_PROCESS_FIRST; i++) {
        weft_value value = weft_none;
        weft_future *other = weft_pool_submit(orphan->pool, waits_at_gate, weft_ptr(orphan));
        MUST(other && other != kept && weft_future_result(other, &value, WEFT_FOREVER) == 0 && weft_is_none(value));
        weft_future_free(other);
    }
    const struct wefti_process_task *task = (struct wefti_process_task *)(void *)kept;
    weft_value value = weft_int(1);
    MUST(weft_future_result(kept, &value, WEFT_NOW) == 0 && weft_is_none(value) && weft_future_outcome(kept) == WEFT_DONE);
    weft_future_free(kept);
    MUST(wefti_task_phase(__atomic_load_n(&task->state, __ATOMIC_ACQUIRE)) == WEFTI_TASK_FREE);
    weft_task_free(submitter);
    weft_pool_free(orphan->pool);
    weft_shared_free(orphan);
}

START_TEST(who_keeps_the_future_of_a_dead_submitter_has_it)
{
    NEEDS_PIDFDS;
    root_runs(root_that_keeps);
}
END_TEST

START_TEST(who_waits_for_the_task_of_a_dead_submitter_goes_on)
{
    NEEDS_PIDFDS;
    root_runs(root_of_an_orphan);
}
END_TEST

/* Callbacks that take their time. */

static weft_value endless(weft_value unused)
{
    for (;;)
        weft_sleep(1);
    return unused;
}

static weft_value fatal(weft_value unused)
{
    raise(SIGKILL);
    return unused;
}

static int callback_waits(weft_future *future, void *gate)
{
    (void)future;
    return weft_is_error(wait_at(weft_ptr(gate)));
}

static void root_of_slow_callbacks(void)
{
    struct gate gate = {0};
    weft_pool *pool = weft_pool_new(WEFT_PROCESS, .workers = 1, .task_timeout = 0.05);
    MUST(pool && weft_pool_start(pool, nothing, weft_none, .on_done = callback_waits, .data = &gate) == 0);
    fixture_until(gate_reached(&gate) == 1);
    weft_future *late = weft_pool_submit(pool, endless, weft_none), *dies = weft_pool_submit(pool, fatal, weft_none);
    MUST(late && dies && weft_future_result(late, NULL, weft_in(10)) == 0 && weft_future_outcome(late) == WEFT_TIMED_OUT);
    MUST(weft_future_result(dies, NULL, weft_in(10)) == 0 && weft_future_outcome(dies) == WEFT_LOST);
    MUST(weft_pool_apply(pool, nothing, weft_none, NULL, weft_in(10)) == 0);
    MUST(weft_pool_shutdown(pool, false, WEFT_NOW) == -1 && errno == EAGAIN);
    weft_event_set(&gate.open);
    weft_future_free(late);
    weft_future_free(dies);
    weft_pool_free(pool);
}

START_TEST(a_callback_that_waits_holds_up_no_limit_and_no_worker)
{
    NEEDS_PIDFDS;
    root_runs(root_of_slow_callbacks);
}
END_TEST

static weft_pool *applied_to;

static int callback_applies(weft_future *future, void *done)
{
    (void)future;
    for (int i = 0; i < 5; i++)
        MUST(weft_pool_apply(applied_to, nothing, weft_none, NULL, weft_in(10)) == 0);
    weft_event_set(done);
    return 0;
}

/* Each task wants a worker of its own, that somebody has to start while the callback waits for the task. */
static void root_of_applying_callbacks(void)
{
    weft_event done = {0};
    weft_pool *pool = applied_to = weft_pool_new(WEFT_PROCESS, .workers = 1, .max_tasks_per_worker = 1);
    MUST(pool && weft_pool_start(pool, nothing, weft_none, .on_done = callback_applies, .data = &done) == 0);
    MUST(weft_event_wait(&done, WEFT_FOREVER) == 0);
    weft_pool_free(pool);
}

START_TEST(a_callback_may_wait_for_other_tasks)
{
    NEEDS_PIDFDS;
    root_runs(root_of_applying_callbacks);
}
END_TEST

enum { FIRSTS = 4 };
static struct gate firsts;
static int firsts_called;

static int callback_notes(weft_future *future, void *unused)
{
    (void)future, (void)unused;
    __atomic_add_fetch(&firsts_called, 1, __ATOMIC_SEQ_CST);
    return 0;
}

static weft_value first_submit(weft_value pool)
{
    wait_at(weft_ptr(&firsts));
    return weft_bool(weft_pool_start(weft_as_ptr(pool), nothing, weft_none, .on_done = callback_notes) == 0);
}

/* In a process that has not made the pool, threads want to be called for the first time, all at once. */
static weft_value submit_firsts(weft_value pool)
{
    weft_task *threads[FIRSTS];
    for (int i = 0; i < FIRSTS; i++)
        MUST((threads[i] = weft_spawn(WEFT_THREAD, first_submit, weft_keep(pool))));
    fixture_until(gate_reached(&firsts) == FIRSTS);
    weft_event_set(&firsts.open);
    for (int i = 0; i < FIRSTS; i++) {
        weft_value value;
        MUST(weft_task_result(threads[i], &value, WEFT_FOREVER) == 0 && weft_as_bool(value));
        weft_task_free(threads[i]);
    }
    fixture_until(__atomic_load_n(&firsts_called, __ATOMIC_SEQ_CST) == FIRSTS);
    /* its main task, and one that calls */
    return weft_int((int64_t)weft_active_count());
}

static void root_of_firsts(void)
{
    int rounds = FIXTURE_TSAN ? 5 : 30; /* ThreadSanitizer has a process that had threads sleep for a second at its end */
    weft_pool *pool = pool_of(1);
    for (int i = 0; i < rounds; i++) {
        weft_value alive = weft_none;
        weft_task *task = weft_spawn(WEFT_PROCESS, submit_firsts, weft_ptr(pool));
        MUST(task && weft_task_result(task, &alive, WEFT_FOREVER) == 0 && weft_as_int(alive) == 2);
        weft_task_free(task);
    }
    weft_pool_free(pool);
}

START_TEST(one_thread_calls_in_a_process_that_did_not_make_the_pool)
{
    NEEDS_PIDFDS;
    root_runs(root_of_firsts);
}
END_TEST

/* More records than fit into one slab, all with callbacks: what is kept of each lies where it may. */
static uint32_t many_called;

static int many_called_one(weft_future *future, void *data)
{
    (void)future;
    (void)data;
    __atomic_add_fetch(&many_called, 1, __ATOMIC_RELEASE);
    return 0;
}

static void root_of_many(void)
{
    enum { MANY = 5000 };
    struct wefti_blocks_census census;
    weft_pool *pool = weft_pool_new(WEFT_PROCESS, .workers = 2, .backlog = MANY);
    weft_future **futures = calloc(MANY, sizeof(*futures));
    MUST(pool && futures);
    for (int i = 0; i < MANY; i++) {
        futures[i] = weft_pool_submit(pool, twice, weft_int(i), .on_done = many_called_one);
        MUST(futures[i]);
    }
    for (int i = 0; i < MANY; i++) {
        weft_value value = weft_none;
        MUST(weft_future_result(futures[i], &value, weft_in(20)) == 0 && weft_as_int(value) == 2 * i);
    }
    MUST(root_until(&many_called, MANY));
    wefti_blocks_count(&census);
    MUST(census.wrong == 0);
    for (int i = 0; i < MANY; i++)
        weft_future_free(futures[i]);
    free(futures);
    weft_pool_free(pool);
}

START_TEST(thousands_of_tasks_are_under_way)
{
    NEEDS_PIDFDS;
    root_runs(root_of_many);
}
END_TEST

/*
 * Every instruction of a submit, of a worker from its beginning to its end, and of the freeing of a pool, as the last one. The pool has
 * neither keeper nor family: who waits for nobody needs none. Those who come after the death run what waits.
 */
static struct wefti_process_pool *bare;
static struct wefti_process_handle bare_handle;
static weft_future *bare_future;            /* of the task that the worker runs; NULL: who dies submits one */
static uint64_t bare_blocks, blocks_before; /* with the pool, and without */
static int bare_retries;
enum { BARE_CELLS = 8, BARE_LONG = 300 };

static weft_value long_text(char letter, size_t length)
{
    char octets[2 * BARE_LONG];
    memset(octets, letter, sizeof(octets));
    return weft_str_n(octets, length);
}

static weft_value as_long_again(weft_value text)
{
    return long_text(weft_as_str(text)[0], 2 * weft_length(text));
}

static uint64_t blocks_but_lives(void)
{
    struct wefti_blocks_census census;
    const struct wefti_family *family = wefti_family_get(); /* a block itself */
    wefti_blocks_count(&census);
    step_must(census.wrong + census.in_hand + census.chunks_taken == 0);
    for (uint32_t i = 0; i < WEFTI_SEATS; i++)
        for (const struct wefti_life *life = family->seats[i].lives; life; life = life->next)
            census.committed--;
    return census.committed;
}

static weft_future *bare_submit(void)
{
    struct weft_submit_options options = {.size = sizeof(options),
        .pool = (weft_pool *)(void *)bare,
        .function = as_long_again,
        .argument = long_text('x', BARE_LONG),
        .retries = bare_retries ? bare_retries : -1};
    return wefti_process_pool_submit(&options, 2, WEFT_NOW, WEFTI_CALL_PLAIN);
}

static void bare_make(void)
{
    blocks_before = blocks_but_lives();
    bare = weft_shared_new(struct wefti_process_pool);
    bare->table[0] = weft_shared_new(struct wefti_process_worker);
    bare->table[0]->pool = bare;
    bare->table[0]->state = WEFTI_WORKER_COMING;
    for (int i = 0; i < WEFTI_RINGS; i++) {
        bare->rings[i].cells = weft_shared_alloc(BARE_CELLS * sizeof(uint64_t));
        bare->rings[i].mask = BARE_CELLS - 1;
    }
    bare->workers = bare->places = bare->settled = bare->tasks_a_worker = 1;
    bare->backlog = BARE_CELLS / 2;
    bare->watched = WEFT_FOREVER;
    bare->maker = wefti_member;
    bare->handle = &bare_handle;
    bare->magic = WEFTI_PROCESS_MAGIC;
    bare_handle = (struct wefti_process_handle){.pool = bare, .references = 1};
    bare_blocks = blocks_but_lives();
}

static void bare_with_a_task(void)
{
    bare_make();
    ck_assert_ptr_nonnull(bare_future = bare_submit());
}

/* As a worker does it, in whatever process. How many waited. */
static unsigned bare_runs_what_waits(void)
{
    unsigned count = 0;
    for (struct wefti_process_task *task; (task = wefti_process_take(bare, 0)); count++) {
        bool failed = false;
        uint32_t left = 0, state = task->state;
        weft_value argument = wefti_unpack(&task->argument, task->argument_room);
        wefti_process_task_answer(task, as_long_again(argument), &failed);
        step_must(!failed && wefti_process_task_move(task, state, WEFTI_TASK_ENDED + WEFT_DONE, 0, 0, &left));
        wefti_process_task_told(bare, task, left);
        weft_drop(argument);
    }
    return count;
}

/* With all that a pool has that is used up, and nobody who works. */
static void bare_to_free(void)
{
    bare_with_a_task();
    ck_assert_uint_eq(bare_runs_what_waits(), 1);
    weft_future_free(bare_future);
    bare_future = NULL;
    weft_value text = long_text('i', BARE_LONG);
    ck_assert_int_eq(wefti_pack(text, &bare->initial, bare->initial_room), 0);
    weft_drop(text);
    bare->table[0]->state = WEFTI_WORKER_LEFT;
}

static void bare_frees(void)
{
    bare->maker = wefti_member;
    step_must(wefti_hold_process(WEFTI_HOLD_POOL, bare, 0) == 0);
    step_begin();
    wefti_process_pool_unmake(bare);
    wefti_unhold_process(WEFTI_HOLD_POOL, bare);
    step_end();
}

static void bare_is_gone(void)
{
    step_must(blocks_but_lives() == blocks_before);
}

/* The keeper's process, which asks for a worker; nobody ever comes. */
static void bare_asks(void)
{
    bare->maker = wefti_member;
    step_must(wefti_hold_process(WEFTI_HOLD_POOL, bare, 0) == 0);
    step_begin();
    struct wefti_process *process = wefti_process_new(wefti_process_worker_main, bare->table[0]);
    wefti_hold(&process->born, WEFTI_HOLD_POOL, bare, 1);
    bare->table[0]->process = process;
    __atomic_store_n(&bare->table[0]->state, WEFTI_WORKER_COMING, __ATOMIC_SEQ_CST);
    step_end();
}

static void bare_submits(void)
{
    step_begin();
    step_must(bare_submit() != NULL);
    step_end();
}

static void bare_works(void)
{
    struct wefti_process process = {.data = bare->table[0]};
    step_must(wefti_hold_process(WEFTI_HOLD_POOL, bare, 1) == 0); /* in the name of which it was asked for */
    step_begin();
    step_must(wefti_process_worker_main(&process) == 0);
    step_end();
}

/* Whether a part is otherwise than at the last look; *kept is what it was, and goes on to the next. */
static bool part_changed(const void *part, size_t size, char **kept)
{
    bool changed = memcmp(*kept, part, size) != 0;
    if (changed)
        memcpy(*kept, part, size);
    *kept += size;
    return changed;
}

/* The pool, its first records, and the words of chunks and blocks. */
static bool bare_changed(void)
{
    enum { SLAB = 5, WORDS = 1024, RECORDS = 2 };
    static char before[1 << 18];
    char *kept = before;
    const struct wefti_arena *arena = wefti_arena_now();
    bool changed = part_changed(bare, sizeof(*bare), &kept);
    changed |= part_changed(bare->table[0], sizeof(*bare->table[0]), &kept);
    for (int i = 0; i < WEFTI_RINGS; i++)
        changed |= part_changed(bare->rings[i].cells, BARE_CELLS * sizeof(uint64_t), &kept);
    if (bare->slab[0])
        changed |= part_changed(bare->slab[0], RECORDS * sizeof(*bare->slab[0]), &kept);
    changed |= part_changed(arena->table, arena->used * sizeof(*arena->table), &kept);
    for (uint64_t chunk = arena->first; chunk < arena->used; chunk++)
        if ((arena->table[chunk].word & 0xff) == SLAB)
            changed |= part_changed((const char *)arena + (chunk << WEFTI_CHUNK_BITS), WORDS, &kept);
    return changed;
}

/* The task has ended in one way, with what belongs to that. */
static void bare_future_has_ended(void)
{
    weft_value value = weft_none;
    enum weft_outcome outcome = weft_future_outcome(bare_future);
    step_must(outcome == WEFT_DONE || (outcome == WEFT_LOST && !bare_retries));
    step_must(weft_future_result(bare_future, &value, WEFT_NOW) == 0);
    step_must(outcome == WEFT_LOST ? says(weft_keep(value), EOWNERDEAD, "") : weft_length(value) == 2 * BARE_LONG);
    weft_drop(value);
    weft_future_free(bare_future);
}

static void bare_is_whole(void)
{
    step_must(bare_runs_what_waits() <= 1);
    if (bare_future) {
        bare_future_has_ended();
        step_must(bare->table[0]->state == WEFTI_WORKER_LEFT || bare->table[0]->state == WEFTI_WORKER_COMING);
    }
    for (uint32_t i = 0; i < wefti_process_records(bare->slabs); i++)
        step_must(wefti_task_phase(wefti_process_task_at(bare, i)->state) == WEFTI_TASK_FREE);
    step_must(blocks_but_lives() == bare_blocks + bare->slabs);
}

static void bare_steps(struct step_plan plan)
{
    ck_assert_int_eq(weft_shared_limit(4 << 20), 0);
    bare_future = NULL;
    plan.matters = bare_changed;
    plan.mender_points = 60;
    plan.mender_stride = 397;
    unsigned deaths = step_through(&plan);
    printf("%u deaths\n", deaths);
    ck_assert_uint_gt(deaths, 30);
}

START_TEST(who_submits_may_die_at_any_instruction)
{
    STEP_OR_SKIP;
    bare_retries = 0;
    bare_steps((struct step_plan){.prepare = bare_make, .body = bare_submits, .check = bare_is_whole});
}
END_TEST

START_TEST(who_frees_a_pool_may_die_at_any_instruction)
{
    STEP_OR_SKIP;
    bare_retries = 0;
    bare_steps((struct step_plan){.prepare = bare_to_free, .body = bare_frees, .check = bare_is_gone});
}
END_TEST

START_TEST(who_asks_for_a_worker_may_die_at_any_instruction)
{
    STEP_OR_SKIP;
    bare_retries = 0;
    bare_steps((struct step_plan){.prepare = bare_to_free, .body = bare_asks, .check = bare_is_gone});
}
END_TEST

/* The stepped process makes it: blocks of all sizes. */
static void bare_is_made(void)
{
    char cpus[] = "0";
    struct weft_pool_options options = {.workers = 1, .backlog = 4, .cpus = cpus, .initializer_argument = long_text('i', BARE_LONG)};
    step_must(wefti_hold_process(WEFTI_HOLD_NOTHING, NULL, 0) == 0); /* there is a life */
    step_begin();
    step_must(wefti_process_pool_make(&options) != NULL);
    step_end();
}

static void bare_nothing(void)
{
    blocks_before = blocks_but_lives();
}

START_TEST(who_makes_a_pool_may_die_at_any_instruction)
{
    STEP_OR_SKIP;
    ck_assert_int_eq(weft_shared_limit(4 << 20), 0);
    ck_assert_uint_gt(
        step_through(&(struct step_plan){.prepare = bare_nothing, .body = bare_is_made, .check = bare_is_gone, .stride = 97}), 30);
}
END_TEST

START_TEST(a_worker_may_die_at_any_instruction)
{
    STEP_OR_SKIP;
    bare_retries = _i;
    bare_steps((struct step_plan){.prepare = bare_with_a_task, .body = bare_works, .check = bare_is_whole});
}
END_TEST

/* Crashes. */

static void *volatile nowhere = (void *)16; /* not NULL, of which UBSan would tell before the kernel does */

__attribute__((noinline)) static int crashes_deep_inside(void)
{
    return *(volatile int *)nowhere;
}

static weft_value crashes(weft_value unused)
{
    (void)unused;
    return weft_int(crashes_deep_inside());
}

/* In the test's folder: whether a process that crashes here leaves a core that its parent can find. */
static bool cores_are_files(void)
{
    int status = 0;
    char pattern[2] = "|";
    FILE *file = fopen("/proc/sys/kernel/core_pattern", "re");
    bool read = file && fgets(pattern, sizeof(pattern), file);
    if (file)
        fclose(file);
    if (!read || pattern[0] == '|' || pattern[0] == '@')
        return false;
    pid_t pid = fork();
    if (pid == 0) {
        setrlimit(RLIMIT_CORE, &(struct rlimit){RLIM_INFINITY, RLIM_INFINITY});
        if (chdir(fixture_folder()) == 0)
            abort();
        fixture_leave(1);
    }
    return waitpid(pid, &status, 0) == pid && WIFSIGNALED(status) && WCOREDUMP(status);
}

static bool asked_in_vain(weft_future *future, int core, int backtrace)
{
    weft_value text = weft_none;
    errno = 0;
    if (weft_future_backtrace(future, &text, weft_in(20)) != -1 || weft_kind(text) != WEFT_NONE)
        return false;
    if (errno != backtrace && (backtrace != EBADMSG || errno != ENOTSUP)) /* ENOTSUP: no libdw */
        return false;
    int found = weft_future_core(future, &text, weft_in(20));
    weft_drop(text);
    return core ? found == -1 && errno == core : found == 0;
}

/* What lies at the path is this now, and is as old as it was. */
static void file_write(const char *path, const void *octets, size_t size)
{
    struct stat was;
    FILE *file = fopen(path, "r+e");
    MUST(file && fstat(fileno(file), &was) == 0 && ftruncate(fileno(file), 0) == 0);
    MUST(fwrite(octets, 1, size, file) == size && fflush(file) == 0);
    MUST(futimens(fileno(file), (struct timespec[]){was.st_atim, was.st_mtim}) == 0 && fclose(file) == 0);
}

/* All that lies at the path: yours. */
static char *file_read(const char *path, size_t *size)
{
    struct stat now;
    FILE *file = fopen(path, "re");
    MUST(file && fstat(fileno(file), &now) == 0);
    char *octets = malloc((size_t)now.st_size);
    MUST(octets && fread(octets, 1, (size_t)now.st_size, file) == (size_t)now.st_size && fclose(file) == 0);
    *size = (size_t)now.st_size;
    return octets;
}

/* Of a core that is not what it was. */
static void core_spoilt(weft_future *future, const char *path)
{
    size_t size;
    char *octets = file_read(path, &size);
    for (size_t length = size - 1; length > 4096; length = length * 2 / 5) {
        file_write(path, octets, length);
        MUST(asked_in_vain(future, 0, EBADMSG));
    }
    file_write(path, "no core", 7);
    MUST(asked_in_vain(future, ENOENT, ENOENT));
    octets[16] = 2; /* ET_EXEC */
    file_write(path, octets, size);
    MUST(asked_in_vain(future, ENOENT, ENOENT));
    free(octets);
    MUST(unlink(path) == 0 && asked_in_vain(future, ENOENT, ENOENT));
    MUST(cores_are_files() && asked_in_vain(future, ENOENT, ENOENT)); /* another's lies there, or beside it */
}

static void root_of_a_crash(void)
{
    char path[4096];
    weft_value text = weft_none;
    MUST(chdir(fixture_folder()) == 0 && setrlimit(RLIMIT_CORE, &(struct rlimit){RLIM_INFINITY, RLIM_INFINITY}) == 0);
    weft_pool *pool = pool_of(1);
    weft_future *future = weft_pool_submit(pool, crashes, weft_none), *well = weft_pool_submit(pool, twice, weft_int(2));
    MUST(weft_future_result(future, &text, weft_in(20)) == 0 && says(text, EOWNERDEAD, "core dumped"));
    MUST(weft_future_core(future, &text, weft_in(20)) == 0);
    snprintf(path, sizeof(path), "%s", weft_as_str(text));
    weft_drop(text);
    MUST(weft_future_backtrace(future, &text, WEFT_NOW) == -1 && errno == EAGAIN);
    if (weft_future_backtrace(future, &text, weft_in(20)) == 0) {
        const char *inner = strstr(weft_as_str(text), "crashes_deep_inside+"), *outer = strstr(weft_as_str(text), "crashes+");
        MUST(inner && outer && inner < outer && strncmp(weft_as_str(text), "#0 ", 3) == 0 && strstr(inner, "(test_pool_process)\n#1 "));
        weft_drop(text);
    } else {
        MUST(errno == ENOTSUP); /* without libdw */
    }
    MUST(asked_in_vain(well, ENOENT, ENOENT)); /* it has not crashed */
    core_spoilt(future, path);
    weft_future_free(future);
    weft_future_free(well);
    weft_pool_free(pool);
}

START_TEST(the_stack_of_a_crash_is_told)
{
    NEEDS_PIDFDS;
    if (FIXTURE_ASAN || FIXTURE_TSAN)
        fixture_skip("sanitizers see to it that no core is dumped");
    if (!cores_are_files())
        fixture_skip("cores are not dumped here, or not into files");
    root_runs(root_of_a_crash);
}
END_TEST

/* No core, and no crash: nothing to be told of. */
static void root_without_a_core(void)
{
    weft_value text = weft_none;
    MUST(setrlimit(RLIMIT_CORE, &(struct rlimit){0, 0}) == 0);
    weft_pool *pool = pool_of(1), *threads = weft_pool_new(WEFT_THREAD);
    weft_future *future = weft_pool_submit(pool, dies, weft_none), *other = weft_pool_submit(threads, twice, weft_int(2));
    MUST(asked_in_vain(future, ENOENT, ENOENT) && asked_in_vain(other, ENOENT, ENOENT));
    MUST(weft_future_core(NULL, &text, WEFT_FOREVER) == -1 && errno == EINVAL);
    MUST(weft_future_backtrace(future, NULL, WEFT_FOREVER) == -1 && errno == EINVAL);
    weft_future_free(future);
    weft_future_free(other);
    weft_pool_free(threads);
    weft_pool_free(pool);
}

START_TEST(without_a_core_there_is_no_stack)
{
    NEEDS_PIDFDS;
    root_runs(root_without_a_core);
}
END_TEST

static void add(TCase *tests)
{
    tcase_add_test(tests, a_task_runs_in_another_process);
    tcase_add_test(tests, values_of_any_size_cross);
    tcase_add_test(tests, a_death_costs_its_own_task_only);
    tcase_add_test(tests, a_task_begins_again_as_often_as_was_said);
    tcase_add_test(tests, killed_workers_are_replaced);
    tcase_add_test(tests, a_dead_supervisor_is_survived);
    tcase_add_test(tests, a_lost_family_is_told);
    tcase_add_test(tests, what_a_worker_forked_takes_no_tasks);
    tcase_add_test(tests, what_has_timed_out_is_stopped_with_all_it_started);
    tcase_add_test(tests, what_a_task_has_asked_for_is_stopped_with_it);
    tcase_add_test(tests, what_a_stopped_task_was_asking_for_never_runs);
    tcase_add_test(tests, what_those_leave_that_a_task_has_asked_for_is_stopped_too);
    tcase_add_test(tests, what_a_task_runs_as_another_user_holds_up_no_pool);
    tcase_add_test(tests, who_is_another_user_by_now_can_stop_tasks);
    tcase_add_test(tests, a_worker_ends_after_as_many_tasks_as_was_said);
    tcase_add_test(tests, a_worker_has_no_more_memory_than_it_may);
    tcase_add_test(tests, the_peak_of_the_dead_is_told);
    tcase_add_test(tests, the_stack_of_a_crash_is_told);
    tcase_add_test(tests, without_a_core_there_is_no_stack);
    tcase_add_test(tests, workers_are_placed);
    tcase_add_test(tests, an_interrupt_is_for_the_program_to_answer);
    tcase_add_test(tests, a_callback_that_waits_holds_up_no_limit_and_no_worker);
    tcase_add_test(tests, a_callback_may_wait_for_other_tasks);
    tcase_add_test(tests, one_thread_calls_in_a_process_that_did_not_make_the_pool);
    tcase_add_test(tests, thousands_of_tasks_are_under_way);
    tcase_add_test(tests, who_submits_may_die_at_any_instruction);
    tcase_add_test(tests, who_frees_a_pool_may_die_at_any_instruction);
    tcase_add_test(tests, who_makes_a_pool_may_die_at_any_instruction);
    tcase_add_test(tests, who_asks_for_a_worker_may_die_at_any_instruction);
    tcase_add_loop_test(tests, a_worker_may_die_at_any_instruction, 0, 2);
    tcase_add_test(tests, a_program_that_exits_finishes_its_pools);
    tcase_add_test(tests, what_cannot_cross_is_told);
    tcase_add_test(tests, terminate_ends_what_runs);
    tcase_add_test(tests, a_pool_ends_with_its_maker);
    tcase_add_test(tests, who_waits_for_the_task_of_a_dead_submitter_goes_on);
    tcase_add_test(tests, who_selects_on_the_task_of_a_dead_submitter_goes_on);
    tcase_add_test(tests, who_keeps_the_future_of_a_dead_submitter_has_it);
}

int main(void)
{
    return fixture_main("pool_process", add);
}
