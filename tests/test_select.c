/* SPDX-License-Identifier: MIT */
/* Select: over all that the library offers, and over a waitable made for the test: a counter of permits with a count of its waiters. */
#include <poll.h>
#include <pthread.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/memory.h"
#include "beside.h"
#include "wait/context.h"
#include "wait/waitable.h"

struct counter {
    uint32_t permits;
    uint32_t waiting;
    bool broken;
};

static int counter_ready(weft_case *one)
{
    struct counter *counter = one->object;
    if (counter->broken) {
        errno = EPIPE;
        return -1;
    }
    uint32_t there = __atomic_load_n(&counter->permits, __ATOMIC_ACQUIRE);
    while (there > 0)
        if (__atomic_compare_exchange_n(&counter->permits, &there, there - 1, false, __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE))
            return 1;
    return 0;
}

static bool counter_enqueue(weft_case *one, struct wefti_item *item)
{
    struct counter *counter = one->object;
    __atomic_add_fetch(&counter->waiting, 1, __ATOMIC_SEQ_CST);
    item->kind = WEFTI_WORD;
    item->word = &counter->permits;
    item->expected = 0;
    return __atomic_load_n(&counter->permits, __ATOMIC_SEQ_CST) > 0;
}

static void counter_dequeue(weft_case *one)
{
    struct counter *counter = one->object;
    __atomic_sub_fetch(&counter->waiting, 1, __ATOMIC_SEQ_CST);
    if (__atomic_load_n(&counter->permits, __ATOMIC_SEQ_CST) > 0)
        weft_wake(&counter->permits, 1);
}

static const struct weft_waitable counters = {.ready = counter_ready, .enqueue = counter_enqueue, .dequeue = counter_dequeue};

static weft_case counter_case(struct counter *counter)
{
    return (weft_case){.waitable = &counters, .object = counter};
}

static void counter_give(struct counter *counter)
{
    __atomic_add_fetch(&counter->permits, 1, __ATOMIC_SEQ_CST);
    if (__atomic_load_n(&counter->waiting, __ATOMIC_SEQ_CST) > 0)
        weft_wake(&counter->permits, 1);
}

START_TEST(what_is_ready_is_done)
{
    struct counter a = {.permits = 1}, b = {.permits = 0};
    weft_case cases[] = {counter_case(&a), counter_case(&b)};
    ck_assert_int_eq(weft_select(cases, 2, WEFT_FOREVER), 0);
    ck_assert_uint_eq(a.permits, 0);
    ck_fails(weft_select(cases, 2, WEFT_NOW), EAGAIN);
    ck_fails(weft_select(cases, 2, -5), EAGAIN);
    ck_fails(weft_select(cases, 2, weft_in(0.01)), ETIMEDOUT);
    b.permits = 1;
    ck_assert_int_eq(weft_select(cases, 2, WEFT_NOW), 1);
    ck_assert_uint_eq(a.waiting + b.waiting, 0);
}
END_TEST

START_TEST(a_case_of_nothing_is_refused)
{
    weft_queue *queue = weft_queue_new();
    weft_value value = weft_int(1);
    weft_case wrong[] = {weft_case_get(NULL, &value), weft_case_put(NULL, &value), weft_case_event(NULL), weft_case_task(NULL, &value),
        weft_case_future(NULL, &value), weft_case_descriptor(-1, POLLIN, NULL)};
    for (size_t i = 0; i < sizeof(wrong) / sizeof(*wrong); i++) {
        weft_case cases[] = {weft_case_put(queue, &value), wrong[i]};
        ck_fails(weft_select(cases, 2, WEFT_FOREVER), EINVAL);
        ck_fails(weft_select(cases, 2, WEFT_NOW), EINVAL);
    }
    ck_assert(weft_queue_empty(queue));
    ck_fails(weft_select(wrong, 0, WEFT_FOREVER), EINVAL);
    ck_fails(weft_select(NULL, 3, WEFT_FOREVER), EINVAL);
    ck_fails(weft_select(wrong, SIZE_MAX, WEFT_FOREVER), EINVAL);
    weft_queue_free(queue);
}
END_TEST

