/* SPDX-License-Identifier: MIT */
/*
 * The lock under every order of its steps. The lock's own source is compiled here with its atomic steps, its sleeping and its waking
 * replaced by a scheduler's, which runs a handful of made-up tasks one step at a time and walks, depth first, through all the orders in
 * which they can take their steps with at most so many preemptions, deadlines that pass and stray wakes. In each of them: one holder at a
 * time; nobody sleeps for ever; the bound on passing holds; and at the end the lock is as it was at first. The steps are taken as
 * sequentially consistent.
 */
#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <ucontext.h>

#include "fixture.h"

/* In place of src/sync/word.h. */
#define WEFTI_WORD_H
static void model_step(void);

static uint32_t wefti_word_look(const uint32_t *word)
{
    model_step();
    return *word;
}

static void wefti_word_put(uint32_t *word, uint32_t value)
{
    model_step();
    *word = value;
}

static bool wefti_word_take(uint32_t *word, uint32_t *seen, uint32_t value)
{
    model_step();
    if (*word == *seen) {
        *word = value;
        return true;
    }
    *seen = *word;
    return false;
}

static uint32_t wefti_word_swap(uint32_t *word, uint32_t value)
{
    model_step();
    uint32_t there = *word;
    *word = value;
    return there;
}

#define wefti_word_peek(word_) (*(word_)) /* the holder's own: no step */
#define wefti_word_note(word_, value_) (*(word_) = (value_))
#define wefti_word_give wefti_word_take
#define wefti_word_move wefti_word_take
#define wefti_word_read wefti_word_look
#define wefti_word_rest(pauses_) ((void)(pauses_))

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
#define wefti_context_current() (&model_context)
#define wefti_ident() ((uint32_t)now + 1)
#define wefti_ident_now ((uint32_t)now + 1)

#undef WEFTI_SMALL
#define WEFTI_SMALL 1 /* the bound is 2, so that it matters */

enum { TASKS = 4, STACK = 64 * 1024, DEPTH = 4096 };

/* ck_assert says in a system call where it is, each time: too often for here. */
#define model_need(expression) ((expression) ? (void)0 : ck_abort_msg("%s", #expression))

struct model_task {
    ucontext_t machine; /* where it begins */
    jmp_buf place;      /* where it goes on */
    char stack[STACK];
    bool begun, done, sleeps, timed, late;
    const uint32_t *word; /* that it sleeps on */
    unsigned slept_since; /* its place in the line */
    int ahead;            /* how many stood in front of it when it joined the line; -1: it is in none */
    int passed;           /* how many have taken the lock since */
};

static struct wefti_context model_context;
static struct model_task tasks[TASKS];
static int now, task_count;
static jmp_buf scheduler;

static int model_wait(const uint32_t *word, uint32_t expected, weft_time deadline);
static uint32_t model_wake(const uint32_t *word, uint32_t count);
static weft_time model_clock(void);
int model_acquire(weft_lock *lock, weft_time deadline);
int model_release(weft_lock *lock);
bool model_locked(const weft_lock *lock);
bool model_mine(const weft_lock *lock);
int model_insist(weft_lock *lock);

#include "../src/sync/lock.c"

/* A way through the tree of choices: what was chosen at each, of how many. */
static struct {
    unsigned char chosen[DEPTH], of[DEPTH];
    int length, at;
} path;

/* What a scenario allows. */
struct scenario {
    const char *name;
    int tasks, preemptions, timeouts, strays, late;
    int rounds[TASKS]; /* how often each task takes the lock */
    bool timed[TASKS]; /* with a deadline */
};

static struct scenario scenario;
static int preemptions, timeouts, strays, lates, holders;
static unsigned clock_sleeps;
static weft_lock model_lock;

static int path_choose(int of)
{
    model_need(path.at < DEPTH);
    if (path.at == path.length) {
        path.chosen[path.length] = 0;
        path.of[path.length++] = (unsigned char)of;
    }
    model_need(path.of[path.at] == of);
    return path.chosen[path.at++];
}

/* To the next way that was not gone yet. */
static bool path_advance(void)
{
    while (path.length > 0 && path.chosen[path.length - 1] + 1 == path.of[path.length - 1])
        path.length--;
    if (path.length == 0)
        return false;
    path.chosen[path.length - 1]++;
    return true;
}

static void model_switch(void)
{
    if (_setjmp(tasks[now].place) == 0)
        _longjmp(scheduler, 1);
}

static void model_step(void)
{
    model_switch();
}

