/* SPDX-License-Identifier: MIT */
/*
 * Coroutines of four threads exchange values through a few queues, with deadlines that pass and tasks that are cancelled at random. A wake that is lost leaves somebody asleep for ever, and the
 * test in its time limit; a value that is lost or doubled shows in the sum. WEFT_STRESS_COROUTINES=n takes n coroutines instead of some thousands.
 */
#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <unistd.h>

#include "fixture.h"

enum { THREADS = 4, QUEUES = 6, VALUES = 20 };

static weft_queue *queues[QUEUES];
static uint64_t put_sum, got_sum, given_up;
static int coroutines;

static unsigned next_random(uint64_t *state)
{
    *state = *state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return (unsigned)(*state >> 33);
}

static weft_time some_deadline(uint64_t *state)
{
    switch (next_random(state) % 8) {
    case 0:
        return WEFT_NOW;
    case 1:
    case 2:
        return weft_in(1e-6 * (next_random(state) % 300));
    default:
        return WEFT_FOREVER;
    }
}

/* Puts its values, each until it is there; gives up when it is cancelled. */
static weft_value produce(weft_value seed)
{
    uint64_t state = (uint64_t)weft_as_int(seed) * 2 + 1;
    for (int i = 0; i < VALUES; i++) {
        int64_t number = 1 + next_random(&state) % 1000;
        while (weft_queue_put(queues[next_random(&state) % QUEUES], weft_int(number), some_deadline(&state)) != 0) {
            if (errno == ECANCELED) {
                __atomic_add_fetch(&given_up, 1, __ATOMIC_RELAXED);
                return weft_none;
            }
            ck_assert(errno == EAGAIN || errno == ETIMEDOUT);
            weft_yield();
        }
        __atomic_add_fetch(&put_sum, (uint64_t)number, __ATOMIC_RELAXED);
    }
    return weft_none;
}

/* Gets from one queue or from any, until that is closed and empty. */
static weft_value consume(weft_value seed)
{
    uint64_t state = (uint64_t)weft_as_int(seed) * 2 + 1;
    weft_queue *queue = queues[next_random(&state) % QUEUES];
    for (;;) {
        weft_value value = weft_none;
        int got;
        if (next_random(&state) % 4 == 0) {
            weft_case cases[] = {weft_case_get(queue, &value), weft_case_time(weft_in(1e-6 * (next_random(&state) % 200)))};
            got = weft_select(cases, 2, WEFT_FOREVER);
            errno = got == 0 ? cases[0].error : errno;
            got = got == 1 ? -2 : got == 0 && cases[0].error ? -1 : got;
        } else {
            got = weft_queue_get(queue, &value, some_deadline(&state));
        }
        if (got == 0)
            __atomic_add_fetch(&got_sum, (uint64_t)weft_as_int(value), __ATOMIC_RELAXED);
        else if (got == -1 && (errno == EPIPE || errno == ECANCELED))
            return weft_none;
        else
            weft_yield();
    }
}

static weft_value spread(weft_value number)
{
    int share = coroutines / THREADS;
    weft_task **tasks = calloc((size_t)share, sizeof(*tasks));
    uint64_t state = (uint64_t)weft_as_int(number) + 77;
    for (int i = 0; i < share; i++) {
        tasks[i] = weft_spawn(WEFT_COROUTINE, i % 2 ? produce : consume, weft_int(weft_as_int(number) * 1000003 + i));
        ck_assert_ptr_nonnull(tasks[i]);
    }
    for (int i = 0; i < share / 4; i++) { /* consumers are spared: somebody has to empty the queues */
        weft_task_cancel(tasks[(next_random(&state) % (unsigned)share) | 1U]);
        weft_sleep(1e-6 * (next_random(&state) % 20));
    }
    for (int i = 1; i < share; i += 2)
        ck_assert_int_eq(weft_task_join(tasks[i], WEFT_FOREVER), 0);
    static uint32_t arrived;
    if (__atomic_add_fetch(&arrived, 1, __ATOMIC_ACQ_REL) == THREADS)
        for (int i = 0; i < QUEUES; i++)
            weft_queue_close(queues[i]);
    for (int i = 0; i < share; i++) {
        ck_assert_int_eq(weft_task_join(tasks[i], WEFT_FOREVER), 0);
        weft_task_free(tasks[i]);
    }
    free(tasks);
    return weft_none;
}

