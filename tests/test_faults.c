/* SPDX-License-Identifier: MIT */
/*
 * Faults: in each use below, the first thing that the library asks the system for fails (an allocation, a thread, a process, a pipe, a
 * mapping, a file ...), then the second, and so on until the use needs no more. A call that fails must say so with an errno that its header
 * names; the same call is then made again with nothing failing, and must work; the use goes on to its end, and the fixture sees that
 * nothing is left. (Only in builds that can make calls fail: -Dsmall=true.)
 */
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/memory.h"
#include "fixture.h"

static const int *allowed; /* errno numbers that calls of the present use may fail with, up to 0 */
static bool struck;        /* a call has failed */
static long stride = 1;    /* of uses that ask for so much that not each can be tried each time */

/* A call failed: with an error that it may have, and for the first time. From here on nothing fails. */
static void strike(int error)
{
    const int *known = allowed;
    while (*known && *known != error)
        known++;
    ck_assert_msg(*known != 0, "a call failed with errno %d (%s)", error, strerror(error));
    ck_assert_msg(!struck, "a second call failed");
    struck = true;
    weft_small_fail_after(0);
}

/* A call that gives 0 or -1, and one that gives a pointer or NULL. */
#define TRY(call)                        \
    do {                                 \
        if ((call) != 0) {               \
            strike(errno);               \
            ck_assert_int_eq((call), 0); \
        }                                \
    } while (0)
#define MAKE(pointer, call)                 \
    do {                                    \
        (pointer) = (call);                 \
        if (!(pointer)) {                   \
            strike(errno);                  \
            (pointer) = (call);             \
            ck_assert_ptr_nonnull(pointer); \
        }                                   \
    } while (0)

/* At least `least` different things were seen to fail. */
static void each_fault(void (*use)(void), const int *errors, int least)
{
    int strikes = 0;
    allowed = errors;
    for (long n = 1;; n += stride) {
        ck_assert_int_lt(n, 500 * stride);
        struck = false;
        weft_small_fail_after(n);
        use();
        bool reached = struck || weft_small_asked() >= n;
        weft_small_fail_after(0);
        strikes += struck;
        if (!reached)
            break;
    }
    ck_assert_int_ge(strikes, least);
}

static weft_value same(weft_value value)
{
    return weft_keep(value);
}

/* Tasks. */

static void use_task(void)
{
    weft_value text = weft_int(7), result;
    weft_task *task;
    MAKE(task, weft_task_new(WEFT_THREAD, same, text, .name = "a name that does not fit into the handle", .stack_size = 65536));
    TRY(weft_task_set_name(task, "another name that does not fit into the handle either"));
    TRY(weft_task_start(task));
    TRY(weft_task_result(task, &result, WEFT_FOREVER));
    ck_assert_int_eq(weft_as_int(result), 7);
    weft_task_free(task);
    MAKE(task, weft_spawn(WEFT_THREAD, same, text));
    TRY(weft_task_join(task, WEFT_FOREVER));
    weft_task_free(task);
}

START_TEST(faults_of_tasks)
{
    each_fault(use_task, (const int[]){ENOMEM, EAGAIN, 0}, 6);
}
END_TEST

static weft_local local = WEFT_LOCAL(NULL);

static void *foreign(void *unused)
{
    weft_task *me;
    MAKE(me, weft_current());
    ck_assert_int_eq(strncmp(weft_task_name(me), "Dummy-", 6), 0);
    TRY(weft_local_set(&local, &local));
    ck_assert_ptr_eq(weft_local_get(&local), &local);
    return unused;
}

static void use_foreign(void)
{
    pthread_t thread;
    ck_assert_int_eq(pthread_create(&thread, NULL, foreign, NULL), 0);
    pthread_join(thread, NULL);
}

START_TEST(faults_of_foreign_threads)
{
    each_fault(use_foreign, (const int[]){ENOMEM, 0}, 2);
}
END_TEST

