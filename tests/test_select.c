/* SPDX-License-Identifier: MIT */
/* Select, with a waitable made for the test: a counter of permits with a count of its waiters. */
#include <errno.h>
#include <pthread.h>

#include "fixture.h"
#include "wait/context.h"
#include "wait/waitable.h"

struct counter {
    uint32_t permits;
    uint32_t waiting;
    bool broken;
};

static int counter_ready(void *object, void *operation)
{
    struct counter *counter = object;
    (void)operation;
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

static void counter_enqueue(void *object, void *operation, struct wefti_item *item)
{
    struct counter *counter = object;
    (void)operation;
    __atomic_add_fetch(&counter->waiting, 1, __ATOMIC_SEQ_CST);
    item->word = &counter->permits;
    item->expected = 0;
}

static void counter_dequeue(void *object, void *operation, bool woken)
{
    struct counter *counter = object;
    (void)operation;
    __atomic_sub_fetch(&counter->waiting, 1, __ATOMIC_SEQ_CST);
    if (woken)
        weft_wake(&counter->permits, 1);
}

static const struct wefti_waitable counters = {.ready = counter_ready, .enqueue = counter_enqueue, .dequeue = counter_dequeue};

static void counter_give(struct counter *counter)
{
    __atomic_add_fetch(&counter->permits, 1, __ATOMIC_SEQ_CST);
    if (__atomic_load_n(&counter->waiting, __ATOMIC_SEQ_CST) > 0)
        weft_wake(&counter->permits, 1);
}

START_TEST(what_is_ready_is_done)
{
    struct counter a = {.permits = 1}, b = {.permits = 0};
    struct wefti_case cases[] = {{&counters, &a, NULL}, {&counters, &b, NULL}};
    ck_assert_int_eq(wefti_select(cases, 2, NULL, WEFT_FOREVER), 0);
    ck_assert_uint_eq(a.permits, 0);
    ck_fails(wefti_select(cases, 2, NULL, WEFT_NOW), EAGAIN);
    ck_fails(wefti_select(cases, 2, NULL, weft_in(0.01)), ETIMEDOUT);
    ck_fails(wefti_select(cases, 0, NULL, WEFT_FOREVER), EINVAL);
    b.permits = 1;
    ck_assert_int_eq(wefti_select(cases, 2, NULL, WEFT_NOW), 1);
    ck_assert_uint_eq(a.waiting + b.waiting, 0);
}
END_TEST

START_TEST(the_ready_take_turns)
{
    struct counter many[4] = {{.permits = 100}, {.permits = 100}, {.permits = 100}, {.permits = 100}};
    struct wefti_case cases[4];
    int seen[4] = {0};
    for (int i = 0; i < 4; i++)
        cases[i] = (struct wefti_case){&counters, &many[i], NULL};
    for (int i = 0; i < 100; i++)
        seen[wefti_select(cases, 4, NULL, WEFT_NOW)]++;
    for (int i = 0; i < 4; i++)
        ck_assert_int_eq(seen[i], 25);
}
END_TEST

START_TEST(a_failure_is_told)
{
    struct counter a = {.permits = 0}, b = {.broken = true};
    struct wefti_case cases[] = {{&counters, &a, NULL}, {&counters, &b, NULL}};
    unsigned failed = 9;
    ck_fails(wefti_select(cases, 2, &failed, WEFT_FOREVER), EPIPE);
    ck_assert_uint_eq(failed, 1);
}
END_TEST

START_TEST(cancellation_ends_a_select)
{
    struct counter many[20] = {{0}};
    struct wefti_case cases[20];
    for (int i = 0; i < 20; i++)
        cases[i] = (struct wefti_case){&counters, &many[i], NULL};
    wefti_context_cancel(wefti_context_current());
    ck_fails(wefti_select(cases, 20, NULL, WEFT_FOREVER), ECANCELED);
    for (int i = 0; i < 20; i++)
        ck_assert_uint_eq(many[i].waiting, 0);
}
END_TEST

enum { TAKERS = 4, COUNTERS = 3, EACH = 20000 };
static struct counter shared[COUNTERS];

static void *take(void *data)
{
    (void)data;
    struct wefti_case cases[COUNTERS];
    for (int i = 0; i < COUNTERS; i++)
        cases[i] = (struct wefti_case){&counters, &shared[i], NULL};
    for (int i = 0; i < EACH; i++)
        ck_assert_int_ge(wefti_select(cases, COUNTERS, NULL, WEFT_FOREVER), 0);
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
    tcase_add_test(tests, the_ready_take_turns);
    tcase_add_test(tests, a_failure_is_told);
    tcase_add_test(tests, cancellation_ends_a_select);
    tcase_add_test(tests, no_wake_is_lost);
}

int main(void)
{
    return fixture_main("select", add);
}
