/* SPDX-License-Identifier: MIT */
/* What is asked of every kind of queue, batches, closing at once, and the orders other than first in, first out. */
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/memory.h"
#include "beside.h"

static const struct weft_queue_options kinds[] = {
    {.size = sizeof(*kinds), .capacity = 4},
    {.size = sizeof(*kinds), .capacity = WEFT_UNBOUNDED},
    {.size = sizeof(*kinds), .capacity = 4, .order = WEFT_LIFO},
    {.size = sizeof(*kinds), .capacity = WEFT_UNBOUNDED, .order = WEFT_LIFO},
    {.size = sizeof(*kinds), .capacity = 4, .order = WEFT_PRIORITY},
    {.size = sizeof(*kinds), .capacity = WEFT_UNBOUNDED, .order = WEFT_PRIORITY},
    {.size = sizeof(*kinds), .capacity = WEFT_RENDEZVOUS},
};
enum { KINDS = sizeof(kinds) / sizeof(*kinds), RENDEZVOUS = KINDS - 1 };

static weft_queue *queue_of(int kind)
{
    weft_queue *queue = weft_queue_new_with(&kinds[kind]);
    ck_assert_ptr_nonnull(queue);
    return queue;
}

static int64_t get_int(weft_queue *queue)
{
    weft_value value = weft_none;
    ck_assert_int_eq(weft_queue_get(queue, &value, WEFT_FOREVER), 0);
    return weft_as_int(value);
}

static void put_int(weft_queue *queue, int64_t number)
{
    ck_assert_int_eq(weft_queue_put(queue, weft_int(number), WEFT_FOREVER), 0);
}

static weft_value getter(weft_value queue)
{
    weft_value value = weft_none;
    return outcome(weft_queue_get(weft_as_ptr(queue), &value, WEFT_FOREVER) == 0 ? (int)weft_as_int(value) : -1);
}

static weft_value putter(weft_value queue)
{
    return outcome(weft_queue_put(weft_as_ptr(queue), weft_int(7), WEFT_FOREVER));
}

static weft_value joiner(weft_value queue)
{
    return outcome(weft_queue_join(weft_as_ptr(queue), WEFT_FOREVER));
}

static weft_task *start_waiting(weft_function *function, weft_queue *queue)
{
    weft_task *task = beside(function, queue);
    fixture_until(beside_sleeps(task));
    return task;
}

START_TEST(wrong_options_are_refused)
{
    weft_queue_key *key = (weft_queue_key *)(void (*)(void))abort;
    weft_queue_compare *compare = (weft_queue_compare *)(void (*)(void))abort;
    ck_fails_null(weft_queue_new(.order = (enum weft_queue_order)3), EINVAL);
    ck_fails_null(weft_queue_new(.key = key), EINVAL);
    ck_fails_null(weft_queue_new(.order = WEFT_LIFO, .compare = compare), EINVAL);
    ck_fails_null(weft_queue_new(.order = WEFT_PRIORITY, .key = key, .compare = compare), EINVAL);
    ck_fails_null(weft_queue_new(.order = WEFT_PRIORITY, .capacity = WEFT_RENDEZVOUS), EINVAL);
    ck_fails_null(weft_queue_new(.order = WEFT_LIFO, .capacity = WEFT_RENDEZVOUS), EINVAL);
    ck_fails_null(weft_queue_new(.order = WEFT_LIFO, .capacity = (size_t)-3), EINVAL);
    ck_fails_null(weft_queue_new(.order = WEFT_PRIORITY, .capacity = SIZE_MAX / 32), EINVAL);
}
END_TEST

