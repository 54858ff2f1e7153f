/* SPDX-License-Identifier: MIT */
/*
 * Coroutines of four threads, or of four processes, exchange values through a few queues, with deadlines that pass and tasks that are
 * cancelled at random. A wake that is lost leaves somebody asleep for ever, and the test in its time limit; a value that is lost or doubled
 * shows in the sum. WEFT_STRESS_COROUTINES=n takes n coroutines instead of some thousands. Joins are one more such meeting.
 */
#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "family_root.h"

enum { THREADS = 4, QUEUES = 6, VALUES = 20 };

/* What they have in common; in shared memory for processes. */
struct market {
    weft_queue *queues[QUEUES];
    uint64_t put_sum, got_sum, given_up;
    uint32_t begun, arrived;
    int coroutines;
};
static struct market *market;

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
        while (weft_queue_put(market->queues[next_random(&state) % QUEUES], weft_int(number), some_deadline(&state)) != 0) {
            if (errno == ECANCELED) {
                __atomic_add_fetch(&market->given_up, 1, __ATOMIC_RELAXED);
                return weft_none;
            }
            ck_assert(errno == EAGAIN || errno == ETIMEDOUT);
            weft_yield();
        }
        __atomic_add_fetch(&market->put_sum, (uint64_t)number, __ATOMIC_RELAXED);
    }
    return weft_none;
}

/* Gets from one queue or from any, until that is closed and empty. */
static weft_value consume(weft_value seed)
{
    uint64_t state = (uint64_t)weft_as_int(seed) * 2 + 1;
    weft_queue *queue = market->queues[next_random(&state) % QUEUES];
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
            __atomic_add_fetch(&market->got_sum, (uint64_t)weft_as_int(value), __ATOMIC_RELAXED);
        else if (got == -1 && (errno == EPIPE || errno == ECANCELED))
            return weft_none;
        else
            weft_yield();
    }
}

static weft_value spread(weft_value where)
{
    if (!market) /* in a process of its own */
        market = weft_as_ptr(where);
    int number = (int)__atomic_fetch_add(&market->begun, 1, __ATOMIC_RELAXED), share = market->coroutines / THREADS;
    weft_task **tasks = calloc((size_t)share, sizeof(*tasks));
    uint64_t state = (uint64_t)number + 77;
    for (int i = 0; i < share; i++) {
        tasks[i] = weft_spawn(WEFT_COROUTINE, i % 2 ? produce : consume, weft_int((int64_t)number * 1000003 + i));
        ck_assert_ptr_nonnull(tasks[i]);
    }
    for (int i = 0; i < share / 4; i++) { /* consumers are spared: somebody has to empty the queues */
        weft_task_cancel(tasks[(next_random(&state) % (unsigned)share) | 1U]);
        weft_sleep(1e-6 * (next_random(&state) % 20));
    }
    for (int i = 1; i < share; i += 2)
        ck_assert_int_eq(weft_task_join(tasks[i], WEFT_FOREVER), 0);
    if (__atomic_add_fetch(&market->arrived, 1, __ATOMIC_ACQ_REL) == THREADS)
        for (int i = 0; i < QUEUES; i++)
            weft_queue_close(market->queues[i]);
    for (int i = 0; i < share; i++) {
        ck_assert_int_eq(weft_task_join(tasks[i], WEFT_FOREVER), 0);
        weft_task_free(tasks[i]);
    }
    free(tasks);
    return weft_none;
}

/* As many as the environment asks for, or so many. */
static int wanted(int otherwise)
{
    const char *asked = getenv("WEFT_STRESS_COROUTINES");
    return asked ? atoi(asked) : otherwise;
}

/* Opens the market, lets tasks of a kind trade there, and looks at the sums. */
static void trade(enum weft_task_kind kind, struct market *where)
{
    weft_task *tasks[THREADS];
    for (int i = 0; i < THREADS; i++)
        MUST(tasks[i] = weft_spawn(kind, spread, weft_ptr(where)));
    for (int i = 0; i < THREADS; i++) {
        weft_value result;
        MUST(weft_task_result(tasks[i], &result, WEFT_FOREVER) == 0 && !weft_is_error(result));
        weft_drop(result);
        weft_task_free(tasks[i]);
    }
    MUST(where->put_sum == where->got_sum && where->put_sum > 0);
    for (int i = 0; i < QUEUES; i++)
        weft_queue_free(where->queues[i]);
}

