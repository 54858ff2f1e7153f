/* SPDX-License-Identifier: MIT */
/* Tasks are started, joined by several at once with short deadlines, cancelled, renamed, enumerated and freed, all at the same time. */
#include <errno.h>
#include <stdlib.h>

#include "beside.h"

enum { ROUNDS = 150, JOINERS = 3 };

static uint32_t ran;

static weft_value work(weft_value kind)
{
    __atomic_add_fetch(&ran, 1, __ATOMIC_RELAXED);
    switch (weft_as_int(kind)) {
    case 0:
        return weft_none;
    case 1:
        return weft_sleep(0.0005) == 0 ? weft_none : weft_error(errno, NULL);
    case 2:
        return weft_sleep(60) == 0 ? weft_none : weft_error(errno, NULL); /* is cancelled */
    default:
        weft_yield();
        return weft_str("text");
    }
}

static weft_value join_it(weft_value handle)
{
    weft_task *task = weft_as_ptr(handle);
    unsigned seed = (unsigned)weft_task_ident(weft_current());
    while (weft_task_join(task, weft_in(1e-5 * (rand_r(&seed) % 20))) != 0)
        ck_assert_int_eq(errno, ETIMEDOUT);
    weft_value value;
    ck_assert_int_eq(weft_task_result(task, &value, WEFT_NOW), 0);
    weft_drop(value);
    weft_task_free(task);
    return weft_none;
}

static void look_at_all(void)
{
    weft_task *tasks[8];
    char text[100];
    size_t count = weft_tasks(tasks, 8);
    for (size_t i = 0; i < count && i < 8; i++) {
        weft_task_repr(tasks[i], text, sizeof(text));
        weft_task_free(tasks[i]);
    }
}

static void one_round(unsigned kind)
{
    weft_task *task = weft_spawn(BESIDE_KIND, work, weft_int(kind), .name = "worker");
    ck_assert_ptr_nonnull(task);
    weft_task *joiners[JOINERS];
    for (int i = 0; i < JOINERS; i++)
        joiners[i] = weft_spawn(BESIDE_KIND, join_it, weft_ptr(weft_task_keep(task)));
    look_at_all();
    if (kind == 2)
        weft_task_cancel(task);
    weft_task_free(task);
    for (int i = 0; i < JOINERS; i++) {
        ck_assert_int_eq(weft_task_join(joiners[i], WEFT_FOREVER), 0);
        weft_task_free(joiners[i]);
    }
}

START_TEST(handles_are_shared)
{
    for (unsigned i = 0; i < ROUNDS; i++)
        one_round(i % 4);
    ck_assert_uint_eq(ran, ROUNDS);
    ck_assert_uint_eq(weft_active_count(), 1);
}
END_TEST

static weft_value start_it(weft_value handle)
{
    return weft_bool(weft_task_start(weft_as_ptr(handle)) == 0);
}

START_TEST(a_task_is_started_once)
{
    for (int i = 0; i < ROUNDS; i++) {
        weft_task *task = weft_task_new(BESIDE_KIND, work, weft_int(0)), *starters[2];
        for (int j = 0; j < 2; j++)
            starters[j] = weft_spawn(BESIDE_KIND, start_it, weft_ptr(task));
        while (weft_task_join(task, WEFT_FOREVER) != 0) {
            ck_assert_int_eq(errno, EINVAL); /* not started yet */
            weft_yield();
        }
        int started = 0;
        for (int j = 0; j < 2; j++) {
            weft_value value;
            weft_task_result(starters[j], &value, WEFT_FOREVER);
            started += weft_as_bool(value);
            weft_task_free(starters[j]);
        }
        ck_assert_int_eq(started, 1);
        weft_task_free(task);
    }
}
END_TEST

static void add(TCase *tests)
{
    tcase_add_test(tests, handles_are_shared);
    tcase_add_test(tests, a_task_is_started_once);
}

int main(void)
{
    return fixture_main("stress_task", add);
}
