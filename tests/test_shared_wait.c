/* SPDX-License-Identifier: MIT */
/* Waiting for words that lie in the arena, across processes. What the child finds is its exit status. */
#include <poll.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/leave.h"
#include "fixture.h"
#include "wait/wait.h"

struct words {
    uint32_t turn, ready;
    weft_event event;
    weft_semaphore permits;
};
static struct words *words;

static void set_up(void)
{
    ck_assert_int_eq(weft_shared_limit(1 << 20), 0);
    ck_assert_ptr_nonnull(words = weft_shared_new(struct words));
}

static uint32_t look(const uint32_t *word)
{
    return __atomic_load_n(word, __ATOMIC_ACQUIRE);
}

static void set(uint32_t *word, uint32_t value)
{
    __atomic_store_n(word, value, __ATOMIC_RELEASE);
    weft_wake(word, UINT32_MAX);
}

static pid_t child_start(int (*work)(void))
{
    pid_t child = fork();
    ck_assert_int_ge(child, 0);
    if (child == 0)
        wefti_leave(work());
    return child;
}

static void child_ends(pid_t child)
{
    int status = -1;
    ck_assert_int_eq(waitpid(child, &status, 0), child);
    ck_assert_int_eq(status, 0);
}

enum { ROUNDS = 2000 };

/* Waits for the turns of one parity and gives the next. */
static int turns_take(uint32_t parity)
{
    for (uint32_t turn; (turn = look(&words->turn)) < ROUNDS;) {
        if (turn % 2 != parity && weft_wait(&words->turn, turn, WEFT_FOREVER) != 0)
            return 1;
        if (turn % 2 == parity)
            set(&words->turn, turn + 1);
    }
    return 0;
}

static int turns_odd(void)
{
    return turns_take(1);
}

START_TEST(two_processes_take_turns)
{
    pid_t child = child_start(turns_odd);
    ck_assert_int_eq(turns_take(0), 0);
    child_ends(child);
    ck_assert_uint_eq(look(&words->turn), ROUNDS);
}
END_TEST

START_TEST(a_deadline_ends_the_wait)
{
    ck_fails(weft_wait(&words->turn, 0, WEFT_NOW), EAGAIN);
    ck_fails(weft_wait(&words->turn, 0, weft_in(0.01)), ETIMEDOUT);
    ck_assert_int_eq(weft_wait(&words->turn, 1, WEFT_FOREVER), 0);
    ck_assert_int_eq(wefti_wait_quiet(&words->turn, 1, WEFT_FOREVER), 1);
}
END_TEST

static weft_value waits(weft_value unused)
{
    (void)unused;
    set(&words->ready, 1);
    while (look(&words->turn) == 0)
        if (weft_wait(&words->turn, 0, WEFT_FOREVER) != 0)
            return weft_error(errno, NULL);
    return weft_none;
}

static int ended_with(weft_task *task)
{
    weft_value value;
    ck_assert_int_eq(weft_task_result(task, &value, WEFT_FOREVER), 0);
    int code = weft_error_code(value);
    weft_drop(value);
    weft_task_free(task);
    return code;
}

START_TEST(a_task_that_waits_is_cancelled)
{
    weft_task *task = weft_spawn(WEFT_THREAD, waits, weft_none);
    fixture_until(look(&words->ready));
    weft_task_cancel(task);
    ck_assert_int_eq(ended_with(task), ECANCELED);
}
END_TEST

static int wakes_one(void)
{
    while (weft_wake(&words->turn, 1) != 1) /* until the waiter sleeps */
        weft_yield();
    return 0;
}

START_TEST(who_is_woken_is_counted)
{
    ck_assert_uint_eq(weft_wake(&words->turn, UINT32_MAX), 0);
    pid_t child = child_start(wakes_one);
    ck_assert_int_eq(wefti_wait_quiet(&words->turn, 0, WEFT_FOREVER), 0);
    child_ends(child);
}
END_TEST

static int sets_second(void)
{
    set(&words->ready, 1);
    return 0;
}

