/* SPDX-License-Identifier: MIT */
/*
 * A storm over pools of processes: workers, submitters, supervisors and spares are killed. Every accepted task ends in exactly one way, and
 * with the right value if it is done; nobody hangs; the pool is whole afterwards; no block is left. The frame is its own (storm.h's has raw
 * processes for workers); how keepers die and what counts as too long is that of all storms.
 */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "family_root.h"
#include "pool/process.h"
#include "pool_tasks.h"
#include "shared/block.h"
#include "shared/seat.h"
#include "storm.h"

enum { UNDER_WAY = 40, LASTING = 200 /* retries */, KEEPER_EACH = 48, INSIDE_LEAST = 15, AIM_LOOKS = 200, TOO_LONG = 1000000000 };

static uint32_t seed;

static uint32_t draw(uint32_t *state)
{
    *state = *state * 1664525 + 1013904223;
    return *state >> 16;
}

static double seconds_of(const char *name, double otherwise)
{
    const char *text = getenv(name);
    return text ? strtod(text, NULL) : otherwise;
}

/* Tasks. Each counts itself, so that the killer sees that the pool goes on. */

static uint64_t *begun; /* in the arena, as the next */
static uint64_t *lost;  /* of those that cannot be */

static void task_counts(void)
{
    __atomic_add_fetch(begun, 1, __ATOMIC_RELAXED);
}

static weft_value twice_counted(weft_value number)
{
    task_counts();
    return twice(number);
}

/* A text of as many octets as the argument says, some of them larger than a record has room for. */
static weft_value text_for(weft_value number)
{
    size_t length = (size_t)weft_as_int(number) % 300 * ((size_t)weft_as_int(number) % 7 == 0 ? 400 : 1);
    char *octets = malloc(length + 1);
    memset(octets, 'a' + (int)(weft_as_int(number) % 26), length);
    octets[length] = 0;
    weft_value text = weft_str(octets);
    free(octets);
    return text;
}

static weft_value text_counted(weft_value number)
{
    task_counts();
    return text_for(number);
}

static weft_value measure(weft_value text)
{
    task_counts();
    return weft_int((int64_t)weft_length(text));
}

/* Waits for a task of its own pool. */
static weft_value nested(weft_value pair)
{
    weft_value value = weft_none;
    int64_t number = weft_as_int(weft_list_at(pair, 1));
    if (weft_pool_apply(weft_as_ptr(weft_list_at(pair, 0)), twice, weft_int(number), &value, weft_in(15)) != 0)
        return weft_error(errno, "inside");
    return value;
}

enum sort { PLAIN, TEXT, MEASURE, NESTED, SORTS };

struct job {
    weft_future *future;
    enum sort sort;
    int64_t number;
    uint32_t called;
    bool calls;
    bool lasting; /* it begins again as often as its workers die: it cannot be lost */
};

static int job_called(weft_future *future, void *data)
{
    MUST(weft_future_done(future));
    __atomic_add_fetch((uint32_t *)data, 1, __ATOMIC_RELEASE);
    return 0;
}

static bool job_submit(struct job *job, weft_pool *pool, uint32_t *state)
{
    static weft_function *const functions[SORTS] = {twice_counted, text_counted, measure, nested};
    job->sort = (enum sort)(draw(state) % SORTS);
    job->number = draw(state) % 100000;
    job->calls = draw(state) % 4 == 0;
    job->called = 0;
    job->lasting = draw(state) % 2;
    weft_value argument = weft_int(job->number);
    if (job->sort == MEASURE)
        argument = text_for(argument);
    if (job->sort == NESTED) {
        argument = weft_list();
        weft_list_append(argument, weft_ptr(pool));
        weft_list_append(argument, weft_int(job->number));
    }
    job->future = weft_pool_submit(pool, functions[job->sort], argument, .on_done = job->calls ? job_called : NULL, .data = &job->called,
        .priority = (enum weft_priority)(draw(state) % 3) - 1, .retries = job->lasting ? LASTING : (int)(draw(state) % 3));
    if (!job->future)
        weft_drop(argument);
    return job->future;
}