START_TEST(a_case_can_be_taken_out)
{
    struct counter a = {.permits = 5}, b = {.permits = 5};
    weft_case cases[] = {counter_case(&a), counter_case(&b)};
    cases[0] = (weft_case){0};
    for (int i = 0; i < 5; i++)
        ck_assert_int_eq(weft_select(cases, 2, WEFT_FOREVER), 1);
    ck_fails(weft_select(cases, 2, WEFT_NOW), EAGAIN);
    ck_fails(weft_select(cases, 1, weft_in(0.005)), ETIMEDOUT);
    ck_assert_uint_eq(a.permits, 5);
}
END_TEST

START_TEST(the_ready_have_the_same_chance)
{
    enum { CASES = 4, ROUNDS = 1000 };
    for (unsigned count = 2; count <= CASES; count++)
        for (int stride = 1; stride <= 4; stride++) { /* other selects come in between */
            struct counter many[CASES], other[2] = {{.permits = 0}};
            weft_case cases[CASES], others[2] = {counter_case(&other[0]), counter_case(&other[1])};
            int seen[CASES] = {0};
            for (unsigned i = 0; i < count; i++) {
                many[i] = (struct counter){.permits = ROUNDS};
                cases[i] = counter_case(&many[i]);
            }
            for (int i = 0; i < ROUNDS; i++) {
                seen[weft_select(cases, count, WEFT_NOW)]++;
                for (int j = 1; j < stride; j++)
                    ck_fails(weft_select(others, 2, WEFT_NOW), EAGAIN);
            }
            for (unsigned i = 0; i < count; i++)
                ck_assert_int_lt(abs(seen[i] * (int)count - ROUNDS), ROUNDS / 10);
        }
}
END_TEST

START_TEST(a_failure_is_told)
{
    struct counter a = {.permits = 0}, b = {.broken = true};
    weft_case cases[] = {counter_case(&a), counter_case(&b)};
    ck_assert_int_eq(weft_select(cases, 2, WEFT_FOREVER), 1);
    ck_assert_int_eq(cases[1].error, EPIPE);
    b.broken = false;
    b.permits = 1;
    ck_assert_int_eq(weft_select(cases, 2, WEFT_FOREVER), 1);
    ck_assert_int_eq(cases[1].error, 0);
}
END_TEST

START_TEST(cancellation_ends_a_select)
{
    struct counter many[20] = {{0}};
    weft_case cases[21];
    for (int i = 0; i < 20; i++)
        cases[i] = counter_case(&many[i]);
    cases[20] = weft_case_time(weft_in(0.01));
    wefti_context_cancel(wefti_context_current());
    ck_fails(weft_select(cases, 20, WEFT_FOREVER), ECANCELED);
    ck_fails(weft_select(cases, 20, WEFT_NOW), EAGAIN);
    weft_shield ck_assert_int_eq(weft_select(cases, 21, WEFT_FOREVER), 20);
    many[7].permits = 1;
    ck_assert_int_eq(weft_select(cases, 20, WEFT_FOREVER), 7); /* what need not wait is done */
    wefti_context_uncancel(wefti_context_current());
    for (int i = 0; i < 20; i++)
        ck_assert_uint_eq(many[i].waiting, 0);
}
END_TEST

START_TEST(a_moment_is_a_case)
{
    struct counter none = {.permits = 0};
    weft_time moment = weft_in(0.01);
    weft_case cases[] = {counter_case(&none), weft_case_time(weft_in(1000)), weft_case_time(moment), weft_case_time(WEFT_FOREVER)};
    ck_fails(weft_select(cases, 2, WEFT_NOW), EAGAIN);
    ck_fails(weft_select(cases, 2, weft_in(0.005)), ETIMEDOUT);
    ck_assert_int_eq(weft_select(cases, 4, WEFT_FOREVER), 2);
    ck_assert_int_ge(weft_clock(), moment);
    ck_assert_int_eq(cases[2].error, 0);
    ck_assert_int_eq(weft_select(cases, 4, WEFT_NOW), 2); /* it has come, and stays so */
    cases[0] = weft_case_time(WEFT_NOW);
    ck_assert_int_eq(weft_select(cases, 1, WEFT_NOW), 0);
    weft_time both = weft_in(0.005);
    cases[0] = weft_case_time(both);
    ck_assert_int_eq(weft_select(cases, 1, both), 0); /* rather than ETIMEDOUT */
}
END_TEST