START_TEST(several_words_private_and_shared)
{
    uint32_t mine = 0;
    struct wefti_item items[3] = {
        {.kind = WEFTI_WORD, .word = &words->turn}, {.kind = WEFTI_WORD, .word = &words->ready}, {.kind = WEFTI_WORD, .word = &mine}};
    ck_fails(wefti_wait_items(items, 3, weft_in(0.01)), ETIMEDOUT);
    pid_t child = child_start(sets_second);
    ck_assert_int_eq(wefti_wait_items(items, 3, WEFT_FOREVER), 1);
    child_ends(child);
    items[2].expected = 1;
    items[1].expected = 1;
    ck_assert_int_eq(wefti_wait_items(items, 3, WEFT_FOREVER), 2);
}
END_TEST

static int sets_event(void)
{
    weft_event_set(&words->event);
    return 0;
}

/* Beside a descriptor, each in turn ends the wait: the shared word (changed and woken by another process), the descriptor, a private word,
 * time, cancellation. */
static int sets_ready(void)
{
    for (uint32_t turn = 1; turn <= 50; turn++) {
        while (look(&words->turn) != turn)
            if (weft_wait(&words->turn, turn - 1, WEFT_FOREVER) != 0)
                return 1;
        set(&words->ready, turn);
    }
    return 0;
}

START_TEST(shared_words_beside_descriptors)
{
    int ends[2];
    char octet;
    uint32_t private_word = 0;
    ck_assert_int_eq(pipe(ends), 0);
    pid_t child = child_start(sets_ready);
    for (uint32_t turn = 1; turn <= 50; turn++) {
        struct wefti_item items[3] = {{.kind = WEFTI_DESCRIPTOR, .descriptor = ends[0], .events = POLLIN},
            {.kind = WEFTI_WORD, .word = &private_word}, {.kind = WEFTI_WORD, .word = &words->ready, .expected = turn - 1}};
        ck_fails(wefti_wait_items(items, 3, weft_in(0.0005)), ETIMEDOUT);
        set(&words->turn, turn);
        ck_assert_int_eq(wefti_wait_items(items, 3, WEFT_FOREVER), 2);
        ck_assert_uint_eq(look(&words->ready), turn);
        items[2].expected = turn;
        ck_assert_int_eq(write(ends[1], "", 1), 1);
        ck_assert_int_eq(wefti_wait_items(items, 3, WEFT_FOREVER), 0);
        ck_assert_int_eq(items[0].seen, POLLIN);
        ck_assert_int_eq(read(ends[0], &octet, 1), 1);
    }
    child_ends(child);
    close(ends[0]);
    close(ends[1]);
}
END_TEST

static weft_value mixes(weft_value unused)
{
    int ends[2];
    (void)unused;
    if (pipe(ends) != 0)
        return weft_int(errno);
    struct wefti_item items[2] = {
        {.kind = WEFTI_DESCRIPTOR, .descriptor = ends[0], .events = POLLIN}, {.kind = WEFTI_WORD, .word = &words->ready}};
    int ended = wefti_wait_items(items, 2, WEFT_FOREVER), error = errno;
    close(ends[0]);
    close(ends[1]);
    return weft_int(ended < 0 ? error : ended);
}

/* More than one watcher's places in a small build. One is cancelled; one word wakes all others. */
START_TEST(many_mix_at_once)
{
    weft_task *tasks[6];
    weft_value value;
    for (int i = 0; i < 6; i++)
        ck_assert_ptr_nonnull(tasks[i] = weft_spawn(WEFT_THREAD, mixes, weft_none));
    usleep(3000); /* most sleep by then */
    weft_task_cancel(tasks[0]);
    ck_assert_int_eq(weft_task_result(tasks[0], &value, WEFT_FOREVER), 0);
    ck_assert_int_eq(weft_as_int(value), ECANCELED);
    set(&words->ready, 1);
    for (int i = 0; i < 6; i++) {
        ck_assert_int_eq(weft_task_result(tasks[i], &value, WEFT_FOREVER), 0);
        ck_assert_int_eq(weft_as_int(value), i == 0 ? ECANCELED : 1);
        weft_task_free(tasks[i]);
    }
}
END_TEST

