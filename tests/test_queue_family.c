/* SPDX-License-Identifier: MIT */
/*
 * Queues in shared memory between the processes of a family. Each family's root is a child of the test; what a root finds is its exit
 * status: 0 when all is well, else the line.
 */
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/leave.h"
#include "family_process.h"
#include "queue/queue_shared.h"
#include "shared/block.h"
#include "value/value.h"

static weft_value bytes_filled(size_t length, unsigned char octet)
{
    weft_value value = weft_none;
    char *octets = wefti_bytes_resize(&value, length);
    MUST(octets);
    memset(octets, octet, length);
    return value;
}

struct stage {
    weft_queue *queue, *other;
    uint64_t count;
    uint32_t ready, done;
    int64_t seen;
};

static struct stage *stage_open(size_t arena)
{
    MUST(weft_shared_limit(arena) == 0 || errno == EBUSY);
    MUST(wefti_family_begin() == 0);
    struct stage *stage = weft_shared_new(struct stage);
    MUST(stage);
    return stage;
}

static void killed(struct wefti_process *process)
{
    MUST(kill(process->pid, SIGKILL) == 0);
    int status = ended(process);
    MUST(WIFSIGNALED(status));
}

static void say(uint32_t *word)
{
    __atomic_add_fetch(word, 1, __ATOMIC_RELEASE);
    weft_wake(word, UINT32_MAX);
}

/* Until somebody waits at the door. */
static void until_waiting(weft_queue *queue, uint32_t count)
{
    const struct wefti_shared_queue *shared = (const struct wefti_shared_queue *)queue;
    while (__atomic_load_n(&shared->filled.waiting, __ATOMIC_ACQUIRE) < count)
        weft_yield();
}

static int produces(struct wefti_process *self)
{
    struct stage *stage = self->data;
    for (uint64_t i = 0; i < stage->count; i++) {
        weft_value value = i % 7 == 3 ? bytes_filled(i % 600, (unsigned char)i) : weft_int((int64_t)i);
        MUST(weft_queue_put(stage->queue, value, WEFT_FOREVER) == 0);
    }
    return 0;
}

static void root_of_a_consumer(void)
{
    struct stage *stage = stage_open(8 << 20);
    for (int round = 0; round < 2; round++) {
        stage->queue = weft_queue_new(.shared = true, .capacity = round ? WEFT_UNBOUNDED : 10);
        stage->count = 20000;
        struct wefti_process *producer = start(produces, stage);
        for (uint64_t i = 0; i < stage->count; i++) {
            weft_value got;
            MUST(weft_queue_get(stage->queue, &got, WEFT_FOREVER) == 0);
            if (i % 7 != 3)
                MUST(weft_kind(got) == WEFT_INT && weft_as_int(got) == (int64_t)i);
            else
                MUST(weft_length(got) == i % 600 && (i % 600 == 0 || *(const unsigned char *)weft_as_bytes(got) == (unsigned char)i));
            weft_drop(got);
        }
        MUST(ended(producer) == 0);
        weft_queue_free(stage->queue);
    }
}

START_TEST(values_come_in_order_from_another_process)
{
    NEEDS_PIDFDS;
    root_runs(root_of_a_consumer);
}
END_TEST

static int gets_one(struct wefti_process *self)
{
    struct stage *stage = self->data;
    weft_value got;
    MUST(weft_queue_get(stage->queue, &got, WEFT_FOREVER) == 0);
    stage->seen = weft_as_int(got);
    say(&stage->done);
    return 0;
}

static void root_of_a_blocked_reader(void)
{
    struct stage *stage = stage_open(4 << 20);
    stage->queue = weft_queue_new(.shared = true);
    struct wefti_process *first = start(gets_one, stage);
    until_waiting(stage->queue, 1);
    struct wefti_process *second = start(gets_one, stage);
    until_waiting(stage->queue, 2);
    killed(first);
    MUST(weft_queue_put(stage->queue, weft_int(77), WEFT_FOREVER) == 0);
    MUST(ended(second) == 0 && stage->seen == 77);
    weft_queue_free(stage->queue);
}

START_TEST(a_reader_killed_while_blocked_takes_no_wake_along)
{
    NEEDS_PIDFDS;
    root_runs(root_of_a_blocked_reader);
}
END_TEST

