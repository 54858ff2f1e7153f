/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <sys/wait.h>
#include <unistd.h>

#include "fixture.h"
#include "wait/context.h"
#include "wait/wait.h"

static void word_set(uint32_t *word, uint32_t value)
{
    __atomic_store_n(word, value, __ATOMIC_RELEASE);
}

START_TEST(a_word_that_differs_is_not_waited_for)
{
    uint32_t word = 1;
    ck_assert_int_eq(weft_wait(&word, 0, WEFT_NOW), 0);
    ck_assert_int_eq(weft_wait(&word, 0, WEFT_FOREVER), 0);
}
END_TEST

START_TEST(a_deadline_ends_a_wait)
{
    uint32_t word = 0;
    ck_fails(weft_wait(&word, 0, WEFT_NOW), EAGAIN);
    ck_fails(weft_wait(&word, 0, -5), EAGAIN);
    weft_time deadline = weft_in(0.02);
    ck_fails(weft_wait(&word, 0, deadline), ETIMEDOUT);
    ck_assert_int_ge(weft_clock(), deadline);
    ck_fails(weft_wait(&word, 0, 1), ETIMEDOUT); /* long past */
    ck_fails(wefti_wait_items(NULL, 0, weft_in(0.01)), ETIMEDOUT);
    ck_fails(wefti_wait_items(NULL, 0, WEFT_NOW), EAGAIN);
}
END_TEST

START_TEST(a_wake_without_waiters_wakes_nobody)
{
    uint32_t word = 0;
    ck_assert_uint_eq(weft_wake(&word, UINT32_MAX), 0);
}
END_TEST

struct sleeper {
    uint32_t word;
    uint32_t *order;
    uint32_t place;
    struct wefti_context *context;
    int result;
    int error;
};

static void *sleep_on_word(void *data)
{
    struct sleeper *sleeper = data;
    __atomic_store_n(&sleeper->context, wefti_context_current(), __ATOMIC_RELEASE);
    sleeper->result = wefti_wait_quiet(&sleeper->word, 0, WEFT_FOREVER);
    sleeper->error = errno;
    if (sleeper->order)
        sleeper->place = __atomic_add_fetch(sleeper->order, 1, __ATOMIC_RELAXED);
    return NULL;
}

/* Comes back when the context sleeps in a wait. */
static void until_asleep(struct wefti_context *const *context)
{
    for (;;) {
        struct wefti_context *sleeping = __atomic_load_n(context, __ATOMIC_ACQUIRE);
        if (!sleeping)
            continue;
        wefti_latch_close(&sleeping->guard);
        bool asleep = sleeping->wait != NULL;
        wefti_latch_open(&sleeping->guard);
        if (asleep)
            return;
        sched_yield();
    }
}

START_TEST(a_wake_ends_a_sleep)
{
    struct sleeper sleeper = {.word = 0};
    pthread_t thread;
    pthread_create(&thread, NULL, sleep_on_word, &sleeper);
    until_asleep(&sleeper.context);
    word_set(&sleeper.word, 1);
    weft_wake(&sleeper.word, 1);
    pthread_join(thread, NULL);
    ck_assert_int_ge(sleeper.result, 0); /* 1: it was to sleep, and saw the word change first */
}
END_TEST

struct queued {
    uint32_t *word;
    struct wefti_context *context;
    uint32_t *order;
    uint32_t place;
};

static void *wait_in_line(void *data)
{
    struct queued *queued = data;
    __atomic_store_n(&queued->context, wefti_context_current(), __ATOMIC_RELEASE);
    wefti_wait_quiet(queued->word, 0, WEFT_FOREVER);
    __atomic_store_n(&queued->place, __atomic_add_fetch(queued->order, 1, __ATOMIC_RELAXED), __ATOMIC_RELEASE);
    return NULL;
}