/* Groups, timers, signals. */

static void use_group(void)
{
    weft_group *group;
    weft_value text = weft_int(7);
    MAKE(group, weft_group_new());
    for (int i = 0; i < 2; i++)
        TRY(weft_group_spawn(group, WEFT_THREAD, same, text, .name = "a name that does not fit into the handle"));
    TRY(weft_group_join(group, NULL, WEFT_FOREVER));
    weft_group_free(group);
}

START_TEST(faults_of_groups)
{
    each_fault(use_group, (const int[]){ENOMEM, EAGAIN, 0}, 9);
}
END_TEST

static void use_timer(void)
{
    weft_timer *timers[2];
    MAKE(timers[0], weft_after(0.001, same, weft_int(7)));
    MAKE(timers[1], weft_every(1000, same, weft_int(7)));
    TRY(weft_timer_join(timers[0], WEFT_FOREVER));
    TRY(weft_timer_cancel(timers[1]));
    TRY(weft_timer_join(timers[1], WEFT_FOREVER));
    weft_timer_free(timers[0]);
    weft_timer_free(timers[1]);
    fixture_until(weft_active_count() == 1); /* so that each use starts the thread */
}

START_TEST(faults_of_timers)
{
    each_fault(use_timer, (const int[]){ENOMEM, EAGAIN, 0}, 5);
}
END_TEST

static void use_signals(void)
{
    weft_signals *signals;
    MAKE(signals, weft_signals_new(SIGUSR1, SIGUSR2));
    ck_assert_int_eq(kill(getpid(), SIGUSR1), 0);
    TRY(weft_signals_wait(signals, NULL, WEFT_FOREVER));
    ck_assert_int_eq(kill(getpid(), SIGUSR2), 0);
    TRY(weft_signals_wait(signals, NULL, WEFT_FOREVER));
    weft_signals_free(signals);
}

START_TEST(faults_of_signals)
{
    each_fault(use_signals, (const int[]){ENOMEM, EMFILE, 0}, 2);
}
END_TEST

/* Queues. */

static void use_queue_of(size_t capacity, int count)
{
    weft_queue *queue;
    MAKE(queue, weft_queue_new(.capacity = capacity));
    for (int i = 0; i < count; i++)
        TRY(weft_queue_put(queue, weft_int(i), WEFT_NOW));
    for (int i = 0; i < count; i++) {
        weft_value value;
        TRY(weft_queue_get(queue, &value, WEFT_NOW));
        ck_assert_int_eq(weft_as_int(value), i);
        TRY(weft_queue_task_done(queue));
    }
    TRY(weft_queue_join(queue, WEFT_NOW));
    weft_queue_free(queue);
}

static void use_ordered(enum weft_queue_order order)
{
    weft_queue *queue;
    MAKE(queue, weft_queue_new(.capacity = WEFT_UNBOUNDED, .order = order));
    for (int i = 0; i < 100; i++)
        TRY(weft_queue_put(queue, weft_int(i), WEFT_NOW));
    for (int i = 0; i < 100; i++) {
        weft_value value;
        TRY(weft_queue_get(queue, &value, WEFT_NOW));
        ck_assert_int_eq(weft_as_int(value), order == WEFT_LIFO ? 99 - i : i);
    }
    weft_queue_free(queue);
}

static void use_lifo(void)
{
    use_ordered(WEFT_LIFO);
}

static void use_priority(void)
{
    use_ordered(WEFT_PRIORITY);
}