START_TEST(what_goes_in_comes_out)
{
    weft_queue *queue = queue_of(_i);
    weft_value value = weft_int(5), text = weft_str("mine");
    ck_assert_uint_eq(weft_queue_capacity(queue), kinds[_i].capacity);
    ck_assert(weft_queue_empty(queue));
    ck_fails(weft_queue_get(queue, &value, WEFT_NOW), EAGAIN);
    ck_fails(weft_queue_get(queue, &value, weft_in(0.002)), ETIMEDOUT);
    ck_assert_int_eq(weft_as_int(value), 5);
    weft_task *task = start_waiting(getter, queue);
    ck_assert_int_eq(weft_queue_put(queue, weft_int(12), WEFT_FOREVER), 0);
    ck_assert_int_eq(beside_end(task), 12);
    for (int64_t i = 0; i < 4 && _i != RENDEZVOUS; i++)
        put_int(queue, i);
    ck_assert_uint_eq(weft_queue_size(queue), _i == RENDEZVOUS ? 0 : 4);
    ck_assert(weft_queue_full(queue) == (kinds[_i].capacity != WEFT_UNBOUNDED));
    if (weft_queue_full(queue)) {
        ck_fails(weft_queue_put(queue, text, WEFT_NOW), EAGAIN);
        ck_fails(weft_queue_put(queue, text, weft_in(0.002)), ETIMEDOUT);
        ck_assert_str_eq(weft_as_str(text), "mine");
        task = start_waiting(putter, queue);
        get_int(queue);
        ck_assert_int_eq(beside_end(task), 0);
    }
    weft_drop(text);
    weft_queue_free(queue);
}
END_TEST

START_TEST(cancellation_ends_waits)
{
    weft_queue *queue = queue_of(_i);
    weft_task *task = start_waiting(getter, queue);
    weft_task_cancel(task);
    ck_assert_int_eq(beside_end(task), -ECANCELED);
    while (weft_queue_put(queue, weft_int(1), WEFT_NOW) == 0 && weft_queue_size(queue) < 10)
        ;
    if (weft_queue_full(queue)) {
        task = start_waiting(putter, queue);
        weft_task_cancel(task);
        ck_assert_int_eq(beside_end(task), -ECANCELED);
    }
    ck_assert(_i != RENDEZVOUS || weft_queue_put(queue, weft_int(1), WEFT_NOW) == -1); /* nobody is there any more */
    weft_queue_free(queue);
}
END_TEST

START_TEST(close_ends_waits_and_leaves_what_is_there)
{
    weft_queue *empty = queue_of(_i), *full = queue_of(_i);
    weft_task *tasks[4];
    weft_value value;
    for (int i = 0; i < 2; i++)
        tasks[i] = start_waiting(getter, empty);
    while (weft_queue_put(full, weft_int(1), WEFT_NOW) == 0 && weft_queue_size(full) < 4)
        ;
    bool fills = weft_queue_full(full);
    for (int i = 2; i < 4; i++)
        tasks[i] = fills ? start_waiting(putter, full) : NULL;
    weft_queue_close(empty);
    weft_queue_close(full);
    weft_queue_close(full);
    for (int i = 0; i < (fills ? 4 : 2); i++)
        ck_assert_int_eq(beside_end(tasks[i]), -EPIPE);
    ck_assert(weft_queue_closed(full));
    ck_fails(weft_queue_put(full, weft_int(1), WEFT_FOREVER), EPIPE);
    ck_fails(weft_queue_put(full, weft_int(1), WEFT_NOW), EPIPE);
    for (int i = 0; i < 4 && _i != RENDEZVOUS; i++)
        ck_assert_int_eq(get_int(full), 1);
    ck_fails(weft_queue_get(full, &value, WEFT_FOREVER), EPIPE);
    ck_fails(weft_queue_get(full, &value, WEFT_NOW), EPIPE);
    weft_queue_free(empty);
    weft_queue_free(full);
}
END_TEST

