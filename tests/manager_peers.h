/* SPDX-License-Identifier: MIT */
/* What tests of managers have in common: a manager and who serves, Python's programs, clients, and what their calls should come to. */
#ifndef MANAGER_PEERS_H
#define MANAGER_PEERS_H

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "connection/connection.h"
#include "connection/digest.h"
#include "fixture.h"

static const char KEY[] __attribute__((unused)) = "secret";

static inline void need_digests(void)
{
    if (!wefti_digest_offered())
        fixture_skip("built without OpenSSL");
}

static inline weft_manager *manager_at(const char *address, unsigned threads)
{
    weft_manager *manager = weft_manager_new(address, .key = KEY, .key_length = 6, .standard = true, .threads = threads);
    ck_assert_ptr_nonnull(manager);
    return manager;
}

static inline weft_value serve(weft_value manager)
{
    return weft_int(weft_manager_serve(weft_as_ptr(manager)));
}

static inline void serve_end(weft_manager *manager, weft_task *task)
{
    weft_value result;
    weft_manager_shutdown(manager);
    ck_assert_int_eq(weft_task_result(task, &result, weft_in(20)), 0);
    ck_assert_int_eq(weft_as_int(result), 0);
    weft_task_free(task);
}

static inline int python(const char *script, const char *arguments)
{
    char command[900], line[300];
    snprintf(command, sizeof(command), "exec ${WEFT_TEST_PYTHON:-python3} " TESTS_FOLDER "/%s %s 2>&1", script, arguments);
    FILE *peer = popen(command, "r");
    ck_assert_ptr_nonnull(peer);
    while (fgets(line, sizeof(line), peer))
        fputs(line, stderr);
    return pclose(peer);
}

static inline weft_remote *remote_at(const char *address)
{
    weft_remote *remote = weft_manager_connect(address, weft_in(20), .key = KEY, .key_length = 6);
    ck_assert_ptr_nonnull(remote);
    return remote;
}

static inline weft_proxy *proxy_of(weft_remote *remote, const char *name)
{
    weft_proxy *proxy = weft_proxy_new(remote, name, weft_in(20));
    ck_assert_ptr_nonnull(proxy);
    return proxy;
}

static inline FILE *python_master(const char *what, char address[40])
{
    char command[300], line[100];
    snprintf(command, sizeof(command), "exec ${WEFT_TEST_PYTHON:-python3} " TESTS_FOLDER "/manager_master.py %s %s 2>&1", what, KEY);
    FILE *peer = popen(command, "r");
    ck_assert_ptr_nonnull(peer);
    ck_assert_ptr_nonnull(fgets(line, sizeof(line), peer));
    snprintf(address, 40, "127.0.0.1:%d", atoi(line));
    return peer;
}

static inline weft_value call(weft_proxy *proxy, const char *method, weft_value arguments)
{
    weft_value result;
    ck_assert_int_eq(weft_proxy_call(proxy, method, &result, weft_in(20), .arguments = arguments), 0);
    weft_drop(arguments);
    return result;
}

static inline weft_value one(weft_value item)
{
    return weft_tuple(&item, 1);
}

static inline weft_value two(weft_value first, weft_value second)
{
    return weft_tuple((weft_value[]){first, second}, 2);
}

static inline void repr_is(weft_value value, const char *expected)
{
    char text[300];
    weft_repr(value, text, sizeof(text));
    ck_assert_str_eq(text, expected);
    weft_drop(value);
}

static inline void type_is(weft_value value, const char *type)
{
    ck_assert_msg(weft_is_error(value), "no error");
    ck_assert_str_eq(weft_error_type(value), type);
    weft_drop(value);
}

/* Python's own server of all that SyncManager has, on this machine ("standard") or at all addresses ("everywhere"); ended by
 * python_standard_end. */
static inline FILE *python_standard_at(const char *where, char address[40], int *hold)
{
    int ends[2], input = dup(0);
    ck_assert_int_eq(pipe(ends), 0);
    dup2(ends[0], 0);
    close(ends[0]);
    fcntl(ends[1], F_SETFD, FD_CLOEXEC);
    FILE *peer = python_master(where, address);
    dup2(input, 0);
    close(input);
    *hold = ends[1];
    return peer;
}

static inline FILE *python_standard(char address[40], int *hold)
{
    return python_standard_at("standard", address, hold);
}

static inline void python_standard_end(FILE *peer, int hold)
{
    close(hold);
    ck_assert_int_eq(pclose(peer), 0);
}

#endif
