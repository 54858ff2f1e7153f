/* SPDX-License-Identifier: MIT */
/*
 * Queues in shared memory: what one process sees of them, and what is left when a process dies at any instruction of a put or a get.
 */
#include <signal.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/leave.h"
#include "base/memory.h"
#include "fixture.h"
#include "queue/queue_shared.h"
#include "shared/block.h"
#include "shared/life.h"
#include "step.h"

#define MUST(condition)                      \
    do {                                     \
        if (!(condition))                    \
            wefti_leave(__LINE__ % 250 + 1); \
    } while (0)

static struct wefti_blocks_census census(void)
{
    struct wefti_blocks_census found;
    wefti_blocks_count(&found);
    ck_assert_uint_eq(found.wrong, 0);
    return found;
}

/* One process. */

static uint64_t committed_before;

static weft_value uses(weft_value queue)
{
    return weft_int(weft_queue_put(weft_as_ptr(queue), weft_none, WEFT_NOW));
}

static void set_up(void)
{
    ck_assert_int_eq(weft_shared_limit(8 << 20), 0);
    weft_queue *queue = weft_queue_new(.shared = true, .capacity = 1); /* so that there are lives, and the table */
    ck_assert_int_eq(weft_queue_put(queue, weft_none, WEFT_NOW), 0);
    weft_task *task = weft_spawn(WEFT_THREAD, uses, weft_ptr(queue));
    ck_assert_int_eq(weft_task_join(task, WEFT_FOREVER), 0);
    weft_task_free(task);
    weft_queue_free(queue);
    committed_before = census().committed;
}

static void nothing_left(void)
{
    struct wefti_blocks_census found = census();
    ck_assert_uint_eq(found.committed, committed_before);
    ck_assert_uint_eq(found.in_hand + found.chunks_taken, 0);
}

static weft_value bytes_of(size_t length, unsigned char octet)
{
    unsigned char *octets = malloc(length + 1);
    memset(octets, octet, length + 1);
    weft_value value = weft_bytes(octets, length);
    free(octets);
    return value;
}

/* Through the queue and back. */
static void passes(weft_queue *queue, weft_value value)
{
    weft_value got;
    weft_value kept = weft_keep(value);
    ck_assert_int_eq(weft_queue_put(queue, value, WEFT_NOW), 0);
    ck_assert_int_eq(weft_queue_get(queue, &got, WEFT_NOW), 0);
    ck_assert_int_eq(weft_kind(got), weft_kind(kept));
    ck_assert(weft_equal(got, kept));
    weft_drop(got);
    weft_drop(kept);
}

START_TEST(values_of_all_kinds_pass)
{
    weft_queue *queue = weft_queue_new(.shared = true, .capacity = 2);
    ck_assert(weft_is_shared(queue));
    void *block = weft_shared_alloc(10);
    passes(queue, weft_none);
    passes(queue, weft_bool(true));
    passes(queue, weft_int(INT64_MIN));
    passes(queue, weft_float(-1.5));
    passes(queue, weft_ptr(block));
    passes(queue, weft_ptr(NULL));
    passes(queue, weft_str(""));
    passes(queue, weft_str("short"));
    for (size_t length = 110; length < 130; length++)
        passes(queue, bytes_of(length, 7));
    passes(queue, bytes_of(40000, 1));
    passes(queue, bytes_of(200000, 2));
    passes(queue, weft_str_f("%200s", "long"));
    passes(queue, weft_error(7, "of that text"));
    passes(queue, weft_tuple((weft_value[]){weft_int(1), weft_str("two")}, 2));
    weft_value list = weft_list();
    for (int i = 0; i < 100; i++)
        weft_list_append(list, weft_str_f("item %d", i));
    passes(queue, list);
    weft_queue_free(queue);
    ck_assert_int_eq(weft_shared_free(block), 0);
    nothing_left();
}
END_TEST

START_TEST(what_cannot_cross_fails_in_the_putter)
{
    weft_queue *queue = weft_queue_new(.shared = true);
    int here;
    weft_value inside = weft_tuple((weft_value[]){weft_ptr(&here)}, 1);
    ck_fails(weft_queue_put(queue, weft_ptr(&here), WEFT_NOW), EFAULT);
    ck_fails(weft_queue_put(queue, inside, WEFT_NOW), EFAULT);
    ck_assert_int_eq(weft_queue_put_many(queue, (weft_value[]){weft_int(1), inside}, 2, WEFT_NOW), 1);
    ck_assert_int_eq(errno, EFAULT);
    weft_case one = weft_case_put(queue, &inside);
    ck_assert_int_eq(weft_select(&one, 1, WEFT_NOW), 0);
    ck_assert_int_eq(one.error, EFAULT);
    weft_drop(inside);
    ck_assert_uint_eq(weft_queue_size(queue), 1);
    weft_queue_free(queue);
    nothing_left();
}
END_TEST

START_TEST(the_bound_and_the_order_are_exact)
{
    weft_queue *queue = weft_queue_new(.shared = true, .capacity = 3);
    weft_value got;
    ck_assert_uint_eq(weft_queue_capacity(queue), 3);
    ck_assert(weft_queue_empty(queue) && !weft_queue_full(queue));
    ck_fails(weft_queue_get(queue, &got, WEFT_NOW), EAGAIN);
    ck_fails(weft_queue_get(queue, &got, weft_in(0.001)), ETIMEDOUT);
    for (int round = 0, next = 0; round < 5; round++, next += 3) {
        for (int i = 0; i < 3; i++)
            ck_assert_int_eq(weft_queue_put(queue, weft_int(next + i), WEFT_NOW), 0);
        ck_assert(weft_queue_full(queue) && weft_queue_size(queue) == 3);
        ck_fails(weft_queue_put(queue, weft_int(9), WEFT_NOW), EAGAIN);
        ck_fails(weft_queue_put(queue, weft_int(9), weft_in(0.001)), ETIMEDOUT);
        weft_value text = bytes_of(1000, 1);
        ck_fails(weft_queue_put(queue, text, WEFT_NOW), EAGAIN);
        weft_drop(text);
        for (int i = 0; i < 3; i++) {
            ck_assert_int_eq(weft_queue_get(queue, &got, WEFT_NOW), 0);
            ck_assert_int_eq(weft_as_int(got), next + i);
        }
    }
    ck_fails(weft_queue_task_done(queue), ENOTSUP);
    ck_fails(weft_queue_join(queue, WEFT_NOW), ENOTSUP);
    weft_queue_free(queue);
    nothing_left();
}
END_TEST

