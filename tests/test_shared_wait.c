/* SPDX-License-Identifier: MIT */
/* Waiting for words that lie in the arena, across processes. What the child finds is its exit status. */
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
    tcase_add_test(tests, an_event_is_set_by_another_process);
    tcase_add_test(tests, permits_come_from_another_process);
}

int main(void)
{
    return fixture_main("shared_wait", add);
}