START_TEST(the_longest_waiting_is_woken_first)
{
    uint32_t word = 0, order = 0;
    struct queued queue[5];
    pthread_t threads[5];
    for (int i = 0; i < 5; i++) {
        queue[i] = (struct queued){.word = &word, .order = &order};
        pthread_create(&threads[i], NULL, wait_in_line, &queue[i]);
        until_asleep(&queue[i].context);
        weft_wait(&order, 0, weft_in(0.005)); /* published comes just before queued */
    }
    for (uint32_t i = 0; i < 5; i++) {
        while (weft_wake(&word, 1) == 0)
            sched_yield();
        while (__atomic_load_n(&queue[i].place, __ATOMIC_ACQUIRE) == 0)
            sched_yield();
        ck_assert_uint_eq(queue[i].place, i + 1);
    }
    for (int i = 0; i < 5; i++)
        pthread_join(threads[i], NULL);
}
END_TEST

START_TEST(cancellation_ends_a_wait_and_stays)
{
    struct sleeper sleeper = {.word = 0};
    pthread_t thread;
    pthread_create(&thread, NULL, sleep_on_word, &sleeper);
    until_asleep(&sleeper.context);
    wefti_context_cancel(sleeper.context);
    pthread_join(thread, NULL);
    ck_assert_int_eq(sleeper.result, -1);
    ck_assert_int_eq(sleeper.error, ECANCELED);

    uint32_t word = 0;
    struct wefti_context *self = wefti_context_current();
    wefti_context_cancel(self);
    ck_fails(weft_wait(&word, 0, WEFT_FOREVER), ECANCELED);
    ck_fails(weft_wait(&word, 0, WEFT_FOREVER), ECANCELED);
    ck_fails(weft_wait(&word, 0, WEFT_NOW), EAGAIN); /* does not wait */
    ck_assert_int_eq(weft_wait(&word, 1, WEFT_FOREVER), 0);
    wefti_shield_raise();
    ck_fails(weft_wait(&word, 0, weft_in(0.01)), ETIMEDOUT);
    wefti_shield_lower();
    ck_fails(weft_wait(&word, 0, WEFT_FOREVER), ECANCELED);
    wefti_context_uncancel(self);
    ck_fails(weft_wait(&word, 0, weft_in(0.01)), ETIMEDOUT);
}
END_TEST

START_TEST(descriptors_are_waited_for)
{
    int pipes[2];
    ck_assert_int_eq(pipe(pipes), 0);
    struct wefti_item items[] = {{.kind = WEFTI_DESCRIPTOR, .descriptor = pipes[0], .events = POLLIN},
        {.kind = WEFTI_DESCRIPTOR, .descriptor = pipes[1], .events = POLLOUT}};
    ck_fails(wefti_wait_items(items, 1, WEFT_NOW), EAGAIN);
    ck_fails(wefti_wait_items(items, 1, weft_in(0.01)), ETIMEDOUT);
    ck_assert_int_eq(wefti_wait_items(items, 2, WEFT_FOREVER), 1);
    ck_assert_int_eq(items[1].seen, POLLOUT);
    ck_assert_int_eq(wefti_wait_items(items, 2, WEFT_NOW), 1);
    ck_assert_int_eq(items[0].seen, 0);
    ck_assert_int_eq((int)write(pipes[1], "x", 1), 1);
    ck_assert_int_eq(wefti_wait_items(items, 2, WEFT_FOREVER), 0);
    ck_assert_int_eq(items[0].seen, POLLIN);
    ck_assert_int_eq(items[1].seen, POLLOUT);
    close(pipes[0]);
    close(pipes[1]);
}
END_TEST

struct mixed {
    uint32_t words[3];
    int descriptor;
    struct wefti_context *context;
    int ended;
    int error;
};

static void *wait_for_mixed(void *data)
{
    struct mixed *mixed = data;
    struct wefti_item items[4];
    for (int i = 0; i < 3; i++)
        items[i] = (struct wefti_item){.kind = WEFTI_WORD, .word = &mixed->words[i]};
    items[3] = (struct wefti_item){.kind = WEFTI_DESCRIPTOR, .descriptor = mixed->descriptor, .events = POLLIN};
    __atomic_store_n(&mixed->context, wefti_context_current(), __ATOMIC_RELEASE);
    mixed->ended = wefti_wait_items(items, mixed->descriptor < 0 ? 3 : 4, WEFT_FOREVER);
    mixed->error = errno;
    return NULL;
}