START_TEST(close_now_drops_what_is_there)
{
    weft_queue *queue = queue_of(_i);
    weft_value list = weft_list(), value;
    size_t in = 0;
    while (_i < 4 && in < 4 && weft_queue_put(queue, weft_keep(list), WEFT_NOW) == 0) /* a list has no order unless something is in it */
        in++;
    while (_i > 3 && in < 4 && weft_queue_put(queue, weft_int(1), WEFT_NOW) == 0)
        in++;
    if (in) {
        weft_drop(value = weft_none);
        ck_assert_int_eq(weft_queue_get(queue, &value, WEFT_NOW), 0);
        weft_drop(value);
    }
    weft_task *waiting = start_waiting(in ? joiner : getter, queue);
    ck_assert_uint_eq(weft_queue_close_now(queue), in ? in - 1 : 0);
    ck_assert_uint_eq(weft_queue_close_now(queue), 0);
    ck_assert(weft_queue_closed(queue) && weft_queue_empty(queue));
    ck_fails(weft_queue_get(queue, &value, WEFT_FOREVER), EPIPE);
    ck_fails(weft_queue_put(queue, list, WEFT_FOREVER), _i == 4 || _i == 5 ? EINVAL : EPIPE);
    if (in) {
        ck_fails(weft_queue_join(queue, WEFT_NOW), EAGAIN); /* one was taken before */
        ck_assert_int_eq(weft_queue_task_done(queue), 0);
    }
    ck_assert_int_eq(beside_end(waiting), in ? 0 : -EPIPE);
    ck_fails(weft_queue_task_done(queue), EINVAL);
    ck_assert_int_eq(weft_list_append(list, weft_none), 0); /* nobody else holds it */
    weft_drop(list);
    weft_queue_free(queue);
}
END_TEST

START_TEST(done_is_counted)
{
    weft_queue *queue = queue_of(_i);
    ck_assert_int_eq(weft_queue_join(queue, WEFT_NOW), 0);
    ck_fails(weft_queue_task_done(queue), EINVAL);
    weft_task *task = beside(getter, queue);
    put_int(queue, 1);
    ck_assert_int_eq(beside_end(task), 1);
    ck_fails(weft_queue_join(queue, WEFT_NOW), EAGAIN);
    ck_fails(weft_queue_join(queue, weft_in(0.002)), ETIMEDOUT);
    task = start_waiting(joiner, queue);
    ck_assert_int_eq(weft_queue_task_done(queue), 0);
    ck_assert_int_eq(beside_end(task), 0);
    ck_fails(weft_queue_task_done(queue), EINVAL);
    weft_queue_free(queue);
}
END_TEST

static weft_value take_three(weft_value queue)
{
    weft_value values[3];
    int64_t sum = 0;
    for (int left = 3; left > 0;) {
        long got = weft_queue_get_many(weft_as_ptr(queue), values, (size_t)left, WEFT_FOREVER);
        ck_assert_int_ge(got, 1);
        left -= (int)got;
        while (got-- > 0)
            sum += weft_as_int(values[got]);
    }
    return weft_int(sum);
}

START_TEST(batches_go_in_and_out)
{
    weft_queue *queue = queue_of(_i);
    weft_value six[6], out[6];
    for (int i = 0; i < 6; i++)
        six[i] = weft_int(i + 1);
    ck_assert_int_eq(weft_queue_put_many(queue, six, 0, WEFT_NOW), 0);
    ck_assert_int_eq(weft_queue_get_many(queue, out, 0, WEFT_FOREVER), 0);
    ck_fails(weft_queue_get_many(queue, out, 6, WEFT_NOW), EAGAIN);
    ck_fails(weft_queue_get_many(queue, out, 6, weft_in(0.002)), ETIMEDOUT);
    weft_task *task = beside(take_three, queue);
    ck_assert_int_eq(weft_queue_put_many(queue, six, 3, WEFT_FOREVER), 3);
    ck_assert_int_eq(beside_end(task), 6);
    errno = 0;
    long put = weft_queue_put_many(queue, six, 6, WEFT_NOW);
    bool bounded = kinds[_i].capacity != WEFT_UNBOUNDED;
    ck_assert_int_eq(put, _i == RENDEZVOUS ? -1 : bounded ? 4 : 6);
    ck_assert_int_eq(errno, bounded ? EAGAIN : 0);
    if (bounded) {
        ck_fails(weft_queue_put_many(queue, six, 6, weft_in(0.002)), ETIMEDOUT);
        ck_fails(weft_queue_put_many(queue, six, 6, WEFT_NOW), EAGAIN);
    }
    put = put < 0 ? 0 : put;
    ck_assert_uint_eq(weft_queue_size(queue), (size_t)put);
    if (put)
        ck_assert_int_eq(weft_queue_get_many(queue, out, 2, WEFT_FOREVER), 2);
    if (put && bounded) {
        ck_assert_int_eq(weft_queue_put_many(queue, six, 6, weft_in(0.002)), 2);
        ck_assert_int_eq(errno, ETIMEDOUT);
    }
    if (put)
        ck_assert_int_eq(weft_queue_get_many(queue, out, 6, WEFT_FOREVER), 4);
    weft_queue_close(queue);
    ck_fails(weft_queue_put_many(queue, six, 6, WEFT_FOREVER), EPIPE);
    ck_fails(weft_queue_get_many(queue, out, 6, WEFT_FOREVER), EPIPE);
    weft_queue_free(queue);
}
END_TEST

