/* SPDX-License-Identifier: MIT */
/* A function called with each of many items: map, starmap, imap, imap_unordered. */
#include <sys/wait.h>
#include <unistd.h>

#include "fixture.h"
#include "pool/pool.h"
#include "pool_tasks.h"

static weft_pool *pool;
static struct gate gate;

static void set_up(void)
{
    gate = (struct gate){0};
    pool = weft_pool_new(WEFT_THREAD, .workers = 2);
}

static void tear_down(void)
{
    weft_event_set(&gate.open);
    weft_pool_free(pool);
}

static void pool_anew(unsigned workers, size_t backlog, enum weft_full_policy when_full)
{
    weft_pool_free(pool);
    pool = weft_pool_new(WEFT_THREAD, .workers = workers, .backlog = backlog, .when_full = when_full);
    ck_assert_ptr_nonnull(pool);
}

/* The next result, an integer. */
static int64_t next_of(weft_results *results)
{
    weft_value value = weft_none;
    ck_assert_int_eq(weft_results_next(results, &value, WEFT_FOREVER), 0);
    ck_assert_int_eq(weft_kind(value), WEFT_INT);
    return weft_as_int(value);
}

static void assert_over(weft_results *results)
{
    ck_fails(weft_results_next(results, NULL, WEFT_FOREVER), EPIPE);
    ck_fails(weft_results_next(results, NULL, WEFT_NOW), EPIPE);
    weft_results_free(results);
}

static void iterate_in_order(int64_t count, size_t chunk, size_t ahead)
{
    weft_value items = integers(count);
    weft_results *results = weft_pool_imap(pool, twice, items, .chunk = chunk, .ahead = ahead);
    weft_drop(items);
    ck_assert_ptr_nonnull(results);
    for (int64_t i = 0; i < count; i++)
        ck_assert_int_eq(next_of(results), 2 * i);
    assert_over(results);
}

static void iterate_unordered(int64_t count, size_t chunk, size_t ahead)
{
    weft_value items = integers(count);
    weft_results *results = weft_pool_imap_unordered(pool, twice, items, .chunk = chunk, .ahead = ahead);
    weft_drop(items);
    ck_assert_ptr_nonnull(results);
    uint8_t seen[100] = {0};
    for (int64_t i = 0; i < count; i++)
        seen[next_of(results) / 2]++;
    for (int64_t i = 0; i < count; i++)
        ck_assert_uint_eq(seen[i], 1);
    assert_over(results);
}

static void map_in_chunks(int64_t count, size_t chunk)
{
    weft_value items = integers(count), mapped;
    ck_assert_int_eq(weft_pool_map(pool, twice, items, &mapped, WEFT_FOREVER, .chunk = chunk), 0);
    ck_assert_uint_eq(weft_length(mapped), (size_t)count);
    for (int64_t i = 0; i < count; i++)
        ck_assert_int_eq(weft_as_int(weft_list_at(mapped, i)), 2 * i);
    weft_drop(mapped);
    weft_drop(items);
}

static const int64_t counts[] = {0, 1, 2, 17, 100};
static const size_t chunks[] = {0, 1, 3, 100, SIZE_MAX}, aheads[] = {0, 1, 5, 1000, SIZE_MAX};

START_TEST(each_item_gives_one_result)
{
    for (size_t i = 0; i < sizeof(counts) / sizeof(counts[0]); i++)
        for (size_t j = 0; j < sizeof(chunks) / sizeof(chunks[0]); j++) {
            map_in_chunks(counts[i], chunks[j]);
            for (size_t k = 0; k < sizeof(aheads) / sizeof(aheads[0]); k++) {
                iterate_in_order(counts[i], chunks[j], aheads[k]);
                iterate_unordered(counts[i], chunks[j], aheads[k]);
            }
        }
}
END_TEST

START_TEST(a_narrow_pool_is_enough)
{
    for (enum weft_full_policy policy = WEFT_FULL_WAIT; policy <= WEFT_FULL_RUN; policy++) {
        pool_anew(1, 1, policy);
        iterate_in_order(100, 1, 50);
        iterate_unordered(100, 7, 50);
    }
    pool_anew(1, 1, WEFT_FULL_WAIT);
    map_in_chunks(100, 3);
}
END_TEST

/* Item 0 waits at the gate. */
static weft_value zero_waits(weft_value number)
{
    if (weft_as_int(number) != 0)
        return twice(number);
    weft_value result = wait_at(weft_ptr(&gate));
    return weft_is_error(result) ? result : weft_int(0);
}

