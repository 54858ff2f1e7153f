/* SPDX-License-Identifier: MIT */
/*
 * Tasks that put into and take from several queues in one select, come with deadlines, try once and are cancelled: what was put is taken,
 * once, and whoever can go on does. Queues of all kinds, each case at random a put or a get.
 */
#include <pthread.h>
#include <stdlib.h>

#include "fixture.h"
#include "wait/context.h"

enum { QUEUES = 6, TASKS = 4, CASES = 6, ROUNDS = 4000 };

struct stress {
    weft_queue *queues[QUEUES];
    bool orderly; /* everybody waits as long as it takes */
    int64_t put, taken, put_sum, taken_sum;
    int64_t numbers;                      /* given out to tasks */
    int64_t rounds;                       /* done by all */
    struct wefti_context *victims[TASKS]; /* whom the canceller may cancel; under the latch */
    struct wefti_latch latch;
    uint32_t over;
};

static weft_time some_deadline(const struct stress *stress, unsigned *seed)
{
    int how = rand_r(seed) % 10;
    return how < 2 ? WEFT_NOW : how < 5 || stress->orderly ? weft_in(1e-6 * (rand_r(seed) % 60)) : weft_in(1e-3);
}

static void victim_set(struct stress *stress, int64_t number, struct wefti_context *context)
{
    wefti_latch_close(&stress->latch);
    stress->victims[number] = context;
    wefti_latch_open(&stress->latch);
}

static void count(int64_t *number, int64_t *sum, int64_t value)
{
    __atomic_add_fetch(number, 1, __ATOMIC_RELAXED);
    __atomic_add_fetch(sum, value, __ATOMIC_RELAXED);
}

/* One select over some of the queues, the same one now and then twice. */
static void select_once(struct stress *stress, int64_t value, unsigned *seed)
{
    weft_case cases[CASES];
    weft_value values[CASES];
    bool puts[CASES];
    unsigned many = 1 + (unsigned)rand_r(seed) % CASES;
    for (unsigned i = 0; i < many; i++) {
        weft_queue *queue = stress->queues[rand_r(seed) % QUEUES];
        puts[i] = rand_r(seed) % 2;
        values[i] = weft_int(puts[i] ? value : -1);
        cases[i] = puts[i] ? weft_case_put(queue, &values[i]) : weft_case_get(queue, &values[i]);
    }
    int done = weft_select(cases, many, some_deadline(stress, seed));
    if (done < 0) {
        ck_assert(errno == EAGAIN || errno == ETIMEDOUT || errno == ECANCELED);
        if (errno == ECANCELED)
            wefti_context_uncancel(wefti_context_current());
        return;
    }
    ck_assert_int_eq(cases[done].error, 0);
    ck_assert_int_ge(weft_as_int(values[done]), 0);
    if (puts[done])
        count(&stress->put, &stress->put_sum, value);
    else
        count(&stress->taken, &stress->taken_sum, weft_as_int(values[done]));
    for (unsigned i = 0; i < many; i++)
        ck_assert(puts[i] || (int)i == done || weft_as_int(values[i]) == -1);
}

static void *select_often(void *data)
{
    struct stress *stress = data;
    int64_t number = __atomic_fetch_add(&stress->numbers, 1, __ATOMIC_RELAXED);
    unsigned seed = (unsigned)number;
    victim_set(stress, number, wefti_context_current());
    for (int64_t i = 0; i < ROUNDS; i++) {
        select_once(stress, number * ROUNDS + i, &seed);
        __atomic_add_fetch(&stress->rounds, 1, __ATOMIC_RELAXED);
    }
    victim_set(stress, number, NULL);
    wefti_context_uncancel(wefti_context_current());
    return NULL;
}

static void *cancel_often(void *data)
{
    struct stress *stress = data;
    unsigned seed = 77;
    while (!__atomic_load_n(&stress->over, __ATOMIC_ACQUIRE)) {
        wefti_latch_close(&stress->latch);
        struct wefti_context *victim = stress->victims[(unsigned)rand_r(&seed) % TASKS];
        if (victim && !stress->orderly)
            wefti_context_cancel(victim);
        wefti_latch_open(&stress->latch);
        ck_assert(weft_wait(&stress->over, 0, weft_in(20e-6)) == 0 || errno == ETIMEDOUT);
    }
    return NULL;
}