static weft_value put_six(weft_value queue)
{
    weft_value six[6];
    for (int i = 0; i < 6; i++)
        six[i] = weft_str("a text");
    long put = weft_queue_put_many(weft_as_ptr(queue), six, 6, WEFT_FOREVER);
    int error = put < 6 ? errno : 0;
    for (long i = put < 0 ? 0 : put; i < 6; i++)
        weft_drop(six[i]); /* what was not put is still ours */
    return weft_int(put * 1000 + error);
}

START_TEST(a_batch_that_is_interrupted_says_how_far_it_came)
{
    if (kinds[_i].capacity == WEFT_UNBOUNDED)
        return;
    int put = _i == RENDEZVOUS ? -1 : 4;
    weft_queue *queue = queue_of(_i);
    weft_task *task = start_waiting(put_six, queue);
    weft_task_cancel(task);
    ck_assert_int_eq(beside_end(task), put * 1000 + ECANCELED);
    weft_queue_free(queue);
    queue = queue_of(_i);
    task = start_waiting(put_six, queue);
    fixture_until(_i == RENDEZVOUS || weft_queue_full(queue));
    weft_queue_close(queue);
    ck_assert_int_eq(beside_end(task), put * 1000 + EPIPE);
    weft_queue_free(queue);
    queue = queue_of(_i);
    task = start_waiting(put_six, queue);
    for (int i = 0; i < 6; i++) {
        weft_value value;
        ck_assert_int_eq(weft_queue_get(queue, &value, WEFT_FOREVER), 0);
        weft_drop(value);
    }
    ck_assert_int_eq(beside_end(task), 6000);
    weft_queue_free(queue);
}
END_TEST

START_TEST(batches_keep_the_order)
{
    weft_value in[700], out[700];
    int64_t puts = 0, gets = 0;
    size_t many[] = {1, 2, 3, 100, 254, 255, 256, 700};
    weft_queue *queues[] = {weft_queue_new(.capacity = 1000), weft_queue_new(.capacity = WEFT_UNBOUNDED)};
    for (int i = 0; i < 2; i++) {
        for (int round = 0; round < 40; round++) {
            size_t count = many[round % 8];
            for (size_t j = 0; j < count; j++)
                in[j] = weft_int(puts++);
            ck_assert_int_eq(weft_queue_put_many(queues[i], in, count, WEFT_NOW), (long)count);
            size_t left = count;
            while (left > 0) {
                long got = weft_queue_get_many(queues[i], out, left > 90 ? 90 : left, WEFT_NOW);
                ck_assert_int_ge(got, 1);
                for (long j = 0; j < got; j++)
                    ck_assert_int_eq(weft_as_int(out[j]), gets++);
                left -= (size_t)got;
            }
        }
        weft_queue_free(queues[i]);
    }
}
END_TEST

START_TEST(last_in_first_out)
{
    weft_queue *queue = weft_queue_new(.order = WEFT_LIFO, .capacity = _i ? WEFT_UNBOUNDED : 300);
    for (int round = 0; round < 3; round++) {
        for (int i = 0; i < 300; i++)
            put_int(queue, i);
        for (int i = 299; i >= 100 * round; i--)
            ck_assert_int_eq(get_int(queue), i);
        while (!weft_queue_empty(queue))
            get_int(queue);
    }
    weft_value three[3] = {weft_int(1), weft_int(2), weft_int(3)};
    ck_assert_int_eq(weft_queue_put_many(queue, three, 3, WEFT_NOW), 3);
    ck_assert_int_eq(weft_queue_get_many(queue, three, 3, WEFT_NOW), 3);
    ck_assert_int_eq(weft_as_int(three[0]) * 100 + weft_as_int(three[1]) * 10 + weft_as_int(three[2]), 321);
    weft_queue_free(queue);
}
END_TEST

