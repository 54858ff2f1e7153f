/* SPDX-License-Identifier: MIT */
/*
 * A signal handler sets events and gives permits while the thread that it interrupts is in the middle of the library's own code, at the
 * same words, and at others. No set and no permit may be lost, and nothing may stand still.
 */
#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

#include "beside.h"

#if FIXTURE_TSAN
enum { SIGNALS = 300, ROUNDS = 1 }; /* it keeps signals back until the thread calls the C library */
#else
enum { SIGNALS = 20000, ROUNDS = 100 };
#endif
enum { EVENTS = 24 /* more than are put down while a wake has to wait */ };

static weft_event events[EVENTS], ping;
static weft_semaphore permits = WEFT_SEMAPHORE(0);
static weft_lock lock;
static uint32_t handled, taken, ending;

static uint32_t look(const uint32_t *word)
{
    return __atomic_load_n(word, __ATOMIC_ACQUIRE);
}

static void handle(int number)
{
    int error = errno;
    (void)number;
    for (int i = 0; i < EVENTS; i++) {
        weft_event_set(&events[i]);
        weft_wake(&events[i].word, UINT32_MAX); /* whether anybody waits or not */
    }
    weft_event_set(&ping);
    if (weft_semaphore_release(&permits, 1) == 0)
        __atomic_add_fetch(&handled, 1, __ATOMIC_ACQ_REL);
    if (errno != error)
        __atomic_store_n(&handled, UINT32_MAX / 2, __ATOMIC_RELEASE); /* a handler must not change it */
}

/* Is in the parking lot nearly all the time, at the words that the handler wakes. */
static weft_value be_interrupted(weft_value none)
{
    (void)none;
    while (!look(&ending)) {
        for (int i = 0; i < ROUNDS * EVENTS; i++) { /* no system call, so that signals come in here */
            weft_wake(&events[i % EVENTS].word, 0);
            weft_wake(&permits.word, 0);
        }
        weft_event_wait(&ping, weft_in(1e-6));
        weft_event_clear(&ping);
        weft_with (&lock)
            weft_wake(&ping.word, UINT32_MAX);
        weft_yield();
    }
    return weft_int(0);
}

static weft_value hinder(weft_value none)
{
    (void)none;
    while (!look(&ending))
        weft_with (&lock)
            weft_yield();
    return weft_int(0);
}

static weft_value take_permits(weft_value none)
{
    (void)none;
    for (int i = 0; i < SIGNALS; i++) {
        if (weft_semaphore_acquire(&permits, WEFT_FOREVER) != 0)
            return outcome(-1);
        __atomic_add_fetch(&taken, 1, __ATOMIC_ACQ_REL);
    }
    return weft_int(0);
}

/* Waits for one event after another, all of which each signal sets. */
static weft_value wait_for_events(weft_value none)
{
    int seen = 0;
    (void)none;
    for (; !look(&ending); seen++) {
        weft_event *event = &events[seen % EVENTS];
        weft_event_clear(event);
        if (!look(&ending) && weft_event_wait(event, WEFT_FOREVER) != 0)
            return outcome(-1);
    }
    return weft_int(0);
}

START_TEST(handlers_may_set_and_give)
{
    struct sigaction action = {.sa_handler = handle};
    ck_assert_int_eq(sigaction(SIGUSR1, &action, NULL), 0);
    weft_task *victim = beside(be_interrupted, NULL), *other = beside(hinder, NULL), *taker = beside(take_permits, NULL),
              *waiter = beside(wait_for_events, NULL);
    fixture_until(weft_task_native_id(victim) > 0);
    for (uint32_t i = 1; i <= SIGNALS; i++) {
        fixture_until(look(&permits.word) >> 31); /* the taker sleeps, or is about to */
        ck_assert_int_eq(tgkill(getpid(), weft_task_native_id(victim), SIGUSR1), 0);
        for (weft_time late = weft_in(20); look(&handled) < i || look(&taken) < i;) {
            if (weft_clock() > late)
                ck_abort_msg("it stands still after %u signals", i - 1);
            weft_yield();
        }
        ck_assert_uint_eq(look(&handled), i); /* and its permit is taken: no wake waits for the next signal */
    }
    ck_assert_int_eq(beside_end(taker), 0); /* as many permits as signals */
    ck_assert_uint_eq(weft_semaphore_value(&permits), 0);
    __atomic_store_n(&ending, 1, __ATOMIC_RELEASE);
    for (int i = 0; i < EVENTS; i++)
        weft_event_set(&events[i]);
    ck_assert_int_eq(beside_end(victim), 0);
    ck_assert_int_eq(beside_end(other), 0);
    ck_assert_int_eq(beside_end(waiter), 0);
}
END_TEST

static void add(TCase *tests)
{
    tcase_add_test(tests, handlers_may_set_and_give);
}

int main(void)
{
    return fixture_main("handlers under stress", add);
}