/* Starts the wait, ends it by what `how` says: a word's number, 3 the descriptor, 4 cancellation. */
static void mixed_once(int how, bool with_descriptor)
{
    int pipes[2];
    ck_assert_int_eq(pipe(pipes), 0);
    struct mixed mixed = {.descriptor = with_descriptor ? pipes[0] : -1};
    pthread_t thread;
    pthread_create(&thread, NULL, wait_for_mixed, &mixed);
    until_asleep(&mixed.context);
    if (how < 3) {
        word_set(&mixed.words[how], 1);
        weft_wake(&mixed.words[how], 1);
    } else if (how == 3) {
        ck_assert_int_eq((int)write(pipes[1], "x", 1), 1);
    } else {
        wefti_context_cancel(mixed.context);
    }
    pthread_join(thread, NULL);
    ck_assert_int_eq(mixed.ended, how < 4 ? how : -1);
    if (how == 4)
        ck_assert_int_eq(mixed.error, ECANCELED);
    close(pipes[0]);
    close(pipes[1]);
}

START_TEST(any_of_several_ends_the_wait)
{
    for (int how = 0; how < 5; how++) {
        mixed_once(how, true);
        if (how != 3)
            mixed_once(how, false);
    }
}
END_TEST

START_TEST(many_descriptors_are_waited_for)
{
    enum { MANY = 40 };
    int pipes[MANY][2];
    struct wefti_item items[MANY];
    for (int i = 0; i < MANY; i++) {
        ck_assert_int_eq(pipe(pipes[i]), 0);
        items[i] = (struct wefti_item){.kind = WEFTI_DESCRIPTOR, .descriptor = pipes[i][0], .events = POLLIN};
    }
    ck_fails(wefti_wait_items(items, MANY, WEFT_NOW), EAGAIN);
    ck_assert_int_eq((int)write(pipes[33][1], "x", 1), 1);
    ck_assert_int_eq(wefti_wait_items(items, MANY, WEFT_FOREVER), 33);
    ck_assert_int_eq(wefti_wait_items(items, MANY, WEFT_NOW), 33);
    for (int i = 0; i < MANY; i++) {
        close(pipes[i][0]);
        close(pipes[i][1]);
    }
}
END_TEST

START_TEST(a_closed_descriptor_is_seen)
{
    struct wefti_item item = {.kind = WEFTI_DESCRIPTOR, .descriptor = 999, .events = POLLIN};
    ck_assert_int_eq(wefti_wait_items(&item, 1, WEFT_FOREVER), 0);
    ck_assert_int_eq(item.seen, POLLNVAL);
}
END_TEST

static void *forget(void *data)
{
    struct sleeper *sleeper = data;
    sleep_on_word(sleeper);
    return NULL;
}

START_TEST(a_forked_child_waits_afresh)
{
    int pipes[2];
    ck_assert_int_eq(pipe(pipes), 0);
    struct wefti_item item = {.kind = WEFTI_DESCRIPTOR, .descriptor = pipes[0], .events = POLLIN};
    ck_fails(wefti_wait_items(&item, 1, weft_in(0.001)), ETIMEDOUT); /* makes the doorbell */
    struct sleeper sleeper = {.word = 0};
    pthread_t thread;
    pthread_create(&thread, NULL, forget, &sleeper);
    until_asleep(&sleeper.context);
    pid_t child = fork();
    if (child == 0) {
        uint32_t woken = weft_wake(&sleeper.word, 1); /* the sleeper is the parent's */
        int timed = wefti_wait_items(&item, 1, weft_in(0.001)) == -1 && errno == ETIMEDOUT;
        _exit(woken == 0 && timed ? 0 : 1);
    }
    int status;
    ck_assert_int_eq(waitpid(child, &status, 0), child);
    ck_assert_int_eq(status, 0);
    word_set(&sleeper.word, 1);
    weft_wake(&sleeper.word, 1);
    pthread_join(thread, NULL);
    close(pipes[0]);
    close(pipes[1]);
}
END_TEST

