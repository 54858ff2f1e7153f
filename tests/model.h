/* SPDX-License-Identifier: MIT */
/*
 * A model of tasks: the source of a primitive is compiled into the test with its atomic steps, its sleeping and its waking
 * replaced by a scheduler's, which runs a handful of made-up tasks one step at a time and walks, depth first, through all the orders in
 * which they can take their steps with at most so many preemptions, deadlines that pass and stray wakes. The steps are taken as
 * sequentially consistent.
 *
 * The test includes this file first, and gives model_begin, model_task, model_sleeps and model_end.
 */
#ifndef MODEL_H
#define MODEL_H

#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <ucontext.h>

#include "fixture.h"

/* In place of src/sync/word.h. */
#define WEFTI_WORD_H
static void model_step(void);

static inline uint32_t wefti_word_look(const uint32_t *word)
{
    model_step();
    return *word;
}

static inline void wefti_word_put(uint32_t *word, uint32_t value)
{
    model_step();
    *word = value;
}

static inline bool wefti_word_take(uint32_t *word, uint32_t *seen, uint32_t value)
{
    model_step();
    if (*word == *seen) {
        *word = value;
        return true;
    }
    *seen = *word;
    return false;
}

static inline uint32_t wefti_word_swap(uint32_t *word, uint32_t value)
{
    model_step();
    uint32_t there = *word;
    *word = value;
    return there;
}

static inline uint32_t wefti_word_add(uint32_t *word, uint32_t value)
{
    model_step();
    uint32_t there = *word;
    *word += value;
    return there;
}

static inline uint64_t wefti_wide_look(const uint64_t *word)
{
    model_step();
    return *word;
}

static inline bool wefti_wide_move(uint64_t *word, uint64_t *seen, uint64_t value)
{
    model_step();
    if (*word == *seen) {
        *word = value;
        return true;
    }
    *seen = *word;
    return false;
}

#define wefti_word_peek(word_) (*(word_)) /* the holder's own: no step */
#define wefti_word_note(word_, value_) (*(word_) = (value_))
#define wefti_word_give wefti_word_take
#define wefti_word_move wefti_word_take
#define wefti_word_read wefti_word_look
#define wefti_word_rest(pauses_) ((void)(pauses_))

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
    int ahead;            /* the test's, as the next */
    int passed;
};

/* What a scenario allows. */
struct scenario {
    const char *name;
    int tasks, preemptions, timeouts, strays, late;
    int rounds[TASKS]; /* the test's: how often each task does what it does */
    bool timed[TASKS]; /* with a deadline */
    int roles[TASKS];  /* the test's */
};

static struct model_task tasks[TASKS];
static int now, task_count;
static jmp_buf scheduler;
static struct scenario scenario;
static int preemptions, timeouts, strays, lates;
static unsigned clock_sleeps;

/* Makes the objects of the test anew. */
static void model_begin(void);
/* What a task does. */
static void model_task(int number);
/* The task that is `now` is about to sleep on the word. */
static void model_sleeps(const uint32_t *word);
/* All tasks have ended. */
static void model_end(void);

/* A way through the tree of choices: what was chosen at each, of how many. */
static struct {
    unsigned char chosen[DEPTH], of[DEPTH];
    int length, at;
} path;

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

/* A look at the clock, by which the patience of somebody may have ended: then it is this late. */
static inline weft_time model_clock_of(weft_time late)
{
    if (lates > 0 && path_choose(2) == 1) {
        lates--;
        return late;
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
    model_sleeps(word);
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

static void task_run(int number)
{
    model_task(number);
    tasks[number].done = true;
    model_switch();
}

static void task_begin(int number)
{
    struct model_task *task = &tasks[number];
    task->begun = task->done = task->sleeps = task->timed = task->late = false;
    task->ahead = -1;
    task->passed = 0;
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
    path.at = now = 0;
    task_count = scenario.tasks;
    preemptions = scenario.preemptions;
    timeouts = scenario.timeouts;
    strays = scenario.strays;
    lates = scenario.late;
    model_begin();
    for (int i = 0; i < task_count; i++)
        task_begin(i);
    for (int next; (next = schedule()) >= 0;) {
        now = next;
        model_go();
    }
    for (int i = 0; i < task_count; i++)
        model_need(tasks[i].done); /* else it sleeps for ever */
    model_end();
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

#endif