/* With more descriptors than it has room for without memory, and a thread that has no doorbell yet. */
static void *selects(void *unused)
{
    enum { MANY = 20 };
    int ends[2], chosen;
    weft_queue *queue;
    weft_value value;
    weft_case cases[MANY + 1];
    ck_assert_int_eq(pipe(ends), 0);
    MAKE(queue, weft_queue_new());
    for (int i = 0; i < MANY; i++)
        cases[i] = weft_case_descriptor(ends[0], POLLIN, NULL);
    cases[MANY] = weft_case_get(queue, &value);
    while ((chosen = weft_select(cases, MANY + 1, weft_in(0.001))) < 0 && errno != ETIMEDOUT)
        strike(errno);
    ck_assert_int_eq(chosen, -1);
    TRY(weft_queue_put(queue, weft_int(1), WEFT_NOW));
    ck_assert_int_eq(weft_select(cases, MANY + 1, WEFT_FOREVER), MANY);
    weft_queue_free(queue);
    close(ends[0]);
    close(ends[1]);
    return unused;
}

static void use_select(void)
{
    pthread_t thread;
    ck_assert_int_eq(pthread_create(&thread, NULL, selects, NULL), 0);
    pthread_join(thread, NULL);
}

static void use_bounded(void)
{
    use_queue_of(100, 100);
}

static void use_unbounded(void)
{
    use_queue_of(WEFT_UNBOUNDED, 100);
}

START_TEST(faults_of_queues)
{
    each_fault(use_bounded, (const int[]){ENOMEM, 0}, 2);
    each_fault(use_unbounded, (const int[]){ENOMEM, 0}, 10);
    each_fault(use_lifo, (const int[]){ENOMEM, 0}, 3);
    each_fault(use_priority, (const int[]){ENOMEM, 0}, 3);
}
END_TEST

START_TEST(faults_of_select)
{
    each_fault(use_select, (const int[]){ENOMEM, EMFILE, 0}, 3);
}
END_TEST

/* Shared memory. */

static void use_shared(void)
{
    void *blocks[12];
    for (size_t i = 0; i < 12; i++)
        MAKE(blocks[i], weft_shared_alloc((size_t)16 << i)); /* up to a whole chunk */
    for (size_t i = 0; i < 12; i++)
        TRY(weft_shared_free(blocks[i]));
}

START_TEST(faults_of_shared_memory)
{
    ck_assert_int_eq(weft_shared_limit(1 << 24), 0);
    each_fault(use_shared, (const int[]){ENOMEM, EMFILE, 0}, 1);
}
END_TEST

/* A change that fails leaves the map as it was; the value stays the caller's. */
static void map_set(weft_map *map, const char *key, weft_value value)
{
    size_t size = weft_map_size(map);
    if (weft_map_set(map, key, value) == 0)
        return;
    strike(errno);
    ck_assert_uint_eq(weft_map_size(map), size);
    ck_assert_int_eq(weft_map_set(map, key, value), 0);
}

static weft_value map_all(weft_map *map, weft_value (*list)(weft_map *map))
{
    weft_value all = list(map);
    if (weft_is_error(all)) {
        strike(weft_error_code(all));
        all = list(map);
    }
    return all;
}

static void use_shared_data(void)
{
    weft_array *array;
    weft_map *map;
    weft_value value = weft_none, dict = weft_dict();
    if (weft_is_error(dict)) {
        strike(ENOMEM);
        dict = weft_dict();
    }
    TRY(weft_dict_set_str(dict, "d", weft_int(4)));
    MAKE(array, weft_array_new('d', 20000));
    MAKE(map, weft_map_new());
    TRY(weft_map_contains(map, "") < 0); /* now this task has a life */
    map_set(map, "a", weft_int(1));
    map_set(map, "b", weft_keep(dict));
    map_set(map, "c", weft_float(1)); /* and a table that is full, in a small build */
    TRY(weft_map_update_from(map, dict));
    TRY(weft_map_get(map, "b", &value));
    weft_drop(value);
    TRY(weft_map_pop(map, "b", &value));
    weft_drop(value);
    value = map_all(map, weft_map_items);
    ck_assert_uint_eq(weft_length(value), 3);
    weft_drop(value);
    weft_drop(dict);
    TRY(weft_map_free(map));
    TRY(weft_array_free(array));
}