/* Enters the gate and dies inside. */
static int dies_inside(struct wefti_process *self)
{
    struct stage *stage = self->data;
    struct wefti_visit visit;
    weft_value got;
    MUST(weft_queue_get(stage->other, &got, WEFT_FOREVER) == 0);
    MUST(wefti_gate_enter((struct wefti_gate *)(void *)((char *)stage->queue + stage->count), &visit) == 0);
    raise(SIGKILL);
    return 0;
}

/* Where the gates of a queue are: by the pointer back to it. */
static size_t gate_offset(weft_queue *queue, int number)
{
    for (size_t at = sizeof(struct wefti_shared_queue); at < sizeof(struct wefti_shared_queue) + 512; at += 64) {
        const struct wefti_gate *gate = (const struct wefti_gate *)(const void *)((const char *)queue + at);
        if ((weft_queue *)gate->queue == queue && number-- == 0)
            return at;
    }
    wefti_leave(250);
}

static void root_of_a_death_inside(void)
{
    struct stage *stage = stage_open(4 << 20);
    for (int end = 0; end < 2; end++) {
        stage->queue = weft_queue_new(.shared = true);
        stage->other = weft_queue_new(.shared = true);
        stage->count = gate_offset(stage->queue, end);
        struct wefti_process *dying = start(dies_inside, stage), *other = start(gets_one, stage);
        until_waiting(stage->queue, 1);
        MUST(weft_queue_put(stage->other, weft_none, WEFT_FOREVER) == 0);
        MUST(WIFSIGNALED(ended(dying)));
        MUST(weft_queue_put(stage->queue, weft_int(5 + end), WEFT_FOREVER) == 0);
        MUST(ended(other) == 0 && stage->seen == 5 + end);
        weft_queue_free(stage->queue);
        weft_queue_free(stage->other);
    }
}

START_TEST(a_death_inside_a_gate_opens_it)
{
    NEEDS_PIDFDS;
    root_runs(root_of_a_death_inside);
}
END_TEST

static int puts_much(struct wefti_process *self)
{
    struct stage *stage = self->data;
    MUST(weft_queue_put(stage->queue, bytes_filled(70000, 1), WEFT_FOREVER) == 0);
    MUST(weft_queue_put(stage->queue, bytes_filled((size_t)stage->count, 2), WEFT_FOREVER) == 0);
    return 0;
}

/* The putter has ended before anybody gets. */
static void root_of_large_items(void)
{
    struct stage *stage = stage_open((size_t)256 << 20);
    weft_value got;
    stage->queue = weft_queue_new(.shared = true);
    stage->count = 70000000;
    MUST(ended(start(puts_much, stage)) == 0);
    MUST(weft_queue_get(stage->queue, &got, WEFT_FOREVER) == 0 && weft_length(got) == 70000);
    weft_drop(got);
    MUST(weft_queue_get(stage->queue, &got, WEFT_FOREVER) == 0 && weft_length(got) == 70000000);
    MUST(((const char *)weft_as_bytes(got))[69999999] == 2);
    weft_drop(got);
    weft_queue_free(stage->queue);
    struct wefti_blocks_census found;
    wefti_blocks_count(&found);
    MUST(found.wrong == 0 && found.in_hand == 0 && found.octets < 2 << 20);
}

START_TEST(large_items_outlive_their_putter)
{
    NEEDS_PIDFDS;
    root_runs(root_of_large_items);
}
END_TEST

static int gets_until_closed(struct wefti_process *self)
{
    struct stage *stage = self->data;
    weft_value got;
    while (weft_queue_get(stage->queue, &got, WEFT_FOREVER) == 0)
        ;
    MUST(errno == EPIPE);
    return 0;
}

static void root_that_closes(void)
{
    struct stage *stage = stage_open(4 << 20);
    stage->queue = weft_queue_new(.shared = true);
    struct wefti_process *first = start(gets_until_closed, stage), *second = start(gets_until_closed, stage);
    until_waiting(stage->queue, 2);
    weft_queue_close(stage->queue);
    MUST(ended(first) == 0 && ended(second) == 0);
    weft_queue_free(stage->queue);
}

START_TEST(close_is_seen_by_all_processes)
{
    NEEDS_PIDFDS;
    root_runs(root_that_closes);
}
END_TEST

