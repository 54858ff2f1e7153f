/* SPDX-License-Identifier: MIT */
/*
 * Producers and consumers that come with deadlines, try once, are cancelled, and are surprised by a close: what was put is taken, once,
 * in the order in which each producer put it (but from a stack), never more than the bound lies in the queue, and whoever can go on does.
 */
#include <pthread.h>
#include <stdlib.h>

#include "fixture.h"
#include "wait/context.h"

enum { PRODUCERS = 3, CONSUMERS = 3, VALUES = 6000 /* at most, of each producer */ };

struct stress {
    weft_queue *queue;
    bool stack, shared;
    int64_t values;                                       /* of each producer */
    bool orderly;                                         /* everybody waits as long as it takes */
    bool closes;                                          /* the queue is closed on the way */
    int64_t put, taken;                                   /* how many */
    int64_t put_sum, taken_sum;                           /* checksums */
    int64_t numbers;                                      /* given out to threads */
    struct wefti_context *victims[PRODUCERS + CONSUMERS]; /* whom the canceller may cancel; under the latch */
    struct wefti_latch latch;
    uint32_t over;
};

static weft_time some_deadline(const struct stress *stress, unsigned *seed)
{
    int how = stress->orderly ? 9 : rand_r(seed) % 10;
    return how < 2 ? WEFT_NOW : how < 5 ? weft_in(1e-6 * (rand_r(seed) % 60)) : WEFT_FOREVER;
}

/* What may be tried again after it failed. */
static bool may_go_on(void)
{
    if (errno == ECANCELED)
        wefti_context_uncancel(wefti_context_current());
    return errno == EAGAIN || errno == ETIMEDOUT || errno == ECANCELED;
}

static unsigned enter(struct stress *stress)
{
    int64_t number = __atomic_fetch_add(&stress->numbers, 1, __ATOMIC_RELAXED);
    wefti_latch_close(&stress->latch);
    stress->victims[number] = wefti_context_current();
    wefti_latch_open(&stress->latch);
    return (unsigned)number;
}

static void leave(struct stress *stress, unsigned number)
{
    wefti_latch_close(&stress->latch);
    stress->victims[number] = NULL;
    wefti_latch_open(&stress->latch);
    wefti_context_uncancel(wefti_context_current());
}

/* Alone, or as a batch of one. */
static int put_one(struct stress *stress, weft_value value, unsigned *seed)
{
    weft_time deadline = some_deadline(stress, seed);
    if (rand_r(seed) % 4)
        return weft_queue_put(stress->queue, value, deadline);
    return weft_queue_put_many(stress->queue, &value, 1, deadline) == 1 ? 0 : -1;
}

/* A value is its producer's number and its own place in that producer's line. */
static void *produce(void *data)
{
    struct stress *stress = data;
    unsigned number = enter(stress), seed = number;
    for (int64_t i = 0; i < stress->values; i++) {
        int64_t value = (int64_t)number * VALUES + i;
        int result;
        while ((result = put_one(stress, weft_int(value), &seed)) < 0 && may_go_on())
            ;
        if (result < 0) {
            ck_assert(errno == EPIPE && stress->closes);
            break;
        }
        __atomic_add_fetch(&stress->put, 1, __ATOMIC_RELAXED);
        __atomic_add_fetch(&stress->put_sum, value, __ATOMIC_RELAXED);
    }
    leave(stress, number);
    return NULL;
}

static void *consume(void *data)
{
    struct stress *stress = data;
    unsigned number = enter(stress), seed = number;
    int64_t last[PRODUCERS + CONSUMERS];
    for (int i = 0; i < PRODUCERS + CONSUMERS; i++)
        last[i] = -1;
    for (;;) {
        weft_value values[3];
        long got = weft_queue_get_many(stress->queue, values, 1 + (unsigned)rand_r(&seed) % 3, some_deadline(stress, &seed));
        if (got < 0 && !may_go_on())
            break;
        for (long i = 0; i < got; i++) {
            int64_t value = weft_as_int(values[i]);
            int64_t line = value / VALUES, place = value % VALUES;
            ck_assert(place > last[line] || stress->stack);
            last[line] = place;
            __atomic_add_fetch(&stress->taken, 1, __ATOMIC_RELAXED);
            __atomic_add_fetch(&stress->taken_sum, value, __ATOMIC_RELAXED);
            ck_assert(stress->shared || weft_queue_task_done(stress->queue) == 0);
        }
    }
    ck_assert_int_eq(errno, EPIPE);
    leave(stress, number);
    return NULL;
}