START_TEST(faults_of_shared_data)
{
    each_fault(use_shared_data, (int[]){ENOMEM, EMFILE, 0}, 10);
}
END_TEST

/* Pools and futures. */

static int count_done(weft_future *future, void *count)
{
    (void)future;
    __atomic_add_fetch((int *)count, 1, __ATOMIC_RELAXED);
    return 0;
}

static void use_future(void)
{
    int called = 0;
    weft_future *future;
    MAKE(future, weft_future_new());
    for (int i = 0; i < 3; i++)
        TRY(weft_future_on_done(future, count_done, &called));
    TRY(weft_future_set(future, weft_none));
    ck_assert_int_eq(called, 3);
    weft_future_free(future);
}

START_TEST(faults_of_futures)
{
    each_fault(use_future, (const int[]){ENOMEM, 0}, 3);
}
END_TEST

static void use_pool(void)
{
    int called = 0;
    weft_pool *pool;
    weft_future *futures[3];
    MAKE(pool, weft_pool_new(WEFT_THREAD, .workers = 2, .backlog = WEFT_UNBOUNDED, .name = "a pool", .cpus = "0-65535", .nice = 1));
    for (int i = 0; i < 3; i++)
        MAKE(futures[i], weft_pool_submit(pool, same, weft_int(i), .on_done = count_done, .data = &called));
    TRY(weft_wait_all(futures, 3, WEFT_FOREVER));
    ck_assert_int_ge((int)weft_wait_any(futures, 3, WEFT_FOREVER), 0);
    TRY(weft_pool_start(pool, same, weft_none, .on_done = count_done, .data = &called));
    for (int i = 0; i < 3; i++)
        weft_future_free(futures[i]);
    TRY(weft_pool_shutdown(pool, false, WEFT_FOREVER));
    ck_assert_int_eq(called, 4);
    weft_pool_free(pool);
}

START_TEST(faults_of_pools)
{
    each_fault(use_pool, (const int[]){ENOMEM, EAGAIN, 0}, 6);
}
END_TEST

static void use_bulk(void)
{
    weft_value items = weft_tuple((weft_value[]){weft_int(1), weft_int(2), weft_int(3)}, 3), results, result;
    if (weft_is_error(items)) { /* the values' own failures are test_value_memory's */
        strike(weft_error_code(items));
        return;
    }
    weft_pool *pool;
    MAKE(pool, weft_pool_new(WEFT_THREAD, .workers = 2));
    TRY(weft_pool_map(pool, same, items, &results, WEFT_FOREVER));
    ck_assert_uint_eq(weft_length(results), 3);
    weft_drop(results);
    TRY(weft_pool_apply(pool, same, weft_int(5), &result, WEFT_FOREVER));
    ck_assert_int_eq(weft_as_int(result), 5);
    weft_pool_free(pool);
    weft_drop(items);
}

static weft_value first_of(const weft_value *arguments, size_t count)
{
    return count > 0 ? weft_keep(arguments[0]) : weft_none;
}

static void use_results(weft_results *results, int64_t count)
{
    weft_value value;
    for (int64_t i = 0; i < count; i++) {
        TRY(weft_results_next(results, &value, WEFT_FOREVER));
        weft_drop(value);
    }
    ck_fails(weft_results_next(results, &value, WEFT_FOREVER), EPIPE);
    weft_results_free(results);
}

static weft_value twelve, of_twelve; /* lists */

static void use_iterators(void)
{
    weft_value stars;
    weft_pool *pool;
    weft_results *results;
    MAKE(pool, weft_pool_new(WEFT_THREAD, .workers = 2));
    MAKE(results, weft_pool_imap(pool, same, twelve, .chunk = 5));
    use_results(results, 12);
    MAKE(results, weft_pool_imap_unordered(pool, same, twelve, .ahead = 3));
    use_results(results, 12);
    TRY(weft_pool_starmap(
        pool, first_of, of_twelve, &stars, WEFT_FOREVER, .chunk = 2)); /* no room for an item's arguments: an error value */
    ck_assert_uint_eq(weft_length(stars), 12);
    weft_drop(stars);
    weft_pool_free(pool);
}