static weft_value takes_permit_or_descriptor(weft_value end)
{
    uint32_t taken = 0;
    struct wefti_item items[2] = {
        {.kind = WEFTI_DESCRIPTOR, .descriptor = (int)weft_as_int(end), .events = POLLIN}, {.kind = WEFTI_WORD, .word = &words->ready}};
    for (;;) {
        uint32_t there = look(&words->ready);
        if (there > 0 && __atomic_compare_exchange_n(&words->ready, &there, there - 1, false, __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE)) {
            taken++;
            continue;
        }
        items[1].expected = 0;
        if (there == 0 && wefti_wait_items(items, 2, WEFT_FOREVER) == 0)
            return weft_int(taken);
    }
}

/* Each wake is for one; none is lost when there are as many as there are permits. */
START_TEST(one_wake_one_waiter_also_when_mixed)
{
    enum { WAITERS = 4, PERMITS = 2000 };
    int ends[2];
    int64_t all = 0;
    weft_task *tasks[WAITERS];
    ck_assert_int_eq(pipe(ends), 0);
    for (int i = 0; i < WAITERS; i++)
        ck_assert_ptr_nonnull(tasks[i] = weft_spawn(WEFT_THREAD, takes_permit_or_descriptor, weft_int(ends[0])));
    for (int i = 0; i < PERMITS; i++) {
        __atomic_add_fetch(&words->ready, 1, __ATOMIC_RELEASE);
        weft_wake(&words->ready, 1);
    }
    fixture_until(look(&words->ready) == 0);
    ck_assert_int_eq(write(ends[1], "", 1), 1);
    for (int i = 0; i < WAITERS; i++) {
        weft_value value;
        ck_assert_int_eq(weft_task_result(tasks[i], &value, WEFT_FOREVER), 0);
        all += weft_as_int(value);
        weft_task_free(tasks[i]);
    }
    ck_assert_int_eq(all, PERMITS);
    close(ends[0]);
    close(ends[1]);
}
END_TEST

START_TEST(an_event_is_set_by_another_process)
{
    pid_t child = child_start(sets_event);
    ck_assert_int_eq(weft_event_wait(&words->event, WEFT_FOREVER), 0);
    child_ends(child);
    ck_assert(weft_event_is_set(&words->event));
}
END_TEST

static int releases(void)
{
    for (int i = 0; i < ROUNDS; i++)
        weft_semaphore_release(&words->permits, 1);
    return 0;
}

START_TEST(permits_come_from_another_process)
{
    words->permits = (weft_semaphore)WEFT_SEMAPHORE(0);
    pid_t child = child_start(releases);
    for (int i = 0; i < ROUNDS; i++)
        ck_assert_int_eq(weft_semaphore_acquire(&words->permits, WEFT_FOREVER), 0);
    child_ends(child);
    ck_fails(weft_semaphore_acquire(&words->permits, WEFT_NOW), EAGAIN);
}
END_TEST

static void add(TCase *tests)
{
    tcase_add_checked_fixture(tests, set_up, NULL);
    tcase_add_test(tests, two_processes_take_turns);
    tcase_add_test(tests, a_deadline_ends_the_wait);
    tcase_add_test(tests, a_task_that_waits_is_cancelled);
    tcase_add_test(tests, who_is_woken_is_counted);
    tcase_add_test(tests, several_words_private_and_shared);
    tcase_add_test(tests, shared_words_beside_descriptors);
    tcase_add_test(tests, many_mix_at_once);
    tcase_add_test(tests, one_wake_one_waiter_also_when_mixed);
    tcase_add_test(tests, an_event_is_set_by_another_process);
    tcase_add_test(tests, permits_come_from_another_process);
}

int main(void)
{
    return fixture_main("shared_wait", add);
}