static bool value_right(const struct job *job, weft_value value)
{
    weft_value text = job->sort == TEXT || job->sort == MEASURE ? text_for(weft_int(job->number)) : weft_none;
    bool right = job->sort == TEXT      ? weft_equal(value, text)
                 : job->sort == MEASURE ? weft_as_int(value) == (int64_t)weft_length(text)
                                        : weft_as_int(value) == 2 * job->number;
    weft_drop(text);
    return right;
}

/* How many ended in which way. */
static uint64_t outcomes[WEFT_LOST + 1];

/* Tells what a pool looks like in which nothing goes on. */
static void pool_tell(const struct wefti_process_pool *pool)
{
    fprintf(stderr,
        "work %x, searching %u, called %u, spare %u, asked %u, surplus %u, refusal %d, bell %u, room %x, broken %u, settled %u\n",
        pool->work, pool->searching, pool->called, pool->spare, pool->asked, pool->surplus, pool->refusal, pool->bell, pool->room,
        pool->broken, pool->settled);
    for (int i = 0; i < WEFTI_RINGS; i++)
        fprintf(
            stderr, "ring %d: head %llu, tail %llu\n", i, (unsigned long long)pool->rings[i].head, (unsigned long long)pool->rings[i].tail);
    for (uint32_t i = 0; i < wefti_process_places(pool); i++)
        fprintf(stderr, "place %u: state %u, pid %d, idle %u, away %u, taken %llu\n", i, pool->table[i]->state, pool->table[i]->pid,
            pool->table[i]->idle, pool->table[i]->away, (unsigned long long)pool->table[i]->taken);
}

/* A task does not end: fails the test; with WEFT_HANG it stays, to be looked at. */
static void hangs(const struct wefti_process_pool *pool, int sort, uint32_t state)
{
    fprintf(stderr, "hangs: sort %d, state %x, errno %d\n", sort, state, errno);
    pool_tell(pool);
    if (getenv("WEFT_HANG"))
        pause();
    fixture_leave(200);
}

static void job_end(struct job *job)
{
    weft_value value = weft_none;
    if (weft_future_result(job->future, &value, weft_in(20)) != 0) {
        hangs(((struct wefti_process_task *)(void *)job->future)->pool, (int)job->sort,
            ((struct wefti_process_task *)(void *)job->future)->state);
    }
    enum weft_outcome outcome = weft_future_outcome(job->future);
    bool inside_lost = job->sort == NESTED && weft_is_error(value); /* what it waited for was lost */
    bool right = outcome == WEFT_LOST ? weft_error_code(value) == EOWNERDEAD : inside_lost || value_right(job, value);
    if (!right || !(outcome == WEFT_DONE || outcome == WEFT_LOST || inside_lost)) {
        fprintf(stderr, "wrong: sort %d, outcome %d, number %lld: kind %d, code %d, length %zu %s\n", (int)job->sort, (int)outcome,
            (long long)job->number, (int)weft_kind(value), weft_is_error(value) ? weft_error_code(value) : 0, weft_length(value),
            weft_is_error(value) ? weft_error_text(value) : "");
    }
    MUST(outcome == WEFT_DONE || (outcome == WEFT_LOST && !job->lasting) || inside_lost);
    MUST(right);
    outcomes[outcome]++;
    MUST(!job->calls || root_until(&job->called, 1));
    weft_drop(value);
    weft_future_free(job->future);
    job->future = NULL;
}