START_TEST(faults_of_iterators)
{
    twelve = weft_list();
    of_twelve = weft_list();
    for (int i = 0; i < 12; i++) {
        ck_assert_int_eq(weft_list_append(twelve, weft_int(i)), 0);
        ck_assert_int_eq(weft_list_append(of_twelve, weft_copy(twelve)), 0);
    }
    each_fault(use_iterators, (const int[]){ENOMEM, EAGAIN, 0}, 6);
    weft_drop(of_twelve);
    weft_drop(twelve);
}
END_TEST

static void use_completed(void)
{
    int called = 0;
    weft_future *futures[3];
    for (int i = 0; i < 3; i++) {
        MAKE(futures[i], weft_future_new());
        TRY(weft_future_on_done(futures[i], count_done, &called));
    }
    weft_completed *completed;
    MAKE(completed, weft_as_completed(futures, 3));
    for (int i = 0; i < 3; i++)
        TRY(weft_future_set(futures[i], weft_none));
    for (int i = 0; i < 3; i++)
        ck_assert_int_eq(weft_completed_next(completed, WEFT_FOREVER), i);
    ck_assert_int_eq(called, 3);
    weft_completed_free(completed);
    for (int i = 0; i < 3; i++)
        weft_future_free(futures[i]);
}

START_TEST(faults_of_completed)
{
    each_fault(use_completed, (const int[]){ENOMEM, 0}, 4);
}
END_TEST

START_TEST(faults_of_pools_in_bulk)
{
    each_fault(use_bulk, (const int[]){ENOMEM, EAGAIN, 0}, 6);
}
END_TEST

/* Commands. */

static void command_speaks(const struct weft_command_options *options)
{
    weft_command *command;
    struct weft_command_status status;
    weft_value output = weft_none;
    MAKE(command, weft_command_start_with(options));
    TRY(weft_command_communicate(command, weft_none, &output, NULL, WEFT_FOREVER));
    TRY(weft_command_wait(command, &status, WEFT_FOREVER));
    ck_assert_int_eq(status.exitcode, 3);
    ck_assert_uint_eq(weft_length(output), 6);
    weft_drop(output);
    weft_command_free(command);
}

static const struct weft_command_options speaker = {
    .size = sizeof(struct weft_command_options),
    .argv = (const char *const[]){"echo hello; exit 3", NULL},
    .shell = true,
    .standard_input = {.kind = WEFT_NULL},
    .standard_output = {.kind = WEFT_PIPE},
    .standard_error = {.kind = WEFT_MERGE},
    .environment_add = (const char *const[]){"WEFT_TEST=1", NULL},
};

static void use_command(void)
{
    command_speaks(&speaker);
}

static void use_limited(void)
{
    struct weft_command_options options = speaker;
    options.time_limit = 1000;
    command_speaks(&options);
}

static void use_ending(void)
{
    struct weft_command_options options = speaker;
    options.end_with_us = true;
    command_speaks(&options);
}

/* Fed and captured in one call. */
static void use_run(double limit)
{
    static char block[100000];
    struct weft_command_result result;
    weft_value input = weft_bytes(block, sizeof(block));
    if (weft_is_error(input)) {
        strike(weft_error_code(input));
        return;
    }
    TRY(weft_command_run(weft_argv("cat; echo err >&2"), &result, WEFT_FOREVER, .shell = true, .input = input, .time_limit = limit));
    ck_assert(weft_equal(result.output, input));
    ck_assert_uint_eq(weft_length(result.error), 4);
    weft_drop(result.output);
    weft_drop(result.error);
    weft_drop(input);
}