START_TEST(nothing_is_lost_between_threads)
{
    const char *asked = getenv("WEFT_STRESS_COROUTINES");
    weft_task *threads[THREADS];
    coroutines = asked ? atoi(asked) : FIXTURE_TSAN ? 600 : 4000;
    for (int i = 0; i < QUEUES; i++)
        queues[i] = weft_queue_new(.capacity = i == 0 ? WEFT_RENDEZVOUS : (size_t)1 << i);
    for (int i = 0; i < THREADS; i++)
        threads[i] = weft_spawn(WEFT_THREAD, spread, weft_int(i));
    for (int i = 0; i < THREADS; i++) {
        ck_assert_int_eq(weft_task_join(threads[i], WEFT_FOREVER), 0);
        weft_task_free(threads[i]);
    }
    ck_assert_uint_eq(put_sum, got_sum);
    ck_assert_uint_gt(put_sum, 0);
    for (int i = 0; i < QUEUES; i++)
        weft_queue_free(queues[i]);
}
END_TEST

/* Two threads, whose coroutines wait for words and for a pipe at once: both ways to wake a hub in one. */
enum { ROUNDS = 3000, PAIRS = 8 };

struct pair {
    uint32_t ball; /* odd: the first thread's turn */
    int pipes[2];
    uint32_t rounds;
};

static weft_value play(weft_value data)
{
    struct pair *pair = weft_as_ptr(data);
    uint32_t mine = weft_current() != NULL && weft_task_name(weft_current())[0] == 'O';
    uint64_t state = mine + 3;
    for (uint32_t ball; (ball = __atomic_load_n(&pair->ball, __ATOMIC_ACQUIRE)) < ROUNDS;) {
        if (ball % 2 == mine) {
            __atomic_store_n(&pair->ball, ball + 1, __ATOMIC_RELEASE);
            weft_wake(&pair->ball, UINT32_MAX);
        } else if (next_random(&state) % 2) {
            weft_wait(&pair->ball, ball, WEFT_FOREVER);
        } else { /* nobody writes to the pipe: only its being waited for makes the hub sleep in epoll */
            short seen;
            weft_event never = {0};
            weft_case cases[] = {weft_case_descriptor(pair->pipes[0], POLLIN, &seen), weft_case_event(&never)};
            weft_select(cases, 2, weft_in(1e-6 * (next_random(&state) % 100)));
        }
    }
    return weft_none;
}

static weft_value play_all(weft_value data)
{
    struct pair *pairs = weft_as_ptr(data);
    const char *name = weft_task_name(weft_current());
    weft_task *tasks[PAIRS];
    for (int i = 0; i < PAIRS; i++)
        tasks[i] = weft_spawn(WEFT_COROUTINE, play, weft_ptr(&pairs[i]), .name = name);
    for (int i = 0; i < PAIRS; i++) {
        ck_assert_int_eq(weft_task_join(tasks[i], WEFT_FOREVER), 0);
        weft_task_free(tasks[i]);
    }
    return weft_none;
}

START_TEST(hubs_wake_each_other)
{
    struct pair pairs[PAIRS] = {{0}};
    for (int i = 0; i < PAIRS; i++)
        ck_assert_int_eq(pipe(pairs[i].pipes), 0);
    weft_task *one = weft_spawn(WEFT_THREAD, play_all, weft_ptr(pairs), .name = "One");
    weft_task *other = weft_spawn(WEFT_THREAD, play_all, weft_ptr(pairs), .name = "other");
    weft_task_join(one, WEFT_FOREVER);
    weft_task_join(other, WEFT_FOREVER);
    weft_task_free(one);
    weft_task_free(other);
    for (int i = 0; i < PAIRS; i++) {
        close(pairs[i].pipes[0]);
        close(pairs[i].pipes[1]);
    }
}
END_TEST

static void add(TCase *tests)
{
    tcase_add_test(tests, nothing_is_lost_between_threads);
    tcase_add_test(tests, hubs_wake_each_other);
}

int main(void)
{
    return fixture_main("stress coroutine", add);
}