START_TEST(a_block_with_a_deadline_ends_a_select)
{
    struct counter none = {.permits = 0};
    weft_case cases[] = {counter_case(&none), weft_case_time(weft_in(1000))};
    weft_deadline (weft_in(0.005)) {
        ck_fails(weft_select(cases, 2, WEFT_FOREVER), ETIMEDOUT);
        cases[1] = weft_case_time(weft_in(-1));
        ck_assert_int_eq(weft_select(cases, 2, WEFT_FOREVER), 1);
    }
}
END_TEST

START_TEST(queues_are_cases)
{
    weft_queue *one = weft_queue_new(.capacity = 1), *two = weft_queue_new(.capacity = 1);
    weft_value got = weft_none, give = weft_str("given"), other = weft_int(3);
    weft_case gets[] = {weft_case_get(one, &got), weft_case_get(two, &got)};
    weft_case put = weft_case_put(one, &give);
    ck_fails(weft_select(gets, 2, WEFT_NOW), EAGAIN);
    ck_fails(weft_select(gets, 2, weft_in(0.002)), ETIMEDOUT);
    ck_assert_int_eq(weft_queue_put(two, weft_int(2), WEFT_NOW), 0);
    ck_assert_int_eq(weft_select(gets, 2, WEFT_FOREVER), 1);
    ck_assert_int_eq(weft_as_int(got), 2);
    ck_assert_int_eq(weft_queue_put(one, weft_int(1), WEFT_NOW), 0);
    ck_fails(weft_select(&put, 1, WEFT_NOW), EAGAIN);
    ck_fails(weft_select(&put, 1, weft_in(0.002)), ETIMEDOUT);
    ck_assert_str_eq(weft_as_str(give), "given");
    ck_assert_int_eq(weft_queue_get(one, &got, WEFT_NOW), 0);
    ck_assert_int_eq(weft_select(&put, 1, WEFT_FOREVER), 0);
    ck_assert_int_eq(weft_select(gets, 2, WEFT_FOREVER), 0);
    ck_assert_str_eq(weft_as_str(got), "given");
    weft_drop(got);
    ck_assert_int_eq(weft_queue_put(two, weft_int(4), WEFT_NOW), 0);
    weft_queue_close(two);
    ck_assert_int_eq(weft_select(gets, 2, WEFT_FOREVER), 1); /* what is in it can still be taken */
    ck_assert_int_eq(gets[1].error, 0);
    ck_assert_int_eq(weft_as_int(got), 4);
    got = other;
    ck_assert_int_eq(weft_select(gets, 2, WEFT_FOREVER), 1);
    ck_assert_int_eq(gets[1].error, EPIPE);
    ck_assert_int_eq(weft_as_int(got), 3);
    put = weft_case_put(two, &other);
    ck_assert_int_eq(weft_select(&put, 1, WEFT_NOW), 0);
    ck_assert_int_eq(put.error, EPIPE);
    weft_queue_free(one);
    weft_queue_free(two);
}
END_TEST

START_TEST(a_queue_may_stand_in_several_cases)
{
    weft_queue *queue = weft_queue_new(.capacity = 2);
    weft_value first = weft_none, second = weft_none, give = weft_int(9);
    weft_case gets[] = {weft_case_get(queue, &first), weft_case_get(queue, &second)};
    weft_case both[] = {weft_case_get(queue, &first), weft_case_put(queue, &give)};
    ck_fails(weft_select(gets, 2, weft_in(0.002)), ETIMEDOUT);
    ck_assert_int_eq(weft_select(both, 2, WEFT_FOREVER), 1);
    ck_assert_uint_eq(weft_queue_size(queue), 1);
    int done = weft_select(gets, 2, WEFT_FOREVER);
    ck_assert_int_eq(weft_as_int(done == 0 ? first : second), 9);
    ck_assert_int_eq(weft_kind(done == 0 ? second : first), WEFT_NONE);
    ck_assert(weft_queue_empty(queue));
    weft_queue_free(queue);
}
END_TEST

START_TEST(events_are_cases)
{
    weft_event one = {0}, two = {0};
    weft_case cases[] = {weft_case_event(&one), weft_case_event(&two)};
    ck_fails(weft_select(cases, 2, WEFT_NOW), EAGAIN);
    ck_fails(weft_select(cases, 2, weft_in(0.002)), ETIMEDOUT);
    weft_event_set(&two);
    ck_assert_int_eq(weft_select(cases, 2, WEFT_FOREVER), 1);
    ck_assert_int_eq(weft_select(cases, 2, WEFT_NOW), 1);
    weft_event_clear(&two);
    ck_fails(weft_select(cases, 2, WEFT_NOW), EAGAIN); /* what was before this select began does not count */
}
END_TEST