static weft_time model_clock(void)
{
    if (lates > 0 && path_choose(2) == 1) {
        lates--;
        return 2 * PATIENCE;
    }
    return 0;
}

static int model_wait(const uint32_t *word, uint32_t expected, weft_time deadline)
{
    struct model_task *self = &tasks[now];
    model_step();
    if (*word != expected)
        return 1;
    self->word = word;
    self->timed = deadline != WEFT_FOREVER;
    self->late = false;
    self->slept_since = ++clock_sleeps;
    if (word == &model_lock.turn && self->ahead < 0) {
        self->ahead = 0;
        for (int i = 0; i < task_count; i++)
            self->ahead += &tasks[i] != self && tasks[i].ahead >= 0;
    }
    self->sleeps = true;
    model_switch();
    if (!self->late)
        return 0;
    errno = ETIMEDOUT;
    return -1;
}

static uint32_t model_wake(const uint32_t *word, uint32_t count)
{
    uint32_t woken = 0;
    model_step();
    while (woken < count) {
        struct model_task *first = NULL;
        for (int i = 0; i < task_count; i++)
            if (tasks[i].sleeps && tasks[i].word == word && (!first || tasks[i].slept_since < first->slept_since))
                first = &tasks[i];
        if (!first)
            break;
        first->sleeps = false;
        woken++;
    }
    return woken;
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

static void task_run(int number)
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
    self->done = true;
    model_switch();
}

static void task_begin(int number)
{
    struct model_task *task = &tasks[number];
    task->begun = task->done = task->sleeps = task->timed = task->late = false;
    task->ahead = -1;
    if (task->machine.uc_stack.ss_sp)
        return;
    getcontext(&task->machine);
    task->machine.uc_stack.ss_sp = task->stack;
    task->machine.uc_stack.ss_size = STACK;
    makecontext(&task->machine, (void (*)(void))task_run, 1, number);
}

static bool task_ready(int number)
{
    return !tasks[number].done && !tasks[number].sleeps;
}

/* Who takes the next step; -1 when nobody can. A deadline that passes and a stray wake are choices too: they make a sleeper ready. */
static int schedule(void)
{
    int options[3 * TASKS], count = 0;
    bool goes_on = task_ready(now);
    if (goes_on)
        options[count++] = now;
    for (int i = 0; i < task_count; i++)
        if (i != now && task_ready(i) && (!goes_on || preemptions > 0))
            options[count++] = i;
    for (int i = 0; i < task_count; i++) {
        if (tasks[i].sleeps && tasks[i].timed && timeouts > 0)
            options[count++] = TASKS + i;
        if (tasks[i].sleeps && strays > 0)
            options[count++] = 2 * TASKS + i;
    }
    if (count == 0)
        return -1;
    int next = options[count == 1 ? 0 : path_choose(count)];
    struct model_task *task = &tasks[next % TASKS];
    preemptions -= next < TASKS && goes_on && next != now;
    timeouts -= next / TASKS == 1;
    strays -= next / TASKS == 2;
    task->late = next / TASKS == 1;
    task->sleeps = false;
    return next % TASKS;
}

/* Lets the task that is `now` take its step. */
static void model_go(void)
{
    struct model_task *task = &tasks[now];
    if (_setjmp(scheduler) != 0)
        return;
    if (task->begun)
        _longjmp(task->place, 1);
    task->begun = true;
    setcontext(&task->machine);
}

static void scenario_once(void)
{
    memset(&model_lock, 0, sizeof(model_lock));
    path.at = now = holders = 0;
    task_count = scenario.tasks;
    preemptions = scenario.preemptions;
    timeouts = scenario.timeouts;
    strays = scenario.strays;
    lates = scenario.late;
    for (int i = 0; i < task_count; i++)
        task_begin(i);
    for (int next; (next = schedule()) >= 0;) {
        now = next;
        model_go();
    }
    for (int i = 0; i < task_count; i++)
        model_need(tasks[i].done); /* else it sleeps for ever */
    model_need((model_lock.word & ~(uint32_t)WAITERS) == 0);
    model_need(model_lock.heir == 0);
}

/* WEFT_MODEL_DEEPER=n walks with n preemptions more: minutes instead of seconds. */
static int preemptions_more(void)
{
    const char *more = getenv("WEFT_MODEL_DEEPER");
    return more ? atoi(more) : 0;
}

static void scenario_walk(struct scenario description)
{
    scenario = description;
    scenario.preemptions += preemptions_more();
    path.length = 0;
    long ways = 0;
    do {
        scenario_once();
        ways++;
    } while (path_advance());
    printf("%s: %ld ways\n", scenario.name, ways);
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