/* Looks at sizes and cancels now and then. */
static void *disturb(void *data)
{
    struct stress *stress = data;
    unsigned seed = 77;
    while (!__atomic_load_n(&stress->over, __ATOMIC_ACQUIRE)) {
        ck_assert_uint_le(weft_queue_size(stress->queue), weft_queue_capacity(stress->queue));
        wefti_latch_close(&stress->latch);
        struct wefti_context *victim = stress->victims[(unsigned)rand_r(&seed) % (PRODUCERS + CONSUMERS)];
        if (victim && !stress->orderly)
            wefti_context_cancel(victim);
        wefti_latch_open(&stress->latch);
        ck_assert(weft_wait(&stress->over, 0, weft_in(20e-6)) == 0 || errno == ETIMEDOUT);
    }
    return NULL;
}

static void stress_run(const struct weft_queue_options *kind, bool orderly, bool closes)
{
    bool little = kind->capacity < 8 || kind->capacity == WEFT_RENDEZVOUS; /* then each value is a sleep */
    int64_t values = little ? VALUES / 10 : VALUES / 2;
    struct stress stress = {.queue = weft_queue_new_with(kind),
        .stack = kind->order == WEFT_LIFO,
        .shared = kind->shared,
        .values = values,
        .orderly = orderly,
        .closes = closes};
    pthread_t threads[PRODUCERS + CONSUMERS], other;
    pthread_create(&other, NULL, disturb, &stress);
    for (int i = 0; i < PRODUCERS + CONSUMERS; i++)
        pthread_create(&threads[i], NULL, i < PRODUCERS ? produce : consume, &stress);
    if (closes) {
        while (__atomic_load_n(&stress.taken, __ATOMIC_RELAXED) < values / 2)
            weft_yield();
        weft_queue_close(stress.queue);
    }
    for (int i = 0; i < PRODUCERS; i++)
        pthread_join(threads[i], NULL);
    if (!closes) {
        ck_assert_int_eq(stress.put, PRODUCERS * values);
        ck_assert(stress.shared || weft_queue_join(stress.queue, WEFT_FOREVER) == 0);
        ck_assert(weft_queue_empty(stress.queue));
    }
    weft_queue_close(stress.queue);
    for (int i = PRODUCERS; i < PRODUCERS + CONSUMERS; i++)
        pthread_join(threads[i], NULL);
    __atomic_store_n(&stress.over, 1, __ATOMIC_RELEASE);
    weft_wake(&stress.over, 1);
    pthread_join(other, NULL);
    ck_assert_int_eq(stress.taken, stress.put);
    ck_assert_int_eq(stress.taken_sum, stress.put_sum);
    ck_assert(stress.shared || weft_queue_join(stress.queue, WEFT_NOW) == 0);
    weft_queue_free(stress.queue);
}

static const struct weft_queue_options kinds[] = {{.size = sizeof(*kinds), .capacity = 1}, {.size = sizeof(*kinds), .capacity = 3},
    {.size = sizeof(*kinds), .capacity = 64}, {.size = sizeof(*kinds), .capacity = WEFT_UNBOUNDED},
    {.size = sizeof(*kinds), .capacity = WEFT_RENDEZVOUS}, {.size = sizeof(*kinds), .capacity = WEFT_RENDEZVOUS, .shared = true},
    {.size = sizeof(*kinds), .capacity = 3, .order = WEFT_LIFO}, {.size = sizeof(*kinds), .capacity = WEFT_UNBOUNDED, .order = WEFT_LIFO},
    {.size = sizeof(*kinds), .capacity = 3, .order = WEFT_PRIORITY},
    {.size = sizeof(*kinds), .capacity = WEFT_UNBOUNDED, .order = WEFT_PRIORITY}};

