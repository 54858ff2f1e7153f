/* SPDX-License-Identifier: MIT */
/*
 * Verbs of local objects for a manager's: each is one call by the method's name that Python gives it, and the errno that the local verb has
 * for what is raised over there. There is no state: what is held belongs to the task's connection, over there.
 *
 * Verbs that wait for others send along how long, and are given a while longer for the answer, so that what they came by is seldom lost
 * with a connection that is closed half way. A wait on a condition that is cut is told apart, as it ends without the lock.
 */

#include <errno.h>
#include <limits.h>
#include <string.h>

#include "manager/remote.h"
#include "value/value.h"
#include "wait/wait.h"

static int fails(int error)
{
    errno = error;
    return -1;
}

/* EAGAIN of one that was not to wait. */
static int fails_late(weft_time deadline)
{
    return fails(deadline <= WEFT_NOW ? EAGAIN : ETIMEDOUT);
}

/* The errno of an exception; the first row that fits. */
static int error_of(const char *type, const char *method)
{
    static const struct {
        const char *type, *method; /* NULL: any */
        int error;
    } rows[] = {{"KeyError", NULL, ENOENT}, {"IndexError", NULL, ERANGE}, {"OverflowError", NULL, EOVERFLOW}, {"TypeError", NULL, EINVAL},
        {"ValueError", "release", EOVERFLOW}, {"ValueError", NULL, EINVAL}, {"RuntimeError", "release", EPERM},
        {"RuntimeError", "wait", EPERM}, {"RuntimeError", "notify", EPERM}, {"RuntimeError", "notify_all", EPERM},
        {"AssertionError", "release", EPERM}, {"threading.BrokenBarrierError", "wait", EPIPE}};
    for (size_t i = 0; type && i < sizeof(rows) / sizeof(*rows); i++)
        if (strcmp(rows[i].type, type) == 0 && (!rows[i].method || strcmp(rows[i].method, method) == 0))
            return rows[i].error;
    return EREMOTEIO;
}

/* The exception is given away. A barrier that somebody breaks by coming too late is broken for himself, too. */
static int verb_raised(weft_value error, const char *method, weft_time deadline)
{
    int why = error_of(weft_error_type(error), method);
    weft_drop(error);
    return why == EPIPE && weft_clock() >= deadline ? fails_late(deadline) : fails(why);
}

/* Where the manager has not said which methods there are, it will say so when it is asked. */
static bool verb_is_there(const weft_proxy *proxy, const char *method)
{
    return (proxy->exposed.kind != WEFT_TUPLE && proxy->exposed.kind != WEFT_LIST) || wefti_proxy_offers(proxy, method);
}

/* Takes the arguments: a tuple, none, or an error for want of memory. The answer through *result. */
static int verb_call(weft_proxy *proxy, const char *method, weft_value arguments, weft_value *result, weft_time deadline, weft_time late)
{
    weft_value value;
    bool raised;
    int called = !proxy                          ? fails(EINVAL)
                 : weft_is_error(arguments)      ? fails(ENOMEM)
                 : !verb_is_there(proxy, method) ? fails(ENOTSUP)
                                                 : wefti_proxy_ask(proxy, method, arguments, weft_none, &value, &raised, late);
    int error = errno;
    weft_drop(arguments);
    if (called != 0)
        return fails(error);
    if (raised)
        return verb_raised(value, method, deadline);
    *result = value;
    return 0;
}

/* Of what is kept, not taken: it may be an exception, which is an item like any other. */
static weft_value arguments_of(const weft_value *items, size_t count)
{
    weft_value kept[3];
    for (size_t i = 0; i < count; i++)
        kept[i] = weft_keep(items[i]);
    weft_value tuple = weft_tuple(kept, count);
    for (size_t i = 0; weft_is_error(tuple) && i < count; i++)
        weft_drop(kept[i]);
    return tuple;
}

#define ARGUMENTS(...) arguments_of((weft_value[]){__VA_ARGS__}, sizeof((weft_value[]){__VA_ARGS__}) / sizeof(weft_value))

/* One whose answer says nothing. */
static int verb_plain(weft_proxy *proxy, const char *method, weft_value arguments, weft_time deadline)
{
    weft_value answer;
    if (verb_call(proxy, method, arguments, &answer, deadline, deadline) != 0)
        return -1;
    weft_drop(answer);
    return 0;
}

/* One whose answer is an item; NULL drops it. */
static int verb_item(weft_proxy *proxy, const char *method, weft_value arguments, weft_value *item, weft_time deadline)
{
    weft_value answer;
    if (verb_call(proxy, method, arguments, &answer, deadline, deadline) != 0)
        return -1;
    if (item)
        *item = answer;
    else
        weft_drop(answer);
    return 0;
}

/* One whose answer is true, false or a number that is not negative. */
static int verb_number(weft_proxy *proxy, const char *method, weft_value arguments, int64_t *number, weft_time deadline, weft_time late)
{
    weft_value answer;
    if (verb_call(proxy, method, arguments, &answer, deadline, late) != 0)
        return -1;
    bool good = answer.kind == WEFT_BOOL || (answer.kind == WEFT_INT && weft_as_int(answer) >= 0);
    int64_t read = good ? weft_as_int(answer) : 0;
    weft_drop(answer);
    if (!good)
        return fails(EPROTO);
    *number = read;
    return 0;
}

static double seconds_left(weft_time deadline)
{
    weft_time now = weft_clock();
    return deadline <= now ? 0 : (double)(deadline - now) / 1e9;
}