static int64_t last_digit(weft_value value, void *data)
{
    ck_assert_str_eq(data, "data");
    return -(weft_as_int(value) % 10);
}

static int by_length(weft_value a, weft_value b, void *data)
{
    ck_assert_str_eq(data, "data");
    return (int)weft_length(a) - (int)weft_length(b);
}

START_TEST(a_key_gives_the_order)
{
    weft_queue *queue = weft_queue_new(.order = WEFT_PRIORITY, .key = last_digit, .data = "data");
    for (int i = 0; i < 1000; i++)
        put_int(queue, i * 7 % 1000);
    int64_t before = -1, last = 9;
    for (int i = 0; i < 1000; i++) {
        int64_t value = get_int(queue);
        ck_assert_int_le(value % 10, last);
        if (value % 10 == last)
            ck_assert_int_gt(value * 143 % 1000, before); /* of equals the one that was put first: 143 is the inverse of 7 */
        last = value % 10;
        before = value * 143 % 1000;
    }
    weft_queue_free(queue);
}
END_TEST

START_TEST(a_comparison_gives_the_order)
{
    static const char *const in[] = {"ccc", "a", "bb", "b", "aaa", "", "aa"}, *const out[] = {"", "a", "b", "bb", "aa", "ccc", "aaa"};
    weft_queue *queue = weft_queue_new(.order = WEFT_PRIORITY, .compare = by_length, .data = "data");
    for (int i = 0; i < 7; i++)
        ck_assert_int_eq(weft_queue_put(queue, weft_str(in[i]), WEFT_NOW), 0);
    for (int i = 0; i < 7; i++) {
        weft_value value;
        ck_assert_int_eq(weft_queue_get(queue, &value, WEFT_NOW), 0);
        ck_assert_str_eq(weft_as_str(value), out[i]);
        weft_drop(value);
    }
    weft_queue_free(queue);
}
END_TEST

START_TEST(random_numbers_come_out_in_order)
{
    enum { MANY = 3000 };
    weft_queue *queue = weft_queue_new(.order = WEFT_PRIORITY, .capacity = _i ? WEFT_UNBOUNDED : MANY);
    unsigned seed = 5;
    int64_t sum = 0, last = INT64_MIN;
    for (int round = 0; round < 4; round++) {
        for (int i = 0; i < MANY; i++) {
            int64_t number = rand_r(&seed) % 5000 - 2500;
            if (weft_queue_put(queue, weft_int(number), WEFT_NOW) == 0)
                sum += number;
        }
        last = INT64_MIN;
        for (int i = 0; i < MANY / 2 * (1 + round % 2); i++) {
            int64_t number = get_int(queue);
            ck_assert_int_ge(number, last);
            last = number;
            sum -= number;
        }
    }
    while (!weft_queue_empty(queue)) {
        int64_t number = get_int(queue);
        ck_assert_int_ge(number, last);
        last = number;
        sum -= number;
    }
    ck_assert_int_eq(sum, 0);
    weft_queue_free(queue);
}
END_TEST

static int64_t tens(weft_value value, void *data)
{
    (void)data;
    return weft_as_int(value) / 1000000;
}

static int by_tens(weft_value a, weft_value b, void *data)
{
    return (int)(tens(a, data) - tens(b, data));
}

/* Takes the first from a plain list of numbers: by what is before the last six digits, then by place. */
static int64_t list_take(int64_t *list, int *count)
{
    int first = 0;
    for (int i = 1; i < *count; i++)
        if (list[i] / 1000000 < list[first] / 1000000)
            first = i;
    int64_t number = list[first];
    memmove(list + first, list + first + 1, (size_t)(--*count - first) * sizeof(*list));
    return number;
}