START_TEST(in_order_the_first_is_waited_for)
{
    weft_value items = integers(10), value = weft_str("untouched");
    weft_results *results = weft_pool_imap(pool, zero_waits, items);
    fixture_until(gate_reached(&gate) == 1);
    ck_fails(weft_results_next(results, &value, WEFT_NOW), EAGAIN);
    ck_fails(weft_results_next(results, &value, weft_in(0.01)), ETIMEDOUT);
    ck_assert_str_eq(weft_as_str(value), "untouched");
    weft_drop(value);
    weft_event_set(&gate.open);
    for (int64_t i = 0; i < 10; i++)
        ck_assert_int_eq(next_of(results), 2 * i);
    assert_over(results);
    weft_drop(items);
}
END_TEST

START_TEST(unordered_the_others_come_before)
{
    weft_value items = integers(10);
    weft_results *results = weft_pool_imap_unordered(pool, zero_waits, items);
    for (int i = 1; i < 10; i++)
        ck_assert_int_ne(next_of(results), 0);
    ck_fails(weft_results_next(results, NULL, WEFT_NOW), EAGAIN);
    ck_fails(weft_results_next(results, NULL, weft_in(0.01)), ETIMEDOUT);
    weft_event_set(&gate.open);
    ck_assert_int_eq(next_of(results), 0);
    assert_over(results);
    weft_drop(items);
}
END_TEST

START_TEST(no_more_is_submitted_than_asked_for)
{
    weft_value items = integers(20);
    occupy_at(pool, &gate);
    occupy_at(pool, &gate);
    weft_results *three = weft_pool_imap(pool, twice, items, .ahead = 3);
    ck_assert_uint_eq(counts_of(pool).queued, 3);
    weft_results *chunked = weft_pool_imap_unordered(pool, twice, items, .chunk = 2, .ahead = 3);
    ck_assert_uint_eq(counts_of(pool).queued, WEFTI_POOL_BACKLOG < 5 ? 4 : 5);
    weft_event_set(&gate.open);
    for (int64_t i = 0; i < 20; i++) {
        ck_assert_int_eq(next_of(three), 2 * i);
        ck_assert_uint_le(counts_of(pool).submitted, 2 + 2 + (size_t)i + 3);
    }
    assert_over(three);
    weft_results_free(chunked);
    weft_drop(items);
}
END_TEST

static weft_value sum_of(const weft_value *arguments, size_t count)
{
    int64_t sum = 0;
    for (size_t i = 0; i < count; i++)
        sum += weft_as_int(arguments[i]);
    return weft_int(sum);
}

START_TEST(starmap_spreads_its_items)
{
    weft_value items = weft_list(), sums;
    for (int64_t i = 0; i < 20; i++)
        ck_assert_int_eq(weft_list_append(items, integers(i)), 0);
    ck_assert_int_eq(weft_list_append(items, weft_tuple((weft_value[]){weft_int(40), weft_int(2)}, 2)), 0);
    for (size_t chunk = 0; chunk < 4; chunk++) {
        ck_assert_int_eq(weft_pool_starmap(pool, sum_of, items, &sums, WEFT_FOREVER, .chunk = chunk), 0);
        for (int64_t i = 0; i < 20; i++)
            ck_assert_int_eq(weft_as_int(weft_list_at(sums, i)), i * (i - 1) / 2);
        ck_assert_int_eq(weft_as_int(weft_list_at(sums, 20)), 42);
        weft_drop(sums);
    }
    ck_assert_int_eq(weft_list_append(items, weft_int(1)), 0);
    ck_fails(weft_pool_starmap(pool, sum_of, items, &sums, WEFT_FOREVER), EINVAL);
    weft_drop(items);
}
END_TEST

static weft_value length_of(weft_value item)
{
    return weft_int((int64_t)weft_length(item));
}

static weft_value length_of_second(const weft_value *arguments, size_t count)
{
    return weft_int(count == 2 ? (int64_t)weft_length(arguments[1]) : -1);
}

/* An item that is the list, or in which that lies, comes as it is outside of it. */
START_TEST(a_list_may_lie_in_itself)
{
    weft_value one = weft_int(1), items = weft_list(), inner = weft_list(), lengths;
    weft_list_append(items, weft_tuple(&one, 1));
    weft_list_append(items, weft_above(1));
    weft_list_append(inner, weft_int(5));
    weft_list_append(inner, weft_above(1)); /* itself */
    for (size_t chunk = 0; chunk < 3; chunk++) {
        ck_assert_int_eq(weft_pool_map(pool, length_of, items, &lengths, WEFT_FOREVER, .chunk = chunk), 0);
        ck_assert_int_eq(weft_as_int(weft_list_at(lengths, 0)), 1);
        ck_assert_int_eq(weft_as_int(weft_list_at(lengths, 1)), 2);
        weft_drop(lengths);
    }
    weft_value spread = weft_tuple(&inner, 1);
    ck_assert_int_eq(weft_pool_starmap(pool, length_of_second, spread, &lengths, WEFT_FOREVER), 0);
    ck_assert_int_eq(weft_as_int(weft_list_at(lengths, 0)), 2);
    weft_drop(lengths), weft_drop(spread), weft_drop(items);
}
END_TEST