static weft_value selecting_task(weft_value none)
{
    (void)none;
    weft_value value = weft_none;
    weft_case own = weft_case_task(weft_current(), &value);
    ck_assert_int_eq(weft_select(&own, 1, WEFT_FOREVER), 0);
    return weft_int(own.error);
}

START_TEST(tasks_are_cases)
{
    weft_value value = weft_none;
    weft_task *task = weft_task_new(BESIDE_KIND, selecting_task, weft_none);
    weft_case cases[] = {weft_case_time(WEFT_FOREVER), weft_case_task(task, &value)};
    ck_assert_int_eq(weft_select(cases, 2, WEFT_NOW), 1);
    ck_assert_int_eq(cases[1].error, EINVAL);
    beside_start(task);
    ck_assert_int_eq(weft_select(cases, 2, WEFT_FOREVER), 1);
    ck_assert_int_eq(cases[1].error, 0);
    ck_assert_int_eq(weft_as_int(value), EDEADLK);
    cases[1] = weft_case_task(task, NULL);
    ck_assert_int_eq(weft_select(cases, 2, WEFT_FOREVER), 1);
    weft_task_free(task);
}
END_TEST

START_TEST(futures_are_cases)
{
    weft_value value = weft_none;
    weft_future *one = weft_future_new(), *two = weft_future_new();
    weft_case cases[] = {weft_case_future(one, &value), weft_case_future(two, &value)};
    ck_fails(weft_select(cases, 2, WEFT_NOW), EAGAIN);
    ck_fails(weft_select(cases, 2, weft_in(0.002)), ETIMEDOUT);
    ck_assert_int_eq(weft_future_set(two, weft_str("result")), 0);
    ck_assert_int_eq(weft_select(cases, 2, WEFT_FOREVER), 1);
    ck_assert_str_eq(weft_as_str(value), "result");
    weft_drop(value);
    cases[1] = weft_case_future(two, NULL);
    ck_assert_int_eq(weft_select(cases, 2, WEFT_NOW), 1);
    weft_future_free(one);
    weft_future_free(two);
}
END_TEST

START_TEST(descriptors_are_cases)
{
    int pipes[2];
    short seen = 0;
    ck_assert_int_eq(pipe(pipes), 0);
    weft_case cases[] = {weft_case_descriptor(pipes[0], POLLIN, &seen), weft_case_time(WEFT_FOREVER)};
    ck_fails(weft_select(cases, 2, WEFT_NOW), EAGAIN);
    ck_fails(weft_select(cases, 2, weft_in(0.002)), ETIMEDOUT);
    ck_assert_int_eq(seen, 0);
    ck_assert_int_eq((int)write(pipes[1], "x", 1), 1);
    ck_assert_int_eq(weft_select(cases, 2, WEFT_FOREVER), 0);
    ck_assert_int_eq(seen, POLLIN);
    close(pipes[1]);
    ck_assert_int_eq(weft_select(cases, 2, WEFT_FOREVER), 0);
    ck_assert_int_eq(seen, POLLIN | POLLHUP);
    close(pipes[0]);
    cases[0] = weft_case_descriptor(pipes[0], POLLIN, NULL);
    ck_assert_int_eq(weft_select(cases, 2, WEFT_FOREVER), 0);
    ck_assert_int_eq(cases[0].error, EBADF);
}
END_TEST

START_TEST(many_descriptors_are_cases)
{
    enum { MANY = 40 };
    int pipes[MANY][2];
    weft_case cases[MANY + 1];
    for (int i = 0; i < MANY; i++) {
        ck_assert_int_eq(pipe(pipes[i]), 0);
        cases[i] = weft_case_descriptor(pipes[i][0], POLLIN, NULL);
    }
    cases[MANY] = weft_case_time(WEFT_FOREVER);
    ck_fails(weft_select(cases, MANY + 1, weft_in(0.002)), ETIMEDOUT);
    ck_assert_int_eq((int)write(pipes[33][1], "x", 1), 1);
    ck_assert_int_eq(weft_select(cases, MANY + 1, WEFT_FOREVER), 33);
#ifdef WEFTI_SMALL
    char octet;
    ck_assert_int_eq((int)read(pipes[33][0], &octet, 1), 1);
    if (beside_where() != BESIDE_ELSEWHERE) { /* coroutines need none */
        weft_small_fail_after(1);
        ck_fails(weft_select(cases, MANY + 1, WEFT_FOREVER), ENOMEM);
        weft_small_fail_after(0);
    }
    ck_fails(weft_select(cases, MANY + 1, weft_in(0.002)), ETIMEDOUT);
#endif
    for (int i = 0; i < MANY; i++) {
        close(pipes[i][0]);
        close(pipes[i][1]);
    }
}
END_TEST