/* The last six digits number the puts, so that equals are told apart. */
START_TEST(puts_and_gets_in_any_turn_keep_the_order)
{
    enum { MOST = 200, STEPS = 6000 };
    weft_queue *queue = _i == 0 ? weft_queue_new(.order = WEFT_PRIORITY, .key = tens)
                                : weft_queue_new(.order = WEFT_PRIORITY, .compare = by_tens, .capacity = MOST);
    int64_t list[MOST];
    unsigned seed = 11;
    for (int step = 0, count = 0; step < STEPS; step++) {
        bool more = rand_r(&seed) % 16 < (step / 500 % 2 ? 6 : 10); /* for a while it grows, then it shrinks */
        if (more && count < MOST) {
            list[count++] = rand_r(&seed) % 20 * 1000000 + step;
            put_int(queue, list[count - 1]);
        } else if (count > 0) {
            ck_assert_int_eq(get_int(queue), list_take(list, &count));
        }
        ck_assert_uint_eq(weft_queue_size(queue), (size_t)count);
    }
    weft_queue_free(queue);
}
END_TEST

START_TEST(values_have_an_order)
{
    weft_queue *queue = weft_queue_new(.order = WEFT_PRIORITY);
    weft_value low[] = {weft_float(2.75), weft_str("low")}, equal[] = {weft_int(3), weft_str("second")};
    weft_value sorted[] = {weft_float(-1e300), weft_int(INT64_MIN), weft_float(-2.5), weft_int(-2), weft_float(-0.5), weft_bool(false),
        weft_float(0.25), weft_bool(true), weft_float(2.5), weft_tuple(low, 2), weft_int(3), weft_tuple(equal, 2),
        weft_int((INT64_C(1) << 53) + 1), weft_float(0x1p54), weft_int(INT64_MAX), weft_float(0x1p63), weft_float(1e300), weft_str(""),
        weft_str("a"), weft_str("a\xc3\xa4"), weft_str("b"), weft_bytes("\0", 1), weft_bytes("a", 1)};
    enum { COUNT = sizeof(sorted) / sizeof(*sorted) };
    char names[COUNT][40];
    for (size_t i = 0; i < COUNT; i++)
        weft_repr(sorted[i], names[i], sizeof(names[i]));
    for (size_t i = 0; i < COUNT; i++)
        ck_assert_int_eq(weft_queue_put(queue, sorted[i * 7 % COUNT], WEFT_NOW), 0);
    for (size_t i = 0; i < COUNT; i++) {
        char name[40];
        weft_value value;
        ck_assert_int_eq(weft_queue_get(queue, &value, WEFT_NOW), 0);
        weft_repr(value, name, sizeof(name));
        if (i != 10 && i != 11) /* equals: in the order of the puts */
            ck_assert_str_eq(name, names[i]);
        weft_drop(value);
    }
    weft_queue_free(queue);
}
END_TEST

START_TEST(what_has_no_order_is_refused)
{
    weft_queue *queue = weft_queue_new(.order = WEFT_PRIORITY, .capacity = 1);
    weft_value nan = weft_float(__builtin_nan("")), none_first = weft_none;
    weft_value wrong[] = {weft_none, weft_ptr(queue), weft_list(), weft_dict(), weft_tuple(NULL, 0), nan, weft_error(EIO, NULL),
        weft_tuple(&none_first, 1), weft_tuple(&nan, 1)};
    weft_value mixed[3] = {weft_int(2), weft_none, weft_int(1)};
    for (size_t i = 0; i < sizeof(wrong) / sizeof(*wrong); i++) {
        ck_fails(weft_queue_put(queue, wrong[i], WEFT_FOREVER), EINVAL);
        ck_fails(weft_queue_put_many(queue, &wrong[i], 1, WEFT_FOREVER), EINVAL);
        weft_case put = weft_case_put(queue, &wrong[i]);
        ck_assert_int_eq(weft_select(&put, 1, WEFT_FOREVER), 0);
        ck_assert_int_eq(put.error, EINVAL);
        weft_drop(wrong[i]);
    }
    ck_assert_int_eq(weft_queue_put_many(queue, mixed, 3, WEFT_NOW), 1);
    ck_assert(errno == EINVAL || errno == EAGAIN);
    ck_assert_int_eq(get_int(queue), 2);
    weft_queue_free(queue);
}
END_TEST