static void use_unlimited_run(void)
{
    use_run(0);
}

static void use_limited_run(void)
{
    use_run(1000);
}

START_TEST(faults_of_commands)
{
    static const int errors[] = {ENOMEM, EAGAIN, EMFILE, 0};
    each_fault(use_command, errors, 8);
    each_fault(use_limited, errors, 10);
    each_fault(use_ending, errors, 8);
    each_fault(use_unlimited_run, errors, 8);
    each_fault(use_limited_run, errors, 10);
}
END_TEST

static void use_tree(void)
{
    weft_command *command;
    struct weft_command_status status;
    MAKE(command,
        weft_command_start(weft_argv("sleep 1000 & sleep 1000 & echo; wait"), .shell = true, .standard_output = {.kind = WEFT_PIPE}));
    char octet;
    ck_assert_int_eq(weft_command_read(command, 1, &octet, 1, WEFT_FOREVER), 1);
    TRY(weft_command_kill(command, WEFT_FOREVER));
    TRY(weft_command_wait(command, &status, WEFT_FOREVER));
    ck_assert_int_eq(status.exitcode, -SIGKILL);
    weft_command_free(command);
}

START_TEST(faults_of_trees)
{
    each_fault(use_tree, (const int[]){ENOMEM, EAGAIN, EMFILE, 0}, 4);
}
END_TEST

/* Managers and their clients, which are two threads of this process: what fails over there is a lost connection here, or a MemoryError. */

static weft_manager *faults_manager;

static weft_manager *manager_make(void)
{
    return weft_manager_new("127.0.0.1:0", .key = "secret", .key_length = 6, .standard = true);
}

static void use_manager_new(void)
{
    weft_manager *manager;
    weft_queue *queue;
    MAKE(queue, weft_queue_new());
    MAKE(manager, manager_make());
    TRY(weft_manager_register(manager, "jobs", .queue = queue));
    TRY(weft_manager_register(manager, "words", .standard = "dict", .single = true));
    weft_manager_free(manager);
    weft_queue_free(queue);
}

/* Until it has an answer that is none of these. */
static weft_value ask(weft_proxy *proxy, const char *method, weft_value arguments)
{
    weft_value result = weft_none;
    while (weft_proxy_call(proxy, method, &result, weft_in(20), .arguments = arguments) != 0 || weft_is_error(result)) {
        strike(weft_is_error(result) ? weft_error_code(result) : errno);
        weft_drop(result);
        result = weft_none;
    }
    weft_drop(arguments);
    return result;
}

static weft_value arguments_of(weft_value first, weft_value second)
{
    weft_value items[] = {first, second}, made;
    for (;;) {
        made = weft_tuple(items, weft_is_none(second) ? 1 : 2);
        if (!weft_is_error(made))
            return made;
        strike(errno);
    }
}

static weft_value value_of(weft_proxy *proxy)
{
    weft_value value;
    while (weft_is_error(value = weft_proxy_value(proxy, NULL)))
        strike(weft_error_code(value));
    return value;
}

static void use_nested(weft_remote *remote, weft_proxy *dict)
{
    weft_proxy *inner = NULL;
    weft_value result, key = arguments_of(weft_int(2), weft_none);
    weft_drop(ask(dict, "__setitem__", arguments_of(weft_int(2), value_of(dict))));
    while (weft_proxy_call(dict, "__getitem__", &result, weft_in(20), .arguments = key, .proxy = &inner) != 0 || weft_is_error(result)) {
        strike(weft_is_error(result) ? weft_error_code(result) : errno);
        weft_drop(result);
    }
    ck_assert_ptr_nonnull(inner);
    weft_proxy_free(inner);
    weft_value value = value_of(dict);
    MAKE(inner, weft_proxy_of_value(remote, value, NULL, weft_in(20)));
    weft_drop(value), weft_drop(key);
    weft_proxy_free(inner);
}