START_TEST(an_unbounded_one_takes_all)
{
    enum { MANY = 2000 };
    weft_queue *queue = weft_queue_new(.shared = true, .capacity = WEFT_UNBOUNDED);
    weft_value got;
    for (int round = 0; round < 2; round++) {
        for (int i = 0; i < MANY; i++)
            ck_assert_int_eq(weft_queue_put(queue, weft_int(i), WEFT_NOW), 0);
        ck_assert_uint_eq(weft_queue_size(queue), MANY);
        for (int i = 0; i < MANY; i++) {
            ck_assert_int_eq(weft_queue_get(queue, &got, WEFT_NOW), 0);
            ck_assert_int_eq(weft_as_int(got), i);
        }
    }
    long put = 0;
    weft_value text = bytes_of(120, 1);
    for (; weft_queue_put(queue, text, WEFT_NOW) == 0; put++)
        text = bytes_of(120, 1);
    ck_assert_int_eq(errno, ENOMEM);
    weft_drop(text);
    ck_assert_int_gt(put, MANY);
    ck_assert_int_eq(weft_queue_get(queue, &got, WEFT_NOW), 0);
    weft_drop(got);
    weft_queue_free(queue);
    nothing_left();
}
END_TEST

START_TEST(close_lets_out_what_is_in_it)
{
    weft_queue *queue = weft_queue_new(.shared = true);
    weft_value got;
    ck_assert_int_eq(weft_queue_put(queue, weft_int(1), WEFT_NOW), 0);
    weft_queue_close(queue);
    ck_assert(weft_queue_closed(queue));
    ck_fails(weft_queue_put(queue, weft_int(2), WEFT_FOREVER), EPIPE);
    ck_assert_int_eq(weft_queue_get(queue, &got, WEFT_FOREVER), 0);
    ck_fails(weft_queue_get(queue, &got, WEFT_FOREVER), EPIPE);
    ck_assert_uint_eq(weft_queue_close_now(queue), 0);
    weft_queue_free(queue);
    queue = weft_queue_new(.shared = true);
    for (int i = 0; i < 10; i++)
        ck_assert_int_eq(weft_queue_put(queue, bytes_of((size_t)i * 50, 1), WEFT_NOW), 0);
    ck_assert_uint_eq(weft_queue_close_now(queue), 10);
    ck_fails(weft_queue_get(queue, &got, WEFT_NOW), EPIPE);
    weft_queue_free(queue);
    queue = weft_queue_new(.shared = true);
    for (int i = 0; i < 10; i++)
        ck_assert_int_eq(weft_queue_put(queue, bytes_of((size_t)i * 50, 1), WEFT_NOW), 0);
    weft_queue_free(queue);
    nothing_left();
}
END_TEST

START_TEST(batches_go_together)
{
    weft_queue *queue = weft_queue_new(.shared = true, .capacity = 10);
    weft_value values[12], got[12];
    for (int i = 0; i < 12; i++)
        values[i] = i % 3 == 2 ? bytes_of(300, (unsigned char)i) : weft_int(i);
    ck_assert_int_eq(weft_queue_put_many(queue, values, 12, WEFT_NOW), 10);
    ck_assert_int_eq(errno, EAGAIN);
    weft_drop(values[11]);
    ck_assert_int_eq(weft_queue_get_many(queue, got, 12, WEFT_NOW), 10);
    for (int i = 0; i < 10; i++) {
        ck_assert_int_eq(i % 3 == 2 ? ((const unsigned char *)weft_as_bytes(got[i]))[0] : (int)weft_as_int(got[i]), i);
        weft_drop(got[i]);
    }
    ck_assert_int_eq(weft_queue_get_many(queue, got, 0, WEFT_NOW), 0);
    ck_fails(weft_queue_get_many(queue, got, 12, WEFT_NOW), EAGAIN);
    ck_fails(weft_queue_get_many(queue, got, 12, weft_in(0.001)), ETIMEDOUT);
    weft_queue_free(queue);
    nothing_left();
}
END_TEST

START_TEST(select_waits_for_it)
{
    weft_queue *queue = weft_queue_new(.shared = true, .capacity = 1);
    weft_value value = weft_int(1), got;
    weft_case get = weft_case_get(queue, &got), put = weft_case_put(queue, &value);
    ck_fails(weft_select(&get, 1, WEFT_NOW), EAGAIN);
    ck_fails(weft_select(&get, 1, weft_in(0.001)), ETIMEDOUT);
    ck_assert_int_eq(weft_select(&put, 1, WEFT_FOREVER), 0);
    ck_fails(weft_select(&put, 1, WEFT_NOW), EAGAIN);
    ck_fails(weft_select(&put, 1, weft_in(0.001)), ETIMEDOUT);
    ck_assert_int_eq(weft_select(&get, 1, WEFT_FOREVER), 0);
    ck_assert_int_eq(weft_as_int(got), 1);
    weft_queue_close(queue);
    ck_assert_int_eq(weft_select(&get, 1, WEFT_FOREVER), 0);
    ck_assert_int_eq(get.error, EPIPE);
    weft_queue_free(queue);
    nothing_left();
}
END_TEST

static void puts_some(weft_queue *queue, int count, size_t octets)
{
    for (int i = 0; i < count; i++)
        ck_assert_int_eq(weft_queue_put(queue, octets ? bytes_of(octets, (unsigned char)i) : weft_int(i), WEFT_NOW), 0);
}

static int take(weft_queue *queue)
{
    weft_value got = weft_none;
    ck_assert_int_eq(weft_queue_get(queue, &got, WEFT_NOW), 0);
    int number = weft_kind(got) == WEFT_INT ? (int)weft_as_int(got) : *(const unsigned char *)weft_as_bytes(got);
    weft_drop(got);
    return number;
}

START_TEST(what_is_taken_is_out_until_it_is_done)
{
    weft_queue *queue = weft_queue_new(.shared = true, .joinable = true, .capacity = 200);
    weft_value got;
    ck_fails(weft_queue_task_done(queue), EINVAL);
    ck_fails(weft_queue_deliveries(queue), EINVAL);
    ck_assert_int_eq(weft_queue_join(queue, WEFT_NOW), 0);
    for (size_t octets = 0; octets <= 400; octets += 200) {
        puts_some(queue, 200, octets);
        ck_fails(weft_queue_join(queue, WEFT_NOW), EAGAIN);
        for (int i = 0; i < 200; i++)
            ck_assert_int_eq(take(queue), i);
        ck_fails(weft_queue_get(queue, &got, WEFT_NOW), EAGAIN);
        ck_assert_int_eq(weft_queue_deliveries(queue), 1);
        for (int i = 0; i < 200; i++) {
            ck_fails(weft_queue_join(queue, i % 2 ? WEFT_NOW : weft_in(0.0001)), i % 2 ? EAGAIN : ETIMEDOUT);
            ck_assert_int_eq(weft_queue_task_done(queue), 0);
        }
        ck_assert_int_eq(weft_queue_join(queue, WEFT_FOREVER), 0);
        ck_fails(weft_queue_task_done(queue), EINVAL);
    }
    ck_fails(weft_queue_dead_letter(queue, &got, WEFT_NOW), EAGAIN);
    ck_fails(weft_queue_dead_letter(queue, &got, weft_in(0.001)), ETIMEDOUT);
    weft_queue_close(queue);
    ck_fails(weft_queue_dead_letter(queue, &got, WEFT_FOREVER), EPIPE);
    weft_queue_free(queue);
    nothing_left();
}
END_TEST