static void rest_count(struct stress *stress)
{
    weft_value value;
    for (int i = 0; i < QUEUES; i++) {
        while (weft_queue_get(stress->queues[i], &value, WEFT_NOW) == 0)
            count(&stress->taken, &stress->taken_sum, weft_as_int(value));
        weft_queue_free(stress->queues[i]);
    }
}

static void stress_run(struct stress *stress)
{
    pthread_t threads[TASKS], other;
    pthread_create(&other, NULL, cancel_often, stress);
    for (int i = 0; i < TASKS; i++)
        pthread_create(&threads[i], NULL, select_often, stress);
    for (int i = 0; i < TASKS; i++)
        pthread_join(threads[i], NULL);
    __atomic_store_n(&stress->over, 1, __ATOMIC_RELEASE);
    weft_wake(&stress->over, 1);
    pthread_join(other, NULL);
    rest_count(stress);
    ck_assert_int_gt(stress->put, 0);
    ck_assert_int_eq(stress->put, stress->taken);
    ck_assert_int_eq(stress->put_sum, stress->taken_sum);
}

START_TEST(queues_of_all_kinds)
{
    struct stress stress = {.orderly = _i % 2};
    stress.queues[0] = weft_queue_new(.capacity = 1);
    stress.queues[1] = weft_queue_new(.capacity = WEFT_UNBOUNDED);
    stress.queues[2] = weft_queue_new(.capacity = 2, .order = WEFT_LIFO);
    stress.queues[3] = weft_queue_new(.capacity = 3, .order = WEFT_PRIORITY);
    stress.queues[4] = weft_queue_new(.capacity = WEFT_RENDEZVOUS, .shared = _i / 2);
    stress.queues[5] = weft_queue_new(.capacity = WEFT_RENDEZVOUS, .shared = _i / 2);
    stress_run(&stress);
}
END_TEST

/* As many values as gets, nobody with a deadline: all end only if no wake is lost. */
static weft_queue *lanes[QUEUES];

/* Every second one too long for a cell of shared memory, so that its block changes hands. */
static weft_value lane_value(int number)
{
    return number % 2 ? weft_int(number) : weft_str_f("%0200d", number);
}

static int64_t lane_number(weft_value value)
{
    int64_t number = weft_kind(value) == WEFT_INT ? weft_as_int(value) : strtoll(weft_as_str(value), NULL, 10);
    weft_drop(value);
    return number;
}

static void *lane_take(void *sum)
{
    weft_value value;
    weft_case cases[QUEUES];
    for (int i = 0; i < QUEUES; i++)
        cases[i] = weft_case_get(lanes[i], &value);
    for (int i = 0; i < ROUNDS; i++) {
        int done = weft_select(cases, QUEUES, WEFT_FOREVER);
        ck_assert_int_ge(done, 0);
        ck_assert_int_eq(cases[done].error, 0);
        __atomic_add_fetch((int64_t *)sum, lane_number(value), __ATOMIC_RELAXED);
    }
    return NULL;
}

static void *lane_give(void *sum)
{
    unsigned seed = (unsigned)(uintptr_t)&seed;
    weft_value value;
    weft_case cases[2];
    for (int i = 0; i < ROUNDS; i++) {
        value = lane_value(i);
        for (int j = 0; j < 2; j++)
            cases[j] = weft_case_put(lanes[rand_r(&seed) % QUEUES], &value);
        ck_assert_int_ge(weft_select(cases, 2, WEFT_FOREVER), 0);
        __atomic_sub_fetch((int64_t *)sum, i, __ATOMIC_RELAXED);
    }
    return NULL;
}

static const struct weft_queue_options kinds[] = {{.size = sizeof(*kinds), .capacity = 1},
    {.size = sizeof(*kinds), .capacity = WEFT_UNBOUNDED}, {.size = sizeof(*kinds), .capacity = WEFT_RENDEZVOUS},
    {.size = sizeof(*kinds), .capacity = WEFT_RENDEZVOUS, .shared = true}, {.size = sizeof(*kinds), .capacity = 2, .order = WEFT_LIFO},
    {.size = sizeof(*kinds), .capacity = 3, .order = WEFT_PRIORITY}};

START_TEST(givers_and_takers)
{
    int64_t sum = 0;
    pthread_t threads[TASKS];
    for (int i = 0; i < QUEUES; i++)
        lanes[i] = weft_queue_new_with(&kinds[_i]);
    for (int i = 0; i < TASKS; i++)
        pthread_create(&threads[i], NULL, i % 2 ? lane_give : lane_take, &sum);
    for (int i = 0; i < TASKS; i++)
        pthread_join(threads[i], NULL);
    ck_assert_int_eq(sum, 0);
    for (int i = 0; i < QUEUES; i++) {
        ck_assert(weft_queue_empty(lanes[i]));
        weft_queue_free(lanes[i]);
    }
}
END_TEST