static void use_remote_queue(weft_remote *remote)
{
    weft_proxy *proxy;
    weft_queue *queue;
    weft_value got;
    MAKE(proxy, weft_proxy_new(remote, "Queue", weft_in(20)));
    MAKE(queue, weft_queue_of_proxy(proxy));
    TRY(weft_queue_put(queue, weft_int(1), weft_in(20)));
    weft_case cases[] = {weft_case_get(queue, &got)};
    while (weft_select(cases, 1, weft_in(20)) != 0 || cases[0].error != 0) {
        strike(cases[0].error ? cases[0].error : errno);
        TRY(weft_queue_put(queue, weft_int(1), weft_in(20))); /* an item of an answer that could not be read is gone */
    }
    while (weft_select(cases, 1, weft_in(0.001)) == 0) {
        if (cases[0].error != 0)
            strike(cases[0].error);
        errno = ETIMEDOUT;
    }
    if (errno != ETIMEDOUT)
        strike(errno);
    weft_queue_free(queue);
    weft_proxy_free(proxy);
}

static void use_remote(void)
{
    weft_remote *remote;
    weft_proxy *dict;
    MAKE(remote, weft_manager_connect(weft_manager_address(faults_manager), weft_in(20), .key = "secret", .key_length = 6));
    MAKE(dict, weft_proxy_new(remote, "dict", weft_in(20)));
    weft_drop(ask(dict, "__setitem__", arguments_of(weft_int(1), weft_int(2))));
    ck_assert_int_eq(weft_as_int(ask(dict, "__getitem__", arguments_of(weft_int(1), weft_none))), 2);
    weft_drop(ask(dict, "items", weft_none));
    use_nested(remote, dict);
    use_remote_queue(remote);
    weft_proxy_free(dict);
    weft_remote_free(remote);
}

static weft_value manager_serve(weft_value manager)
{
    return weft_int(weft_manager_serve(weft_as_ptr(manager)));
}

START_TEST(faults_of_managers)
{
    if (!(faults_manager = manager_make()))
        fixture_skip("built without OpenSSL");
    weft_task *task = weft_spawn(WEFT_THREAD, manager_serve, weft_ptr(faults_manager));
    stride = 13;
    each_fault(use_remote, (const int[]){ENOMEM, EMFILE, ECONNRESET, EPIPE, EREMOTEIO, EACCES, EAGAIN, EBADMSG, EPROTO, 0}, 30);
    stride = 1;
    weft_manager_shutdown(faults_manager);
    ck_assert_int_eq(weft_task_join(task, weft_in(20)), 0);
    weft_task_free(task);
    weft_manager_free(faults_manager);
    each_fault(use_manager_new, (const int[]){ENOMEM, EMFILE, EINVAL, 0}, 10);
}
END_TEST

static void add(TCase *tests)
{
    tcase_add_test(tests, faults_of_managers);
    tcase_add_test(tests, faults_of_tasks);
    tcase_add_test(tests, faults_of_foreign_threads);
    tcase_add_test(tests, faults_of_groups);
    tcase_add_test(tests, faults_of_timers);
    tcase_add_test(tests, faults_of_signals);
    tcase_add_test(tests, faults_of_queues);
    tcase_add_test(tests, faults_of_select);
    tcase_add_test(tests, faults_of_shared_memory);
    tcase_add_test(tests, faults_of_shared_data);
    tcase_add_test(tests, faults_of_futures);
    tcase_add_test(tests, faults_of_pools);
    tcase_add_test(tests, faults_of_pools_in_bulk);
    tcase_add_test(tests, faults_of_iterators);
    tcase_add_test(tests, faults_of_completed);
    tcase_add_test(tests, faults_of_commands);
    tcase_add_test(tests, faults_of_trees);
}

int main(void)
{
    return fixture_main("faults", add);
}