static weft_value passes_many(weft_value data)
{
    weft_queue *queue = weft_as_ptr(data);
    for (int i = 0; i < 2000; i++) {
        ck_assert_int_eq(weft_queue_put(queue, weft_int(i), WEFT_NOW), 0);
        ck_assert_int_eq(take(queue), i);
        ck_assert_int_eq(weft_queue_task_done(queue), 0);
    }
    return weft_none;
}

START_TEST(the_table_grows_with_what_is_out_not_with_what_was)
{
    weft_queue *queue = weft_queue_new(.shared = true, .joinable = true);
    uint64_t before = census().committed;
    puts_some(queue, 2, 0);
    ck_assert(take(queue) == 0 && take(queue) == 1);
    weft_task *task = weft_spawn(WEFT_THREAD, passes_many, weft_ptr(queue));
    ck_fails(weft_queue_join(queue, WEFT_NOW), EAGAIN); /* somebody has waited once */
    ck_assert_int_eq(weft_task_join(task, WEFT_FOREVER), 0);
    weft_task_free(task);
    ck_assert_uint_le(census().committed - before, 4);
    ck_assert_int_eq(weft_queue_task_done(queue), 0);
    ck_fails(weft_queue_join(queue, WEFT_NOW), EAGAIN);
    ck_assert_int_eq(weft_queue_task_done(queue), 0);
    ck_assert_int_eq(weft_queue_join(queue, WEFT_NOW), 0);
    weft_queue_free(queue);
}
END_TEST

START_TEST(who_has_no_leases_says_so)
{
    weft_queue *queue = weft_queue_new(.shared = true), *here = weft_queue_new(.joinable = true);
    weft_value got;
    ck_fails(weft_queue_deliveries(queue), ENOTSUP);
    ck_fails(weft_queue_deliveries(here), ENOTSUP);
    ck_fails(weft_queue_dead_letter(queue, &got, WEFT_NOW), ENOTSUP);
    ck_fails(weft_queue_dead_letter(here, &got, WEFT_NOW), ENOTSUP);
    weft_queue_free(here);
    weft_queue_free(queue);
    nothing_left();
}
END_TEST

static weft_value takes_two(weft_value queue)
{
    take(weft_as_ptr(queue));
    take(weft_as_ptr(queue));
    return weft_none;
}

static void thread_takes_two(weft_queue *queue)
{
    weft_task *task = weft_spawn(WEFT_THREAD, takes_two, weft_ptr(queue));
    ck_assert_int_eq(weft_task_join(task, WEFT_FOREVER), 0);
    weft_task_free(task);
}

START_TEST(what_an_ended_thread_had_comes_back_first)
{
    for (size_t octets = 0; octets <= 300; octets += 300) {
        weft_queue *queue = weft_queue_new(.shared = true, .joinable = true, .deaths = 2);
        weft_value got;
        puts_some(queue, 4, octets);
        thread_takes_two(queue);
        fixture_until(weft_queue_size(queue) == 4);
        for (int i = 0; i < 4; i++) {
            ck_assert_int_eq(take(queue), i);
            ck_assert_int_eq(weft_queue_deliveries(queue), i < 2 ? 2 : 1);
            ck_assert_int_eq(weft_queue_task_done(queue), 0);
        }
        ck_assert_int_eq(weft_queue_join(queue, WEFT_FOREVER), 0);
        puts_some(queue, 3, octets);
        for (int i = 0; i < 2; i++) {
            thread_takes_two(queue);
            fixture_until(weft_queue_size(queue) == (i ? 1 : 3));
        }
        ck_assert_int_eq(take(queue), 2);
        ck_assert_int_eq(weft_queue_task_done(queue), 0);
        ck_assert_int_eq(weft_queue_join(queue, WEFT_FOREVER), 0);
        for (int i = 0; i < 2; i++) {
            ck_assert_int_eq(weft_queue_dead_letter(queue, &got, i ? WEFT_FOREVER : WEFT_NOW), 0);
            ck_assert_int_eq(octets ? *(const unsigned char *)weft_as_bytes(got) : (int)weft_as_int(got), i);
            weft_drop(got);
        }
        weft_queue_free(queue);
        nothing_left();
    }
}
END_TEST

static weft_value says_done(weft_value queue)
{
    return weft_int(weft_queue_task_done(weft_as_ptr(queue)));
}

START_TEST(another_thread_may_say_that_it_is_done)
{
    weft_queue *queue = weft_queue_new(.shared = true, .joinable = true);
    weft_value result;
    puts_some(queue, 1, 500);
    take(queue);
    weft_task *task = weft_spawn(WEFT_THREAD, says_done, weft_ptr(queue));
    ck_assert_int_eq(weft_task_result(task, &result, WEFT_FOREVER), 0);
    weft_task_free(task);
    ck_assert_int_eq(weft_as_int(result), 0);
    ck_assert_int_eq(weft_queue_join(queue, WEFT_NOW), 0);
    weft_queue_free(queue);
    nothing_left();
}
END_TEST

START_TEST(closing_at_once_leaves_what_was_taken)
{
    weft_queue *queue = weft_queue_new(.shared = true, .joinable = true);
    weft_value got;
    puts_some(queue, 5, 200);
    take(queue);
    thread_takes_two(queue);
    fixture_until(weft_queue_size(queue) == 4);
    ck_assert_uint_eq(weft_queue_close_now(queue), 4);
    ck_fails(weft_queue_get(queue, &got, WEFT_FOREVER), EPIPE);
    ck_fails(weft_queue_join(queue, WEFT_NOW), EAGAIN);
    ck_assert_int_eq(weft_queue_task_done(queue), 0);
    ck_assert_int_eq(weft_queue_join(queue, WEFT_FOREVER), 0);
    weft_queue_free(queue);
    queue = weft_queue_new(.shared = true, .joinable = true);
    puts_some(queue, 5, 200);
    take(queue);
    weft_queue_free(queue);
    nothing_left();
}
END_TEST