/* Every third is an error, with a text that has to be dropped. */
static weft_value thirds_fail(weft_value number)
{
    int64_t n = weft_as_int(number);
    return n % 3 == 2 ? weft_error(EDOM, "%d is a third", (int)n) : weft_str_f("%d", (int)n);
}

START_TEST(errors_are_results)
{
    weft_value items = integers(6), results;
    for (size_t chunk = 1; chunk <= 3; chunk += 2) {
        uint64_t failed = counts_of(pool).failed;
        ck_assert_int_eq(weft_pool_map(pool, thirds_fail, items, &results, WEFT_FOREVER, .chunk = chunk), 0);
        ck_assert_str_eq(weft_as_str(weft_list_at(results, 4)), "4");
        ck_assert_str_eq(weft_error_text(weft_list_at(results, 5)), "5 is a third");
        ck_assert_int_eq(weft_error_code(weft_list_at(results, 2)), EDOM);
        ck_assert_uint_eq(counts_of(pool).failed, failed + 2);
        weft_drop(results);
    }
    ck_assert_uint_eq(weft_uncollected_count(), 0);
    weft_drop(items);
}
END_TEST

START_TEST(bad_calls_are_refused)
{
    weft_value items = integers(3), given;
    ck_fails_null(weft_pool_imap(NULL, twice, items), EINVAL);
    ck_fails_null(weft_pool_imap(pool, NULL, items), EINVAL);
    ck_fails_null(weft_pool_imap(pool, twice, weft_int(3)), EINVAL);
    ck_fails_null(weft_pool_imap_with(NULL), EINVAL);
    ck_fails_null(weft_pool_imap_unordered(NULL, twice, items), EINVAL);
    ck_fails_null(weft_pool_imap_unordered_with(NULL), EINVAL);
    ck_fails(weft_pool_map_with(NULL), EINVAL);
    ck_fails(weft_pool_starmap_with(NULL), EINVAL);
    ck_fails(weft_pool_starmap(pool, NULL, items, &given, WEFT_FOREVER), EINVAL);
    ck_fails(weft_pool_starmap(NULL, sum_of, items, &given, WEFT_FOREVER), EINVAL);
    ck_fails(weft_pool_starmap(pool, sum_of, weft_int(1), &given, WEFT_FOREVER), EINVAL);
    ck_fails(weft_pool_starmap(pool, sum_of, weft_none, NULL, WEFT_FOREVER), EINVAL);
    ck_fails(weft_results_next(NULL, &given, WEFT_NOW), EINVAL);
    weft_results_free(NULL);
    ck_assert_int_eq(weft_pool_shutdown(pool, false, WEFT_FOREVER), 0);
    ck_fails_null(weft_pool_imap(pool, twice, items), ESHUTDOWN);
    ck_fails_null(weft_pool_imap_unordered(pool, twice, items), ESHUTDOWN);
    ck_fails(weft_pool_map(pool, twice, items, &given, WEFT_FOREVER), ESHUTDOWN);
    weft_drop(items);
}
END_TEST

START_TEST(an_older_programs_options_are_read)
{
    struct weft_imap_options options = {
        .size = offsetof(struct weft_imap_options, chunk), .pool = pool, .function = twice, .items = integers(3), .chunk = 2};
    weft_results *results = weft_pool_imap_with(&options); /* the chunk is beyond its size, so not read */
    weft_drop(options.items);
    for (int64_t i = 0; i < 3; i++)
        ck_assert_int_eq(next_of(results), 2 * i);
    ck_assert_uint_eq(counts_of(pool).submitted, 3);
    assert_over(results);
}
END_TEST

START_TEST(what_was_submitted_before_a_shutdown_is_given)
{
    weft_value items = integers(10);
    weft_results *results = weft_pool_imap(pool, twice, items, .ahead = 3);
    ck_assert_int_eq(weft_pool_shutdown(pool, false, WEFT_FOREVER), 0);
    for (int64_t i = 0; i < 3; i++)
        ck_assert_int_eq(next_of(results), 2 * i);
    ck_fails(weft_results_next(results, NULL, WEFT_FOREVER), ESHUTDOWN);
    weft_results_free(results);
    weft_drop(items);
}
END_TEST