START_TEST(orderly)
{
    stress_run(&kinds[_i], true, false);
}
END_TEST

START_TEST(disturbed)
{
    stress_run(&kinds[_i], false, false);
}
END_TEST

START_TEST(closed)
{
    stress_run(&kinds[_i], false, true);
}
END_TEST

static void *answer(void *data)
{
    weft_queue *requests = data;
    weft_value request;
    while (weft_queue_get(requests, &request, WEFT_FOREVER) == 0)
        ck_assert_int_eq(weft_queue_put(weft_as_ptr(request), weft_int(42), WEFT_FOREVER), 0);
    return NULL;
}

static void ask(weft_queue *requests)
{
    weft_value value;
    weft_queue *reply = weft_queue_new(.capacity = 1);
    ck_assert_int_eq(weft_queue_put(requests, weft_ptr(reply), WEFT_FOREVER), 0);
    ck_assert_int_eq(weft_queue_get(reply, &value, WEFT_FOREVER), 0);
    weft_queue_free(reply);
}

/* Who got the answer frees the queue, while the put that brought it may still be on its way out. */
START_TEST(freed_by_who_got_the_value)
{
    pthread_t threads[2];
    weft_queue *requests = weft_queue_new();
    for (int i = 0; i < 2; i++)
        pthread_create(&threads[i], NULL, answer, requests);
    for (int i = 0; i < VALUES / 2; i++)
        ask(requests);
    weft_queue_close(requests);
    for (int i = 0; i < 2; i++)
        pthread_join(threads[i], NULL);
    weft_queue_free(requests);
}
END_TEST

static void *does_one(void *data)
{
    weft_queue *requests = data;
    weft_value request, got;
    while (weft_queue_get(requests, &request, WEFT_FOREVER) == 0) {
        weft_queue *queue = weft_as_ptr(request);
        ck_assert_int_eq(weft_queue_get(queue, &got, WEFT_FOREVER), 0);
        ck_assert_int_eq(weft_queue_task_done(queue), 0);
    }
    return NULL;
}

/* Who came back from join does so, while the task_done that let him may still be on its way out. */
START_TEST(freed_by_who_came_back_from_join)
{
    enum { ROUNDS = 1500, HANDS = 3 };
    pthread_t threads[HANDS];
    weft_queue *requests = weft_queue_new();
    for (int i = 0; i < HANDS; i++)
        pthread_create(&threads[i], NULL, does_one, requests);
    for (int i = 0; i < ROUNDS; i++) {
        weft_queue *queue = weft_queue_new(.shared = true, .joinable = true, .capacity = HANDS);
        for (int j = 0; j < HANDS; j++) {
            ck_assert_int_eq(weft_queue_put(queue, weft_int(j), WEFT_FOREVER), 0);
            ck_assert_int_eq(weft_queue_put(requests, weft_ptr(queue), WEFT_FOREVER), 0);
        }
        ck_assert_int_eq(weft_queue_join(queue, WEFT_FOREVER), 0);
        weft_queue_free(queue);
    }
    weft_queue_close(requests);
    for (int i = 0; i < HANDS; i++)
        pthread_join(threads[i], NULL);
    weft_queue_free(requests);
}
END_TEST

static void set_up(void)
{
    ck_assert_int_eq(weft_shared_limit(8 << 20), 0);
}

static void add(TCase *tests)
{
    tcase_add_checked_fixture(tests, set_up, NULL);
    int count = sizeof(kinds) / sizeof(*kinds);
    tcase_add_loop_test(tests, orderly, 0, count);
    tcase_add_loop_test(tests, disturbed, 0, count);
    tcase_add_loop_test(tests, closed, 0, count);
    tcase_add_test(tests, freed_by_who_got_the_value);
    tcase_add_test(tests, freed_by_who_came_back_from_join);
}

int main(void)
{
    return fixture_main("stress queue", add);
}