int weft_proxy_acquire(weft_proxy *proxy, weft_time deadline)
{
    deadline = wefti_deadline(deadline);
    double left = seconds_left(deadline);
    weft_value arguments = deadline == WEFT_FOREVER ? weft_none
                           : left > 0               ? ARGUMENTS(weft_bool(true), weft_float(left))
                                                    : ARGUMENTS(weft_bool(false));
    int64_t taken;
    if (verb_number(proxy, "acquire", arguments, &taken, deadline, wefti_answer_deadline(deadline)) != 0)
        return -1;
    return taken ? 0 : fails_late(deadline);
}

int weft_proxy_release(weft_proxy *proxy, weft_time deadline)
{
    return verb_plain(proxy, "release", weft_none, deadline);
}

/* What a wait comes to: true and false of events and conditions, the number of a party of a barrier. */
static int wait_result(weft_value answer, weft_time deadline)
{
    int64_t number = answer.kind == WEFT_INT ? weft_as_int(answer) : 0;
    bool late = answer.kind == WEFT_BOOL && !weft_as_bool(answer), good = number >= 0 && number <= INT_MAX && !weft_is_error(answer);
    weft_drop(answer);
    if (late)
        return fails_late(deadline);
    return good ? (int)number : fails(EPROTO);
}

int weft_proxy_wait(weft_proxy *proxy, weft_time deadline)
{
    deadline = wefti_deadline(deadline);
    weft_value arguments = deadline == WEFT_FOREVER ? weft_none : ARGUMENTS(weft_float(seconds_left(deadline))), answer;
    if (verb_call(proxy, "wait", arguments, &answer, deadline, wefti_answer_deadline(deadline)) == 0)
        return wait_result(answer, deadline);
    if (errno == ETIMEDOUT && wefti_proxy_offers(proxy, "notify"))
        errno = ECONNRESET; /* the answer has not come, and so the connection, which held the lock, is closed */
    return -1;
}

int weft_proxy_notify(weft_proxy *proxy, size_t count, weft_time deadline)
{
    if (count == SIZE_MAX)
        return verb_plain(proxy, "notify_all", weft_none, deadline);
    return verb_plain(proxy, "notify", ARGUMENTS(weft_int(count < INT64_MAX ? (int64_t)count : INT64_MAX)), deadline);
}

int weft_proxy_set(weft_proxy *proxy, weft_time deadline)
{
    return verb_plain(proxy, "set", weft_none, deadline);
}

int weft_proxy_clear(weft_proxy *proxy, weft_time deadline)
{
    return verb_plain(proxy, "clear", weft_none, deadline);
}

int weft_proxy_is_set(weft_proxy *proxy, weft_time deadline)
{
    int64_t set;
    return verb_number(proxy, "is_set", weft_none, &set, deadline, deadline) == 0 ? set != 0 : -1;
}

int weft_proxy_abort(weft_proxy *proxy, weft_time deadline)
{
    return verb_plain(proxy, "abort", weft_none, deadline);
}

int weft_proxy_reset(weft_proxy *proxy, weft_time deadline)
{
    return verb_plain(proxy, "reset", weft_none, deadline);
}

int weft_proxy_item(weft_proxy *proxy, weft_value key, weft_value *value, weft_time deadline)
{
    return verb_item(proxy, "__getitem__", ARGUMENTS(key), value, deadline);
}

int weft_proxy_item_set(weft_proxy *proxy, weft_value key, weft_value value, weft_time deadline)
{
    if (verb_plain(proxy, "__setitem__", ARGUMENTS(key, value), deadline) != 0)
        return -1;
    weft_drop(wefti_value_take(value));
    return 0;
}

int weft_proxy_item_pop(weft_proxy *proxy, weft_value key, weft_value *value, weft_time deadline)
{
    return verb_item(proxy, "pop", ARGUMENTS(key), value, deadline);
}

int weft_proxy_size(weft_proxy *proxy, size_t *size, weft_time deadline)
{
    int64_t length;
    if (verb_number(proxy, "__len__", weft_none, &length, deadline, deadline) != 0)
        return -1;
    *size = (size_t)length;
    return 0;
}

int weft_proxy_keys(weft_proxy *proxy, weft_value *keys, weft_time deadline)
{
    return verb_item(proxy, "keys", weft_none, keys, deadline);
}

int weft_proxy_item_add(weft_proxy *proxy, weft_value key, weft_value amount, weft_value *sum, weft_time deadline)
{
    return verb_item(proxy, "incr", ARGUMENTS(key, amount), sum, deadline);
}

int weft_proxy_item_compare_and_set(weft_proxy *proxy, weft_value key, weft_value expected, weft_value value, weft_time deadline)
{
    int64_t done;
    if (verb_number(proxy, "cas", ARGUMENTS(key, expected, value), &done, deadline, deadline) != 0)
        return -1;
    if (done)
        weft_drop(wefti_value_take(value));
    return done != 0;
}

int weft_proxy_load(weft_proxy *proxy, weft_value *value, weft_time deadline)
{
    return verb_item(proxy, "get", weft_none, value, deadline);
}

int weft_proxy_store(weft_proxy *proxy, weft_value value, weft_time deadline)
{
    if (verb_plain(proxy, "set", ARGUMENTS(value), deadline) != 0)
        return -1;
    weft_drop(wefti_value_take(value));
    return 0;
}