static void free_early(bool unordered, size_t chunk)
{
    pool_anew(1, WEFT_UNBOUNDED, WEFT_FULL_WAIT);
    gate = (struct gate){0};
    occupy_at(pool, &gate);
    weft_value items = integers(12);
    weft_results *results = unordered ? weft_pool_imap_unordered(pool, thirds_fail, items, .chunk = chunk, .ahead = 12)
                                      : weft_pool_imap(pool, thirds_fail, items, .chunk = chunk, .ahead = 12);
    weft_drop(items);
    weft_results_free(results);
    ck_assert_uint_eq(counts_of(pool).queued, 0);
    ck_assert_uint_eq(counts_of(pool).cancelled, 12 / chunk);
    weft_event_set(&gate.open);
}

START_TEST(freed_early_it_cancels_what_has_not_begun)
{
    for (size_t chunk = 1; chunk <= 3; chunk += 2) {
        free_early(false, chunk);
        free_early(true, chunk);
    }
}
END_TEST

START_TEST(freed_early_it_waits_for_nobody)
{
    for (size_t chunk = 1; chunk <= 4; chunk += 3) {
        pool_anew(2, WEFT_UNBOUNDED, WEFT_FULL_WAIT); /* the workers of the one before have left the gate */
        gate = (struct gate){0};
        weft_value items = integers(12);
        weft_results *results = weft_pool_imap_unordered(pool, zero_waits, items, .chunk = chunk);
        weft_results *others = weft_pool_imap(pool, thirds_fail, items, .chunk = chunk);
        weft_drop(items);
        fixture_until(gate_reached(&gate) == 1);
        weft_value value;
        ck_assert_int_eq(weft_results_next(others, &value, WEFT_FOREVER), 0); /* half of a chunk is left */
        weft_drop(value);
        weft_results_free(others);
        weft_results_free(results);
        weft_event_set(&gate.open);
        fixture_until(counts_of(pool).running == 0);
    }
}
END_TEST

START_TEST(a_terminated_pools_results_are_cancelled)
{
    for (size_t chunk = 1; chunk <= 4; chunk += 3) {
        pool_anew(1, WEFT_UNBOUNDED, WEFT_FULL_WAIT);
        gate = (struct gate){0};
        weft_value items = integers(8), value;
        weft_results *results = weft_pool_imap(pool, zero_waits, items, .chunk = chunk, .ahead = 8);
        fixture_until(gate_reached(&gate) == 1);
        ck_assert_int_eq(weft_pool_terminate(pool, WEFT_FOREVER), 0);
        for (int i = 0; i < 8; i++) {
            ck_assert_int_eq(weft_results_next(results, &value, WEFT_NOW), 0);
            ck_assert_int_eq(weft_error_code(value), ECANCELED);
            weft_drop(value);
        }
        assert_over(results);
        weft_drop(items);
    }
}
END_TEST

static weft_value next_in_a_thread(weft_value results)
{
    return weft_results_next(weft_as_ptr(results), NULL, WEFT_FOREVER) == 0 ? weft_none : weft_int(errno);
}

START_TEST(who_waits_for_a_result_can_be_cancelled)
{
    for (int unordered = 0; unordered < 2; unordered++) {
        pool_anew(2, WEFT_UNBOUNDED, WEFT_FULL_WAIT);
        gate = (struct gate){0};
        weft_value items = integers(1), value;
        weft_results *results = unordered ? weft_pool_imap_unordered(pool, zero_waits, items) : weft_pool_imap(pool, zero_waits, items);
        weft_task *thread = weft_spawn(WEFT_THREAD, next_in_a_thread, weft_ptr(results));
        weft_task_cancel(thread);
        ck_assert_int_eq(weft_task_result(thread, &value, WEFT_FOREVER), 0);
        ck_assert_int_eq(weft_as_int(value), ECANCELED);
        weft_task_free(thread);
        weft_event_set(&gate.open);
        ck_assert_int_eq(next_of(results), 0);
        assert_over(results);
        weft_drop(items);
    }
}
END_TEST