/* Several processes select from two queues at once, others put, by select too. */
enum { SELECTORS = 3, ITEMS = 1200 };

struct fair {
    weft_queue *queues[2];
    uint32_t got[ITEMS]; /* how often each was */
    uint32_t next;       /* to be put */
    uint32_t all_got, timed_out;
};

static const struct weft_queue_options fair_kinds[] = {{.capacity = 10}, {.capacity = WEFT_UNBOUNDED}, {.capacity = 1},
    {.capacity = 10, .order = WEFT_LIFO}, {.capacity = 10, .order = WEFT_PRIORITY}, {.capacity = WEFT_RENDEZVOUS}};
enum { FAIR_KINDS = sizeof(fair_kinds) / sizeof(*fair_kinds) };

static struct fair *fair_open(int kind)
{
    MUST(wefti_family_begin() == 0);
    struct fair *fair = weft_shared_new(struct fair);
    struct weft_queue_options options = fair_kinds[kind];
    options.size = sizeof(options);
    options.shared = true;
    for (int i = 0; i < 2; i++)
        MUST(fair && (fair->queues[i] = weft_queue_new_with(&options)));
    return fair;
}

static void fair_close(struct fair *fair)
{
    for (int i = 0; i < 2; i++)
        weft_queue_free(fair->queues[i]);
    MUST(weft_shared_free(fair) == 0);
}

static int selects(struct wefti_process *self)
{
    struct fair *fair = self->data;
    weft_value values[2];
    weft_case cases[2] = {weft_case_get(fair->queues[0], &values[0]), weft_case_get(fair->queues[1], &values[1])};
    unsigned seed = (unsigned)getpid();
    for (int open = 2; open > 0;) {
        int done = weft_select(cases, 2, rand_r(&seed) % 4 ? WEFT_FOREVER : weft_in(1e-6 * (rand_r(&seed) % 100)));
        MUST(done >= 0 || errno == ETIMEDOUT);
        if (done < 0) {
            __atomic_add_fetch(&fair->timed_out, 1, __ATOMIC_RELAXED);
        } else if (cases[done].error) {
            MUST(cases[done].error == EPIPE);
            cases[done] = (weft_case){0};
            open--;
        } else {
            __atomic_add_fetch(&fair->got[weft_as_int(values[done])], 1, __ATOMIC_RELAXED);
            __atomic_add_fetch(&fair->all_got, 1, __ATOMIC_RELEASE);
        }
    }
    return 0;
}

static int puts_by_select(struct wefti_process *self)
{
    struct fair *fair = self->data;
    for (uint32_t item; (item = __atomic_fetch_add(&fair->next, 1, __ATOMIC_RELAXED)) < ITEMS;) {
        weft_value value = weft_int(item);
        weft_case cases[2] = {weft_case_put(fair->queues[0], &value), weft_case_put(fair->queues[1], &value)};
        int done = weft_select(cases, 2, WEFT_FOREVER);
        MUST(done >= 0 && cases[done].error == 0);
    }
    return 0;
}

static void puts_in_turn(struct fair *fair)
{
    for (uint32_t item; (item = __atomic_fetch_add(&fair->next, 1, __ATOMIC_RELAXED)) < ITEMS;)
        MUST(weft_queue_put(fair->queues[item % 2], weft_int(item), WEFT_FOREVER) == 0);
}

/* How many nobody had; that one was had twice ends it. */
static uint32_t fair_lost(const struct fair *fair)
{
    uint32_t lost = 0;
    for (int i = 0; i < ITEMS; i++) {
        MUST(fair->got[i] <= 1);
        lost += !fair->got[i];
    }
    return lost;
}

static int fair_kind;