START_TEST(many_cases_wait_without_memory)
{
    enum { MANY = 300 };
    static struct counter many[MANY];
    static weft_case cases[MANY];
    for (int i = 0; i < MANY; i++)
        cases[i] = counter_case(&many[i]);
#ifdef WEFTI_SMALL
    weft_small_fail_after(1);
#endif
    ck_fails(weft_select(cases, MANY, weft_in(0.005)), ETIMEDOUT);
#ifdef WEFTI_SMALL
    ck_assert_int_eq(weft_small_asked(), 0);
    weft_small_fail_after(0);
#endif
    many[299].permits = 1;
    ck_assert_int_eq(weft_select(cases, MANY, weft_in(0.005)), 299);
}
END_TEST

/* One of everything, and the task that waits for all of it. */
static struct {
    weft_queue *in, *out;
    weft_event event;
    weft_task *task;
    weft_future *future;
    int pipes[2];
    uint32_t go;
    bool with_descriptor;
} all;

enum { GET, PUT, EVENT, TASK, FUTURE, DESCRIPTOR, ALL };
enum { EVENT_WAITERS = 2 };

static weft_value until_go(weft_value none)
{
    while (weft_wait(&all.go, 0, WEFT_FOREVER) == 0 && __atomic_load_n(&all.go, __ATOMIC_ACQUIRE) == 0)
        ;
    return none;
}

static weft_value select_all(weft_value none)
{
    (void)none;
    weft_value value = weft_none, give = weft_int(1);
    weft_case cases[ALL] = {weft_case_get(all.in, &value), weft_case_put(all.out, &give), weft_case_event(&all.event),
        weft_case_task(all.task, NULL), weft_case_future(all.future, &value), weft_case_descriptor(all.pipes[0], POLLIN, NULL)};
    int done = weft_select(cases, all.with_descriptor ? ALL : DESCRIPTOR, WEFT_FOREVER);
    return weft_int(done < 0 ? -errno : cases[done].error == 0 ? done : 1000 + cases[done].error);
}

static void all_happens(int what)
{
    weft_value value;
    switch (what) {
    case GET:
        ck_assert_int_eq(weft_queue_put(all.in, weft_int(1), WEFT_NOW), 0);
        break;
    case PUT:
        ck_assert_int_eq(weft_queue_get(all.out, &value, WEFT_NOW), 0);
        break;
    case EVENT:
        weft_event_set(&all.event);
        weft_event_clear(&all.event); /* one that is cleared at once lets through who waited */
        break;
    case TASK:
        __atomic_store_n(&all.go, 1, __ATOMIC_RELEASE);
        weft_wake(&all.go, UINT32_MAX);
        break;
    case FUTURE:
        ck_assert_int_eq(weft_future_set(all.future, weft_none), 0);
        break;
    case DESCRIPTOR:
        ck_assert_int_eq((int)write(all.pipes[1], "x", 1), 1);
        break;
    default:
        weft_queue_close(what == ALL ? all.in : all.out);
    }
}

static void all_once(int what, bool with_descriptor, int expected)
{
    all.in = weft_queue_new();
    all.out = weft_queue_new(.capacity = 1);
    all.event = (weft_event){0};
    all.go = 0;
    all.task = beside(until_go, NULL);
    all.future = weft_future_new();
    all.with_descriptor = with_descriptor;
    ck_assert_int_eq(pipe(all.pipes), 0);
    ck_assert_int_eq(weft_queue_put(all.out, weft_int(0), WEFT_NOW), 0);
    weft_task *selecting = beside(select_all, NULL);
    fixture_until(__atomic_load_n(&all.event.word, __ATOMIC_ACQUIRE) & EVENT_WAITERS);
    fixture_until(beside_sleeps(selecting));
    all_happens(what);
    ck_assert_int_eq(beside_end(selecting), expected);
    all_happens(TASK);
    ck_assert_int_eq(weft_task_join(all.task, WEFT_FOREVER), 0);
    weft_task_free(all.task);
    weft_queue_free(all.in);
    weft_queue_free(all.out);
    weft_future_free(all.future);
    close(all.pipes[0]);
    close(all.pipes[1]);
}