START_TEST(free_drops_what_is_left)
{
    for (int order = WEFT_FIFO; order <= WEFT_PRIORITY; order++) {
        weft_queue *queue = weft_queue_new(.order = (enum weft_queue_order)order);
        weft_value list = weft_list();
        ck_assert_int_eq(weft_list_append(list, weft_int(1)), 0);
        for (int j = 0; j < 4; j++)
            ck_assert_int_eq(weft_queue_put(queue, weft_keep(list), WEFT_NOW), 0);
        ck_fails(weft_list_append(list, weft_int(1)), EBUSY);
        weft_value taken;
        ck_assert_int_eq(weft_queue_get(queue, &taken, WEFT_NOW), 0);
        weft_drop(taken);
        weft_queue_free(queue);
        ck_assert_int_eq(weft_list_append(list, weft_int(1)), 0);
        weft_drop(list);
    }
}
END_TEST

START_TEST(a_rendezvous_is_always_empty_and_full)
{
    weft_queue *queue = queue_of(RENDEZVOUS);
    ck_assert(weft_queue_empty(queue) && weft_queue_full(queue));
    ck_assert_uint_eq(weft_queue_capacity(queue), WEFT_RENDEZVOUS);
    weft_task *task = start_waiting(putter, queue);
    ck_assert(weft_queue_empty(queue) && weft_queue_full(queue));
    ck_assert_int_eq(get_int(queue), 7);
    ck_assert_int_eq(beside_end(task), 0);
    weft_queue_free(queue);
}
END_TEST

START_TEST(all_who_wait_are_met)
{
    weft_queue *queue = queue_of(RENDEZVOUS);
    weft_task *tasks[3];
    for (int i = 0; i < 3; i++)
        tasks[i] = start_waiting(getter, queue);
    int64_t seen = 0;
    for (int i = 0; i < 3; i++)
        put_int(queue, i + 1);
    for (int i = 0; i < 3; i++)
        seen += beside_end(tasks[i]);
    ck_assert_int_eq(seen, 6);
    weft_queue_free(queue);
}
END_TEST

START_TEST(a_select_does_not_meet_itself)
{
    weft_queue *queue = queue_of(RENDEZVOUS);
    weft_value give = weft_str("mine"), taken = weft_int(5);
    weft_case both[] = {weft_case_put(queue, &give), weft_case_get(queue, &taken)};
    ck_fails(weft_select(both, 2, WEFT_NOW), EAGAIN);
    ck_fails(weft_select(both, 2, weft_in(0.005)), ETIMEDOUT);
    ck_assert_int_eq(weft_as_int(taken), 5);
    weft_drop(give);
    weft_queue_free(queue);
}
END_TEST

struct crossing {
    weft_queue *one, *two;
    weft_value taken;
    int done;
};

static weft_value cross(weft_value pointer)
{
    struct crossing *crossing = weft_as_ptr(pointer);
    weft_value give = weft_int(4);
    weft_case cases[] = {weft_case_get(crossing->one, &crossing->taken), weft_case_put(crossing->two, &give)};
    crossing->done = weft_select(cases, 2, WEFT_FOREVER);
    return outcome(crossing->done < 0 ? -1 : cases[crossing->done].error);
}

START_TEST(two_selects_meet_once)
{
    for (int i = 0; i < 200; i++) {
        weft_queue *one = queue_of(RENDEZVOUS), *two = queue_of(RENDEZVOUS);
        struct crossing other = {.one = one, .two = two};
        weft_value give = weft_int(3), taken = weft_none;
        weft_case cases[] = {weft_case_put(one, &give), weft_case_get(two, &taken)};
        weft_task *task = i % 4 == 0 ? start_waiting(cross, (weft_queue *)(void *)&other) : beside(cross, &other);
        int done = weft_select(cases, 2, WEFT_FOREVER);
        ck_assert_int_ge(done, 0);
        ck_assert_int_eq(cases[done].error, 0);
        ck_assert_int_eq(beside_end(task), 0);
        ck_assert_int_eq(other.done, done);
        ck_assert_int_eq(weft_as_int(done == 0 ? other.taken : taken), done == 0 ? 3 : 4);
        ck_assert_int_eq(weft_kind(done == 0 ? taken : other.taken), WEFT_NONE);
        weft_queue_free(one);
        weft_queue_free(two);
    }
}
END_TEST