START_TEST(last_in_first_out)
{
    for (int joinable = 0; joinable < 2; joinable++) {
        weft_queue *queue = weft_queue_new(.shared = true, .order = WEFT_LIFO, .capacity = 5, .joinable = joinable);
        weft_value got;
        for (size_t octets = 0; octets <= 300; octets += 300) {
            puts_some(queue, 5, octets);
            ck_assert(weft_queue_full(queue));
            ck_fails(weft_queue_put(queue, weft_int(9), WEFT_NOW), EAGAIN);
            ck_fails(weft_queue_put(queue, weft_int(9), weft_in(0.001)), ETIMEDOUT);
            for (int i = 5; i-- > 0;) {
                ck_assert_int_eq(take(queue), i);
                ck_assert(!joinable || weft_queue_task_done(queue) == 0);
            }
            ck_fails(weft_queue_get(queue, &got, WEFT_NOW), EAGAIN);
            ck_fails(weft_queue_get(queue, &got, weft_in(0.001)), ETIMEDOUT);
        }
        if (joinable)
            ck_assert_int_eq(weft_queue_join(queue, WEFT_NOW), 0);
        else
            ck_fails(weft_queue_join(queue, WEFT_NOW), ENOTSUP);
        weft_value many[6] = {weft_int(0), weft_int(1), weft_int(2), weft_int(3), weft_int(4), weft_int(5)};
        ck_assert_int_eq(weft_queue_put_many(queue, many, 6, WEFT_NOW), 5);
        ck_assert_int_eq(weft_queue_get_many(queue, many, 6, WEFT_NOW), 5);
        ck_assert_int_eq(weft_as_int(many[0]), 4);
        weft_case put = weft_case_put(queue, many), get = weft_case_get(queue, &got);
        ck_fails(weft_select(&get, 1, weft_in(0.001)), ETIMEDOUT);
        for (int i = 0; i < 5; i++)
            ck_assert_int_eq(weft_select(&put, 1, WEFT_FOREVER), 0);
        ck_fails(weft_select(&put, 1, weft_in(0.001)), ETIMEDOUT);
        for (int i = 0; i < 5; i++)
            ck_assert_int_eq(weft_select(&get, 1, WEFT_FOREVER), 0);
        for (int i = 0; joinable && i < 10; i++)
            ck_assert_int_eq(weft_queue_task_done(queue), 0);
        puts_some(queue, 3, 200);
        ck_assert_uint_eq(weft_queue_close_now(queue), 3);
        ck_fails(weft_queue_get(queue, &got, WEFT_FOREVER), EPIPE);
        ck_fails(weft_queue_put(queue, weft_none, WEFT_FOREVER), EPIPE);
        weft_queue_free(queue);
    }
    nothing_left();
}
END_TEST

static weft_value pair_of(weft_value first, int second)
{
    return weft_tuple((weft_value[]){first, weft_int(second)}, 2);
}

START_TEST(by_priority_of_the_values)
{
    weft_queue *queue = weft_queue_new(.shared = true, .order = WEFT_PRIORITY, .capacity = WEFT_UNBOUNDED);
    weft_value sorted[] = {weft_float(-2.5), weft_int(-2), pair_of(weft_int(0), 1), pair_of(weft_bool(false), 2), weft_float(0.25),
        weft_float(0.5), pair_of(weft_float(0.75), 1), weft_int(1), weft_str(""), weft_str("a"), pair_of(weft_str("ab"), 1),
        weft_str_f("ab%0200d", 1), pair_of(weft_str_f("b%0200d", 1), 1), weft_str("c"), weft_bytes("a", 1)};
    enum { COUNT = sizeof(sorted) / sizeof(*sorted) };
    weft_value got;
    for (int i = COUNT; i-- > 0;)
        if (i != 2 && i != 3)
            ck_assert_int_eq(weft_queue_put(queue, weft_keep(sorted[i]), WEFT_NOW), 0);
    for (int i = 2; i <= 3; i++) /* of equals the first */
        ck_assert_int_eq(weft_queue_put(queue, weft_keep(sorted[i]), WEFT_NOW), 0);
    ck_fails(weft_queue_put(queue, weft_none, WEFT_NOW), EINVAL);
    ck_fails(weft_queue_put(queue, weft_float(0.0 / 0.0), WEFT_NOW), EINVAL);
    for (int i = 0; i < COUNT; i++) {
        ck_assert_int_eq(weft_queue_get(queue, &got, WEFT_NOW), 0);
        ck_assert_msg(weft_equal(got, sorted[i]), "at %d", i);
        weft_drop(got);
        weft_drop(sorted[i]);
    }
    weft_queue_free(queue);
    nothing_left();
}
END_TEST

static int64_t key_backwards(weft_value value, void *data)
{
    return *(const int64_t *)data - weft_as_int(value);
}

static int compare_any(weft_value a, weft_value b, void *data)
{
    (void)data;
    return (int)(weft_as_int(a) - weft_as_int(b));
}

START_TEST(by_priority_of_a_key)
{
    static const int64_t data = 1000;
    weft_queue *queue =
        weft_queue_new(.shared = true, .order = WEFT_PRIORITY, .key = key_backwards, .data = (void *)(uintptr_t)&data, .joinable = true);
    unsigned seed = 1;
    int counts[100] = {0};
    for (int i = 0; i < 1000; i++) {
        int number = rand_r(&seed) % 100;
        counts[number]++;
        ck_assert_int_eq(weft_queue_put(queue, weft_int(number), WEFT_NOW), 0);
    }
    for (int number = 100; number-- > 0;)
        for (int i = 0; i < counts[number]; i++) {
            ck_assert_int_eq(take(queue), number);
            ck_assert_int_eq(weft_queue_task_done(queue), 0);
        }
    ck_assert_int_eq(weft_queue_join(queue, WEFT_NOW), 0);
    puts_some(queue, 4, 0);
    thread_takes_two(queue);
    fixture_until(weft_queue_size(queue) == 4);
    for (int i = 4; i-- > 0;)
        ck_assert_int_eq(take(queue), i);
    weft_queue_free(queue);
    ck_fails_null(weft_queue_new(.shared = true, .order = WEFT_PRIORITY, .compare = compare_any), EINVAL);
    nothing_left();
}
END_TEST

START_TEST(what_cannot_be_made_is_refused)
{
    ck_fails_null(weft_queue_new(.shared = true, .order = (enum weft_queue_order)9), EINVAL);
    ck_fails_null(weft_queue_new(.shared = true, .capacity = SIZE_MAX / 2), EINVAL);
    ck_fails_null(weft_queue_new(.shared = true, .capacity = 1 << 20), ENOMEM);
    ck_fails_null(weft_queue_new(.shared = true, .capacity = WEFT_RENDEZVOUS, .joinable = true), ENOTSUP);
    nothing_left();
}
END_TEST

START_TEST(a_forked_child_is_no_member)
{
    weft_queue *queue = weft_queue_new(.shared = true);
    pid_t child = fork();
    if (child == 0) {
        weft_value got;
        MUST(weft_queue_put(queue, weft_int(1), WEFT_NOW) == -1 && errno == ESTALE);
        MUST(weft_queue_get(queue, &got, WEFT_FOREVER) == -1 && errno == ESTALE);
        MUST(weft_queue_size(queue) == 0);
        weft_queue_free(queue);
        wefti_leave(0);
    }
    int status;
    weft_value got;
    ck_assert_int_eq(waitpid(child, &status, 0), child);
    ck_assert_int_eq(status, 0);
    ck_assert(weft_queue_put(queue, weft_int(7), WEFT_NOW) == 0 && weft_queue_get(queue, &got, WEFT_NOW) == 0 && weft_as_int(got) == 7);
    weft_queue_free(queue);
    nothing_left();
}
END_TEST