START_TEST(each_of_all_kinds_ends_the_wait)
{
    for (int what = GET; what < ALL; what++) {
        all_once(what, true, what);
        if (what != DESCRIPTOR)
            all_once(what, false, what);
    }
    all_once(ALL, true, 1000 + EPIPE);
    all_once(ALL + 1, false, 1000 + EPIPE);
}
END_TEST

struct far {
    weft_event *events; /* shared */
    weft_queue *queue;
    uint32_t count;
};

static weft_value select_far(weft_value pointer)
{
    struct far *far = weft_as_ptr(pointer);
    weft_value value;
    weft_case cases[33];
    cases[0] = weft_case_get(far->queue, &value);
    for (uint32_t i = 1; i < far->count; i++)
        cases[i] = weft_case_event(&far->events[i]);
    return outcome(weft_select(cases, far->count, WEFT_FOREVER));
}

START_TEST(what_lies_in_shared_memory_is_a_case_too)
{
    weft_event *events = weft_shared_alloc(40 * sizeof(weft_event));
    ck_assert_ptr_nonnull(events);
    memset(events, 0, 40 * sizeof(*events));
    struct far far = {.events = events, .queue = weft_queue_new(), .count = 33};
    for (int i = 0; i < 2; i++) {
        weft_task *task = beside(select_far, &far);
        fixture_until(__atomic_load_n(&events[32].word, __ATOMIC_ACQUIRE) & EVENT_WAITERS);
        fixture_until(beside_sleeps(task));
        if (i == 0)
            weft_event_set(&events[31]);
        else
            ck_assert_int_eq(weft_queue_put(far.queue, weft_int(1), WEFT_NOW), 0);
        ck_assert_int_eq(beside_end(task), i == 0 ? 31 : 0);
        memset(events, 0, 40 * sizeof(*events));
    }
    weft_case cases[34];
    for (int i = 0; i < 34; i++)
        cases[i] = weft_case_event(&events[i]);
    ck_fails(weft_select(cases, 32, weft_in(0.002)), ETIMEDOUT);
    ck_fails(weft_select(cases, 33, WEFT_FOREVER), EINVAL);
    int ends[2];
    ck_assert_int_eq(pipe(ends), 0);
    cases[1] = weft_case_descriptor(ends[0], POLLIN, NULL);
    ck_fails(weft_select(cases, 2, weft_in(0.002)), ETIMEDOUT);
    ck_assert_int_eq(write(ends[1], "", 1), 1);
    ck_assert_int_eq(weft_select(cases, 2, WEFT_FOREVER), 1);
    close(ends[0]);
    close(ends[1]);
    weft_queue_free(far.queue);
    ck_assert_int_eq(weft_shared_free(events), 0);
}
END_TEST

START_TEST(a_cancelled_task_selects_no_more)
{
    struct counter none = {.permits = 0};
    all.with_descriptor = true;
    all.in = all.out = weft_queue_new(.capacity = 1);
    all.future = weft_future_new();
    all.event = (weft_event){0};
    all.task = weft_current();
    ck_assert_int_eq(pipe(all.pipes), 0);
    weft_value never = weft_none;
    weft_case put = weft_case_put(all.in, &never);
    ck_assert_int_eq(weft_select(&put, 1, WEFT_NOW), 0);
    weft_queue *empty = weft_queue_new();
    all.in = empty;
    weft_task *selecting = beside(select_all, &none);
    fixture_until(beside_sleeps(selecting));
    weft_task_cancel(selecting);
    ck_assert_int_eq(beside_end(selecting), -ECANCELED);
    weft_queue_free(all.in);
    weft_queue_free(all.out);
    weft_future_free(all.future);
    close(all.pipes[0]);
    close(all.pipes[1]);
}
END_TEST

static weft_value selecting_getter(weft_value pointers)
{
    weft_value got = weft_none;
    weft_case cases[2];
    for (int i = 0; i < 2; i++)
        cases[i] = weft_case_get(weft_as_ptr(weft_list_at(pointers, i)), &got);
    int done = weft_select(cases, 2, WEFT_FOREVER);
    weft_drop(got);
    return weft_int(done < 0 ? errno : cases[done].error);
}

