/* SPDX-License-Identifier: MIT */
/* Managers: with Python's clients (manager_client.py, manager_worker.py), and with peers that speak something else. */
#include <arpa/inet.h>
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "family_root.h"
#include "manager_peers.h"
#include "python_found.h"

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
    fixture_until(weft_manager_objects(manager) == 4); /* those of the killed one */
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

/* With Decimals, dataclasses and all that no library in C can know. */
START_TEST(a_relay_carries_what_it_does_not_know)
{
    need_digests();
    for (int i = 0; i < 2; i++) {
        weft_manager *manager = weft_manager_new("127.0.0.1:0", .key = KEY, .key_length = 6, .standard = true, .relay = i > 0);
        weft_task *task = weft_spawn(WEFT_THREAD, serve, weft_ptr(manager));
        client_of(weft_manager_address(manager), i ? "relay" : "strangers_refused");
        serve_end(manager, task);
        weft_manager_free(manager);
    }
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
    weft_value arguments = weft_tuple((weft_value[]){weft_str("x")}, 1);
    ck_fails(weft_manager_register(manager, "name", .standard = "Semaphore", .single = true, .arguments = arguments), EINVAL);
    weft_drop(arguments);
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

/* A weft_..._new that failed, and nobody looked. */
START_TEST(what_is_asked_of_nothing_is_refused)
{
    weft_value value = weft_int(7);
    size_t size = 7;
    ck_fails_null(weft_manager_address(NULL), EINVAL);
    ck_fails(weft_manager_register(NULL, "dict", .standard = "dict"), EINVAL);
    ck_fails(weft_manager_serve(NULL), EINVAL);
    ck_fails(weft_manager_start(NULL), EINVAL);
    weft_manager_shutdown(NULL);
    ck_assert_uint_eq(weft_manager_objects(NULL), 0);
    weft_manager_free(NULL);
    ck_fails_null(weft_manager_connect(NULL, WEFT_NOW, .key = KEY, .key_length = 6), EINVAL);
    ck_fails(weft_remote_call(NULL, "dummy", &value, WEFT_NOW), EINVAL);
    weft_remote_free(NULL);
    ck_fails_null(weft_proxy_new(NULL, "dict", WEFT_NOW), EINVAL);
    ck_fails_null(weft_proxy_ident(NULL), EINVAL);
    ck_assert_int_eq(weft_error_code(weft_proxy_value(NULL, NULL)), EINVAL);
    ck_fails_null(weft_proxy_of_value(NULL, value, NULL, WEFT_NOW), EINVAL);
    ck_fails_null(weft_queue_of_proxy(NULL), EINVAL);
    ck_fails(weft_proxy_call(NULL, "get", &value, WEFT_NOW), EINVAL);
    int (*const verbs[])(weft_proxy *, weft_time) = {weft_proxy_acquire, weft_proxy_release, weft_proxy_wait, weft_proxy_set,
        weft_proxy_clear, weft_proxy_is_set, weft_proxy_abort, weft_proxy_reset};
    for (size_t i = 0; i < sizeof(verbs) / sizeof(*verbs); i++)
        ck_fails(verbs[i](NULL, WEFT_NOW), EINVAL);
    ck_fails(weft_proxy_notify(NULL, 1, WEFT_NOW), EINVAL);
    ck_fails(weft_proxy_item(NULL, value, &value, WEFT_NOW), EINVAL);
    ck_fails(weft_proxy_item_set(NULL, value, value, WEFT_NOW), EINVAL);
    ck_fails(weft_proxy_item_pop(NULL, value, &value, WEFT_NOW), EINVAL);
    ck_fails(weft_proxy_item_add(NULL, value, value, &value, WEFT_NOW), EINVAL);
    ck_fails(weft_proxy_item_compare_and_set(NULL, value, value, value, WEFT_NOW), EINVAL);
    ck_fails(weft_proxy_size(NULL, &size, WEFT_NOW), EINVAL);
    ck_fails(weft_proxy_keys(NULL, &value, WEFT_NOW), EINVAL);
    ck_fails(weft_proxy_load(NULL, &value, WEFT_NOW), EINVAL);
    ck_fails(weft_proxy_store(NULL, value, WEFT_NOW), EINVAL);
    ck_assert_int_eq(weft_as_int(value) + (int64_t)size, 14);
    weft_proxy_free(NULL);
}
END_TEST

START_TEST(in_a_process_of_its_own)
{
    NEEDS_PIDFDS;
    need_digests();
    root_runs(root_with_a_manager);
}
END_TEST

/* Clients. */

/* What the tutorial's worker does. */
static void work(const char *address)
{
    weft_remote *remote = remote_at(address);
    weft_proxy *tasks = proxy_of(remote, "get_task_queue"), *results = proxy_of(remote, "get_result_queue");
    weft_queue *task = weft_queue_of_proxy(tasks), *result = weft_queue_of_proxy(results);
    weft_value n;
    for (int i = 0; i < 10; i++) {
        ck_assert_int_eq(weft_queue_get(task, &n, weft_in(20)), 0);
        int64_t number = weft_as_int(n);
        ck_assert_int_eq(weft_queue_put(result, weft_str_f("%ld * %ld = %ld", number, number, number * number), weft_in(20)), 0);
    }
    ck_fails(weft_queue_get(task, &n, WEFT_NOW), EAGAIN);
    weft_queue_free(task), weft_queue_free(result);
    weft_proxy_free(tasks), weft_proxy_free(results);
    weft_remote_free(remote);
}

START_TEST(a_worker_of_pythons_master)
{
    char address[40], line[100];
    need_digests();
    FILE *peer = python_master("tutorial", address);
    work(address);
    ck_assert_ptr_nonnull(fgets(line, sizeof(line), peer));
    ck_assert_str_eq(line, "master exit.\n");
    ck_assert_int_eq(pclose(peer), 0);
}
END_TEST

static void uses_dict(weft_remote *remote)
{
    weft_proxy *dict = proxy_of(remote, "dict");
    repr_is(call(dict, "__setitem__", two(weft_str("a"), weft_int(1))), "None");
    repr_is(call(dict, "__getitem__", one(weft_str("a"))), "1");
    type_is(call(dict, "__getitem__", one(weft_str("b"))), "KeyError");
    type_is(call(dict, "no_such_thing", weft_none), "multiprocessing.managers.RemoteError");
    repr_is(call(dict, "items", weft_none), "[('a', 1)]");
    repr_is(call(dict, "__str__", weft_none), "\"{'a': 1}\"");
    type_is(call(dict, "__getitem__", one(weft_list())), "TypeError");
    weft_proxy_free(dict);
}

static weft_value list_of(const int *numbers, size_t count)
{
    weft_value list = weft_list();
    for (size_t i = 0; i < count; i++)
        ck_assert_int_eq(weft_list_append(list, weft_int(numbers[i])), 0);
    return list;
}

static weft_value set_of(const int *numbers, size_t count)
{
    weft_value set = weft_set();
    for (size_t i = 0; i < count; i++)
        ck_assert_int_ge(weft_set_add(set, weft_int(numbers[i])), 0);
    return set;
}

/* SyncManager has sets since Python 3.14. */
static void uses_set(weft_remote *remote)
{
    weft_value arguments = one(list_of((int[]){1, 2, 2}, 3)), unhashable = list_of((int[]){5}, 1), words = weft_dict(), result;
    weft_proxy *set = weft_proxy_new(remote, "set", weft_in(20), .arguments = arguments), *empty = proxy_of(remote, "set");
    ck_assert_ptr_nonnull(set);
    weft_drop(arguments);
    repr_is(call(set, "add", one(weft_int(3))), "None");
    repr_is(call(set, "__len__", weft_none), "3");
    repr_is(call(set, "__str__", weft_none), "'{1, 2, 3}'");
    repr_is(call(empty, "__str__", weft_none), "'set()'");
    repr_is(call(set, "__or__", one(set_of((int[]){3, 4}, 2))), "{1, 2, 3, 4}");
    repr_is(call(set, "__rsub__", one(set_of((int[]){3, 4}, 2))), "{4}");
    repr_is(call(set, "__iand__", one(set_of((int[]){3, 1}, 2))), "{1, 3}");
    repr_is(call(set, "union", two(list_of((int[]){4}, 1), weft_str("a"))), "{1, 3, 4, 'a'}");
    repr_is(call(set, "symmetric_difference", one(list_of((int[]){3, 4}, 2))), "{1, 4}");
    repr_is(call(set, "issubset", one(list_of((int[]){1, 2, 3}, 3))), "True");
    repr_is(call(set, "__gt__", one(set_of((int[]){1, 3}, 2))), "False");
    repr_is(call(set, "__contains__", one(weft_float(3))), "True");
    type_is(call(set, "__or__", one(list_of(NULL, 0))), "TypeError");
    type_is(call(set, "__or__", weft_none), "TypeError");
    type_is(call(set, "add", one(weft_list())), "TypeError");
    type_is(call(set, "remove", one(weft_int(9))), "KeyError");
    weft_list_append(unhashable, weft_list());
    type_is(call(set, "update", one(unhashable)), "TypeError"); /* and of its items none is in it */
    weft_dict_set_str(words, "other", weft_list());
    ck_assert_int_eq(weft_proxy_call(set, "union", &result, weft_in(20), .keywords = words), 0);
    type_is(result, "TypeError");
    repr_is(call(empty, "update", one(weft_proxy_value(set, NULL))), "None");
    repr_is(call(empty, "__le__", one(weft_proxy_value(set, NULL))), "True");
    result = call(empty, "__iter__", weft_none);
    ck_assert_str_eq(weft_object_name(result), "iter");
    weft_drop(result);
    repr_is(call(empty, "discard", one(weft_int(9))), "None");
    repr_is(call(empty, "pop", weft_none), "3");
    repr_is(call(empty, "pop", weft_none), "1");
    type_is(call(empty, "pop", weft_none), "KeyError");
    repr_is(call(set, "copy", weft_none), "{1, 3}");
    repr_is(call(set, "clear", weft_none), "None");
    repr_is(call(set, "copy", weft_none), "set()");
    weft_proxy_free(set), weft_proxy_free(empty);
    weft_drop(words);
    arguments = one(weft_int(5));
    ck_fails_null(weft_proxy_new(remote, "set", weft_in(20), .arguments = arguments), EREMOTEIO);
    weft_drop(arguments);
}

static void uses_iterator(weft_remote *remote)
{
    weft_proxy *dict = proxy_of(remote, "dict"), *keys = NULL;
    weft_value result, words = weft_dict();
    weft_dict_set_str(words, "self", weft_int(3));
    ck_assert_int_eq(weft_proxy_call(dict, "update", NULL, weft_in(20), .keywords = words), 0);
    ck_assert_int_eq(weft_proxy_call(dict, "__iter__", &result, weft_in(20), .proxy = &keys), 0);
    ck_assert_ptr_nonnull(keys);
    repr_is(call(keys, "__next__", weft_none), "'self'");
    type_is(call(keys, "__next__", weft_none), "StopIteration");
    weft_proxy_free(keys);
    ck_assert_int_eq(weft_proxy_call(dict, "__iter__", &result, weft_in(20)), 0);
    ck_assert_int_eq(weft_error_code(result), ENOTSUP);
    weft_drop(result), weft_drop(words);
    weft_proxy_free(dict);
}

static void uses_queue(weft_remote *remote)
{
    weft_proxy *proxy = proxy_of(remote, "JoinableQueue");
    weft_queue *queue = weft_queue_of_proxy(proxy);
    weft_value value;
    ck_fails(weft_queue_get(queue, &value, WEFT_NOW), EAGAIN);
    ck_fails(weft_queue_get(queue, &value, weft_in(0.01)), ETIMEDOUT);
    ck_assert_int_eq(weft_queue_put(queue, weft_str("item"), WEFT_FOREVER), 0);
    ck_assert_uint_eq(weft_queue_size(queue), 1);
    ck_assert_int_eq(weft_queue_get(queue, &value, WEFT_FOREVER), 0);
    repr_is(value, "'item'");
    ck_assert_int_eq(weft_queue_task_done(queue), 0);
    ck_fails(weft_queue_task_done(queue), EINVAL);
    ck_assert_int_eq(weft_queue_join(queue, weft_in(20)), 0);
    ck_fails(weft_queue_put(queue, weft_ptr(&value), WEFT_FOREVER), EFAULT);
    weft_queue_close(queue);
    ck_fails(weft_queue_get(queue, &value, WEFT_FOREVER), EPIPE);
    ck_fails(weft_queue_put(queue, weft_none, WEFT_FOREVER), EPIPE);
    weft_queue_free(queue);
    weft_proxy_free(proxy);
}

/* Each task is somebody else over there. */
static weft_value lock_again(weft_value proxy)
{
    return call(weft_as_ptr(proxy), "acquire", one(weft_bool(false)));
}

static void uses_rlock(weft_remote *remote, enum weft_task_kind kind)
{
    weft_proxy *lock = proxy_of(remote, "RLock");
    weft_value result;
    repr_is(call(lock, "acquire", weft_none), "True");
    repr_is(call(lock, "acquire", weft_none), "True");
    weft_task *task = weft_spawn(kind, lock_again, weft_ptr(lock));
    ck_assert_int_eq(weft_task_result(task, &result, weft_in(20)), 0);
    repr_is(result, "False");
    weft_task_free(task);
    ck_assert_int_eq(weft_proxy_release(lock, weft_in(20)), 0);
    ck_assert_int_eq(weft_proxy_release(lock, weft_in(20)), 0);
    type_is(call(lock, "release", weft_none), "RuntimeError");
    weft_proxy_free(lock);
}

static void uses_all(const char *address)
{
    weft_remote *remote = remote_at(address);
    weft_value result, error = weft_none;
    uses_dict(remote);
    uses_iterator(remote);
    uses_queue(remote);
    uses_rlock(remote, WEFT_THREAD);
    uses_rlock(remote, WEFT_COROUTINE);
    ck_fails_null(weft_proxy_new(remote, "no_such_type", weft_in(20), .error = &error), EREMOTEIO);
    type_is(error, "multiprocessing.managers.RemoteError");
    ck_assert_int_eq(weft_remote_call(remote, "number_of_objects", &result, weft_in(20)), 0);
    repr_is(result, "0");
    weft_remote_free(remote);
}

START_TEST(a_client_uses_weft)
{
    need_digests();
    weft_manager *manager = manager_at("127.0.0.1:0", 1);
    weft_task *task = weft_spawn(WEFT_THREAD, serve, weft_ptr(manager));
    uses_all(weft_manager_address(manager));
    weft_remote *remote = remote_at(weft_manager_address(manager));
    uses_set(remote);
    weft_remote_free(remote);
    ck_assert_uint_eq(weft_manager_objects(manager), 0);
    serve_end(manager, task);
    weft_manager_free(manager);
}
END_TEST

START_TEST(a_client_uses_python)
{
    char address[40];
    int hold;
    need_digests();
    FILE *peer = python_standard(address, &hold);
    uses_all(address);
    python_standard_end(peer, hold);
}
END_TEST

static const char *const pythons[] = {"python3.8", "python3.9", "python3.10", "python3.11", "python3.12", "python3.13", "python3.14"};

/* With those versions that are there beside the one of all other tests: their clients here, and we with their servers. */
START_TEST(each_version_of_python_is_a_peer)
{
    char python[300], path[300], same[700], address[40];
    int hold;
    need_digests();
    if (fixture_copies())
        fixture_skip("under Valgrind one version must do");
    if (!python_found(pythons[_i], python))
        fixture_skip("this version of Python is not there");
    snprintf(same, sizeof(same), "test \"$(%s -V)\" = \"$(${WEFT_TEST_PYTHON:-python3} -V)\"", python);
    if (system(same) == 0)
        fixture_skip("it is the one that other tests have");
    setenv("WEFT_TEST_PYTHON", python, true);
    snprintf(path, sizeof(path), "unix:%s/socket", fixture_folder());
    weft_manager *manager = weft_manager_new(path, .key = KEY, .key_length = 6, .standard = true, .relay = true);
    weft_task *task = weft_spawn(WEFT_THREAD, serve, weft_ptr(manager));
    client_of(path, "all");
    client_of(path, "relay");
    serve_end(manager, task);
    weft_manager_free(manager);
    FILE *peer = python_standard(address, &hold);
    uses_all(address);
    python_standard_end(peer, hold);
}
END_TEST

START_TEST(a_lost_manager_is_an_error)
{
    need_digests();
    char address[60];
    weft_manager *manager = manager_at("127.0.0.1:0", 1);
    snprintf(address, sizeof(address), "%s", weft_manager_address(manager));
    weft_task *task = weft_spawn(WEFT_THREAD, serve, weft_ptr(manager));
    weft_remote *remote = remote_at(address);
    weft_proxy *dict = proxy_of(remote, "dict");
    weft_value value;
    repr_is(call(dict, "__len__", weft_none), "0");
    serve_end(manager, task);
    ck_assert_int_eq(weft_proxy_call(dict, "__len__", &value, weft_in(20)), -1);
    ck_assert(errno == ECONNRESET || errno == EPIPE);
    weft_manager_free(manager);
    ck_fails(weft_proxy_call(dict, "__len__", &value, weft_in(20)), ECONNREFUSED);
    manager = manager_at(address, 1);
    task = weft_spawn(WEFT_THREAD, serve, weft_ptr(manager));
    type_is(call(dict, "__len__", weft_none), "multiprocessing.managers.RemoteError"); /* reached again, and unknown there */
    weft_proxy_free(dict);
    weft_remote_free(remote);
    ck_fails_null(weft_manager_connect(address, weft_in(20), .key = "other", .key_length = 5), EACCES);
    serve_end(manager, task);
    weft_manager_free(manager);
    ck_fails_null(weft_manager_connect("127.0.0.1:1", weft_in(20), .key = KEY, .key_length = 6), ECONNREFUSED);
}
END_TEST

/* Locks of clients that have gone. */

static weft_value take_and_end(weft_value proxy)
{
    return call(weft_as_ptr(proxy), "acquire", weft_none);
}

static void taken_by_one_who_goes(weft_proxy *lock)
{
    weft_value result;
    weft_task *task = weft_spawn(WEFT_THREAD, take_and_end, weft_ptr(lock));
    ck_assert_int_eq(weft_task_result(task, &result, weft_in(20)), 0);
    repr_is(result, "True");
    weft_task_free(task); /* its connection ends with it */
}

START_TEST(locks_of_the_gone_come_back)
{
    need_digests();
    for (int i = 0; i < 2; i++) {
        weft_manager *manager = weft_manager_new("127.0.0.1:0", .key = KEY, .key_length = 6, .standard = true, .locks_return = i > 0);
        weft_task *task = weft_spawn(WEFT_THREAD, serve, weft_ptr(manager));
        weft_remote *remote = remote_at(weft_manager_address(manager));
        weft_proxy *lock = proxy_of(remote, "Lock"), *condition = proxy_of(remote, "Condition");
        weft_value wait = two(weft_bool(true), weft_float(20));
        taken_by_one_who_goes(lock), taken_by_one_who_goes(condition);
        repr_is(call(condition, "acquire", weft_keep(wait)), "True");
        if (i > 0)
            repr_is(call(lock, "acquire", weft_keep(wait)), "True");
        else
            repr_is(call(lock, "acquire", one(weft_bool(false))), "False"); /* as in Python */
        weft_drop(wait);
        weft_proxy_free(lock), weft_proxy_free(condition);
        weft_remote_free(remote);
        serve_end(manager, task);
        weft_manager_free(manager);
    }
}
END_TEST

static weft_value give_and_end(weft_value proxy)
{
    return call(weft_as_ptr(proxy), "release", weft_none);
}

/* Permits come back from who took them, however he got them, and but once. */
START_TEST(permits_of_the_gone_come_back)
{
    need_digests();
    for (int i = 0; i < 2; i++) {
        weft_manager *manager = weft_manager_new("127.0.0.1:0", .key = KEY, .key_length = 6, .standard = true, .locks_return = i > 0);
        weft_task *task = weft_spawn(WEFT_THREAD, serve, weft_ptr(manager)), *other;
        weft_remote *remote = remote_at(weft_manager_address(manager));
        weft_proxy *semaphore = proxy_of(remote, "Semaphore");
        weft_value wait = two(weft_bool(true), weft_float(20)), result;
        taken_by_one_who_goes(semaphore);
        if (i == 0)
            repr_is(call(semaphore, "acquire", one(weft_bool(false))), "False"); /* as in Python */
        else
            repr_is(call(semaphore, "acquire", weft_keep(wait)), "True");
        for (int j = 0; i > 0 && j < 2; j++) {
            other = weft_spawn(WEFT_THREAD, j == 0 ? give_and_end : take_and_end, weft_ptr(semaphore));
            if (j > 0)
                repr_is(call(semaphore, "release", weft_none), "None"); /* may be before he waits, or not */
            ck_assert_int_eq(weft_task_result(other, &result, weft_in(20)), 0);
            repr_is(result, j == 0 ? "None" : "True");
            weft_task_free(other);
            repr_is(call(semaphore, "acquire", weft_keep(wait)), "True");
            repr_is(call(semaphore, "acquire", one(weft_bool(false))), "False");
        }
        weft_drop(wait);
        weft_proxy_free(semaphore), weft_remote_free(remote);
        serve_end(manager, task);
        weft_manager_free(manager);
    }
}
END_TEST

/* Types of the program's own. */

static weft_value counter_add(void *object, weft_value arguments, weft_value keywords)
{
    int64_t *count = object;
    weft_value by = weft_int(1);
    weft_dict_get_str(keywords, "by", &by);
    if (weft_length(arguments) > 0)
        return weft_error_of_type(EINVAL, "TypeError", "add() takes no positional arguments");
    *count += weft_as_int(by);
    return weft_int(*count);
}

static int64_t counters_alive;

static void *counter_new(weft_value arguments, weft_value keywords, void *data, weft_value *error)
{
    (void)keywords, (void)data;
    if (weft_length(arguments) != 1) {
        *error = weft_error_of_type(EINVAL, "ValueError", "one number");
        return NULL;
    }
    int64_t *made = malloc(sizeof(*made));
    *made = weft_as_int(weft_list_at(arguments, 0));
    counters_alive++;
    return made;
}

static void counter_free(void *object)
{
    free(object);
    counters_alive--;
}

static weft_value make_list(void *object, weft_value arguments, weft_value keywords)
{
    (void)object, (void)keywords;
    weft_value list = weft_list();
    for (size_t i = 0; i < weft_length(arguments); i++)
        weft_list_append(list, weft_keep(weft_list_at(arguments, (ptrdiff_t)i)));
    return list;
}

START_TEST(types_and_functions_of_the_programs_own)
{
    static const struct weft_manager_method methods[] = {{"add", counter_add}, {NULL, NULL}};
    static const struct weft_manager_type counter = {.methods = methods, .construct = counter_new, .destroy = counter_free};
    int64_t one_for_all = 5;
    need_digests();
    weft_manager *manager = weft_manager_new("127.0.0.1:0", .key = KEY, .key_length = 6, .no_shutdown = true);
    ck_assert_int_eq(weft_manager_register(manager, "Counter", .type = &counter), 0);
    ck_assert_int_eq(weft_manager_register(manager, "the_counter", .type = &counter, .object = &one_for_all), 0);
    ck_assert_int_eq(weft_manager_register(manager, "make_list", .function = make_list), 0);
    weft_task *task = weft_spawn(WEFT_THREAD, serve, weft_ptr(manager));
    weft_remote *remote = remote_at(weft_manager_address(manager));
    weft_value number = one(weft_int(40)), by = weft_dict(), result, error;
    weft_dict_set_str(by, "by", weft_int(2));
    weft_proxy *made = weft_proxy_new(remote, "Counter", weft_in(20), .arguments = number), *all = proxy_of(remote, "the_counter");
    ck_assert_int_eq(weft_proxy_call(made, "add", &result, weft_in(20), .keywords = by), 0);
    repr_is(result, "42");
    repr_is(call(all, "add", weft_none), "6");
    weft_value shown = call(all, "__str__", weft_none);
    ck_assert_msg(strstr(weft_as_str(shown), "<the_counter object at 0x") == weft_as_str(shown), "%s", weft_as_str(shown));
    weft_drop(shown);
    type_is(call(all, "add", one(weft_int(1))), "TypeError");
    weft_proxy *list = weft_proxy_new(remote, "make_list", weft_in(20), .arguments = number);
    repr_is(call(list, "__getitem__", one(weft_int(0))), "40");
    ck_fails_null(weft_proxy_new(remote, "Counter", weft_in(20), .error = &error), EREMOTEIO);
    ck_assert_ptr_nonnull(strstr(weft_error_text(error), "ValueError: one number"));
    weft_drop(error);
    ck_assert_int_eq(weft_remote_call(remote, "shutdown", &result, weft_in(20)), 0);
    type_is(result, "multiprocessing.managers.RemoteError");
    weft_proxy_free(made), weft_proxy_free(all), weft_proxy_free(list);
    ck_assert_uint_eq(weft_manager_objects(manager), 0);
    weft_remote_free(remote);
    weft_drop(number), weft_drop(by);
    serve_end(manager, task);
    weft_manager_free(manager);
    ck_assert_int_eq(counters_alive, 0);
    ck_assert_int_eq(one_for_all, 6);
}
END_TEST

/* Bad input. */

/* A client that speaks octets: proved, and, if asked for, in object mode. */
static weft_connection *client_raw(weft_manager *manager, bool objects)
{
    weft_connection *made = weft_connection_dial(weft_manager_address(manager), weft_in(20), .key = KEY, .key_length = 6);
    weft_value name = weft_str("raw"), reply, request;
    ck_assert_ptr_nonnull(made);
    if (!objects) {
        weft_drop(name);
        return made;
    }
    request = weft_tuple((weft_value[]){weft_none, weft_str("accept_connection"), weft_tuple(&name, 1), weft_dict()}, 4);
    ck_assert_int_eq(weft_connection_send(made, request, weft_in(20)), 0);
    ck_assert_int_eq(weft_connection_receive(made, &reply, weft_in(20)), 0);
    weft_drop(request), weft_drop(reply);
    return made;
}

/* What octets are answered with: the text of a traceback. */
static void is_refused(weft_connection *client, const char *octets, size_t length, const char *text)
{
    weft_value reply;
    ck_assert_int_eq(weft_connection_send_bytes(client, octets, length, weft_in(20)), 0);
    ck_assert_int_eq(weft_connection_receive(client, &reply, weft_in(20)), 0);
    ck_assert_str_eq(weft_as_str(weft_list_at(reply, 0)), "#TRACEBACK");
    ck_assert_msg(strstr(weft_as_str(weft_list_at(reply, 1)), text) != NULL, "%s", weft_as_str(weft_list_at(reply, 1)));
    weft_drop(reply);
}

static void is_closed(weft_connection *client)
{
    weft_value reply;
    ck_assert_int_eq(weft_connection_receive(client, &reply, weft_in(20)), -1);
    ck_assert(errno == EPIPE || errno == ECONNRESET);
    weft_connection_close(client);
}

static void is_closed_after(weft_manager *manager, const char *octets, size_t length)
{
    weft_connection *client = client_raw(manager, true);
    ck_assert_int_eq(send(client->descriptor, octets, length, MSG_NOSIGNAL), (ssize_t)length);
    is_closed(client);
}

#define REFUSED(octets_, text_) is_refused(client, (octets_), sizeof(octets_) - 1, (text_))
#define CLOSED_AFTER(octets_) is_closed_after(manager, (octets_), sizeof(octets_) - 1)

START_TEST(bad_requests_are_refused_and_the_connection_goes_on)
{
    need_digests();
    weft_manager *manager = manager_at("127.0.0.1:0", 1);
    weft_task *task = weft_spawn(WEFT_THREAD, serve, weft_ptr(manager));
    weft_connection *client = client_raw(manager, true);
    REFUSED("junk", "UnpicklingError");
    REFUSED("\x80\x04\x8c\x05posix\x8c\x06system\x93\x8c\x02id\x85R.", "posix.system");
    REFUSED("cos\nsystem\n(S'id'\ntR.", "");
    REFUSED("\x80\x04K\x01.", "not a request");
    REFUSED("\x80\x04(NNNt.", "not a request");
    REFUSED("\x80\x04(N\x8c\x01x)}\x94t.", "KeyError: None");
    REFUSED("\x80\x04](N\x8c\x01x]}\x94"
            "e.",
        "KeyError: None"); /* lists will do, too */
    REFUSED("\x80\x04(\x8c\x01\x30\x8c\x01x)}\x94t.", "KeyError: '0'");
    REFUSED("\x80\x04(\x8c\x02\x31\x66\x8c\x03put)}\x94K\x01K\x02st.", "not a request");
    REFUSED("\x80\x04(\x8c\x02\x30\0\x8c\x01x)}\x94t.", "KeyError: '0\\x00'");
    REFUSED("\x80\x04(N\x8c\x01x)}\x94t.trailing", "");
    char deep[3000];
    memset(deep, ']', sizeof(deep));
    memcpy(deep, "\x80\x04", 2);
    memset(deep + sizeof(deep) / 2, 'a', sizeof(deep) / 2 - 1);
    deep[sizeof(deep) - 1] = '.';
    is_refused(client, deep, sizeof(deep), "");
    weft_connection_close(client);
    client = client_raw(manager, false);
    REFUSED("\x80\x04(N\x8c\x07nothing)}\x94t.", "'nothing' unrecognized");
    is_closed(client);
    client = client_raw(manager, false);
    REFUSED("\x80\x04(N\x8c\x06"
            "create\x8c\x04Pool\x85}\x94t.",
        "KeyError: 'Pool'");
    is_closed(client);
    serve_end(manager, task);
    weft_manager_free(manager);
}
END_TEST

/* As Python's server: a name with a NUL in it is not the one before the NUL. */
START_TEST(names_are_looked_at_to_their_end)
{
    need_digests();
    weft_manager *manager = manager_at("127.0.0.1:0", 1);
    weft_task *task = weft_spawn(WEFT_THREAD, serve, weft_ptr(manager));
    weft_remote *remote = remote_at(weft_manager_address(manager));
    weft_value answer, name = one(weft_str_n("dict\0foo", 8));
    ck_assert_int_eq(weft_remote_call(remote, "create", &answer, weft_in(20), .arguments = name), 0);
    ck_assert_ptr_nonnull(strstr(weft_error_text(answer), "KeyError: 'dict\\x00foo'"));
    weft_drop(answer), weft_drop(name);
    weft_value parties = one(weft_int(2));
    weft_proxy *dict = proxy_of(remote, "dict"), *barrier = weft_proxy_new(remote, "Barrier", weft_in(20), .arguments = parties);
    weft_drop(parties);
    weft_value keywords = weft_dict(), arguments = one(weft_int(1));
    weft_dict_set(keywords, weft_str_n("default\0z", 9), weft_int(1));
    ck_assert_int_eq(weft_proxy_call(dict, "setdefault", &answer, weft_in(20), .arguments = arguments, .keywords = keywords), 0);
    ck_assert_ptr_nonnull(strstr(weft_error_text(answer), "unexpected keyword argument 'default\\x00z'"));
    weft_drop(keywords), weft_drop(arguments);
    type_is(answer, "TypeError");
    type_is(call(barrier, "__getattribute__", one(weft_str_n("parties\0z", 9))), "AttributeError");
    weft_proxy_free(dict);
    weft_proxy_free(barrier);
    weft_remote_free(remote);
    serve_end(manager, task);
    weft_manager_free(manager);
}
END_TEST

START_TEST(bad_frames_end_a_connection)
{
    need_digests();
    weft_manager *manager = manager_at("127.0.0.1:0", 1);
    weft_task *task = weft_spawn(WEFT_THREAD, serve, weft_ptr(manager));
    CLOSED_AFTER("\x7f\xff\xff\xff");
    CLOSED_AFTER("\xff\xff\xff\xff\x80\0\0\0\0\0\0\0");
    CLOSED_AFTER("\xff\xff\xff\xfe");
    CLOSED_AFTER("\0\0\0\0");
    weft_connection *client = client_raw(manager, true);
    ck_assert_int_eq(send(client->descriptor, "\0\0\0\x64half", 8, MSG_NOSIGNAL), 8);
    shutdown(client->descriptor, SHUT_WR);
    is_closed(client);
    client_of(weft_manager_address(manager), "references");
    serve_end(manager, task);
    weft_manager_free(manager);
}
END_TEST

/* A socket that has connected and nothing else. */
static int stranger(weft_manager *manager)
{
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int made = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    to.sin_port = htons((uint16_t)atoi(strrchr(weft_manager_address(manager), ':') + 1));
    ck_assert_int_eq(connect(made, (struct sockaddr *)&to, sizeof(to)), 0);
    return made;
}

static void ends(int descriptor)
{
    char room[256];
    while (recv(descriptor, room, sizeof(room), 0) > 0)
        ;
    close(descriptor);
}

START_TEST(strangers_are_let_go)
{
    need_digests();
    double patience = fixture_copies() ? 5 : 2; /* in which we have to prove ourselves, too */
    weft_manager *manager = weft_manager_new("127.0.0.1:0", .key = KEY, .key_length = 6, .standard = true, .handshake_seconds = patience);
    weft_task *task = weft_spawn(WEFT_THREAD, serve, weft_ptr(manager));
    int silent = stranger(manager), talker = stranger(manager);
    ck_assert_int_eq(send(talker, "GET / HTTP/1.0\r\n\r\n", 18, MSG_NOSIGNAL), 18);
    ends(talker);
    ends(silent);
    weft_connection *client = client_raw(manager, false); /* knows the key, and says nothing */
    is_closed(client);
    client_of(weft_manager_address(manager), "references");
    serve_end(manager, task);
    weft_manager_free(manager);
}
END_TEST

/* Which thread serves whom. */

static weft_value thread_number(void *object, weft_value arguments, weft_value keywords)
{
    (void)object, (void)arguments, (void)keywords;
    return weft_int(gettid());
}

static int stay(int processor)
{
    cpu_set_t set;
    CPU_ZERO(&set);
    CPU_SET((size_t)processor, &set);
    return sched_setaffinity(0, sizeof(set), &set);
}

static weft_value thread_stays(void *object, weft_value arguments, weft_value keywords)
{
    (void)object, (void)keywords;
    return weft_int(stay((int)weft_as_int(weft_list_at(arguments, 0))));
}

/* So many clients, of one task, each with a connection of its own to a manager with an object that tells who serves. */
struct served {
    weft_manager *manager;
    weft_task *task;
    int count;
    weft_remote *remotes[6];
    weft_proxy *proxies[6];
};

static struct served served_begin(unsigned threads, int count)
{
    static const struct weft_manager_method methods[] = {{"thread", thread_number}, {"stay", thread_stays}, {NULL, NULL}};
    static const struct weft_manager_type type = {.methods = methods};
    static int object;
    struct served served = {.manager = manager_at("127.0.0.1:0", threads), .count = count};
    ck_assert_int_eq(weft_manager_register(served.manager, "server", .type = &type, .object = &object), 0);
    served.task = weft_spawn(WEFT_THREAD, serve, weft_ptr(served.manager));
    for (int i = 0; i < count; i++) {
        served.remotes[i] = remote_at(weft_manager_address(served.manager));
        served.proxies[i] = proxy_of(served.remotes[i], "server");
    }
    return served;
}

static void served_end(struct served *served)
{
    for (int i = 0; i < served->count; i++) {
        weft_proxy_free(served->proxies[i]);
        weft_remote_free(served->remotes[i]);
    }
    serve_end(served->manager, served->task);
    weft_manager_free(served->manager);
}

/* How many threads serve them, each as many as any other. */
static int servers_of(struct served *served)
{
    int64_t threads[6];
    int found = 0, same = 0;
    for (int i = 0; i < served->count; i++)
        threads[i] = weft_as_int(call(served->proxies[i], "thread", weft_none));
    for (int i = 0; i < served->count; i++) {
        bool first = true;
        for (int k = 0; k < served->count; k++) {
            first &= k >= i || threads[k] != threads[i];
            same += threads[k] == threads[i];
        }
        found += first;
    }
    ck_assert_int_eq(same * found, served->count * served->count); /* the sum of squares is least where all are equal */
    return found;
}

START_TEST(threads_share_the_clients)
{
    need_digests();
    struct served three = served_begin(3, 6), one_by_one = served_begin(1, 3), careful = served_begin(0, 4);
    ck_assert_int_eq(servers_of(&three), 3);
    ck_assert_int_eq(servers_of(&one_by_one), 1);
    ck_assert_int_eq(servers_of(&careful), 1); /* what is the program's own may not be safe with more */
    served_end(&three), served_end(&one_by_one), served_end(&careful);
}
END_TEST

/* What is asked of it in an order that follows from a seed is answered in one. */
START_TEST(a_seed_is_for_one_thread)
{
    need_digests();
    setenv("WEFT_SEED", "7", 1);
    weft_task *tasks[20];
    weft_manager *manager = manager_at("127.0.0.1:0", 0);
    weft_task *task = weft_spawn(WEFT_THREAD, serve, weft_ptr(manager));
    weft_remote *remote = remote_at(weft_manager_address(manager)); /* it serves by now */
    int threads = 0;
    for (size_t i = 0, count = weft_tasks(tasks, 20); i < count; i++) {
        threads += weft_task_kind_of(tasks[i]) == WEFT_THREAD;
        weft_task_free(tasks[i]);
    }
    ck_assert_int_eq(threads, 2); /* and this one */
    weft_remote_free(remote);
    serve_end(manager, task);
    weft_manager_free(manager);
}
END_TEST

/* Of two clients, whom two threads serve, one takes and the other gives back, while the first may be about to be served elsewhere. */
START_TEST(a_lock_is_released_by_another)
{
    need_digests();
    weft_manager *manager =
        weft_manager_new("127.0.0.1:0", .key = KEY, .key_length = 6, .standard = true, .threads = 2, .locks_return = true);
    ck_assert_int_eq(weft_manager_register(manager, "mutex", .standard = "Lock", .single = true), 0);
    weft_task *task = weft_spawn(WEFT_THREAD, serve, weft_ptr(manager));
    weft_remote *remotes[2];
    weft_proxy *locks[2];
    for (int i = 0; i < 2; i++) {
        remotes[i] = remote_at(weft_manager_address(manager));
        locks[i] = proxy_of(remotes[i], "mutex");
    }
    for (int i = 0; i < 300; i++) {
        repr_is(call(locks[0], "acquire", weft_none), "True");
        repr_is(call(locks[1], "release", weft_none), "None");
    }
    for (int i = 0; i < 2; i++)
        weft_proxy_free(locks[i]), weft_remote_free(remotes[i]);
    serve_end(manager, task);
    weft_manager_free(manager);
}
END_TEST

/* Until the client's thread is `number`, or so many calls. */
static bool comes_to(weft_proxy *proxy, int64_t number, int calls)
{
    bool there = false;
    for (int i = 0; i < calls && !there; i++)
        there = weft_as_int(call(proxy, "thread", weft_none)) == number;
    return there;
}

START_TEST(a_client_is_served_where_it_runs)
{
    need_digests();
    int processors[2], found = 0;
    cpu_set_t set;
    sched_getaffinity(0, sizeof(set), &set);
    for (int i = 0; i < CPU_SETSIZE && found < 2; i++)
        if (CPU_ISSET((size_t)i, &set))
            processors[found++] = i;
    if (found < 2)
        fixture_skip("one processor");
    struct served served = served_begin(2, 2);
    int64_t threads[2];
    for (int i = 0; i < 2; i++) {
        threads[i] = weft_as_int(call(served.proxies[i], "thread", weft_none));
        repr_is(call(served.proxies[i], "stay", one(weft_int(processors[i]))), "0");
    }
    ck_assert_int_ne(threads[0], threads[1]);
    for (int i = 0; i < 2; i++) { /* each is where its client is, and says so now and then */
        stay(processors[i]);
        ck_assert(!comes_to(served.proxies[i], threads[1 - i], 200));
    }
    ck_assert(comes_to(served.proxies[0], threads[1], 1000));
    stay(processors[0]);
    ck_assert(comes_to(served.proxies[0], threads[0], 1000));
    weft_proxy *lock = proxy_of(served.remotes[0], "RLock");
    ck_assert_int_eq(weft_proxy_acquire(lock, weft_in(20)), 0);
    stay(processors[1]);
    ck_assert(!comes_to(served.proxies[0], threads[1], 200)); /* who holds something stays with who knows of it */
    ck_assert_int_eq(weft_proxy_release(lock, weft_in(20)), 0);
    ck_assert(comes_to(served.proxies[0], threads[1], 1000));
    weft_proxy_free(lock);
    served_end(&served);
}
END_TEST

enum { IDLE = 150 };

/* As many wait for one item as there may be: one of them gets it, who is alive. */
START_TEST(a_get_of_many_costs_no_thread)
{
    need_digests();
    weft_queue *queue = weft_queue_new();
    weft_manager *manager = manager_at("127.0.0.1:0", 1);
    ck_assert_int_eq(weft_manager_register(manager, "get_queue", .queue = queue), 0);
    weft_task *task = weft_spawn(WEFT_THREAD, serve, weft_ptr(manager));
    weft_remote *remote = remote_at(weft_manager_address(manager));
    weft_proxy *proxy = proxy_of(remote, "get_queue");
    weft_connection *clients[IDLE];
    weft_value request =
                   weft_tuple((weft_value[]){weft_str(weft_proxy_ident(proxy)), weft_str("get"), weft_tuple(NULL, 0), weft_dict()}, 4),
               value;
    for (int i = 0; i < IDLE; i++) {
        clients[i] = client_raw(manager, true);
        ck_assert_int_eq(weft_connection_send(clients[i], request, weft_in(20)), 0);
    }
    repr_is(call(proxy, "qsize", weft_none), "0"); /* all of them wait by now: they came before */
    for (int i = 0; i < IDLE - 1; i++)
        weft_connection_close(clients[i]);
    repr_is(call(proxy, "qsize", weft_none), "0");
    for (int i = 0; i < 3; i++)
        ck_assert_int_eq(weft_queue_put(queue, weft_int(i), WEFT_NOW), 0);
    ck_assert_int_eq(weft_connection_receive(clients[IDLE - 1], &value, weft_in(20)), 0);
    weft_drop(value), weft_drop(request);
    fixture_until(weft_queue_size(queue) == 2); /* nothing is lost with the others */
    weft_connection_close(clients[IDLE - 1]);
    weft_proxy_free(proxy);
    weft_remote_free(remote);
    serve_end(manager, task);
    weft_manager_free(manager);
    weft_queue_free(queue);
}
END_TEST

static void add(TCase *tests)
{
    tcase_add_test(tests, python_uses_everything);
    tcase_add_test(tests, the_tutorial_pair);
    tcase_add_test(tests, a_relay_carries_what_it_does_not_know);
    tcase_add_test(tests, what_is_asked_for_is_checked);
    tcase_add_test(tests, what_is_asked_of_nothing_is_refused);
    tcase_add_test(tests, in_a_process_of_its_own);
    tcase_add_test(tests, types_and_functions_of_the_programs_own);
    tcase_add_test(tests, threads_share_the_clients);
    tcase_add_test(tests, a_seed_is_for_one_thread);
    tcase_add_test(tests, a_lock_is_released_by_another);
    tcase_add_test(tests, a_client_is_served_where_it_runs);
    tcase_add_test(tests, a_get_of_many_costs_no_thread);
    tcase_add_test(tests, strangers_are_let_go);
    tcase_add_test(tests, bad_frames_end_a_connection);
    tcase_add_test(tests, names_are_looked_at_to_their_end);
    tcase_add_test(tests, bad_requests_are_refused_and_the_connection_goes_on);
    tcase_add_test(tests, a_lost_manager_is_an_error);
    tcase_add_test(tests, a_client_uses_python);
    tcase_add_loop_test(tests, each_version_of_python_is_a_peer, 0, sizeof(pythons) / sizeof(*pythons));
    tcase_add_test(tests, a_client_uses_weft);
    tcase_add_test(tests, locks_of_the_gone_come_back);
    tcase_add_test(tests, permits_of_the_gone_come_back);
    tcase_add_test(tests, a_worker_of_pythons_master);
}

int main(void)
{
    return fixture_main("manager", add);
}