/* A process that submits, and is killed at it. */
static weft_value submitter(weft_value pool)
{
    uint32_t state = (uint32_t)getpid();
    weft_future *futures[8] = {NULL};
    for (unsigned i = 0;; i++) {
        weft_value text = text_for(weft_int(draw(&state)));
        weft_future **future = &futures[i % 8];
        if (*future && weft_future_result(*future, NULL, weft_in(20)) != 0)
            return weft_error(errno, "hangs");
        if (*future && weft_future_outcome(*future) == WEFT_LOST)
            __atomic_add_fetch(lost, 1, __ATOMIC_RELAXED);
        weft_future_free(*future);
        *future = weft_pool_submit(weft_as_ptr(pool), measure, text, .retries = LASTING);
        if (!*future) /* it was shut down */
            weft_drop(text);
        if (!*future)
            return weft_none;
    }
}

static uint32_t submitters;

static void submitter_renew(weft_task **task, weft_pool *pool)
{
    if (*task) {
        weft_task_kill(*task);
        MUST(weft_task_join(*task, weft_in(20)) == 0);
        weft_task_free(*task);
        submitters++;
    }
    MUST((*task = weft_spawn(WEFT_PROCESS, submitter, weft_ptr(pool))) || errno == EAGAIN);
}

/* The killer. */

static uint32_t over;
static struct storm_tally tally; /* the killer's while it lives */

static void pause_for(uint32_t microseconds)
{
    nanosleep(&(struct timespec){.tv_nsec = (long)microseconds * 1000}, NULL);
}

/* Kills one that has a task, if that comes soon. False when there was none to kill. */
static bool worker_kill(struct wefti_process_pool *pool, uint32_t *state)
{
    uint32_t places = wefti_process_places(pool);
    struct wefti_process_worker *worker = places ? pool->table[draw(state) % places] : NULL;
    if (!worker || __atomic_load_n(&worker->state, __ATOMIC_ACQUIRE) != WEFTI_WORKER_THERE)
        return false;
    int32_t pid = __atomic_load_n(&worker->pid, __ATOMIC_RELAXED);
    for (int i = 0; i < AIM_LOOKS && __atomic_load_n(&worker->idle, __ATOMIC_ACQUIRE); i++)
        ;
    if (pid <= 1 || kill(pid, SIGKILL) != 0)
        return false;
    tally.inside += !__atomic_load_n(&worker->idle, __ATOMIC_ACQUIRE);
    return true;
}

/* Without a spare the supervisor's death would be the family's. */
static bool keeper_kill(uint32_t *state)
{
    if (!storm_keepers_whole())
        return false;
    storm_keeper_kill(draw(state) % 2);
    tally.keepers++;
    return true;
}

/* Until a task begins: there is always one to be begun, until it is over. How long that took. */
static weft_time until_it_goes_on(const struct wefti_process_pool *pool)
{
    uint64_t then = __atomic_load_n(begun, __ATOMIC_RELAXED);
    weft_time all = 0;
    for (bool told = false; __atomic_load_n(begun, __ATOMIC_RELAXED) == then && !__atomic_load_n(&over, __ATOMIC_ACQUIRE);
         all += storm_pause()) {
        if (told || all < TOO_LONG)
            continue;
        told = true;
        fprintf(stderr, "stands still:\n");
        pool_tell(pool);
        if (getenv("WEFT_HANG"))
            pause();
    }
    return all;
}

static weft_value killer(weft_value pool)
{
    uint32_t state = seed * 7 + 1;
    while (!__atomic_load_n(&over, __ATOMIC_ACQUIRE)) {
        pause_for(draw(&state) % 4000);
        if (!(draw(&state) % KEEPER_EACH == 0 ? keeper_kill(&state) : worker_kill(weft_as_ptr(pool), &state)))
            continue;
        storm_tally_add(&tally, until_it_goes_on(weft_as_ptr(pool)));
    }
    return weft_none;
}

/* Nothing of any task is left in the pool but the record that its maker would use next, whoever has died while he wrote or cleared it. */
static void records_are_free(const struct wefti_process_pool *pool)
{
    for (uint32_t i = 0; i < wefti_process_records(pool->slabs); i++) {
        const struct wefti_process_task *task = wefti_process_task_at(pool, i);
        MUST(wefti_task_phase(task->state) == WEFTI_TASK_FREE || task == pool->handle->stash);
    }
}