static void *answer(void *data)
{
    weft_value request, reply = weft_int(42);
    while (weft_queue_get(data, &request, WEFT_FOREVER) == 0) {
        weft_case cases[] = {weft_case_put(weft_as_ptr(request), &reply), weft_case_time(WEFT_FOREVER)};
        ck_assert_int_eq(weft_select(cases, 2, WEFT_FOREVER), 0);
    }
    return NULL;
}

/* Who got the answer frees the queue, while the select that brought it may still be on its way out. */
START_TEST(freed_by_who_got_the_value)
{
    pthread_t thread;
    weft_queue *requests = weft_queue_new();
    pthread_create(&thread, NULL, answer, requests);
    for (int i = 0; i < ROUNDS; i++) {
        weft_value value = weft_none;
        weft_queue *reply = weft_queue_new_with(&kinds[_i]);
        weft_case get = weft_case_get(reply, &value);
        ck_assert_int_eq(weft_queue_put(requests, weft_ptr(reply), WEFT_FOREVER), 0);
        ck_assert_int_eq(weft_select(&get, 1, WEFT_FOREVER), 0);
        ck_assert_int_eq(weft_as_int(value), 42);
        weft_queue_free(reply);
    }
    weft_queue_close(requests);
    pthread_join(thread, NULL);
    weft_queue_free(requests);
}
END_TEST

struct fair {
    weft_queue *stalls[2];
    int64_t met, sum;
};

/* Puts to or gets from whoever comes, at two places; goes home when the fair is closed. */
static void *visit(void *data)
{
    struct fair *fair = data;
    weft_value gives[2], takes[2];
    for (int64_t i = 0;; i++) {
        weft_case cases[4];
        for (int j = 0; j < 2; j++) {
            gives[j] = weft_int(i);
            cases[2 * j] = weft_case_put(fair->stalls[j], &gives[j]);
            cases[2 * j + 1] = weft_case_get(fair->stalls[j], &takes[j]);
        }
        int done = weft_select(cases, 4, WEFT_FOREVER);
        ck_assert_int_ge(done, 0);
        if (cases[done].error) {
            ck_assert_int_eq(cases[done].error, EPIPE);
            return NULL;
        }
        __atomic_add_fetch(&fair->sum, done % 2 ? -weft_as_int(takes[done / 2]) : i, __ATOMIC_RELAXED);
        __atomic_add_fetch(&fair->met, 1, __ATOMIC_RELEASE);
    }
}

/* Everybody is ready for everything: nobody may be left alone, nor two meet one. */
START_TEST(selects_meet_selects)
{
    struct fair fair = {.met = 0};
    for (int i = 0; i < 2; i++)
        fair.stalls[i] = weft_queue_new(.capacity = WEFT_RENDEZVOUS, .shared = _i);
    pthread_t threads[TASKS];
    for (int i = 0; i < TASKS; i++)
        pthread_create(&threads[i], NULL, visit, &fair);
    fixture_until(__atomic_load_n(&fair.met, __ATOMIC_ACQUIRE) > ROUNDS / 4);
    for (int i = 0; i < 2; i++)
        weft_queue_close(fair.stalls[i]);
    for (int i = 0; i < TASKS; i++)
        pthread_join(threads[i], NULL);
    ck_assert_int_eq(fair.sum, 0);
    ck_assert_int_eq(fair.met % 2, 0);
    for (int i = 0; i < 2; i++)
        weft_queue_free(fair.stalls[i]);
}
END_TEST

static void set_up(void)
{
    ck_assert_int_eq(weft_shared_limit(8 << 20), 0);
}

static void add(TCase *tests)
{
    tcase_add_checked_fixture(tests, set_up, NULL);
    tcase_add_loop_test(tests, queues_of_all_kinds, 0, 4);
    tcase_add_loop_test(tests, givers_and_takers, 0, sizeof(kinds) / sizeof(*kinds));
    tcase_add_loop_test(tests, freed_by_who_got_the_value, 0, sizeof(kinds) / sizeof(*kinds));
    tcase_add_loop_test(tests, selects_meet_selects, 0, 2);
}

int main(void)
{
    return fixture_main("stress select", add);
}