/* With `deaths` of those who select on the way, each of which takes one value along at most. */
static void fair_run(uint32_t deaths)
{
    struct fair *fair = fair_open(fair_kind);
    struct wefti_process *selectors[SELECTORS], *putter;
    for (int i = 0; i < SELECTORS; i++)
        selectors[i] = start(selects, fair);
    putter = start(puts_by_select, fair);
    for (uint32_t i = 0; i < deaths; i++) {
        while (__atomic_load_n(&fair->all_got, __ATOMIC_ACQUIRE) < (i + 1) * ITEMS / 10) {
            uint32_t item = __atomic_fetch_add(&fair->next, 1, __ATOMIC_RELAXED);
            MUST(item >= ITEMS || weft_queue_put(fair->queues[item % 2], weft_int(item), WEFT_FOREVER) == 0);
        }
        killed(selectors[i % SELECTORS]);
        selectors[i % SELECTORS] = start(selects, fair);
    }
    puts_in_turn(fair);
    MUST(ended(putter) == 0);
    for (int i = 0; i < 2; i++)
        weft_queue_close(fair->queues[i]);
    for (int i = 0; i < SELECTORS; i++)
        MUST(ended(selectors[i]) == 0);
    MUST(fair_lost(fair) <= deaths);
    fair_close(fair);
}

static void root_of_selectors(void)
{
    fair_run(0);
}

static void root_of_dying_selectors(void)
{
    fair_run(5);
}

START_TEST(several_processes_select_from_the_same_queues)
{
    NEEDS_PIDFDS;
    fair_kind = _i;
    root_runs(root_of_selectors);
    root_runs(root_of_dying_selectors);
}
END_TEST

/* Whether a task of it sleeps on a word of the arena. */
static bool process_sleeps(const struct wefti_process *process)
{
    uint32_t seat = __atomic_load_n(&process->seat, __ATOMIC_ACQUIRE);
    const struct wefti_life *life = seat ? __atomic_load_n(&wefti_family_get()->seats[seat].lives, __ATOMIC_ACQUIRE) : NULL;
    while (life && __atomic_load_n(&life->waits_used, __ATOMIC_ACQUIRE) == 0)
        life = life->next;
    return life != NULL;
}

static int selects_one(struct wefti_process *self)
{
    struct fair *fair = self->data;
    weft_value values[2];
    weft_case cases[2] = {weft_case_get(fair->queues[0], &values[0]), weft_case_get(fair->queues[1], &values[1])};
    MUST(weft_select(cases, 2, weft_in(0.002)) == -1 && errno == ETIMEDOUT);
    __atomic_add_fetch(&fair->timed_out, 1, __ATOMIC_RELEASE);
    int done = weft_select(cases, 2, WEFT_FOREVER);
    MUST(done >= 0);
    if (cases[done].error)
        return cases[done].error == EPIPE ? 3 : 1;
    MUST(weft_as_int(values[done]) == done);
    return 0;
}

static struct wefti_process *sleeping_selector(struct fair *fair)
{
    uint32_t before = __atomic_load_n(&fair->timed_out, __ATOMIC_ACQUIRE);
    struct wefti_process *process = start(selects_one, fair);
    while (__atomic_load_n(&fair->timed_out, __ATOMIC_ACQUIRE) == before || !process_sleeps(process))
        weft_yield();
    return process;
}

static void root_of_one_selector(void)
{
    struct fair *fair = fair_open(fair_kind);
    for (int which = 0; which < 2; which++) {
        struct wefti_process *first = sleeping_selector(fair), *second = sleeping_selector(fair);
        killed(first);
        MUST(weft_queue_put(fair->queues[which], weft_int(which), WEFT_FOREVER) == 0);
        MUST(ended(second) == 0);
    }
    struct wefti_process *first = sleeping_selector(fair), *second = sleeping_selector(fair);
    weft_queue_close(fair->queues[1]);
    MUST(ended(first) == 3 << 8 && ended(second) == 3 << 8);
    fair_close(fair);
}

START_TEST(a_selector_killed_while_it_waits_takes_no_wake_along)
{
    NEEDS_PIDFDS;
    fair_kind = _i;
    root_runs(root_of_one_selector);
}
END_TEST

static void add(TCase *tests)
{
    tcase_add_test(tests, values_come_in_order_from_another_process);
    tcase_add_test(tests, a_reader_killed_while_blocked_takes_no_wake_along);
    tcase_add_test(tests, a_death_inside_a_gate_opens_it);
    tcase_add_test(tests, large_items_outlive_their_putter);
    tcase_add_test(tests, close_is_seen_by_all_processes);
    tcase_add_loop_test(tests, several_processes_select_from_the_same_queues, 0, FAIR_KINDS);
    tcase_add_loop_test(tests, a_selector_killed_while_it_waits_takes_no_wake_along, 0, FAIR_KINDS);
}

int main(void)
{
    return fixture_main("queue_family", add);
}