/*
 * One pool: tasks under way all the time, while its workers are killed. In every other one there is one at a time, and nobody else submits:
 * if a worker dies that was called for it, only the mender can call another.
 */
static void pool_storm(weft_time end, uint32_t *state, bool alone)
{
    struct job jobs[UNDER_WAY] = {{0}};
    weft_pool *pool = weft_pool_new(WEFT_PROCESS, .workers = 3, .backlog = 20);
    MUST(pool);
    over = 0;
    weft_task *hand = weft_spawn(WEFT_THREAD, killer, weft_ptr(pool));
    MUST(hand);
    weft_task *other = NULL;
    for (unsigned round = 0; weft_clock() < end; round++) {
        if (!alone && round % 16 == 0)
            submitter_renew(&other, pool);
        struct job *job = &jobs[alone ? 0 : draw(state) % UNDER_WAY];
        if (job->future)
            job_end(job);
        MUST(job_submit(job, pool, state));
    }
    __atomic_store_n(&over, 1, __ATOMIC_RELEASE);
    weft_task_join(hand, WEFT_FOREVER);
    weft_task_free(hand);
    if (other) {
        weft_task_kill(other);
        weft_task_join(other, WEFT_FOREVER);
        weft_task_free(other);
    }
    for (int i = 0; i < UNDER_WAY; i++)
        if (jobs[i].future)
            job_end(&jobs[i]);
    for (int i = 0; i < 50; i++) { /* it is whole */
        weft_value value = weft_none;
        if (weft_pool_apply(pool, twice, weft_int(i), &value, weft_in(20)) != 0)
            hangs((const struct wefti_process_pool *)(const void *)pool, -1, 0);
        MUST(weft_as_int(value) == 2 * i || weft_is_error(value));
        weft_drop(value);
    }
    MUST(weft_pool_shutdown(pool, false, weft_in(20)) == 0);
    struct weft_pool_counts counts = counts_of(pool);
    MUST(counts.queued == 0 && counts.running == 0 && counts.workers == 0);
    MUST(*lost == 0);
    records_are_free((const struct wefti_process_pool *)(const void *)pool);
    weft_pool_free(pool);
}

static void root_of_the_storm(void)
{
    double seconds = seconds_of("WEFT_STORM_SECONDS", 1.5);
    seed = (uint32_t)seconds_of("WEFT_STORM_SEED", (double)(weft_clock() & 0xffffff));
    uint32_t state = seed;
    MUST((begun = weft_shared_new(uint64_t)) && (lost = weft_shared_new(uint64_t)));
    weft_pool_free(weft_pool_new(WEFT_PROCESS, .workers = 1));
    uint64_t before = storm_blocks();
    bool alone = false;
    for (weft_time end = weft_in(seconds); weft_clock() < end; alone = !alone)
        pool_storm(weft_in(alone ? 0.1 : 0.3), &state, alone);
    printf("%u submitters killed, %llu tasks done, %llu failed, %llu lost\n", submitters, (unsigned long long)outcomes[WEFT_DONE],
        (unsigned long long)outcomes[WEFT_FAILED], (unsigned long long)outcomes[WEFT_LOST]);
    storm_tally_tell(&tally, "pool", seed);
    MUST(tally.inside * 100 >= INSIDE_LEAST * (tally.deaths - tally.keepers));
    storm_blocks_are(before);
}

START_TEST(workers_and_supervisors_are_killed)
{
    NEEDS_PIDFDS;
    root_runs(root_of_the_storm);
}
END_TEST

static void add(TCase *tests)
{
    tcase_set_timeout(tests, seconds_of("WEFT_STORM_SECONDS", 1.5) * 3 + 60);
    tcase_add_test(tests, workers_and_supervisors_are_killed);
}

int main(void)
{
    return fixture_main("storm_pool", add);
}