START_TEST(items_are_kept_while_they_are_gone_through)
{
    weft_value items = integers(3);
    weft_results *results = weft_pool_imap(pool, twice, items);
    ck_fails(weft_list_append(items, weft_int(3)), EBUSY);
    weft_results_free(results);
    fixture_until(counts_of(pool).running == 0 && weft_list_append(items, weft_int(3)) == 0);
    for (int i = 0; i < 200; i++) {
        weft_value mapped;
        ck_assert_int_eq(weft_pool_map(pool, twice, items, &mapped, WEFT_FOREVER), 0);
        ck_assert_int_eq(weft_list_set(items, 0, weft_int(i)), 0);
        weft_drop(mapped);
    }
    weft_drop(items);
}
END_TEST

/* In a task of the pool. */
static int64_t sum_of_iteration(weft_results *results, double seconds)
{
    weft_value value;
    int64_t sum = 0;
    while (weft_results_next(results, &value, seconds > 0 ? weft_in(seconds) : WEFT_FOREVER) == 0)
        sum += weft_as_int(value);
    weft_results_free(results);
    return errno == EPIPE ? sum : -errno;
}

static weft_value iterate_inside(weft_value depth)
{
    int64_t deeper = weft_as_int(depth) - 1, sum = 0;
    if (deeper < 0)
        return weft_int(1);
    weft_value items = weft_list(), arguments = weft_list(), results = weft_none;
    for (int i = 0; i < 3; i++) {
        weft_list_append(items, weft_int(deeper));
        weft_list_append(arguments, integers(3));
    }
    sum += sum_of_iteration(weft_pool_imap(pool, iterate_inside, items), 0);
    sum += sum_of_iteration(weft_pool_imap_unordered(pool, iterate_inside, items, .chunk = 2), 0);
    sum += sum_of_iteration(weft_pool_imap(pool, twice, items, .chunk = 2), 60);
    sum += sum_of_iteration(weft_pool_imap_unordered(pool, twice, items), 60);
    if (weft_pool_starmap(pool, sum_of, arguments, &results, WEFT_FOREVER) == 0)
        sum += 0 * weft_as_int(weft_list_at(results, 0));
    weft_drop(results);
    weft_drop(arguments);
    weft_drop(items);
    return weft_int(sum - 12 * deeper);
}

START_TEST(tasks_may_iterate_over_their_own_pool)
{
    for (unsigned workers = 1; workers <= 3; workers++) {
        pool_anew(workers, workers == 2 ? 2 : 1024, WEFT_FULL_WAIT);
        ck_assert_int_eq(integer_of(weft_pool_submit(pool, iterate_inside, weft_int(2))), 36);
    }
}
END_TEST

START_TEST(a_forked_child_has_no_results)
{
    weft_value items = integers(3);
    weft_results *results = weft_pool_imap(pool, twice, items);
    pid_t child = fork();
    if (child == 0) {
        bool stale = weft_results_next(results, NULL, WEFT_FOREVER) == -1 && errno == ESTALE;
        stale = stale && !weft_pool_imap(pool, twice, items) && errno == ESTALE;
        weft_results_free(results);
        _exit(stale ? 0 : 1);
    }
    int status = -1;
    ck_assert_int_eq(waitpid(child, &status, 0), child);
    ck_assert_int_eq(status, 0);
    for (int64_t i = 0; i < 3; i++)
        ck_assert_int_eq(next_of(results), 2 * i);
    assert_over(results);
    weft_drop(items);
}
END_TEST

static void add(TCase *tests)
{
    tcase_add_checked_fixture(tests, set_up, tear_down);
    tcase_add_test(tests, each_item_gives_one_result);
    tcase_add_test(tests, a_narrow_pool_is_enough);
    tcase_add_test(tests, in_order_the_first_is_waited_for);
    tcase_add_test(tests, unordered_the_others_come_before);
    tcase_add_test(tests, no_more_is_submitted_than_asked_for);
    tcase_add_test(tests, starmap_spreads_its_items);
    tcase_add_test(tests, a_list_may_lie_in_itself);
    tcase_add_test(tests, errors_are_results);
    tcase_add_test(tests, bad_calls_are_refused);
    tcase_add_test(tests, an_older_programs_options_are_read);
    tcase_add_test(tests, what_was_submitted_before_a_shutdown_is_given);
    tcase_add_test(tests, freed_early_it_cancels_what_has_not_begun);
    tcase_add_test(tests, freed_early_it_waits_for_nobody);
    tcase_add_test(tests, a_terminated_pools_results_are_cancelled);
    tcase_add_test(tests, who_waits_for_a_result_can_be_cancelled);
    tcase_add_test(tests, items_are_kept_while_they_are_gone_through);
    tcase_add_test(tests, tasks_may_iterate_over_their_own_pool);
    tcase_add_test(tests, a_forked_child_has_no_results);
}

int main(void)
{
    return fixture_main("results", add);
}
