/* SPDX-License-Identifier: MIT */
/*
 * The lock under every order of its steps (model.h). In each of them: one holder at a time; nobody sleeps for ever; the bound on passing
 * holds; and at the end the lock is as it was at first. `ahead` is how many stood in front of a task when it joined the line (-1: it is in
 * none), `passed` how many have taken the lock since.
 */
#include "model.h"

#include "sync/inside.h"
#include "wait/context.h"

#define weft_lock_acquire model_acquire
#define weft_lock_release model_release
#define weft_lock_locked model_locked
#define wefti_lock_mine model_mine
#define wefti_lock_insist model_insist
#define wefti_wait_quiet model_wait
#define weft_wake model_wake
#define weft_clock model_clock
#define wefti_spin_pays(spin_) ((void)(spin_), false)
static struct wefti_context model_context;
#define wefti_context_current() (&model_context)
#define wefti_ident() ((uint32_t)now + 1)
#define wefti_ident_now ((uint32_t)now + 1)

#undef WEFTI_SMALL
#define WEFTI_SMALL 1 /* the bound is 2, so that it matters */

static weft_lock model_lock;
static int holders;

static weft_time model_clock(void);
int model_acquire(weft_lock *lock, weft_time deadline);
int model_release(weft_lock *lock);
bool model_locked(const weft_lock *lock);
bool model_mine(const weft_lock *lock);
int model_insist(weft_lock *lock);

#include "../src/sync/lock.c"

static weft_time model_clock(void)
{
    return model_clock_of(2 * PATIENCE);
}

static void model_begin(void)
{
    memset(&model_lock, 0, sizeof(model_lock));
    holders = 0;
}

/* Who joins the line notes how many stand in front of him. */
static void model_sleeps(const uint32_t *word)
{
    struct model_task *self = &tasks[now];
    if (word != &model_lock.turn || self->ahead >= 0)
        return;
    self->ahead = 0;
    for (int i = 0; i < task_count; i++)
        self->ahead += &tasks[i] != self && tasks[i].ahead >= 0;
}

static void passed_count(void)
{
    for (int i = 0; i < task_count; i++) {
        if (i == now)
            tasks[i].ahead = -1;
        else if (tasks[i].ahead >= 0)
            tasks[i].passed++;
        if (tasks[i].ahead >= 0 && scenario.strays == 0)
            model_need(tasks[i].passed <= tasks[i].ahead + (tasks[i].ahead + 1) * PASS_LIMIT);
    }
    tasks[now].passed = 0;
}

static void model_task(int number)
{
    struct model_task *self = &tasks[number];
    for (int i = 0; i < scenario.rounds[number]; i++) {
        weft_time deadline = scenario.timed[number] ? 1 : WEFT_FOREVER;
        self->ahead = -1;
        self->passed = 0;
        if (model_acquire(&model_lock, deadline) == 0) {
            passed_count();
            model_need(++holders == 1);
            model_step();
            holders--;
            model_need(model_release(&model_lock) == 0);
        } else {
            model_need(scenario.timed[number] && errno == ETIMEDOUT);
        }
        self->ahead = -1;
    }
}

static void model_end(void)
{
    model_need((model_lock.word & ~(uint32_t)WAITERS) == 0);
    model_need(model_lock.heir == 0);
}

START_TEST(three_tasks)
{
    scenario_walk((struct scenario){.name = "three tasks", .tasks = 3, .preemptions = 4, .rounds = {1, 1, 1}});
}
END_TEST

START_TEST(two_tasks_again_and_again)
{
    scenario_walk((struct scenario){.name = "two tasks", .tasks = 2, .preemptions = 5, .rounds = {3, 2}});
}
END_TEST

START_TEST(one_is_passed)
{
    scenario_walk((struct scenario){.name = "passing", .tasks = 2, .preemptions = 4, .rounds = {5, 1}});
}
END_TEST

START_TEST(two_are_passed)
{
    scenario_walk((struct scenario){.name = "passing two", .tasks = 3, .preemptions = 3, .rounds = {5, 1, 1}});
}
END_TEST

START_TEST(deadlines_pass)
{
    scenario_walk((struct scenario){
        .name = "deadlines", .tasks = 3, .preemptions = 2, .timeouts = 2, .rounds = {2, 1, 1}, .timed = {false, true, true}});
}
END_TEST

START_TEST(strays_wake)
{
    scenario_walk((struct scenario){.name = "stray wakes",
        .tasks = 3,
        .preemptions = 2,
        .strays = 1,
        .timeouts = 1,
        .rounds = {1, 1, 1},
        .timed = {false, true, false}});
}
END_TEST

START_TEST(patience_ends)
{
    scenario_walk((struct scenario){
        .name = "patience", .tasks = 3, .preemptions = 2, .late = 2, .timeouts = 1, .rounds = {2, 1, 1}, .timed = {false, true, false}});
}
END_TEST

START_TEST(four_tasks)
{
    scenario_walk((struct scenario){.name = "four tasks", .tasks = 4, .preemptions = 2, .rounds = {1, 1, 1, 1}});
}
END_TEST

static void add(TCase *tests)
{
    tcase_add_test(tests, three_tasks);
    tcase_add_test(tests, two_tasks_again_and_again);
    tcase_add_test(tests, one_is_passed);
    tcase_add_test(tests, two_are_passed);
    tcase_add_test(tests, deadlines_pass);
    tcase_add_test(tests, strays_wake);
    tcase_add_test(tests, patience_ends);
    tcase_add_test(tests, four_tasks);
}

int main(void)
{
    return fixture_main("lock model", add);
}