START_TEST(nothing_is_lost_between_threads)
{
    static struct market place;
    place.coroutines = wanted(FIXTURE_TSAN ? 600 : 4000);
    market = &place;
    for (int i = 0; i < QUEUES; i++)
        place.queues[i] = weft_queue_new(.capacity = i == 0 ? WEFT_RENDEZVOUS : (size_t)1 << i);
    trade(WEFT_THREAD, &place);
}
END_TEST

static void root_of_traders(void)
{
    struct market *place = weft_shared_new(struct market);
    MUST(place);
    place->coroutines = wanted(400);
    for (int i = 0; i < QUEUES; i++)
        MUST(place->queues[i] = weft_queue_new(.capacity = (size_t)1 << i, .shared = true));
    trade(WEFT_PROCESS, place);
}

START_TEST(nothing_is_lost_between_processes)
{
    root_runs(root_of_traders);
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

/* Coroutines of three threads join each other's with deadlines, and are cancelled at random. Who waits for ever waits for one that was
 * begun before. */
enum { CROWDS = 3, EACH = 60, JOINS = 8 };

struct crowd {
    weft_task *tasks[CROWDS * EACH]; /* those of thread t are number % CROWDS == t */
    uint32_t joined;
};

static struct crowd crowd;

static weft_value mingle(weft_value own)
{
    int64_t number = weft_as_int(own);
    uint64_t state = (uint64_t)number + 5;
    for (int i = 0; i < JOINS; i++) {
        weft_task *task = number > 0 ? __atomic_load_n(&crowd.tasks[next_random(&state) % number], __ATOMIC_ACQUIRE) : NULL;
        if (task && weft_task_join(task, some_deadline(&state)) == 0) {
            ck_assert_int_eq(weft_task_state_of(task), WEFT_STOPPED);
            __atomic_add_fetch(&crowd.joined, 1, __ATOMIC_RELAXED);
        } else if (task && errno == ECANCELED) {
            return weft_error(ECANCELED, NULL);
        }
        if (next_random(&state) % 4 == 0)
            weft_sleep(1e-6 * (next_random(&state) % 100));
        else
            weft_yield();
    }
    return own;
}

static weft_value gather(weft_value number)
{
    int64_t own = weft_as_int(number);
    uint64_t state = (uint64_t)own + 9;
    for (int i = 0; i < EACH; i++) {
        weft_task *task = weft_spawn(WEFT_COROUTINE, mingle, weft_int(i * CROWDS + own));
        MUST(task);
        __atomic_store_n(&crowd.tasks[i * CROWDS + own], task, __ATOMIC_RELEASE);
        if (next_random(&state) % 4 == 0)
            weft_yield();
    }
    for (int i = 0; i < EACH / 4; i++) {
        weft_task_cancel(crowd.tasks[(next_random(&state) % EACH) * CROWDS + (unsigned)own]);
        weft_sleep(1e-6 * (next_random(&state) % 30));
    }
    for (int i = EACH - 1; i >= 0; i--)
        MUST(weft_task_join(crowd.tasks[i * CROWDS + own], WEFT_FOREVER) == 0);
    return weft_none;
}

START_TEST(joins_end_in_every_way)
{
    for (int round = 0; round < (FIXTURE_TSAN ? 3 : 20); round++) {
        weft_task *threads[CROWDS];
        memset(&crowd, 0, sizeof(crowd));
        for (int i = 0; i < CROWDS; i++)
            MUST(threads[i] = weft_spawn(WEFT_THREAD, gather, weft_int(i)));
        for (int i = 0; i < CROWDS; i++) {
            MUST(weft_task_join(threads[i], WEFT_FOREVER) == 0);
            weft_task_free(threads[i]);
        }
        for (int i = 0; i < CROWDS * EACH; i++) {
            MUST(weft_task_state_of(crowd.tasks[i]) == WEFT_STOPPED);
            weft_task_free(crowd.tasks[i]);
        }
        ck_assert_uint_gt(crowd.joined, 0);
    }
}
END_TEST

static void add(TCase *tests)
{
    tcase_add_test(tests, joins_end_in_every_way);
    tcase_add_test(tests, nothing_is_lost_between_threads);
    tcase_add_test(tests, hubs_wake_each_other);
    if (!FIXTURE_TSAN && !fixture_emulated() && !fixture_copies()) /* a family's processes do not live there */
        tcase_add_test(tests, nothing_is_lost_between_processes);
}

int main(void)
{
    return fixture_main("stress coroutine", add);
}