START_TEST(a_forked_child_has_a_copy)
{
    weft_queue *queue = queue_of(_i);
    for (int i = 0; i < 4 && _i != RENDEZVOUS; i++)
        put_int(queue, i);
    pid_t child = fork();
    if (child == 0) {
        weft_value values[5];
        long got = weft_queue_get_many(queue, values, 5, WEFT_NOW);
        bool right = _i == RENDEZVOUS ? got == -1 && errno == EAGAIN : got == 4;
        right = right && weft_queue_put(queue, weft_int(9), WEFT_NOW) == (_i == RENDEZVOUS ? -1 : 0);
        _exit(right ? 0 : 1);
    }
    int status = -1;
    ck_assert_int_eq(waitpid(child, &status, 0), child);
    ck_assert_int_eq(status, 0);
    ck_assert_uint_eq(weft_queue_size(queue), _i == RENDEZVOUS ? 0 : 4);
    weft_queue_free(queue);
}
END_TEST

#ifdef WEFTI_SMALL
START_TEST(every_allocation_may_fail)
{
    for (int kind = 0; kind < KINDS; kind++) {
        for (long n = 1; n <= (kind == RENDEZVOUS ? 1 : 2); n++) {
            weft_small_fail_after(n);
            ck_fails_null(weft_queue_new_with(&kinds[kind]), ENOMEM);
        }
        weft_small_fail_after(0);
        weft_queue *queue = queue_of(kind);
        if (kinds[kind].capacity == WEFT_UNBOUNDED) {
            int64_t in = 0, failures = 0;
            for (; in < 50; in++) {
                weft_small_fail_after(1);
                if (weft_queue_put(queue, weft_int(in), WEFT_FOREVER) < 0) {
                    ck_assert_int_eq(errno, ENOMEM);
                    failures++;
                    weft_small_fail_after(0);
                    put_int(queue, in);
                }
            }
            ck_assert_int_gt(failures, 2);
            weft_small_fail_after(1); /* giving memory back may fail without harm */
            while (in-- > 0)
                get_int(queue);
            weft_small_fail_after(0);
        }
        weft_queue_free(queue);
    }
}
END_TEST
#endif

static void add(TCase *tests)
{
    tcase_add_test(tests, wrong_options_are_refused);
    tcase_add_loop_test(tests, what_goes_in_comes_out, 0, KINDS);
    tcase_add_loop_test(tests, cancellation_ends_waits, 0, KINDS);
    tcase_add_loop_test(tests, close_ends_waits_and_leaves_what_is_there, 0, KINDS);
    tcase_add_loop_test(tests, close_now_drops_what_is_there, 0, KINDS);
    tcase_add_loop_test(tests, done_is_counted, 0, KINDS);
    tcase_add_loop_test(tests, batches_go_in_and_out, 0, KINDS);
    tcase_add_loop_test(tests, a_batch_that_is_interrupted_says_how_far_it_came, 0, KINDS);
    tcase_add_test(tests, batches_keep_the_order);
    tcase_add_loop_test(tests, last_in_first_out, 0, 2);
    tcase_add_test(tests, a_key_gives_the_order);
    tcase_add_test(tests, a_comparison_gives_the_order);
    tcase_add_loop_test(tests, random_numbers_come_out_in_order, 0, 2);
    tcase_add_loop_test(tests, puts_and_gets_in_any_turn_keep_the_order, 0, 2);
    tcase_add_test(tests, values_have_an_order);
    tcase_add_test(tests, what_has_no_order_is_refused);
    tcase_add_test(tests, free_drops_what_is_left);
    tcase_add_loop_test(tests, a_forked_child_has_a_copy, 0, KINDS);
    tcase_add_test(tests, a_rendezvous_is_always_empty_and_full);
    tcase_add_test(tests, all_who_wait_are_met);
    tcase_add_test(tests, a_select_does_not_meet_itself);
    tcase_add_test(tests, two_selects_meet_once);
#ifdef WEFTI_SMALL
    tcase_add_test(tests, every_allocation_may_fail);
#endif
}

int main(void)
{
    return fixture_main("queue_kinds", add);
}