static weft_value plain_getter(weft_value queue)
{
    weft_value value = weft_none;
    int error = weft_queue_get(weft_as_ptr(queue), &value, WEFT_FOREVER) == 0 ? 0 : errno;
    weft_drop(value);
    return weft_int(error);
}

START_TEST(select_hands_on_what_it_does_not_do)
{
    weft_queue *one = weft_queue_new(.capacity = 1), *two = weft_queue_new(.capacity = 1);
    weft_value both = weft_list();
    ck_assert_int_eq(weft_list_append(both, weft_ptr(one)), 0);
    ck_assert_int_eq(weft_list_append(both, weft_ptr(two)), 0);
    weft_task *selecting = beside_with(selecting_getter, both);
    fixture_until(beside_sleeps(selecting));
    weft_task *first = beside(plain_getter, one), *second = beside(plain_getter, two);
    fixture_until(beside_sleeps(first) && beside_sleeps(second));
    ck_assert_int_eq(weft_queue_put(one, weft_int(1), WEFT_NOW), 0); /* both wakes may meet the one who selects */
    ck_assert_int_eq(weft_queue_put(two, weft_int(2), WEFT_NOW), 0);
    fixture_until(weft_queue_empty(one) && weft_queue_empty(two));
    weft_queue_close(one);
    weft_queue_close(two);
    int outcomes = beside_end(selecting) + beside_end(first) + beside_end(second);
    ck_assert_int_eq(outcomes, EPIPE); /* two of the three have had a value */
    weft_queue_free(one);
    weft_queue_free(two);
}
END_TEST

enum { TAKERS = 4, COUNTERS = 3, EACH = 20000 };
static struct counter shared[COUNTERS];

static void *take(void *data)
{
    (void)data;
    weft_case cases[COUNTERS];
    for (int i = 0; i < COUNTERS; i++)
        cases[i] = counter_case(&shared[i]);
    for (int i = 0; i < EACH; i++)
        ck_assert_int_ge(weft_select(cases, COUNTERS, WEFT_FOREVER), 0);
    return NULL;
}

START_TEST(no_wake_is_lost)
{
    pthread_t threads[TAKERS];
    for (int i = 0; i < TAKERS; i++)
        pthread_create(&threads[i], NULL, take, NULL);
    for (int i = 0; i < TAKERS * EACH; i++)
        counter_give(&shared[i * 7 % COUNTERS]);
    for (int i = 0; i < TAKERS; i++)
        pthread_join(threads[i], NULL);
    for (int i = 0; i < COUNTERS; i++)
        ck_assert_uint_eq(shared[i].permits + shared[i].waiting, 0);
}
END_TEST

static void add(TCase *tests)
{
    tcase_add_test(tests, what_is_ready_is_done);
    tcase_add_test(tests, a_case_of_nothing_is_refused);
    tcase_add_test(tests, a_case_can_be_taken_out);
    tcase_add_test(tests, the_ready_have_the_same_chance);
    tcase_add_test(tests, a_failure_is_told);
    tcase_add_test(tests, cancellation_ends_a_select);
    tcase_add_test(tests, a_moment_is_a_case);
    tcase_add_test(tests, queues_are_cases);
    tcase_add_test(tests, a_queue_may_stand_in_several_cases);
    tcase_add_test(tests, events_are_cases);
    tcase_add_test(tests, tasks_are_cases);
    tcase_add_test(tests, futures_are_cases);
    tcase_add_test(tests, descriptors_are_cases);
    tcase_add_test(tests, many_descriptors_are_cases);
    tcase_add_test(tests, many_cases_wait_without_memory);
    tcase_add_test(tests, each_of_all_kinds_ends_the_wait);
    tcase_add_test(tests, what_lies_in_shared_memory_is_a_case_too);
    tcase_add_test(tests, a_block_with_a_deadline_ends_a_select);
    tcase_add_test(tests, a_cancelled_task_selects_no_more);
    tcase_add_test(tests, select_hands_on_what_it_does_not_do);
    if (beside_where() == BESIDE_THREADS) /* it has threads of its own */
        tcase_add_test(tests, no_wake_is_lost);
}

int main(void)
{
    return fixture_main("select", add);
}