#ifdef WEFTI_SMALL
/* Whatever memory the getter lacks, the value is there afterwards. */
START_TEST(a_getter_without_memory_loses_nothing)
{
    weft_queue *queue = weft_queue_new(.shared = true);
    static const size_t sizes[] = {10, 100, 1000, 100000};
    weft_value got;
    for (int i = 0; i < 4; i++) {
        ck_assert_int_eq(weft_queue_put(queue, bytes_of(sizes[i], 5), WEFT_NOW), 0);
        weft_small_fail_after(1);
        ck_fails(weft_queue_get(queue, &got, WEFT_NOW), ENOMEM);
        weft_small_fail_after(0);
        ck_assert_uint_eq(weft_queue_size(queue), 1);
        ck_assert_int_eq(weft_queue_get(queue, &got, WEFT_NOW), 0);
        ck_assert_uint_eq(weft_length(got), sizes[i]);
        weft_drop(got);
    }
    weft_queue_free(queue);
    nothing_left();
}
END_TEST
#endif

/*
 * Every instruction as the last one. A child works on a queue and is stepped through it; after each instruction the arena is saved, swept
 * as if the child had died there, emptied and looked at, and put back.
 */
struct ledger {
    volatile int64_t got_least, got_most; /* so many values have been taken, at least and at most */
    volatile int64_t put_least, put_most;
    volatile int done;
};
static struct ledger *ledger;
static weft_queue *stepped_queue;
static unsigned steps;

#ifdef WEFTI_SMALL
enum { FIRST_VALUES = 3, CHAIN_NEARLY = 0 };
#else
enum { FIRST_VALUES = 3, CHAIN_NEARLY = 250 /* an unbounded one's next segment begins at 254 */ };
#endif

/* The n-th value that is put: a number, a text in its cell, one in a small block, one in a large one. */
static weft_value numbered(int64_t number)
{
    static const size_t sizes[] = {0, 60, 300, 33000};
    size_t size = sizes[number % 4];
    return size ? bytes_of(size, (unsigned char)number) : weft_int(number);
}

static bool is_numbered(weft_value value, int64_t number)
{
    return number % 4 == 0 ? weft_kind(value) == WEFT_INT && weft_as_int(value) == number
                           : weft_kind(value) == WEFT_BYTES && *(const unsigned char *)weft_as_bytes(value) == (unsigned char)number;
}

static void puts_numbered(weft_value value)
{
    ledger->put_most++;
    MUST(weft_queue_put(stepped_queue, value, WEFT_NOW) == 0);
    ledger->put_least++;
}

static bool stepped_joinable, stepped_table;

static void gets_numbered(void)
{
    weft_value got;
    ledger->got_most += !stepped_joinable;
    MUST(weft_queue_get(stepped_queue, &got, WEFT_NOW) == 0);
    ledger->got_least += !stepped_joinable;
    weft_drop(got);
    if (!stepped_joinable)
        return;
    ledger->got_most++;
    MUST(weft_queue_task_done(stepped_queue) == 0);
    ledger->got_least++;
}

/* The table of leases is made here: what the test's own process allocated would be undone behind its back. */
static void fill_first(void)
{
    weft_value got;
    if (stepped_table) {
        MUST(weft_queue_put_many(stepped_queue, (weft_value[]){weft_none, weft_none, weft_none, weft_none, weft_none}, 5, WEFT_NOW) == 5);
        for (int i = 0; i < 5; i++)
            MUST(weft_queue_get(stepped_queue, &got, WEFT_NOW) == 0);
        for (int i = 0; i < 5; i++)
            MUST(!stepped_joinable || weft_queue_task_done(stepped_queue) == 0);
    }
    for (int i = 0; i < CHAIN_NEARLY && weft_queue_capacity(stepped_queue) == WEFT_UNBOUNDED; i++)
        MUST(weft_queue_put(stepped_queue, weft_none, WEFT_NOW) == 0 && weft_queue_get(stepped_queue, &got, WEFT_NOW) == 0);
    for (int i = 0; i < FIRST_VALUES; i++)
        puts_numbered(numbered(i));
}

static void child_of(uint16_t member, void (*work)(void))
{
    pid_t child = fork();
    if (child == 0) {
        wefti_member = member;
        work();
        wefti_leave(0);
    }
    int status;
    ck_assert_int_eq(waitpid(child, &status, 0), child);
    ck_assert_int_eq(status, 0);
    wefti_seat_mend(wefti_family_now(), member, NULL, NULL);
}

static void works(void)
{
    weft_value next[5];
    for (int i = 0; i < 5; i++)
        next[i] = numbered(FIRST_VALUES + i); /* filling them is nothing to step through */
    MUST(wefti_context_life(wefti_context_current()));
    ptrace(PTRACE_TRACEME, 0, NULL, NULL);
    raise(SIGSTOP);
    for (int i = 0; i < 5; i++) {
        puts_numbered(next[i]);
        gets_numbered();
    }
    gets_numbered();
    gets_numbered();
    ledger->done = 1;
}

static void swept_is_whole(uint64_t committed)
{
    wefti_seat_mend(wefti_family_now(), 2, NULL, NULL);
    struct wefti_blocks_census found = census();
    ck_assert_uint_eq(found.in_hand + found.chunks_taken, 0);
    int64_t number = ledger->got_least;
    weft_value got;
    for (bool first = true; weft_queue_get(stepped_queue, &got, WEFT_NOW) == 0; first = false, number++) {
        if (first && !is_numbered(got, number))
            number++;
        ck_assert_msg(is_numbered(got, number), "at step %u: not %d", steps, (int)number);
        weft_drop(got);
        ck_assert(!stepped_joinable || weft_queue_task_done(stepped_queue) == 0);
    }
    ck_assert_int_eq(errno, EAGAIN);
    ck_assert_int_ge(number, ledger->got_least);
    ck_assert_msg(number >= ledger->put_least || (number + 1 == ledger->put_least && ledger->got_most == ledger->put_least),
        "lost at step %u", steps);
    ck_assert_int_le(number, ledger->put_most);
    ck_assert(!stepped_joinable || weft_queue_join(stepped_queue, WEFT_NOW) == 0);
    uint64_t chained =
        stepped_joinable || weft_queue_capacity(stepped_queue) == WEFT_UNBOUNDED; /* a segment may have been made for nothing yet */
    ck_assert_msg(census().committed - committed <= chained, "%ld at step %u", (long)(census().committed - committed), steps);
}

static bool step(pid_t child)
{
    int status;
    ck_assert_int_eq(ptrace(PTRACE_SINGLESTEP, child, NULL, NULL), 0);
    ck_assert_int_eq(waitpid(child, &status, 0), child);
    ck_assert(!WIFEXITED(status) || WEXITSTATUS(status) == 0);
    return WIFEXITED(status) || ledger->done;
}

/* Where the child is; 0 where that is not known. An instruction that fills a large block octet by octet stops after each of them, and stays
 * where it is. */
static long place_of(pid_t child)
{
#ifdef __x86_64__
    return ptrace(PTRACE_PEEKUSER, child, offsetof(struct user, regs.rip), NULL);
#else
    (void)child;
    return 0;
#endif
}

