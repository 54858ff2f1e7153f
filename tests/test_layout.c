/* SPDX-License-Identifier: MIT */
/*
 * Where the fields of the public structs lie, on a processor with 64-bit pointers: what a program that was compiled earlier has built in. A
 * line that changes breaks such programs: take a spare word, or add to the end of an options struct (which says its size), instead.
 */
#include "fixture.h"

#define SIZE(type, is)            \
    {                             \
#type, sizeof(type), (is) \
    }
#define FIELD(type, field, is)                        \
    {                                                 \
#type "." #field, offsetof(type, field), (is) \
    }

static const struct {
    const char *what;
    size_t found, expected;
} layout[] = {
    /* clang-format off */
    SIZE(weft_value, 16),
    FIELD(weft_value, kind, 0),
    FIELD(weft_value, flags, 1),
    FIELD(weft_value, reserved, 2),
    FIELD(weft_value, code, 4),
    FIELD(weft_value, as, 8),
    SIZE(weft_lock, 24),
    FIELD(weft_lock, word, 0),
    FIELD(weft_lock, turn, 4),
    FIELD(weft_lock, heir, 8),
    FIELD(weft_lock, passed, 12),
    FIELD(weft_lock, forks, 16),
    FIELD(weft_lock, reserved, 20),
    SIZE(weft_rlock, 32),
    FIELD(weft_rlock, lock, 0),
    FIELD(weft_rlock, depth, 24),
    FIELD(weft_rlock, reserved, 28),
    SIZE(weft_rwlock, 48),
    FIELD(weft_rwlock, word, 0),
    FIELD(weft_rwlock, half, 0),
    FIELD(weft_rwlock, gate, 8),
    FIELD(weft_rwlock, turn, 32),
    FIELD(weft_rwlock, left, 36),
    FIELD(weft_rwlock, reserved, 40),
    SIZE(weft_semaphore, 24),
    FIELD(weft_semaphore, state, 0),
    FIELD(weft_semaphore, word, 0),
    FIELD(weft_semaphore, waiting, 8),
    FIELD(weft_semaphore, bound, 12),
    FIELD(weft_semaphore, name, 16),
    FIELD(weft_semaphore, reserved, 20),
    SIZE(weft_event, 8),
    FIELD(weft_event, word, 0),
    FIELD(weft_event, reserved, 4),
    SIZE(weft_condition, 16),
    FIELD(weft_condition, sequence, 0),
    FIELD(weft_condition, waiting, 4),
    FIELD(weft_condition, reserved, 8),
    SIZE(weft_barrier, 72),
    FIELD(weft_barrier, parties, 0),
    FIELD(weft_barrier, round, 4),
    FIELD(weft_barrier, arrived, 8),
    FIELD(weft_barrier, leaving, 12),
    FIELD(weft_barrier, state, 20),
    FIELD(weft_barrier, runner, 24),
    FIELD(weft_barrier, lock, 28),
    FIELD(weft_barrier, reserved, 52),
    FIELD(weft_barrier, action, 56),
    FIELD(weft_barrier, data, 64),
    SIZE(weft_once, 8),
    FIELD(weft_once, word, 0),
    FIELD(weft_once, reserved, 4),
    SIZE(struct weft_with_scope, 24),
    FIELD(struct weft_with_scope, object, 0),
    FIELD(struct weft_with_scope, release, 8),
    FIELD(struct weft_with_scope, inside, 16),
    SIZE(weft_scalar, 8),
    FIELD(weft_scalar, word, 0),
    SIZE(weft_case, 168),
    FIELD(weft_case, waitable, 0),
    FIELD(weft_case, object, 8),
    FIELD(weft_case, operation, 16),
    FIELD(weft_case, number, 24),
    FIELD(weft_case, error, 32),
    FIELD(weft_case, reserved, 36),
    FIELD(weft_case, scratch, 40),
    SIZE(struct weft_queue_options, 64),
    FIELD(struct weft_queue_options, size, 0),
    FIELD(struct weft_queue_options, capacity, 8),
    FIELD(struct weft_queue_options, guard, 16),
    FIELD(struct weft_queue_options, order, 24),
    FIELD(struct weft_queue_options, key, 32),
    FIELD(struct weft_queue_options, compare, 40),
    FIELD(struct weft_queue_options, data, 48),
    FIELD(struct weft_queue_options, shared, 56),
    FIELD(struct weft_queue_options, joinable, 57),
    FIELD(struct weft_queue_options, deaths, 60),
    SIZE(struct weft_spawn_options, 96),
    FIELD(struct weft_spawn_options, size, 0),
    FIELD(struct weft_spawn_options, kind, 8),
    FIELD(struct weft_spawn_options, function, 16),
    FIELD(struct weft_spawn_options, argument, 24),
    FIELD(struct weft_spawn_options, guard, 40),
    FIELD(struct weft_spawn_options, name, 48),
    FIELD(struct weft_spawn_options, daemon, 56),
    FIELD(struct weft_spawn_options, stack_size, 64),
    FIELD(struct weft_spawn_options, cpus, 72),
    FIELD(struct weft_spawn_options, nice, 80),
    FIELD(struct weft_spawn_options, method, 84),
    FIELD(struct weft_spawn_options, insist, 88),
    SIZE(struct weft_shield_scope, 1),
    FIELD(struct weft_shield_scope, inside, 0),
    SIZE(weft_local, 16),
    FIELD(weft_local, key, 0),
    FIELD(weft_local, reserved, 4),
    FIELD(weft_local, destroy, 8),
    SIZE(struct weft_redirection, 24),
    FIELD(struct weft_redirection, kind, 0),
    FIELD(struct weft_redirection, fd, 4),
    FIELD(struct weft_redirection, path, 8),
    FIELD(struct weft_redirection, append, 16),
    SIZE(struct weft_command_status, 56),
    FIELD(struct weft_command_status, exitcode, 0),
    FIELD(struct weft_command_status, timed_out, 4),
    FIELD(struct weft_command_status, unknown, 5),
    FIELD(struct weft_command_status, dumped, 6),
    FIELD(struct weft_command_status, seconds, 8),
    FIELD(struct weft_command_status, user_seconds, 16),
    FIELD(struct weft_command_status, system_seconds, 24),
    FIELD(struct weft_command_status, peak_kilobytes, 32),
    FIELD(struct weft_command_status, reserved, 40),
    SIZE(struct weft_command_options, 200),
    FIELD(struct weft_command_options, size, 0),
    FIELD(struct weft_command_options, argv, 8),
    FIELD(struct weft_command_options, guard, 16),
    FIELD(struct weft_command_options, deadline, 24),
    FIELD(struct weft_command_options, run_guard, 32),
    FIELD(struct weft_command_options, shell, 40),
    FIELD(struct weft_command_options, standard_input, 48),
    FIELD(struct weft_command_options, standard_output, 72),
    FIELD(struct weft_command_options, standard_error, 96),
    FIELD(struct weft_command_options, directory, 120),
    FIELD(struct weft_command_options, environment, 128),
    FIELD(struct weft_command_options, environment_add, 136),
    FIELD(struct weft_command_options, time_limit, 144),
    FIELD(struct weft_command_options, stop_signal, 152),
    FIELD(struct weft_command_options, stop_grace, 160),
    FIELD(struct weft_command_options, new_session, 168),
    FIELD(struct weft_command_options, new_group, 169),
    FIELD(struct weft_command_options, end_with_us, 170),
    FIELD(struct weft_command_options, nice, 172),
    FIELD(struct weft_command_options, input, 176),
    FIELD(struct weft_command_options, capture_limit, 192),
    SIZE(struct weft_command_result, 88),
    FIELD(struct weft_command_result, status, 0),
    FIELD(struct weft_command_result, output, 56),
    FIELD(struct weft_command_result, error, 72),
    SIZE(struct weft_pool_options, 144),
    FIELD(struct weft_pool_options, size, 0),
    FIELD(struct weft_pool_options, kind, 8),
    FIELD(struct weft_pool_options, guard, 16),
    FIELD(struct weft_pool_options, workers, 24),
    FIELD(struct weft_pool_options, backlog, 32),
    FIELD(struct weft_pool_options, when_full, 40),
    FIELD(struct weft_pool_options, name, 48),
    FIELD(struct weft_pool_options, stack_size, 56),
    FIELD(struct weft_pool_options, initializer, 64),
    FIELD(struct weft_pool_options, initializer_argument, 72),
    FIELD(struct weft_pool_options, finalizer, 88),
    FIELD(struct weft_pool_options, cpus, 96),
    FIELD(struct weft_pool_options, nice, 104),
    FIELD(struct weft_pool_options, max_tasks_per_worker, 108),
    FIELD(struct weft_pool_options, task_timeout, 112),
    FIELD(struct weft_pool_options, retries, 120),
    FIELD(struct weft_pool_options, memory, 128),
    FIELD(struct weft_pool_options, threads, 136),
    SIZE(struct weft_submit_options, 104),
    FIELD(struct weft_submit_options, size, 0),
    FIELD(struct weft_submit_options, pool, 8),
    FIELD(struct weft_submit_options, function, 16),
    FIELD(struct weft_submit_options, argument, 24),
    FIELD(struct weft_submit_options, guard, 40),
    FIELD(struct weft_submit_options, on_done, 48),
    FIELD(struct weft_submit_options, data, 56),
    FIELD(struct weft_submit_options, deadline, 64),
    FIELD(struct weft_submit_options, name, 72),
    FIELD(struct weft_submit_options, priority, 80),
    FIELD(struct weft_submit_options, timeout, 88),
    FIELD(struct weft_submit_options, retries, 96),
    SIZE(struct weft_map_options, 80),
    FIELD(struct weft_map_options, size, 0),
    FIELD(struct weft_map_options, pool, 8),
    FIELD(struct weft_map_options, function, 16),
    FIELD(struct weft_map_options, items, 24),
    FIELD(struct weft_map_options, results, 40),
    FIELD(struct weft_map_options, deadline, 48),
    FIELD(struct weft_map_options, guard, 56),
    FIELD(struct weft_map_options, chunk, 64),
    FIELD(struct weft_map_options, priority, 72),
    SIZE(struct weft_starmap_options, 80),
    FIELD(struct weft_starmap_options, guard, 56),
    FIELD(struct weft_starmap_options, chunk, 64),
    FIELD(struct weft_starmap_options, priority, 72),
    SIZE(struct weft_imap_options, 72),
    FIELD(struct weft_imap_options, size, 0),
    FIELD(struct weft_imap_options, pool, 8),
    FIELD(struct weft_imap_options, function, 16),
    FIELD(struct weft_imap_options, items, 24),
    FIELD(struct weft_imap_options, guard, 40),
    FIELD(struct weft_imap_options, chunk, 48),
    FIELD(struct weft_imap_options, ahead, 56),
    FIELD(struct weft_imap_options, priority, 64),
    SIZE(struct weft_parallel_for_options, 64),
    FIELD(struct weft_parallel_for_options, size, 0),
    FIELD(struct weft_parallel_for_options, count, 8),
    FIELD(struct weft_parallel_for_options, function, 16),
    FIELD(struct weft_parallel_for_options, data, 24),
    FIELD(struct weft_parallel_for_options, guard, 32),
    FIELD(struct weft_parallel_for_options, pool, 40),
    FIELD(struct weft_parallel_for_options, chunk, 48),
    FIELD(struct weft_parallel_for_options, workers, 56),
    SIZE(struct weft_parallel_ranges_options, 64),
    FIELD(struct weft_parallel_ranges_options, size, 0),
    FIELD(struct weft_parallel_ranges_options, count, 8),
    FIELD(struct weft_parallel_ranges_options, function, 16),
    FIELD(struct weft_parallel_ranges_options, data, 24),
    FIELD(struct weft_parallel_ranges_options, guard, 32),
    FIELD(struct weft_parallel_ranges_options, pool, 40),
    FIELD(struct weft_parallel_ranges_options, chunk, 48),
    FIELD(struct weft_parallel_ranges_options, workers, 56),
    SIZE(struct weft_pool_counts, 168),
    FIELD(struct weft_pool_counts, submitted, 0),
    FIELD(struct weft_pool_counts, done, 8),
    FIELD(struct weft_pool_counts, failed, 16),
    FIELD(struct weft_pool_counts, cancelled, 24),
    FIELD(struct weft_pool_counts, timed_out, 32),
    FIELD(struct weft_pool_counts, lost, 40),
    FIELD(struct weft_pool_counts, helped, 48),
    FIELD(struct weft_pool_counts, waits, 56),
    FIELD(struct weft_pool_counts, blocked, 64),
    FIELD(struct weft_pool_counts, queued, 72),
    FIELD(struct weft_pool_counts, running, 80),
    FIELD(struct weft_pool_counts, workers, 88),
    FIELD(struct weft_pool_counts, resting, 92),
    FIELD(struct weft_pool_counts, waiting, 96),
    FIELD(struct weft_pool_counts, limit, 100),
    FIELD(struct weft_pool_counts, reserved, 104),
    /* clang-format on */
};