START_TEST(idents_differ)
{
    struct sleeper sleeper = {.word = 1};
    pthread_t thread;
    pthread_create(&thread, NULL, sleep_on_word, &sleeper);
    pthread_join(thread, NULL);
    ck_assert_uint_ne(wefti_ident(), 0);
    ck_assert_uint_eq(wefti_ident(), wefti_context_current()->ident);
    ck_assert_ptr_ne(sleeper.context, wefti_context_current());
}
END_TEST

struct kernel_word {
    uint32_t word;
    struct wefti_context *context;
    int ended;
    int error;
};

static void *wait_for_kernel_word(void *data)
{
    struct kernel_word *wanted = data;
    struct wefti_item item = {.kind = WEFTI_KERNEL_WORD, .word = &wanted->word};
    __atomic_store_n(&wanted->context, wefti_context_current(), __ATOMIC_RELEASE);
    wanted->ended = wefti_wait_items(&item, 1, WEFT_FOREVER);
    wanted->error = errno;
    return NULL;
}

START_TEST(a_word_that_the_kernel_wakes_is_waited_for)
{
    pthread_t thread;
    struct kernel_word wanted = {.word = 0};
    pthread_create(&thread, NULL, wait_for_kernel_word, &wanted);
    until_asleep(&wanted.context);
    word_set(&wanted.word, 1);
    wefti_futex_wake_shared(&wanted.word, 1);
    pthread_join(thread, NULL);
    ck_assert_int_eq(wanted.ended, 0);

    wanted = (struct kernel_word){.word = 0};
    pthread_create(&thread, NULL, wait_for_kernel_word, &wanted);
    until_asleep(&wanted.context);
    wefti_context_cancel(wanted.context);
    pthread_join(thread, NULL);
    ck_assert_int_eq(wanted.ended, -1);
    ck_assert_int_eq(wanted.error, ECANCELED);

    uint32_t word = 0;
    struct wefti_item item = {.kind = WEFTI_KERNEL_WORD, .word = &word, .expected = 1};
    ck_assert_int_eq(wefti_wait_items(&item, 1, WEFT_FOREVER), 0);
    item.expected = 0;
    ck_fails(wefti_wait_items(&item, 1, WEFT_NOW), EAGAIN);
    ck_fails(wefti_wait_items(&item, 1, weft_in(0.01)), ETIMEDOUT);
    struct wefti_item many[33];
    for (int i = 0; i < 33; i++)
        many[i] = item;
    ck_fails(wefti_wait_items(many, 33, WEFT_FOREVER), EINVAL);
}
END_TEST

static void add(TCase *tests)
{
    tcase_add_test(tests, a_word_that_differs_is_not_waited_for);
    tcase_add_test(tests, a_deadline_ends_a_wait);
    tcase_add_test(tests, a_wake_without_waiters_wakes_nobody);
    tcase_add_test(tests, a_wake_ends_a_sleep);
    tcase_add_test(tests, the_longest_waiting_is_woken_first);
    tcase_add_test(tests, cancellation_ends_a_wait_and_stays);
    tcase_add_test(tests, descriptors_are_waited_for);
    tcase_add_test(tests, any_of_several_ends_the_wait);
    tcase_add_test(tests, many_descriptors_are_waited_for);
    tcase_add_test(tests, a_word_that_the_kernel_wakes_is_waited_for);
    tcase_add_test(tests, a_closed_descriptor_is_seen);
    tcase_add_test(tests, a_forked_child_waits_afresh);
    tcase_add_test(tests, idents_differ);
}

int main(void)
{
    return fixture_main("wait", add);
}
