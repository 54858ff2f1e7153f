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

static void add(TCase *tests)
{
    tcase_add_test(tests, values_come_in_order_from_another_process);
    tcase_add_test(tests, a_reader_killed_while_blocked_takes_no_wake_along);
    tcase_add_test(tests, a_death_inside_a_gate_opens_it);
    tcase_add_test(tests, large_items_outlive_their_putter);
    tcase_add_test(tests, close_is_seen_by_all_processes);
}

int main(void)
{
    return fixture_main("queue_family", add);
}
