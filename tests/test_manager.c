/* SPDX-License-Identifier: MIT */
/* Managers: with Python's clients (manager_client.py, manager_worker.py), and with peers that speak something else. */
#include <arpa/inet.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "connection/digest.h"
#include "family_root.h"

static const char KEY[] = "secret";

static void need_digests(void)
{
    if (!wefti_digest_offered())
        fixture_skip("built without OpenSSL");
}

static weft_manager *manager_at(const char *address, unsigned threads)
{
    weft_manager *manager = weft_manager_new(address, .key = KEY, .key_length = 6, .standard = true, .threads = threads);
    ck_assert_ptr_nonnull(manager);
    return manager;
}

static weft_value serve(weft_value manager)
{
    return weft_int(weft_manager_serve(weft_as_ptr(manager)));
}

static void serve_end(weft_manager *manager, weft_task *task)
{
    weft_value result;
    weft_manager_shutdown(manager);
    ck_assert_int_eq(weft_task_result(task, &result, weft_in(20)), 0);
    ck_assert_int_eq(weft_as_int(result), 0);
    weft_task_free(task);
}

static int python(const char *script, const char *arguments)
{
    char command[900], line[300];
    snprintf(command, sizeof(command), "exec ${WEFT_TEST_PYTHON:-python3} " TESTS_FOLDER "/%s %s 2>&1", script, arguments);
    FILE *peer = popen(command, "r");
    ck_assert_ptr_nonnull(peer);
    while (fgets(line, sizeof(line), peer))
        fputs(line, stderr);
    return pclose(peer);
}

static void client_of(const char *address, const char *what)
{
    char arguments[600], path[300];
    snprintf(path, sizeof(path), "%s/key", fixture_folder());
    FILE *file = fopen(path, "w");
    fputs(KEY, file);
    fclose(file);
    snprintf(arguments, sizeof(arguments), "%s %s %s", address, path, what);
    ck_assert_int_eq(python("manager_client.py", arguments), 0);
}

static void python_uses(const char *address, unsigned threads)
{
    weft_manager *manager = manager_at(address, threads);
    weft_task *task = weft_spawn(WEFT_THREAD, serve, weft_ptr(manager));
    client_of(weft_manager_address(manager), "all");
    fixture_until(weft_manager_objects(manager) == 3); /* those of the killed one */
    serve_end(manager, task);
    weft_manager_free(manager);
}

START_TEST(python_uses_everything)
{
    char path[300];
    need_digests();
    snprintf(path, sizeof(path), "unix:%s/socket", fixture_folder());
    python_uses("127.0.0.1:0", 1);
    python_uses(path, 2);
}
END_TEST

START_TEST(the_tutorial_pair)
{
    char arguments[200], expected[40];
    need_digests();
    weft_queue *tasks = weft_queue_new(), *results = weft_queue_new();
    weft_manager *manager = weft_manager_new("127.0.0.1:0", .key = KEY, .key_length = 6);
    ck_assert_int_eq(weft_manager_register(manager, "get_task_queue", .queue = tasks), 0);
    ck_assert_int_eq(weft_manager_register(manager, "get_result_queue", .queue = results), 0);
    weft_task *task = weft_spawn(WEFT_THREAD, serve, weft_ptr(manager));
    for (int i = 0; i < 10; i++)
        weft_queue_put(tasks, weft_int(100 * i), WEFT_NOW);
    snprintf(arguments, sizeof(arguments), "127.0.0.1 %s %s", strrchr(weft_manager_address(manager), ':') + 1, KEY);
    ck_assert_int_eq(python("manager_worker.py", arguments), 0);
    for (int i = 0; i < 10; i++) {
        weft_value value;
        ck_assert_int_eq(weft_queue_get(results, &value, weft_in(10)), 0);
        snprintf(expected, sizeof(expected), "%d * %d = %d", 100 * i, 100 * i, 10000 * i * i);
        ck_assert_str_eq(weft_as_str(value), expected);
        weft_drop(value);
    }
    serve_end(manager, task);
    weft_manager_free(manager);
    weft_queue_free(tasks), weft_queue_free(results);
}
END_TEST

START_TEST(what_is_asked_for_is_checked)
{
    weft_queue *queue = weft_queue_new();
    ck_fails_null(weft_manager_new("127.0.0.1:0"), wefti_digest_offered() ? EINVAL : EINVAL);
    need_digests();
    ck_fails_null(weft_manager_new("127.0.0.1:0", .key = "", .key_length = 0), EINVAL);
    ck_fails_null(weft_manager_new("nowhere", .key = KEY, .key_length = 6), EINVAL);
    weft_manager *manager = weft_manager_new("127.0.0.1:0", .key = KEY, .key_length = 6);
    ck_fails(weft_manager_register(manager, "name"), EINVAL);
    ck_fails(weft_manager_register(manager, "", .queue = queue), EINVAL);
    ck_fails(weft_manager_register(manager, "name", .queue = queue, .standard = "dict"), EINVAL);
    ck_fails(weft_manager_register(manager, "name", .standard = "Pool"), EINVAL);
    ck_fails(weft_manager_register(
                 manager, "name", .standard = "Semaphore", .single = true, .arguments = weft_tuple((weft_value[]){weft_str("x")}, 1)),
        EINVAL);
    ck_assert_int_eq(weft_manager_register(manager, "name", .standard = "dict", .single = true), 0);
    ck_assert_uint_eq(weft_manager_objects(manager), 0);
    weft_manager_shutdown(manager);
    weft_manager_free(manager);
    weft_manager_free(NULL);
    weft_queue_free(queue);
}
END_TEST

static void root_with_a_manager(void)
{
    weft_manager *manager = weft_manager_new("127.0.0.1:0", .key = KEY, .key_length = 6, .standard = true);
    MUST(manager && weft_manager_start(manager) == 0);
    MUST(weft_manager_serve(manager) == -1 && errno == EBUSY);
    MUST(weft_manager_start(manager) == -1 && errno == EBUSY);
    client_of(weft_manager_address(manager), "dicts");
    weft_manager_shutdown(manager);
    weft_manager_free(manager);
}

START_TEST(in_a_process_of_its_own)
{
    NEEDS_PIDFDS;
    need_digests();
    root_runs(root_with_a_manager);
}
END_TEST

static void add(TCase *tests)
{
    tcase_add_test(tests, python_uses_everything);
    tcase_add_test(tests, the_tutorial_pair);
    tcase_add_test(tests, what_is_asked_for_is_checked);
    tcase_add_test(tests, in_a_process_of_its_own);
}

int main(void)
{
    return fixture_main("manager", add);
}