START_TEST(fields_lie_where_they_lay)
{
    for (size_t i = 0; i < sizeof layout / sizeof layout[0]; i++)
        ck_assert_msg(
            layout[i].found == layout[i].expected, "%s is at or has %zu, and was %zu", layout[i].what, layout[i].found, layout[i].expected);
}
END_TEST

/* What a pointer, a value and the fields of a value are is built into every program too. */
START_TEST(values_are_two_words)
{
    weft_value value = weft_int(-2);
    ck_assert_uint_eq(sizeof value, 2 * sizeof(void *));
    ck_assert_uint_eq(value.kind, 2);
    ck_assert_int_eq(value.as.integer, -2);
}
END_TEST

/* The numbers behind the names. */
START_TEST(constants_are_what_they_were)
{
    ck_assert_int_eq(WEFT_NONE + 10 * WEFT_ERROR, 100);
    ck_assert_int_eq(WEFT_THREAD + 10 * WEFT_COROUTINE + 100 * WEFT_PROCESS + 1000 * WEFT_FLEET, 4321);
    ck_assert_int_eq(WEFT_INITIAL + 10 * WEFT_STARTED + 100 * WEFT_STOPPED, 210);
    ck_assert_int_eq(WEFT_PENDING + 10 * WEFT_DONE + 100 * WEFT_FAILED + 1000 * WEFT_CANCELLED, 3210);
    ck_assert_int_eq(WEFT_TIMED_OUT + 10 * WEFT_LOST, 54);
    ck_assert_int_eq(WEFT_INHERIT + 10 * WEFT_PIPE + 100 * WEFT_NULL + 1000 * WEFT_FILE, 3210);
    ck_assert_int_eq(WEFT_FD + 10 * WEFT_MERGE, 54);
    ck_assert_int_eq(WEFT_FULL_WAIT + 10 * WEFT_FULL_FAIL + 100 * WEFT_FULL_RUN, 210);
    ck_assert_int_eq(WEFT_FIFO + 10 * WEFT_LIFO + 100 * WEFT_PRIORITY, 210);
    ck_assert(WEFT_UNBOUNDED == SIZE_MAX && WEFT_RENDEZVOUS == SIZE_MAX - 1);
    ck_assert(WEFT_NOW == 0 && WEFT_FOREVER == INT64_MAX);
}
END_TEST

static void add(TCase *tests)
{
    tcase_add_test(tests, fields_lie_where_they_lay);
    tcase_add_test(tests, values_are_two_words);
    tcase_add_test(tests, constants_are_what_they_were);
}

int main(void)
{
    return fixture_main("layout", add);
}