/* Whether nothing has changed but what lies in large blocks. */
static bool arena_same(const char *saved, size_t used)
{
    const struct wefti_arena *arena = wefti_arena_now();
    const char *now = (const char *)wefti_arena_base;
    enum { SLAB = 5 };
    for (size_t chunk = 0; chunk < used >> WEFTI_CHUNK_BITS; chunk++)
        if (chunk < arena->first || (arena->table[chunk].word & 0xff) == SLAB)
            if (memcmp(saved + (chunk << WEFTI_CHUNK_BITS), now + (chunk << WEFTI_CHUNK_BITS), WEFTI_CHUNK) != 0)
                return false;
    return true;
}

/* So that equals come in the order of their puts. */
static int64_t key_none(weft_value value, void *data)
{
    (void)value;
    (void)data;
    return 0;
}

static void steps_through(size_t capacity, bool joinable, enum weft_queue_order order)
{
    if (fixture_copies() || FIXTURE_TSAN)
        fixture_skip("neither Valgrind nor what ThreadSanitizer adds can be stepped through");
    ledger = mmap(NULL, sizeof(*ledger), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    stepped_queue = weft_queue_new(.shared = true, .capacity = capacity, .joinable = joinable, .order = order,
        .key = order == WEFT_PRIORITY ? key_none : NULL);
    stepped_joinable = joinable;
    stepped_table = joinable || order != WEFT_FIFO;
    child_of(3, fill_first);
    char *saved = calloc(1, wefti_arena_size);
    pid_t child = fork();
    if (child == 0) {
        wefti_member = 2;
        works();
        wefti_leave(0);
    }
    ck_assert_int_eq(waitpid(child, &(int){0}, 0), child);
    uint64_t committed = census().committed - 1; /* two of the first values lie in their cells */
    long place = 0, before;
    for (unsigned at = 0; !step(child); at++) {
        before = place;
        place = place_of(child);
        if ((place && place == before) || at % FIXTURE_STRIDE != 0)
            continue;
        size_t used = (size_t)__atomic_load_n(&wefti_arena_now()->used, __ATOMIC_ACQUIRE) << WEFTI_CHUNK_BITS;
        if (arena_same(saved, used))
            continue;
        steps++;
        memcpy(saved, (const void *)wefti_arena_base, used);
        swept_is_whole(committed);
        memcpy((void *)wefti_arena_base, saved, used);
    }
    kill(child, SIGKILL);
    while (waitpid(child, &(int){0}, 0) > 0)
        ;
    ck_assert_uint_gt(steps * FIXTURE_STRIDE, 100);
    free(saved);
    munmap(ledger, sizeof(*ledger));
}

START_TEST(a_death_at_any_instruction_of_a_bounded_one)
{
    steps_through(5, false, WEFT_FIFO);
}
END_TEST

START_TEST(a_death_at_any_instruction_of_an_unbounded_one)
{
    steps_through(WEFT_UNBOUNDED, false, WEFT_FIFO);
}
END_TEST

START_TEST(a_death_at_any_instruction_of_a_joinable_one)
{
    steps_through(5, true, WEFT_FIFO);
}
END_TEST

START_TEST(a_death_at_any_instruction_of_one_in_another_order)
{
    steps_through(5, false, WEFT_PRIORITY);
}
END_TEST

/*
 * Joinable queues in another order, and the growth of the table of leases, by tests/step.h: there whoever puts right what the dead left
 * dies, too.
 */
static enum weft_queue_order order_now;
static bool table_is_made;
static uint64_t blocks_before;

static uint64_t blocks_but_lives(void)
{
    uint64_t count = census().committed;
    for (uint32_t i = 0; i < WEFTI_SEATS; i++)
        for (const struct wefti_life *life = wefti_family_now()->seats[i].lives; life; life = life->next)
            count--;
    return count;
}

static void three_are_put(void)
{
    stepped_queue = weft_queue_new(.shared = true, .capacity = 5, .joinable = true, .order = order_now,
        .key = order_now == WEFT_PRIORITY ? key_none : NULL);
    memset((void *)ledger, 0, sizeof(*ledger));
    for (int i = 0; i < 5 && table_is_made; i++) {
        weft_value got;
        ck_assert_int_eq(weft_queue_put(stepped_queue, weft_none, WEFT_NOW), 0);
        ck_assert_int_eq(weft_queue_get(stepped_queue, &got, WEFT_NOW), 0);
        ck_assert_int_eq(weft_queue_task_done(stepped_queue), 0);
    }
    for (int i = 0; i < 3; i++)
        ck_assert_int_eq(weft_queue_put(stepped_queue, weft_int(i), WEFT_NOW), 0);
    blocks_before = blocks_but_lives();
}

/* The n-th that a body takes. */
static int64_t taken_as(int n)
{
    return order_now == WEFT_LIFO ? 3 - n : n;
}

static void puts_and_takes_two(void)
{
    weft_value got;
    step_must(wefti_context_life(wefti_context_current()));
    step_begin();
    ledger->put_most = 1;
    step_must(weft_queue_put(stepped_queue, weft_int(3), WEFT_NOW) == 0);
    ledger->put_least = 1;
    for (int i = 0; i < 2; i++) {
        step_must(weft_queue_get(stepped_queue, &got, WEFT_NOW) == 0 && weft_as_int(got) == taken_as(i));
        ledger->got_most++;
        step_must(weft_queue_task_done(stepped_queue) == 0);
        ledger->got_least++;
    }
    step_end();
}

static void each_is_there_or_done(void)
{
    int times[4] = {0};
    weft_value got;
    while (weft_queue_get(stepped_queue, &got, WEFT_NOW) == 0) {
        ck_assert_uint_lt((uint64_t)weft_as_int(got), 4);
        ck_assert_int_eq(++times[weft_as_int(got)], 1);
        ck_assert_int_eq(weft_queue_task_done(stepped_queue), 0);
    }
    ck_assert_int_eq(errno, EAGAIN);
    ck_assert_int_eq(weft_queue_join(stepped_queue, WEFT_NOW), 0);
    for (int value = 0; value < 4; value++) {
        int64_t put_least = value < 3 ? 1 : ledger->put_least, put_most = value < 3 ? 1 : ledger->put_most, done_least = 0, done_most = 0;
        for (int i = 0; i < 2; i++) {
            done_least += taken_as(i) == value && ledger->got_least > i;
            done_most += taken_as(i) == value && ledger->got_most > i;
        }
        ck_assert_msg(times[value] >= put_least - done_most && times[value] <= put_most - done_least, "value %d", value);
    }
    ck_assert_uint_le(blocks_but_lives() - blocks_before, !table_is_made);
    ck_assert_uint_eq(census().in_hand + census().chunks_taken, 0);
}

/* `menders`: how many instructions of who puts it right are a last one, too. */
static void leases_step(enum weft_queue_order order, bool table, unsigned menders)
{
    STEP_OR_SKIP;
    ledger = mmap(NULL, sizeof(*ledger), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    order_now = order;
    table_is_made = table;
    struct step_plan plan = {.prepare = three_are_put,
        .body = puts_and_takes_two,
        .check = each_is_there_or_done,
        .stride = 7,
        .mender_points = menders,
        .mender_stride = 151};
    unsigned deaths = step_through(&plan);
    ck_assert_uint_gt(deaths, 100);
    munmap(ledger, sizeof(*ledger));
}

START_TEST(a_death_at_any_instruction_of_a_joinable_stack)
{
    leases_step(WEFT_LIFO, true, 300);
}
END_TEST

START_TEST(a_death_at_any_instruction_of_joinable_priorities)
{
    leases_step(WEFT_PRIORITY, true, 0);
}
END_TEST

START_TEST(a_death_while_the_table_of_leases_grows)
{
    leases_step(WEFT_FIFO, false, 0);
}
END_TEST

/* Whoever is stopped inside keeps others out, but holds up nobody beyond his deadline. */

static const struct stopped_kind {
    size_t capacity;
    bool joinable;
    enum weft_queue_order order;
} stopped_kinds[] = {{5, false, WEFT_FIFO}, {WEFT_UNBOUNDED, true, WEFT_FIFO}, {5, false, WEFT_LIFO}, {5, true, WEFT_PRIORITY}};
enum { STOPPED_KINDS = sizeof(stopped_kinds) / sizeof(*stopped_kinds) };
static const double PAST_PATIENCE = 0.015;

static void puts_one(void)
{
    step_must(wefti_context_life(wefti_context_current()));
    step_begin();
    step_must(weft_queue_put(stepped_queue, weft_int(3), WEFT_NOW) == 0);
    step_end();
}

static void takes_one(void)
{
    weft_value got;
    step_must(wefti_context_life(wefti_context_current()));
    step_begin();
    step_must(weft_queue_get(stepped_queue, &got, WEFT_NOW) == 0);
    step_end();
    step_must(!stepped_joinable || weft_queue_task_done(stepped_queue) == 0);
}

static bool somebody_is_inside(void)
{
    struct wefti_shared_queue *queue = (struct wefti_shared_queue *)stepped_queue;
    const struct wefti_gate *gate;
    bool inside = false;
    for (unsigned i = 0; (gate = wefti_queue_shared_kind(queue)->gate(queue, i)); i++)
        inside |= (__atomic_load_n(&gate->word, __ATOMIC_RELAXED) & ~(uint32_t)WEFTI_GATE_FLAGS) != 0;
    return inside;
}

static weft_value waits_to_get(weft_value data)
{
    weft_value got;
    (void)data;
    return weft_queue_get(stepped_queue, &got, WEFT_FOREVER) == 0 ? weft_int(0) : weft_int(errno);
}

static void no_get_waits_longer(void)
{
    weft_value got[2];
    weft_case one = weft_case_get(stepped_queue, got);
    ck_fails(weft_queue_get(stepped_queue, got, WEFT_NOW), EAGAIN);
    ck_fails(weft_queue_get(stepped_queue, got, weft_in(PAST_PATIENCE)), ETIMEDOUT);
    ck_fails((int)weft_queue_get_many(stepped_queue, got, 2, WEFT_NOW), EAGAIN);
    ck_fails(weft_select(&one, 1, WEFT_NOW), EAGAIN);
    ck_fails(weft_select(&one, 1, weft_in(PAST_PATIENCE)), ETIMEDOUT);
    if (stepped_joinable) {
        ck_fails(weft_queue_join(stepped_queue, weft_in(PAST_PATIENCE)), ETIMEDOUT);
        ck_fails(weft_queue_dead_letter(stepped_queue, got, WEFT_NOW), EAGAIN);
    }
    weft_task *task = weft_spawn(WEFT_THREAD, waits_to_get, weft_none);
    weft_task_cancel(task);
    ck_assert_int_eq(weft_task_result(task, got, WEFT_FOREVER), 0);
    ck_assert_int_eq(weft_as_int(got[0]), ECANCELED);
    weft_task_free(task);
}

static void no_put_waits_longer(void)
{
    weft_value value = numbered(2);
    weft_case one = weft_case_put(stepped_queue, &value);
    ck_fails(weft_queue_put(stepped_queue, value, WEFT_NOW), EAGAIN);
    ck_fails(weft_queue_put(stepped_queue, value, weft_in(PAST_PATIENCE)), ETIMEDOUT);
    ck_fails((int)weft_queue_put_many(stepped_queue, &value, 1, WEFT_NOW), EAGAIN);
    ck_fails(weft_select(&one, 1, weft_in(PAST_PATIENCE)), ETIMEDOUT);
    weft_drop(value);
}

START_TEST(who_is_stopped_inside_holds_up_nobody_past_his_deadline)
{
    STEP_OR_SKIP;
    const struct stopped_kind *kind = &stopped_kinds[_i / 2];
    bool puts = _i % 2, both = kind->order != WEFT_FIFO;
    stepped_joinable = kind->joinable;
    stepped_queue = weft_queue_new(.shared = true, .capacity = kind->capacity, .joinable = kind->joinable, .order = kind->order);
    for (int i = 0; i < 3; i++)
        ck_assert_int_eq(weft_queue_put(stepped_queue, weft_int(i), WEFT_NOW), 0);
    blocks_before = blocks_but_lives();
    struct member stopped = step_until(puts ? puts_one : takes_one, somebody_is_inside);
    if (puts || both)
        no_put_waits_longer();
    if (!puts || both)
        no_get_waits_longer();
    ck_assert_uint_eq(weft_queue_size(stepped_queue), 3);
    ck_assert_uint_eq(blocks_but_lives(), blocks_before);
    step_goes_on(&stopped);
    member_ends(&stopped);
    weft_value got;
    int sum = 0, taken = kind->order == WEFT_LIFO ? 2 : 0;
    for (; weft_queue_get(stepped_queue, &got, WEFT_NOW) == 0; sum += (int)weft_as_int(got))
        ck_assert(!stepped_joinable || weft_queue_task_done(stepped_queue) == 0);
    ck_assert_int_eq(errno, EAGAIN);
    ck_assert_int_eq(sum, puts ? 0 + 1 + 2 + 3 : 0 + 1 + 2 - taken);
    ck_assert(!stepped_joinable || weft_queue_join(stepped_queue, WEFT_NOW) == 0);
    ck_assert_uint_eq(census().in_hand, 0);
}
END_TEST

/* Freeing one: whoever comes after a death in it finds all of the queue, or nothing. */

static const struct freed_kind {
    size_t capacity;
    bool joinable;
    enum weft_queue_order order;
} freed_kinds[] = {{5, false, WEFT_FIFO}, {WEFT_UNBOUNDED, false, WEFT_FIFO}, {5, true, WEFT_FIFO}, {5, true, WEFT_LIFO},
    {WEFT_RENDEZVOUS, false, WEFT_FIFO}};
enum { FREED_KINDS = sizeof(freed_kinds) / sizeof(*freed_kinds), FREED_VALUES = 4 };
static const struct freed_kind *freed_kind;

static void one_is_filled(void)
{
    weft_value got;
    bool meets = freed_kind->capacity == WEFT_RENDEZVOUS;
    blocks_before = blocks_but_lives();
    stepped_queue =
        weft_queue_new(.shared = true, .capacity = freed_kind->capacity, .joinable = freed_kind->joinable, .order = freed_kind->order);
    ck_assert_ptr_nonnull(stepped_queue);
    if (meets) /* so that it has a table */
        ck_fails(weft_queue_put(stepped_queue, weft_none, weft_in(0.001)), ETIMEDOUT);
    for (int i = 0; i < FREED_VALUES && !meets; i++)
        ck_assert_int_eq(weft_queue_put(stepped_queue, numbered(i), WEFT_NOW), 0);
    for (int i = 0; i < 2 && freed_kind->joinable; i++, weft_drop(got)) /* one is done, and one is taken */
        ck_assert(weft_queue_get(stepped_queue, &got, WEFT_NOW) == 0 && (i > 0 || weft_queue_task_done(stepped_queue) == 0));
}

static void frees_it(void)
{
    step_must(wefti_context_life(wefti_context_current()));
    step_begin();
    weft_queue_free(stepped_queue);
    step_end();
}

/* Whether anything is otherwise than at the last look. */
static bool blocks_changed(void)
{
    static char *before;
    size_t used = (size_t)__atomic_load_n(&wefti_arena_now()->used, __ATOMIC_ACQUIRE) << WEFTI_CHUNK_BITS;
    before = before ? before : calloc(1, wefti_arena_size);
    if (arena_same(before, used))
        return false;
    memcpy(before, wefti_arena_now(), used);
    return true;
}

static void closes_it(void)
{
    step_must(wefti_context_life(wefti_context_current()));
    step_begin();
    weft_queue_close(stepped_queue);
    step_end();
}

static void what_was_in_it_is_there(void)
{
    weft_value got;
    bool meets = freed_kind->capacity == WEFT_RENDEZVOUS,
         closed = weft_queue_put(stepped_queue, weft_none, WEFT_NOW) == -1 && errno == EPIPE;
    for (int i = freed_kind->joinable ? 2 : 0; i < FREED_VALUES + !closed && !meets; i++, weft_drop(got)) {
        ck_assert_int_eq(weft_queue_get(stepped_queue, &got, WEFT_NOW), 0);
        ck_assert(!freed_kind->joinable || weft_queue_task_done(stepped_queue) == 0);
    }
    ck_fails(weft_queue_get(stepped_queue, &got, WEFT_NOW), closed ? EPIPE : EAGAIN);
    weft_queue_free(stepped_queue);
    ck_assert_uint_eq(blocks_but_lives(), blocks_before);
}

static void all_or_nothing_is_there(void)
{
    const struct wefti_shared_queue *queue = (const struct wefti_shared_queue *)stepped_queue;
    if (wefti_block_committed(queue) && queue->magic == WEFTI_QUEUE_MAGIC) {
        ck_assert_uint_eq(queue->freer, 0);
        ck_assert_uint_eq(weft_queue_size(stepped_queue), freed_kind->capacity == WEFT_RENDEZVOUS ? 0
                                                          : freed_kind->joinable                  ? 2
                                                                                                  : FREED_VALUES);
        weft_queue_free(stepped_queue);
    }
    ck_assert_uint_eq(blocks_but_lives(), blocks_before);
    ck_assert_uint_eq(census().in_hand + census().chunks_taken, 0);
}

static void steps_of_the_end(struct step_plan plan)
{
    plan.prepare = one_is_filled;
    plan.matters = blocks_changed;
    plan.mender_points = 60;
    plan.mender_stride = 60;
    ck_assert_uint_gt(step_through(&plan), 5);
}

START_TEST(a_death_while_it_is_closed)
{
    STEP_OR_SKIP;
    freed_kind = &freed_kinds[_i];
    steps_of_the_end((struct step_plan){.body = closes_it, .check = what_was_in_it_is_there});
}
END_TEST

START_TEST(a_death_while_it_is_freed)
{
    STEP_OR_SKIP;
    freed_kind = &freed_kinds[_i];
    steps_of_the_end((struct step_plan){.body = frees_it, .check = all_or_nothing_is_there});
}
END_TEST

static void add(TCase *tests)
{
    tcase_add_checked_fixture(tests, set_up, NULL);
    tcase_add_test(tests, values_of_all_kinds_pass);
    tcase_add_test(tests, what_cannot_cross_fails_in_the_putter);
    tcase_add_test(tests, the_bound_and_the_order_are_exact);
    tcase_add_test(tests, an_unbounded_one_takes_all);
    tcase_add_test(tests, close_lets_out_what_is_in_it);
    tcase_add_test(tests, batches_go_together);
    tcase_add_test(tests, select_waits_for_it);
    tcase_add_test(tests, last_in_first_out);
    tcase_add_test(tests, by_priority_of_the_values);
    tcase_add_test(tests, by_priority_of_a_key);
    tcase_add_test(tests, what_is_taken_is_out_until_it_is_done);
    tcase_add_test(tests, the_table_grows_with_what_is_out_not_with_what_was);
    tcase_add_test(tests, who_has_no_leases_says_so);
    tcase_add_test(tests, what_an_ended_thread_had_comes_back_first);
    tcase_add_test(tests, another_thread_may_say_that_it_is_done);
    tcase_add_test(tests, closing_at_once_leaves_what_was_taken);
    tcase_add_test(tests, what_cannot_be_made_is_refused);
    tcase_add_test(tests, a_forked_child_is_no_member);
#ifdef WEFTI_SMALL
    tcase_add_test(tests, a_getter_without_memory_loses_nothing);
#endif
    tcase_add_test(tests, a_death_at_any_instruction_of_a_bounded_one);
    tcase_add_test(tests, a_death_at_any_instruction_of_an_unbounded_one);
    tcase_add_test(tests, a_death_at_any_instruction_of_a_joinable_one);
    tcase_add_test(tests, a_death_at_any_instruction_of_one_in_another_order);
    tcase_add_test(tests, a_death_at_any_instruction_of_a_joinable_stack);
    tcase_add_test(tests, a_death_at_any_instruction_of_joinable_priorities);
    tcase_add_test(tests, a_death_while_the_table_of_leases_grows);
    tcase_add_loop_test(tests, who_is_stopped_inside_holds_up_nobody_past_his_deadline, 0, 2 * STOPPED_KINDS);
    tcase_add_loop_test(tests, a_death_while_it_is_closed, 0, FREED_KINDS);
    tcase_add_loop_test(tests, a_death_while_it_is_freed, 0, FREED_KINDS);
}

int main(void)
{
    return fixture_main("queue_shared", add);
}
