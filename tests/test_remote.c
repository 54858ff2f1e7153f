/* SPDX-License-Identifier: MIT */
/* Clients of managers in what goes beyond calls: select, proxies in values, connections that are lost; with Weft's servers and Python's. */
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/wait.h>

#include "base/memory.h"
#include "manager/remote.h"
#include "manager_peers.h"

#define REMOTE(address_, ...) weft_manager_connect((address_), weft_in(20), .key = KEY, .key_length = 6, __VA_ARGS__)

/* A manager with two queues of this program, of two items each, and a client of it. */
struct pair {
    weft_queue *here[2], *there[2];
    weft_manager *manager;
    weft_task *task;
    weft_remote *remote;
    weft_proxy *proxies[2];
};

static void pair_begin(struct pair *pair, const struct weft_queue_options *options)
{
    static const char *const names[] = {"first", "second"};
    *pair = (struct pair){.manager = manager_at("127.0.0.1:0", 1)};
    for (int i = 0; i < 2; i++) {
        pair->here[i] = weft_queue_new_with(options);
        ck_assert_int_eq(weft_manager_register(pair->manager, names[i], .queue = pair->here[i]), 0);
    }
    pair->task = weft_spawn(WEFT_THREAD, serve, weft_ptr(pair->manager));
    pair->remote = remote_at(weft_manager_address(pair->manager));
    for (int i = 0; i < 2; i++) {
        pair->proxies[i] = proxy_of(pair->remote, names[i]);
        pair->there[i] = weft_queue_of_proxy(pair->proxies[i]);
    }
}

static void pair_client_end(struct pair *pair)
{
    for (int i = 0; i < 2; i++) {
        weft_queue_free(pair->there[i]);
        weft_proxy_free(pair->proxies[i]);
    }
    weft_remote_free(pair->remote);
}

static void pair_server_end(struct pair *pair)
{
    serve_end(pair->manager, pair->task);
    weft_manager_free(pair->manager);
    weft_queue_free(pair->here[0]), weft_queue_free(pair->here[1]);
}

static void pair_end(struct pair *pair)
{
    pair_client_end(pair);
    pair_server_end(pair);
}

static const struct weft_queue_options of_two = {.size = sizeof(of_two), .capacity = 2};

/* The number of the case that is done, which has come with no error. */
/* Yours, when the task has ended; its handle goes. */
static weft_value result_of(weft_task *task)
{
    weft_value result = weft_none;
    ck_assert_int_eq(weft_task_result(task, &result, weft_in(20)), 0);
    weft_task_free(task);
    return result;
}

static int done(weft_case *cases, size_t count)
{
    int which = weft_select(cases, count, weft_in(20));
    ck_assert_int_ge(which, 0);
    ck_assert_int_eq(cases[which].error, 0);
    return which;
}

START_TEST(select_takes_from_queues_elsewhere)
{
    struct pair pair;
    weft_value got[2], item = weft_int(7);
    need_digests();
    pair_begin(&pair, &of_two);
    weft_case cases[] = {weft_case_get(pair.there[0], &got[0]), weft_case_get(pair.there[1], &got[1])};
    ck_fails(weft_select(cases, 2, WEFT_NOW), EAGAIN);
    ck_fails(weft_select(cases, 2, weft_in(0.01)), ETIMEDOUT);
    for (int i = 0; i < 6; i++) { /* the questions of the select before are there still */
        weft_queue_put(pair.here[i % 2], weft_int(i), WEFT_NOW);
        ck_assert_int_eq(done(cases, 2), i % 2);
        ck_assert_int_eq(weft_as_int(got[i % 2]), i);
    }
    weft_case puts[] = {weft_case_put(pair.there[0], &item), weft_case_time(WEFT_FOREVER)};
    ck_assert(!weft_queue_full(pair.there[0]));
    ck_assert_int_eq(done(puts, 2), 0);
    ck_assert_int_eq(done(puts, 2), 0);
    ck_assert(weft_queue_full(pair.there[0]));
    ck_fails(weft_select(puts, 2, weft_in(0.01)), ETIMEDOUT);
    ck_assert_int_eq(done(cases, 2), 0);
    ck_assert_int_eq(done(puts, 2), 0);
    weft_queue_close(pair.there[1]);
    ck_assert_int_eq(weft_select(&cases[1], 1, weft_in(20)), 0);
    ck_assert_int_eq(cases[1].error, EPIPE);
    pair_end(&pair);
}
END_TEST

static weft_value put_later(weft_value queue)
{
    weft_sleep(0.05);
    weft_queue_put(weft_as_ptr(queue), weft_str("late"), WEFT_FOREVER);
    return weft_none;
}

START_TEST(select_is_woken_by_what_comes_later)
{
    struct pair pair;
    weft_value got, here;
    need_digests();
    pair_begin(&pair, &of_two);
    weft_queue *private = weft_queue_new();
    weft_case cases[] = {weft_case_get(pair.there[1], &got), weft_case_get(private, &here), weft_case_get(pair.there[0], &got)};
    weft_task *late = weft_spawn(WEFT_THREAD, put_later, weft_ptr(pair.here[0]));
    ck_assert_int_eq(done(cases, 3), 2);
    ck_assert_str_eq(weft_as_str(got), "late");
    weft_drop(got);
    weft_task_free(late);
    late = weft_spawn(WEFT_THREAD, put_later, weft_ptr(private));
    ck_assert_int_eq(done(cases, 3), 1);
    weft_drop(here);
    weft_task_free(late);
    weft_queue_free(private);
    pair_end(&pair);
}
END_TEST

/* Several select, one item at a time: each item comes to one of them, and none is left for nobody. */
enum { SELECTORS = 4, ITEMS = 40 };

struct shares {
    struct pair pair;
    uint32_t count;
};

static weft_value select_until_none(weft_value argument)
{
    struct shares *shares = weft_as_ptr(argument);
    weft_queue *queue = weft_queue_of_proxy(shares->pair.proxies[0]);
    weft_value got = weft_none;
    weft_case cases[] = {weft_case_get(queue, &got)};
    while (weft_select(cases, 1, weft_in(20)) == 0 && cases[0].error == 0 && !weft_is_none(got))
        __atomic_add_fetch(&shares->count, 1, __ATOMIC_RELAXED);
    weft_queue_free(queue);
    return weft_int(cases[0].error);
}

START_TEST(many_select_and_each_item_comes_to_one)
{
    struct shares shares = {.count = 0};
    weft_task *tasks[SELECTORS];
    need_digests();
    pair_begin(&shares.pair, &of_two);
    for (int i = 0; i < SELECTORS; i++)
        tasks[i] = weft_spawn(WEFT_THREAD, select_until_none, weft_ptr(&shares));
    for (int i = 0; i < ITEMS; i++)
        ck_assert_int_eq(weft_queue_put(shares.pair.here[0], weft_int(i), weft_in(20)), 0);
    fixture_until(__atomic_load_n(&shares.count, __ATOMIC_RELAXED) == ITEMS);
    for (int i = 0; i < SELECTORS; i++)
        ck_assert_int_eq(weft_queue_put(shares.pair.here[0], weft_none, weft_in(20)), 0);
    for (int i = 0; i < SELECTORS; i++)
        ck_assert_int_eq(weft_as_int(result_of(tasks[i])), 0);
    ck_assert_uint_eq(shares.count, ITEMS);
    pair_end(&shares.pair);
}
END_TEST

static weft_value select_for_ever(weft_value queue)
{
    weft_value got;
    weft_case cases[] = {weft_case_get(weft_as_ptr(queue), &got)};
    return weft_int(weft_select(cases, 1, WEFT_FOREVER) < 0 ? errno : cases[0].error);
}

/* By a coroutine of a thread, or by the thread's own. */
static weft_value give_up(enum weft_task_kind kind, weft_value queue)
{
    weft_task *task = weft_spawn(kind, select_for_ever, queue);
    weft_sleep(0.01);
    weft_task_cancel(task);
    return result_of(task);
}

static weft_value give_up_in_a_coroutine(weft_value queue)
{
    return give_up(WEFT_COROUTINE, queue);
}

START_TEST(a_select_that_is_given_up_takes_nothing)
{
    struct pair pair;
    weft_value result;
    need_digests();
    pair_begin(&pair, &of_two);
    weft_task *task = weft_spawn(WEFT_THREAD, give_up_in_a_coroutine, weft_ptr(pair.there[0]));
    ck_assert_int_eq(weft_as_int(give_up(WEFT_THREAD, weft_ptr(pair.there[0]))), ECANCELED);
    ck_assert_int_eq(weft_as_int(result_of(task)), ECANCELED);
    weft_queue_put(pair.here[0], weft_int(5), WEFT_NOW);
    ck_assert_uint_eq(weft_queue_size(pair.there[0]), 1);
    ck_assert_int_eq(weft_queue_get(pair.there[0], &result, weft_in(20)), 0);
    pair_end(&pair);
}
END_TEST

START_TEST(a_lost_manager_ends_a_select)
{
    struct pair pair;
    weft_value result;
    need_digests();
    pair_begin(&pair, &of_two);
    weft_task *task = weft_spawn(WEFT_THREAD, select_for_ever, weft_ptr(pair.there[0]));
    fixture_until(weft_task_result(task, &result, weft_in(0.01)) != 0 && errno == ETIMEDOUT);
    pair_server_end(&pair);
    int why = (int)weft_as_int(result_of(task));
    ck_assert_msg(why == ECONNRESET || why == EPIPE || why == ECONNREFUSED, "%d", why);
    pair_client_end(&pair);
}
END_TEST

/* Whose server has queues in which nobody can stand without taking. */
START_TEST(what_cannot_be_selected_says_so)
{
    char address[40];
    int hold;
    weft_value got;
    struct pair pair;
    static const struct weft_queue_options meet = {.size = sizeof(meet), .capacity = WEFT_RENDEZVOUS};
    need_digests();
    FILE *peer = python_standard(address, &hold);
    weft_remote *remote = remote_at(address);
    weft_value two_items = one(weft_int(2));
    weft_proxy *proxy = weft_proxy_new(remote, "Queue", weft_in(20), .arguments = two_items);
    weft_queue *queue = weft_queue_of_proxy(proxy);
    weft_case cases[] = {weft_case_get(queue, &got), weft_case_put(queue, &two_items)};
    for (int i = 0; i < 2; i++) {
        ck_assert_int_eq(weft_select(&cases[i], 1, weft_in(20)), 0);
        ck_assert_int_eq(cases[i].error, ENOTSUP);
        ck_assert(!weft_queue_full(queue));
        ck_assert_int_eq(weft_queue_put(queue, weft_int(i), weft_in(20)), 0);
    }
    ck_assert(weft_queue_full(queue));
    weft_queue_free(queue);
    weft_proxy_free(proxy), weft_drop(two_items);
    weft_remote_free(remote);
    python_standard_end(peer, hold);
    pair_begin(&pair, &meet);
    weft_case one_case[] = {weft_case_get(pair.there[0], &got)};
    ck_assert_int_eq(weft_select(one_case, 1, weft_in(20)), 0);
    ck_assert_int_eq(one_case[0].error, ENOTSUP);
    pair_end(&pair);
}
END_TEST

/* Proxies in values. */

static weft_proxy *within(weft_proxy *outer, const char *method, weft_value arguments)
{
    weft_proxy *inner = NULL;
    weft_value result;
    ck_assert_int_eq(weft_proxy_call(outer, method, &result, weft_in(20), .arguments = arguments, .proxy = &inner), 0);
    ck_assert(weft_is_none(result));
    ck_assert_ptr_nonnull(inner);
    weft_drop(arguments);
    return inner;
}

static weft_value in_list(weft_value item)
{
    weft_value list = weft_list();
    ck_assert_int_eq(weft_list_append(list, item), 0);
    return list;
}

static void sends_proxies(weft_remote *remote, bool weft)
{
    weft_proxy *outer = proxy_of(remote, "list"), *dict = proxy_of(remote, "dict"), *queue = proxy_of(remote, "Queue");
    repr_is(call(outer, "append", one(weft_proxy_value(dict, NULL))), "None");
    repr_is(call(outer, "append", one(in_list(weft_proxy_value(queue, NULL)))), "None");
    repr_is(call(dict, "__setitem__", two(weft_str("k"), weft_int(1))), "None");
    weft_value shown = call(outer, "__str__", weft_none);
    ck_assert_msg(strstr(weft_as_str(shown), "[<DictProxy object, typeid 'dict' at 0x") == weft_as_str(shown), "%s", weft_as_str(shown));
    ck_assert_ptr_nonnull(strstr(weft_as_str(shown), "[<AutoProxy[Queue] object, typeid 'Queue' at 0x"));
    weft_drop(shown);
    weft_proxy *inner = within(outer, "__getitem__", one(weft_int(0)));
    ck_assert_str_eq(weft_proxy_ident(inner), weft_proxy_ident(dict));
    weft_proxy_free(dict);
    repr_is(call(inner, "items", weft_none), "[('k', 1)]");
    weft_value nested = call(outer, "__getitem__", one(weft_int(1))), again = weft_list_at(nested, 0);
    weft_proxy *second = weft_proxy_of_value(remote, again, NULL, weft_in(20));
    ck_assert_ptr_nonnull(second);
    weft_value echo = weft_proxy_value(second, NULL);
    ck_assert(weft_equal(echo, again)); /* as it came */
    weft_drop(echo);
    repr_is(call(second, "put", one(weft_int(5))), "None");
    repr_is(call(queue, "get", weft_none), "5");
    weft_drop(nested);
    if (weft) { /* is iterated over there; Python's server would need its key for itself */
        repr_is(call(outer, "extend", one(weft_proxy_value(inner, NULL))), "None");
        repr_is(call(outer, "__getitem__", one(weft_int(2))), "'k'");
    }
    weft_proxy_free(inner), weft_proxy_free(second), weft_proxy_free(queue), weft_proxy_free(outer);
}

static void shares_a_lock(weft_remote *remote)
{
    weft_proxy *lock = proxy_of(remote, "Lock");
    weft_value argument = one(weft_proxy_value(lock, NULL));
    weft_proxy *condition = weft_proxy_new(remote, "Condition", weft_in(20), .arguments = argument);
    weft_drop(argument);
    ck_assert_ptr_nonnull(condition);
    repr_is(call(condition, "acquire", weft_none), "True");
    repr_is(call(condition, "notify", weft_none), "None");
    repr_is(call(condition, "release", weft_none), "None");
    weft_proxy_free(condition), weft_proxy_free(lock);
}

static void refuses_what_is_no_proxy(weft_remote *remote)
{
    weft_value error = weft_none;
    weft_proxy *dict = proxy_of(remote, "dict");
    weft_value value = weft_proxy_value(dict, "list"), pair = call(dict, "copy", weft_none);
    ck_assert_str_eq(weft_object_name(weft_list_at(weft_object_arguments(value), 0)), "multiprocessing.managers.ListProxy");
    weft_proxy_free(dict);
    ck_fails_null(weft_proxy_of_value(remote, value, &error, weft_in(20)), EREMOTEIO);
    type_is(error, "multiprocessing.managers.RemoteError");
    ck_fails_null(weft_proxy_of_value(remote, value, NULL, weft_in(20)), EREMOTEIO);
    ck_fails_null(weft_proxy_of_value(remote, pair, NULL, weft_in(20)), EINVAL);
    ck_fails_null(weft_proxy_of_value(NULL, value, NULL, weft_in(20)), EINVAL);
    weft_value none = weft_proxy_value(NULL, NULL);
    ck_assert_int_eq(weft_error_code(none), EINVAL);
    weft_drop(value), weft_drop(pair);
}

START_TEST(proxies_lie_in_values)
{
    char address[40], path[300];
    int hold;
    need_digests();
    snprintf(path, sizeof(path), "unix:%s/socket", fixture_folder());
    for (int i = 0; i < 2; i++) {
        weft_manager *manager = manager_at(i ? path : "127.0.0.1:0", 1);
        weft_task *task = weft_spawn(WEFT_THREAD, serve, weft_ptr(manager));
        weft_remote *remote = remote_at(weft_manager_address(manager));
        sends_proxies(remote, true);
        refuses_what_is_no_proxy(remote);
        weft_remote_free(remote);
        serve_end(manager, task);
        weft_manager_free(manager);
    }
    FILE *peer = python_standard(address, &hold);
    weft_remote *remote = remote_at(address);
    sends_proxies(remote, false);
    shares_a_lock(remote);
    refuses_what_is_no_proxy(remote);
    weft_remote_free(remote);
    python_standard_end(peer, hold);
}
END_TEST

/* A server of Python's takes a proxy for one of its own objects if it has the address that the server was told to listen at. */
START_TEST(a_manager_is_known_as_what_it_calls_itself)
{
    char address[40], own[40];
    int hold;
    need_digests();
    FILE *peer = python_standard_at("everywhere", address, &hold);
    snprintf(own, sizeof(own), "0.0.0.0%s", strchr(address, ':'));
    weft_remote *remote = REMOTE(address, .known_as = own);
    sends_proxies(remote, false);
    weft_remote_free(remote);
    remote = remote_at(address);
    weft_proxy *outer = proxy_of(remote, "list"), *dict = proxy_of(remote, "dict");
    type_is(call(outer, "append", one(weft_proxy_value(dict, NULL))), "multiprocessing.managers.RemoteError");
    repr_is(call(outer, "__len__", weft_none), "0");
    weft_proxy_free(dict), weft_proxy_free(outer);
    weft_remote_free(remote);
    python_standard_end(peer, hold);
}
END_TEST

/* What only Python knows. */

static weft_value decimal(const char *text)
{
    weft_value names = two(weft_str("decimal"), weft_str("Decimal"));
    return weft_object("python.call", two(weft_object("python.global", names, weft_none), one(weft_str(text))), weft_none);
}

/* The exception of a class that is not known here has its name, relay or not. */
static void uses_decimals(const char *address, bool relay)
{
    weft_remote *remote = REMOTE(address, .relay = relay);
    weft_proxy *list = proxy_of(remote, "list");
    weft_value got, first = one(weft_int(0));
    repr_is(call(list, "append", one(decimal("1.50"))), "None");
    repr_is(call(list, "__str__", weft_none), "\"[Decimal('1.50')]\"");
    if (relay)
        repr_is(call(list, "__getitem__", weft_keep(first)), "decimal.Decimal('1.50')");
    else
        ck_fails(weft_proxy_call(list, "__getitem__", &got, weft_in(20), .arguments = first), EBADMSG);
    weft_drop(first);
    repr_is(call(list, "append", one(decimal("sNaN"))), "None");
    type_is(call(list, "sort", weft_none), "decimal.InvalidOperation");
    weft_proxy_free(list);
    weft_remote_free(remote);
}

/* A queue's item that cannot be read, and a put of what has no pickle, are named; and the next call goes on. */
static void queue_refuses_decimals(const char *address)
{
    weft_remote *remote = remote_at(address);
    weft_proxy *proxy = proxy_of(remote, "Queue");
    weft_queue *queue = weft_queue_of_proxy(proxy);
    weft_value got, unsent = weft_object("no.such", weft_none, weft_none);
    ck_assert_str_eq(weft_proxy_reason(proxy), "");
    ck_assert_int_eq(weft_queue_put(queue, decimal("1.50"), weft_in(20)), 0);
    ck_assert_int_eq(weft_queue_put(queue, weft_int(7), weft_in(20)), 0);
    ck_fails(weft_queue_get(queue, &got, weft_in(20)), EBADMSG);
    ck_assert_str_eq(weft_proxy_reason(proxy), "refusing pickle global decimal.Decimal");
    ck_assert_int_eq(weft_queue_get(queue, &got, weft_in(20)), 0);
    ck_assert_str_eq(weft_proxy_reason(proxy), "");
    repr_is(got, "7");
    ck_fails(weft_queue_put(queue, unsent, weft_in(20)), EINVAL);
    ck_assert_ptr_nonnull(strstr(weft_proxy_reason(proxy), "no.such"));
    weft_drop(unsent);
    weft_queue_free(queue);
    weft_proxy_free(proxy);
    weft_remote_free(remote);
}

/* Whose shape is not that of one. */
static void is_not_sent(weft_proxy *list, weft_value value)
{
    weft_value arguments = one(value), result;
    ck_assert(!weft_is_error(value));
    ck_fails(weft_proxy_call(list, "append", &result, weft_in(20), .arguments = arguments), EINVAL);
    weft_drop(arguments);
}

static weft_value made(const char *how, weft_value arguments, weft_value state)
{
    weft_value names = two(weft_str("decimal"), weft_str("Decimal"));
    return weft_object(how, two(weft_object("python.global", names, weft_none), arguments), state);
}

/* Read by a relay; and what is made of it, written, is the same again. */
static void relays(const void *octets, size_t length, const char *shown)
{
    struct wefti_pickle_limits limits = {.relay = true};
    struct wefti_pickle_reason reason = {.text = ""};
    struct wefti_octets out = {0};
    weft_value value, again;
    int read = wefti_pickle_read(octets, length, &limits, &value, &reason);
    if (!shown) {
        ck_assert_int_eq(read, -1);
        ck_assert_int_eq(errno, EBADMSG);
        return;
    }
    ck_assert_msg(read == 0 && reason.inert, "%s", reason.text);
    ck_assert_int_eq(wefti_pickle_write(value, &out, 1 << 20, &reason), 0);
    ck_assert_int_eq(wefti_pickle_read(out.octets, out.length, &limits, &again, &reason), 0);
    ck_assert(weft_equal(value, again));
    repr_is(again, shown);
    weft_drop(value);
    wefti_release(out.octets);
}
#define RELAYS(octets_, shown_) relays("\x80\x04" octets_ ".", sizeof("\x80\x04" octets_ ".") - 1, (shown_))
#define M_N "\x8c\x01m\x8c\x01n\x93"

START_TEST(a_relay_reads_what_it_may)
{
    RELAYS(M_N, "m.n");
    RELAYS(M_N ")R", "m.n()");
    RELAYS(M_N "K\x01\x85\x81", "m.n(1)");
    RELAYS(M_N "K\x01\x85}\x8c\x01kK\x02s\x92", "m.n(1)");
    RELAYS(M_N ")RK\x01\x85R", "...(1)");
    RELAYS(M_N ")RK\x01"
               "a(K\x02K\x03"
               "eK\x04K\x05s(K\x06K\x07u(K\x08\x90}b",
        "m.n()");
    RELAYS(M_N "\x8c\x08"
               "builtins\x8c\x04list\x93\x85R",
        "m.n(builtins.list)");
    RELAYS("]" M_N ")R\x94h\x00"
           "\x86"
           "a",
        "[(m.n(), m.n())]");
    RELAYS(M_N "K\x01R", NULL);     /* called with no tuple */
    RELAYS(M_N ")R(K\x01u", NULL);  /* a key without an item */
    RELAYS(M_N ")K\x01\x92", NULL); /* keywords that are none */
    RELAYS(M_N ")R\x94h\x00"
               "a",
        NULL);                        /* lies in itself */
    RELAYS("}" M_N ")RK\x01s", NULL); /* is no key */
    RELAYS(")R", NULL);
    RELAYS("K\x01)\x81", NULL);
    RELAYS("\x92", NULL);
}
END_TEST

START_TEST(what_only_python_knows)
{
    char address[40];
    int hold;
    need_digests();
    FILE *peer = python_standard(address, &hold);
    uses_decimals(address, true);
    uses_decimals(address, false);
    queue_refuses_decimals(address);
    weft_remote *remote = remote_at(address);
    weft_proxy *list = proxy_of(remote, "list");
    is_not_sent(list, weft_object("python.global", one(weft_str("decimal")), weft_none));
    is_not_sent(list, weft_object("python.global", two(weft_str("decimal"), weft_int(1)), weft_none));
    is_not_sent(list, weft_object("python.call", two(weft_str("decimal"), weft_tuple(NULL, 0)), weft_none));
    is_not_sent(list, weft_object("python.nothing", two(weft_str("decimal"), weft_tuple(NULL, 0)), weft_none));
    is_not_sent(list, made("python.call", weft_int(1), weft_none));
    is_not_sent(list, made("python.new", weft_tuple(NULL, 0), weft_int(1)));
    is_not_sent(list, made("python.new", weft_tuple(NULL, 0), in_list(weft_str("b"))));
    is_not_sent(list, made("python.new_ex", weft_tuple(NULL, 0), weft_none));
    weft_value done = in_list(weft_str("x"));
    weft_list_append(done, weft_none);
    is_not_sent(list, made("python.call", weft_tuple(NULL, 0), done));
    weft_proxy_free(list);
    weft_remote_free(remote);
    python_standard_end(peer, hold);
}
END_TEST

/* What is too deep is refused by name, and no connection is lost of it. */
START_TEST(an_item_that_is_too_deep)
{
    need_digests();
    weft_queue *queue = weft_queue_new();
    weft_manager *manager = manager_at("127.0.0.1:0", 1);
    weft_value deep = weft_int(1), got, error = weft_none;
    for (int i = 0; i < 1001; i++)
        deep = one(deep);
    ck_assert_int_eq(weft_queue_put(queue, weft_keep(deep), WEFT_NOW) | weft_queue_put(queue, deep, WEFT_NOW), 0);
    ck_assert_int_eq(weft_queue_put(queue, weft_int(7), WEFT_NOW), 0);
    ck_assert_int_eq(weft_manager_register(manager, "queue", .queue = queue), 0);
    weft_task *task = weft_spawn(WEFT_THREAD, serve, weft_ptr(manager));
    weft_remote *remote = REMOTE(weft_manager_address(manager), .reconnect = WEFT_RECONNECT_NEVER);
    weft_proxy *proxy = proxy_of(remote, "queue");
    weft_queue *there = weft_queue_of_proxy(proxy);
    ck_fails(weft_queue_get(there, &got, weft_in(20)), EMSGSIZE);
    ck_assert_str_eq(weft_proxy_reason(proxy), "the pickle's values lie more than 1000 within each other");
    ck_fails(weft_proxy_call(proxy, "get", &got, weft_in(20), .error = &error), EMSGSIZE);
    type_is(error, "_pickle.UnpicklingError");
    ck_assert_int_eq(weft_queue_get(there, &got, weft_in(20)), 0);
    repr_is(got, "7");
    weft_queue_free(there);
    weft_proxy_free(proxy);
    weft_remote_free(remote);
    serve_end(manager, task);
    weft_manager_free(manager);
    weft_queue_free(queue);
}
END_TEST

/* Connections that are lost. */

struct server {
    char address[300];
    weft_manager *manager;
    weft_task *task;
};

static void server_begin(struct server *server)
{
    server->manager = manager_at(server->address, 1);
    ck_assert_int_eq(weft_manager_register(server->manager, "words", .standard = "dict", .single = true), 0);
    server->task = weft_spawn(WEFT_THREAD, serve, weft_ptr(server->manager));
}

static void server_end(struct server *server)
{
    serve_end(server->manager, server->task);
    weft_manager_free(server->manager);
}

/* A machine that goes without a word ends a call that waits for ever: the kernel asks for it. */
START_TEST(who_is_gone_without_a_word_is_noticed)
{
    struct pair pair;
    int idle = 0, lost = 0;
    socklen_t length = sizeof(idle);
    need_digests();
    pair_begin(&pair, &of_two);
    repr_is(call(pair.proxies[0], "qsize", weft_none), "0");
    int descriptor = wefti_seat_of(pair.remote, NULL, false)->connection->descriptor;
    ck_assert_int_eq(getsockopt(descriptor, IPPROTO_TCP, TCP_KEEPIDLE, &idle, &length), 0);
    ck_assert_int_eq(getsockopt(descriptor, IPPROTO_TCP, TCP_USER_TIMEOUT, &lost, &length), 0);
    ck_assert(idle == 60 && lost == 120000);
    pair_end(&pair);
}
END_TEST

static weft_value length_of(weft_value proxy)
{
    weft_value value;
    return weft_proxy_call(weft_as_ptr(proxy), "__len__", &value, weft_in(20)) == 0 ? value : weft_error(errno, NULL);
}

START_TEST(never_again)
{
    struct server server = {.task = NULL};
    weft_value value;
    need_digests();
    snprintf(server.address, sizeof(server.address), "unix:%s/socket", fixture_folder());
    server_begin(&server);
    weft_remote *remote = REMOTE(server.address, .reconnect = WEFT_RECONNECT_NEVER);
    weft_proxy *words = weft_proxy_new(remote, "words", weft_in(20), .renew = true);
    repr_is(length_of(weft_ptr(words)), "0");
    server_end(&server);
    for (int i = 0; i < 3; i++) {
        ck_fails(weft_proxy_call(words, "__len__", &value, weft_in(20)), ECONNRESET);
        if (i == 1)
            server_begin(&server);
    }
    weft_task *other = weft_spawn(WEFT_THREAD, length_of, weft_ptr(words)); /* has lost nothing */
    repr_is(result_of(other), "0");
    weft_proxy_free(words);
    weft_remote_free(remote);
    server_end(&server);
}
END_TEST

static weft_value begin_later(weft_value server)
{
    weft_sleep(0.1);
    server_begin(weft_as_ptr(server));
    return weft_none;
}

START_TEST(what_was_not_sent_is_sent_again)
{
    struct server server = {.task = NULL};
    need_digests();
    snprintf(server.address, sizeof(server.address), "unix:%s/socket", fixture_folder());
    weft_task *later = weft_spawn(WEFT_THREAD, begin_later, weft_ptr(&server));
    weft_remote *remote = REMOTE(server.address, .reconnect = WEFT_RECONNECT_UNSENT, .reconnect_seconds = 20);
    ck_assert_ptr_nonnull(remote); /* has waited */
    ck_assert_int_eq(weft_task_join(later, weft_in(20)), 0);
    weft_task_free(later);
    weft_proxy *words = weft_proxy_new(remote, "words", weft_in(20), .renew = true), *dict = proxy_of(remote, "dict");
    weft_queue *queue = weft_queue_of_proxy(words);
    repr_is(call(words, "__setitem__", two(weft_int(1), weft_int(2))), "None");
    server_end(&server);
    server_begin(&server);
    type_is(length_of(weft_ptr(dict)), "multiprocessing.managers.RemoteError"); /* is lost with the manager */
    repr_is(length_of(weft_ptr(words)), "0");                                   /* is there, anew */
    repr_is(call(words, "__setitem__", two(weft_int(1), weft_int(2))), "None");
    weft_queue_free(queue);
    server_end(&server);
    later = weft_spawn(WEFT_THREAD, begin_later, weft_ptr(&server));
    repr_is(length_of(weft_ptr(words)), "0");
    ck_assert_int_eq(weft_task_join(later, weft_in(20)), 0);
    weft_task_free(later);
    weft_proxy_free(words), weft_proxy_free(dict);
    weft_remote_free(remote);
    server_end(&server);
}
END_TEST

START_TEST(trying_again_ends)
{
    struct server server = {.task = NULL};
    weft_value value;
    need_digests();
    ck_fails_null(REMOTE("127.0.0.1:1", .reconnect = WEFT_RECONNECT_UNSENT, .reconnect_seconds = 0.05), ECONNREFUSED);
    ck_fails_null(REMOTE("127.0.0.1:1", .reconnect = (enum weft_reconnect)9), EINVAL);
    ck_fails_null(REMOTE("127.0.0.1:1", .reconnect_seconds = -1), EINVAL);
    ck_fails_null(REMOTE("127.0.0.1:1", .known_as = "nonsense"), EINVAL);
    snprintf(server.address, sizeof(server.address), "unix:%s/socket", fixture_folder());
    server_begin(&server);
    weft_remote *remote = REMOTE(server.address, .reconnect = WEFT_RECONNECT_AGAIN, .reconnect_seconds = 1000);
    weft_proxy *words = proxy_of(remote, "words");
    server_end(&server);
    ck_fails(weft_proxy_call(words, "__len__", &value, weft_in(0.05)), ENOENT);
    weft_task *task = weft_spawn(WEFT_THREAD, length_of, weft_ptr(words));
    weft_task_cancel(task);
    value = result_of(task);
    ck_assert_int_eq(weft_error_code(value), ECANCELED);
    weft_drop(value);
    server_begin(&server);
    weft_proxy_free(words);
    weft_remote_free(remote);
    server_end(&server);
}
END_TEST

/* A manager that hears what is asked and goes away instead of an answer, so often. */
struct rude {
    weft_listener *listener;
    int times;
    uint32_t heard;
};

static void answer_with(weft_connection *client, weft_value value)
{
    weft_value reply = weft_tuple((weft_value[]){weft_str("#RETURN"), value}, 2);
    ck_assert_int_eq(weft_connection_send(client, reply, weft_in(20)), 0);
    weft_drop(reply);
}

static weft_value rude_serve(weft_value argument)
{
    struct rude *rude = weft_as_ptr(argument);
    weft_value request;
    for (weft_connection *client; (client = weft_connection_accept(rude->listener, WEFT_FOREVER));) {
        while (weft_connection_receive(client, &request, WEFT_FOREVER) == 0) {
            const char *method = weft_as_str(weft_list_at(request, 1));
            bool call = strcmp(method, "__len__") == 0, create = strcmp(method, "create") == 0;
            weft_drop(request);
            if (call && ++rude->heard <= (uint32_t)rude->times)
                break;
            answer_with(client, create ? two(weft_str("1f"), weft_tuple(NULL, 0)) : call ? weft_int(7) : weft_none);
        }
        weft_connection_close(client);
    }
    return weft_none;
}

static void asks_the_rude(enum weft_reconnect reconnect, int times, uint32_t heard, const char *answer)
{
    struct rude rude = {.listener = weft_connection_listen("127.0.0.1:0", .key = KEY, .key_length = 6), .times = times};
    weft_task *task = weft_spawn(WEFT_THREAD, rude_serve, weft_ptr(&rude));
    weft_remote *remote = REMOTE(weft_listener_address(rude.listener), .reconnect = reconnect, .reconnect_seconds = 20);
    weft_proxy *proxy = proxy_of(remote, "anything");
    repr_is(length_of(weft_ptr(proxy)), answer);
    weft_remote_free(remote); /* and so the connection, which it would go on hearing before the next */
    weft_proxy_free(proxy);
    weft_task_cancel(task);
    ck_assert_int_eq(weft_task_join(task, weft_in(20)), 0);
    weft_task_free(task);
    weft_listener_close(rude.listener);
    ck_assert_uint_eq(rude.heard, heard);
}

START_TEST(what_may_have_been_done_is_done_again_if_that_is_asked_for)
{
    need_digests();
    asks_the_rude(WEFT_RECONNECT_LATER, 1, 1, "<error ECONNRESET: Connection reset by peer>");
    asks_the_rude(WEFT_RECONNECT_UNSENT, 1, 1, "<error ECONNRESET: Connection reset by peer>");
    asks_the_rude(WEFT_RECONNECT_AGAIN, 2, 3, "7");
}
END_TEST

/* A forked child has copies of its parent's connections, and makes its own. */
START_TEST(a_child_has_connections_of_its_own)
{
    struct server server = {.task = NULL};
    int told[2];
    char word = 0;
    need_digests();
    snprintf(server.address, sizeof(server.address), "unix:%s/socket", fixture_folder());
    ck_assert_int_eq(pipe(told), 0);
    pid_t process = fork(); /* that serves: the client's has no threads when it forks */
    if (process == 0) {
        weft_manager *manager = manager_at(server.address, 1);
        ck_assert_int_eq(weft_manager_register(manager, "lock", .standard = "RLock", .single = true), 0);
        ck_assert_int_eq(write(told[1], "!", 1), 1);
        fixture_leave(weft_manager_serve(manager) != 0);
    }
    ck_assert_int_eq(read(told[0], &word, 1), 1);
    close(told[0]), close(told[1]);
    weft_remote *remote = remote_at(server.address);
    weft_proxy *lock = proxy_of(remote, "lock"), *queue = proxy_of(remote, "Queue");
    weft_queue *there = weft_queue_of_proxy(queue);
    weft_value got, false_value = one(weft_bool(false));
    weft_case cases[] = {weft_case_get(there, &got)};
    repr_is(call(lock, "acquire", weft_keep(false_value)), "True");
    ck_fails(weft_select(cases, 1, weft_in(0.01)), ETIMEDOUT); /* has asked */
    pid_t child = fork();
    if (child == 0) {
        bool alone = weft_proxy_call(lock, "acquire", &got, weft_in(20), .arguments = false_value) == 0 && !weft_as_bool(got);
        alone = alone && weft_queue_put(there, weft_int(1), weft_in(20)) == 0 && weft_select(cases, 1, weft_in(20)) == 0;
        fixture_leave(alone && cases[0].error == 0 && weft_as_int(got) == 1 ? 0 : 1);
    }
    int status;
    ck_assert_int_eq(waitpid(child, &status, 0), child);
    ck_assert_int_eq(status, 0);
    repr_is(call(lock, "acquire", weft_keep(false_value)), "True"); /* is still its holder */
    ck_fails(weft_select(cases, 1, weft_in(0.01)), ETIMEDOUT);
    weft_drop(false_value);
    weft_queue_free(there);
    weft_proxy_free(queue), weft_proxy_free(lock);
    ck_assert_int_eq(weft_remote_call(remote, "shutdown", NULL, weft_in(20)), 0);
    weft_remote_free(remote);
    ck_assert_int_eq(waitpid(process, &status, 0), process);
    ck_assert_int_eq(status, 0);
}
END_TEST

/* What else a queue over there is asked for. */

static void queue_of_type(weft_remote *remote, const char *type, const char *first)
{
    weft_proxy *proxy = proxy_of(remote, type);
    weft_queue *queue = weft_queue_of_proxy(proxy);
    weft_value values[] = {weft_int(2), weft_int(1), weft_int(3)}, got[4];
    ck_assert_int_eq(weft_queue_put_many(queue, values, 3, weft_in(20)), 3);
    ck_assert_int_eq(weft_queue_get_many(queue, got, 4, weft_in(20)), 3);
    repr_is(got[0], first);
    ck_fails(weft_queue_get_many(queue, got, 4, WEFT_NOW), EAGAIN);
    weft_queue_close(queue);
    ck_fails(weft_queue_put_many(queue, values, 3, weft_in(20)), EPIPE);
    ck_fails(weft_queue_get_many(queue, got, 4, weft_in(20)), EPIPE);
    weft_case cases[] = {weft_case_get(queue, got)};
    ck_assert_int_eq(weft_select(cases, 1, weft_in(20)), 0);
    ck_assert_int_eq(cases[0].error, EPIPE);
    weft_queue_free(queue);
    weft_proxy_free(proxy);
}

static weft_value make_number(void *object, weft_value arguments, weft_value keywords)
{
    (void)object, (void)keywords;
    return weft_length(arguments) ? weft_error_of_type(EINVAL, "ValueError", "none of these") : weft_int(42);
}

START_TEST(queues_of_all_orders_elsewhere)
{
    weft_value error = weft_none;
    need_digests();
    char address[100];
    snprintf(address, sizeof(address), "abstract:weft-test-%d", getpid());
    weft_manager *manager = manager_at(address, 1);
    weft_queue *closed = weft_queue_new();
    weft_queue_close(closed);
    ck_assert_int_eq(weft_manager_register(manager, "closed", .queue = closed), 0);
    ck_assert_int_eq(weft_manager_register(manager, "number", .function = make_number), 0);
    weft_task *task = weft_spawn(WEFT_THREAD, serve, weft_ptr(manager));
    weft_remote *remote = remote_at(address);
    ck_fails_null(weft_queue_of_proxy(NULL), EINVAL);
    queue_of_type(remote, "Queue", "2");
    queue_of_type(remote, "LifoQueue", "3");
    queue_of_type(remote, "PriorityQueue", "1");
    weft_proxy *order = proxy_of(remote, "PriorityQueue"), *gone = proxy_of(remote, "closed"), *number = proxy_of(remote, "number");
    type_is(call(order, "put", one(weft_none)), "TypeError");
    type_is(call(order, "wait_get", one(weft_int(-1))), "ValueError");
    repr_is(call(order, "wait_get", one(weft_int(0))), "False");
    repr_is(call(order, "wait_put", one(weft_int(0))), "True");
    type_is(call(gone, "put", one(weft_none)), "ValueError");
    repr_is(call(gone, "wait_get", weft_none), "True"); /* it will not get better */
    repr_is(call(number, "#GETVALUE", weft_none), "42");
    repr_is(call(number, "__str__", weft_none), "'42'");
    weft_value argument = one(weft_none);
    ck_fails_null(weft_proxy_new(remote, "number", weft_in(20), .arguments = argument, .error = &error), EREMOTEIO);
    weft_drop(error), weft_drop(argument);
    weft_value value = weft_proxy_value(order, NULL);
    weft_value token = weft_list_at(weft_object_arguments(value), 1);
    ck_assert_int_eq(weft_list_at(weft_object_state(token), 1).kind, WEFT_BYTES); /* as Python writes such an address */
    weft_drop(value);
    weft_proxy_free(order), weft_proxy_free(gone), weft_proxy_free(number);
    weft_remote_free(remote);
    serve_end(manager, task);
    weft_manager_free(manager);
    weft_queue_free(closed);
}
END_TEST

/* The verbs of local objects. */

static weft_proxy *proxy_with(weft_remote *remote, const char *name, weft_value arguments)
{
    weft_proxy *proxy = weft_proxy_new(remote, name, weft_in(20), .arguments = arguments);
    ck_assert_ptr_nonnull(proxy);
    weft_drop(arguments);
    return proxy;
}

static weft_value acquire_in_vain(weft_value proxy)
{
    return weft_int(weft_proxy_acquire(weft_as_ptr(proxy), WEFT_NOW) == 0 ? 0 : errno);
}

static void fails_elsewhere(weft_proxy *proxy, weft_value function(weft_value), int error)
{
    ck_assert_int_eq(weft_as_int(result_of(weft_spawn(WEFT_THREAD, function, weft_ptr(proxy)))), error);
}

static weft_value release_in_vain(weft_value proxy)
{
    return weft_int(weft_proxy_release(weft_as_ptr(proxy), weft_in(20)) == 0 ? 0 : errno);
}

static void verbs_of_locks(weft_remote *remote)
{
    weft_proxy *lock = proxy_of(remote, "Lock"), *again = proxy_of(remote, "RLock");
    weft_proxy *permits = proxy_with(remote, "Semaphore", one(weft_int(1))),
               *bound = proxy_with(remote, "BoundedSemaphore", one(weft_int(1)));
    weft_proxy *once[] = {lock, permits, bound};
    for (int i = 0; i < 3; i++) {
        ck_assert_int_eq(weft_proxy_acquire(once[i], i ? weft_in(20) : WEFT_FOREVER), 0);
        ck_fails(weft_proxy_acquire(once[i], WEFT_NOW), EAGAIN);
        ck_fails(weft_proxy_acquire(once[i], weft_in(0.01)), ETIMEDOUT);
        ck_fails(weft_proxy_acquire(once[i], weft_clock() - 1), ETIMEDOUT);
        ck_assert_int_eq(weft_proxy_release(once[i], weft_in(20)), 0);
        if (once[i] != permits)
            ck_fails(weft_proxy_release(once[i], weft_in(20)), once[i] == bound ? EOVERFLOW : EPERM);
    }
    ck_assert_int_eq(weft_proxy_acquire(again, WEFT_NOW), 0);
    ck_assert_int_eq(weft_proxy_acquire(again, WEFT_FOREVER), 0);
    fails_elsewhere(again, acquire_in_vain, EAGAIN);
    fails_elsewhere(again, release_in_vain, EPERM);
    ck_assert_int_eq(weft_proxy_release(again, weft_in(20)), 0);
    ck_assert_int_eq(weft_proxy_release(again, weft_in(20)), 0);
    ck_fails(weft_proxy_release(again, weft_in(20)), EPERM);
    ck_fails(weft_proxy_wait(lock, weft_in(20)), ENOTSUP);
    ck_fails(weft_proxy_acquire(NULL, weft_in(20)), EINVAL);
    weft_proxy_free(lock), weft_proxy_free(again), weft_proxy_free(permits), weft_proxy_free(bound);
}

/* What two tasks do with the same objects; `word` is theirs. */
struct meeting {
    weft_proxy *proxy;
    uint32_t word;
    int count;
};

enum { TIMES = 20 };

static weft_value count_under_the_lock(weft_value argument)
{
    struct meeting *meeting = weft_as_ptr(argument);
    for (int i = 0; i < TIMES; i++) {
        ck_assert_int_eq(weft_proxy_acquire(meeting->proxy, i % 2 ? weft_in(20) : WEFT_FOREVER), 0);
        ck_assert_uint_eq(__atomic_fetch_add(&meeting->word, 1, __ATOMIC_SEQ_CST), 0);
        meeting->count++;
        ck_assert_uint_eq(__atomic_fetch_sub(&meeting->word, 1, __ATOMIC_SEQ_CST), 1);
        ck_assert_int_eq(weft_proxy_release(meeting->proxy, weft_in(20)), 0);
    }
    return weft_none;
}

static void two_meet_at_a_lock(weft_remote *remote)
{
    struct meeting meeting = {.proxy = proxy_of(remote, "Lock")};
    weft_task *other = weft_spawn(WEFT_THREAD, count_under_the_lock, weft_ptr(&meeting));
    count_under_the_lock(weft_ptr(&meeting));
    weft_drop(result_of(other));
    ck_assert_int_eq(meeting.count, 2 * TIMES);
    weft_proxy_free(meeting.proxy);
}

static weft_value acquire_for_ever(weft_value argument)
{
    struct meeting *meeting = weft_as_ptr(argument);
    __atomic_store_n(&meeting->word, 1, __ATOMIC_RELEASE);
    return weft_int(weft_proxy_acquire(meeting->proxy, WEFT_FOREVER) == 0 ? 0 : errno);
}

/* A Python server has no way to see that nobody waits any more: the lock is the next one's in Weft's only. */
static void a_wait_is_cancelled(weft_remote *remote, bool weft)
{
    struct meeting meeting = {.proxy = proxy_of(remote, "Lock")};
    ck_assert_int_eq(weft_proxy_acquire(meeting.proxy, WEFT_NOW), 0);
    weft_task *task = weft_spawn(WEFT_THREAD, acquire_for_ever, weft_ptr(&meeting));
    fixture_until(__atomic_load_n(&meeting.word, __ATOMIC_ACQUIRE));
    weft_sleep(0.01);
    weft_task_cancel(task);
    ck_assert_int_eq(weft_as_int(result_of(task)), ECANCELED);
    ck_assert_int_eq(weft_proxy_release(meeting.proxy, weft_in(20)), 0);
    if (weft)
        ck_assert_int_eq(weft_proxy_acquire(meeting.proxy, weft_in(20)), 0);
    weft_proxy_free(meeting.proxy);
}

static weft_value wait_for_ever(weft_value argument)
{
    return weft_int(weft_proxy_wait(((struct meeting *)weft_as_ptr(argument))->proxy, WEFT_FOREVER) == 0 ? 0 : errno);
}

static void verbs_of_events(weft_remote *remote)
{
    struct meeting meeting = {.proxy = proxy_of(remote, "Event")};
    weft_proxy *event = meeting.proxy;
    ck_assert_int_eq(weft_proxy_is_set(event, weft_in(20)), 0);
    ck_fails(weft_proxy_wait(event, WEFT_NOW), EAGAIN);
    ck_fails(weft_proxy_wait(event, weft_in(0.01)), ETIMEDOUT);
    weft_task *task = weft_spawn(WEFT_THREAD, wait_for_ever, weft_ptr(&meeting));
    ck_assert_int_eq(weft_proxy_set(event, weft_in(20)), 0);
    ck_assert_int_eq(weft_as_int(result_of(task)), 0);
    ck_assert_int_eq(weft_proxy_is_set(event, weft_in(20)), 1);
    ck_assert_int_eq(weft_proxy_wait(event, WEFT_NOW), 0);
    ck_assert_int_eq(weft_proxy_wait(event, weft_in(20)), 0);
    ck_assert_int_eq(weft_proxy_clear(event, weft_in(20)), 0);
    ck_assert_int_eq(weft_proxy_is_set(event, weft_in(20)), 0);
    ck_fails(weft_proxy_acquire(event, WEFT_NOW), ENOTSUP);
    ck_fails(weft_proxy_abort(event, weft_in(20)), ENOTSUP);
    weft_value ident = one(weft_str(weft_proxy_ident(event)));
    ck_assert_int_eq(weft_remote_call(remote, "decref", NULL, weft_in(20), .arguments = ident), 0);
    ck_fails(weft_proxy_set(event, weft_in(20)), EREMOTEIO); /* it is gone, and the manager says so */
    weft_drop(ident);
    weft_proxy_free(event);
}

static weft_value wait_to_be_notified(weft_value argument)
{
    struct meeting *meeting = weft_as_ptr(argument);
    ck_assert_int_eq(weft_proxy_acquire(meeting->proxy, weft_in(20)), 0);
    __atomic_add_fetch(&meeting->word, 1, __ATOMIC_RELEASE);
    ck_assert_int_eq(weft_proxy_wait(meeting->proxy, weft_in(20)), 0);
    ck_assert_int_eq(weft_proxy_release(meeting->proxy, weft_in(20)), 0);
    return weft_none;
}

static void verbs_of_conditions(weft_remote *remote)
{
    struct meeting meeting = {.proxy = proxy_of(remote, "Condition")};
    weft_proxy *condition = meeting.proxy;
    weft_task *tasks[3];
    ck_fails(weft_proxy_wait(condition, weft_in(20)), EPERM);
    ck_fails(weft_proxy_notify(condition, 1, weft_in(20)), EPERM);
    ck_fails(weft_proxy_notify(condition, SIZE_MAX, weft_in(20)), EPERM);
    ck_fails(weft_proxy_release(condition, weft_in(20)), EPERM);
    ck_assert_int_eq(weft_proxy_acquire(condition, WEFT_FOREVER), 0);
    ck_fails(weft_proxy_wait(condition, WEFT_NOW), EAGAIN);
    ck_fails(weft_proxy_wait(condition, weft_in(0.01)), ETIMEDOUT);
    ck_assert_int_eq(weft_proxy_release(condition, weft_in(20)), 0); /* it was held still */
    for (int i = 0; i < 3; i++)
        tasks[i] = weft_spawn(WEFT_THREAD, wait_to_be_notified, weft_ptr(&meeting));
    fixture_until(__atomic_load_n(&meeting.word, __ATOMIC_ACQUIRE) == 3);
    ck_assert_int_eq(weft_proxy_acquire(condition, weft_in(20)), 0); /* by then the last one waits */
    ck_assert_int_eq(weft_proxy_notify(condition, 0, weft_in(20)), 0);
    ck_assert_int_eq(weft_proxy_notify(condition, 1, weft_in(20)), 0);
    ck_assert_int_eq(weft_proxy_notify(condition, SIZE_MAX, weft_in(20)), 0);
    ck_assert_int_eq(weft_proxy_release(condition, weft_in(20)), 0);
    for (int i = 0; i < 3; i++)
        weft_drop(result_of(tasks[i]));
    weft_proxy_free(condition);
}

static weft_value party(weft_value barrier)
{
    int number = weft_proxy_wait(weft_as_ptr(barrier), weft_in(20));
    return weft_int(number < 0 ? -errno : number);
}

static void verbs_of_barriers(weft_remote *remote)
{
    weft_proxy *barrier = proxy_with(remote, "Barrier", one(weft_int(2)));
    weft_task *other = weft_spawn(WEFT_THREAD, party, weft_ptr(barrier));
    int64_t mine = weft_proxy_wait(barrier, WEFT_FOREVER);
    ck_assert_int_eq(mine + weft_as_int(result_of(other)), 1);
    ck_fails(weft_proxy_wait(barrier, weft_in(0.01)), ETIMEDOUT);
    ck_fails(weft_proxy_wait(barrier, weft_in(20)), EPIPE);
    ck_assert_int_eq(weft_proxy_reset(barrier, weft_in(20)), 0);
    ck_fails(weft_proxy_wait(barrier, WEFT_NOW), EAGAIN);
    ck_assert_int_eq(weft_proxy_reset(barrier, weft_in(20)), 0);
    other = weft_spawn(WEFT_THREAD, party, weft_ptr(barrier));
    ck_assert_int_eq(weft_proxy_abort(barrier, weft_in(20)), 0);
    ck_assert_int_eq(weft_as_int(result_of(other)), -EPIPE);
    weft_proxy_free(barrier);
}

/* A key that is a str is looked at only. */
static void verbs_of_dicts(weft_remote *remote, bool weft)
{
    weft_proxy *dict = proxy_of(remote, "dict");
    weft_value key = weft_str("a key that is long enough to lie on the heap"), got = weft_int(-1);
    size_t size = 7;
    ck_fails(weft_proxy_item(dict, key, &got, weft_in(20)), ENOENT);
    ck_fails(weft_proxy_item_pop(dict, key, &got, weft_in(20)), ENOENT);
    ck_assert_int_eq(weft_as_int(got), -1);
    ck_assert_int_eq(weft_proxy_item_set(dict, key, weft_str("a value of more than a dozen octets"), weft_in(20)), 0);
    ck_assert_int_eq(weft_proxy_item(dict, key, &got, weft_in(20)), 0);
    repr_is(got, "'a value of more than a dozen octets'");
    ck_assert_int_eq(weft_proxy_item_set(dict, weft_int(2), weft_none, weft_in(20)), 0);
    ck_assert_int_eq(weft_proxy_size(dict, &size, weft_in(20)), 0);
    ck_assert_uint_eq(size, 2);
    ck_assert_int_eq(weft_proxy_keys(dict, &got, weft_in(20)), 0);
    repr_is(got, "['a key that is long enough to lie on the heap', 2]");
    ck_assert_int_eq(weft_proxy_item_pop(dict, key, NULL, weft_in(20)), 0);
    ck_assert_int_eq(weft_proxy_item_pop(dict, weft_int(2), &got, weft_in(20)), 0);
    repr_is(got, "None");
    weft_value list = weft_list();
    ck_fails(weft_proxy_item_set(dict, list, weft_none, weft_in(20)), EINVAL);
    ck_fails(weft_proxy_item_set(dict, key, weft_ptr(&size), weft_in(20)), EFAULT);
    if (!weft) {
        ck_fails(weft_proxy_item_add(dict, key, weft_int(1), NULL, weft_in(20)), ENOTSUP);
        ck_fails(weft_proxy_item_compare_and_set(dict, key, weft_none, weft_none, weft_in(20)), ENOTSUP);
    } else {
        ck_assert_int_eq(weft_proxy_item_add(dict, key, weft_int(INT64_MAX), NULL, weft_in(20)), 0);
        ck_fails(weft_proxy_item_add(dict, key, weft_int(1), &got, weft_in(20)), EOVERFLOW);
        ck_fails(weft_proxy_item_add(dict, key, list, &got, weft_in(20)), EINVAL);
        ck_assert_int_eq(weft_proxy_item_add(dict, key, weft_int(-INT64_MAX), &got, weft_in(20)), 0);
        repr_is(got, "0");
        ck_assert_int_eq(weft_proxy_item_add(dict, key, weft_float(0.5), &got, weft_in(20)), 0);
        repr_is(got, "0.5");
        ck_assert_int_eq(weft_proxy_item_compare_and_set(dict, key, weft_int(3), weft_int(4), weft_in(20)), 0);
        ck_assert_int_eq(weft_proxy_item_compare_and_set(dict, key, weft_float(0.5), weft_keep(list), weft_in(20)), 1);
        ck_assert_int_eq(weft_proxy_item_compare_and_set(dict, weft_int(9), weft_none, weft_int(1), weft_in(20)), 1);
    }
    weft_drop(list), weft_drop(key);
    weft_proxy_free(dict);
}

static void verbs_of_lists_and_numbers(weft_remote *remote)
{
    weft_proxy *list = proxy_with(remote, "list", one(two(weft_str("x"), weft_str("y"))));
    weft_proxy *array = proxy_with(remote, "Array", two(weft_str("b"), two(weft_int(3), weft_int(4))));
    weft_proxy *value = proxy_with(remote, "Value", two(weft_str("i"), weft_int(5)));
    weft_proxy *both[] = {list, array};
    weft_value got = weft_int(-1);
    size_t size;
    for (int i = 0; i < 2; i++) {
        ck_assert_int_eq(weft_proxy_item_set(both[i], weft_int(1), weft_int(6), weft_in(20)), 0);
        ck_fails(weft_proxy_item_set(both[i], weft_int(2), weft_int(6), weft_in(20)), ERANGE);
        ck_fails(weft_proxy_item(both[i], weft_int(2), &got, weft_in(20)), ERANGE);
        ck_fails(weft_proxy_item(both[i], weft_none, &got, weft_in(20)), EINVAL);
        ck_assert_int_eq(weft_as_int(got), -1);
        ck_assert_int_eq(weft_proxy_item(both[i], weft_int(-1), &got, weft_in(20)), 0);
        repr_is(got, "6"), got = weft_int(-1);
        ck_assert_int_eq(weft_proxy_size(both[i], &size, weft_in(20)), 0);
        ck_assert_uint_eq(size, 2);
        ck_fails(weft_proxy_keys(both[i], &got, weft_in(20)), ENOTSUP);
    }
    ck_fails(weft_proxy_item_set(array, weft_int(0), weft_int(1000), weft_in(20)), EOVERFLOW);
    ck_fails(weft_proxy_item_pop(array, weft_int(0), &got, weft_in(20)), ENOTSUP);
    ck_fails(weft_proxy_item_pop(list, weft_int(2), &got, weft_in(20)), ERANGE);
    ck_assert_int_eq(weft_proxy_item_pop(list, weft_int(0), &got, weft_in(20)), 0);
    repr_is(got, "'x'");
    ck_assert_int_eq(weft_proxy_load(value, &got, weft_in(20)), 0);
    repr_is(got, "5");
    ck_assert_int_eq(weft_proxy_store(value, weft_int(8), weft_in(20)), 0);
    ck_fails(weft_proxy_set(value, weft_in(20)), EINVAL); /* an event's, of no arguments */
    ck_assert_int_eq(weft_proxy_load(value, &got, weft_in(20)), 0);
    repr_is(got, "8");
    weft_proxy_free(list), weft_proxy_free(array), weft_proxy_free(value);
}

/* An exception that somebody put somewhere is an item, and none that was raised. */
static void exceptions_are_items(weft_remote *remote, bool weft)
{
    static const char *const types[] = {"queue.Empty", "ValueError", "RuntimeError", "KeyError"};
    weft_proxy *proxy = proxy_of(remote, "Queue"), *dict = proxy_of(remote, "dict");
    weft_queue *queue = weft_queue_of_proxy(proxy);
    weft_value got;
    for (size_t i = 0; i < sizeof(types) / sizeof(*types); i++) {
        ck_assert_int_eq(weft_queue_put(queue, weft_error_of_type(EREMOTEIO, types[i], "text"), weft_in(20)), 0);
        ck_assert_int_eq(weft_queue_get(queue, &got, weft_in(20)), 0);
        type_is(got, types[i]);
        ck_assert_int_eq(weft_proxy_item_set(dict, weft_int(1), weft_error_of_type(EREMOTEIO, types[i], "text"), weft_in(20)), 0);
        ck_assert_int_eq(weft_proxy_item(dict, weft_int(1), &got, weft_in(20)), 0);
        type_is(got, types[i]);
        ck_assert_int_eq(weft_proxy_item_pop(dict, weft_int(1), &got, weft_in(20)), 0);
        type_is(got, types[i]);
    }
    ck_fails(weft_queue_get(queue, &got, WEFT_NOW), EAGAIN);
    ck_fails(weft_proxy_item(dict, weft_int(1), &got, weft_in(20)), ENOENT);
    if (weft) {
        weft_case cases[] = {weft_case_get(queue, &got)};
        ck_assert_int_eq(weft_queue_put(queue, weft_error_of_type(EREMOTEIO, types[0], "text"), weft_in(20)), 0);
        ck_assert_int_eq(weft_select(cases, 1, weft_in(20)), 0);
        ck_assert_int_eq(cases[0].error, 0);
        type_is(got, types[0]);
    }
    weft_queue_free(queue);
    weft_proxy_free(proxy), weft_proxy_free(dict);
}

static void uses_verbs(weft_remote *remote, bool weft)
{
    exceptions_are_items(remote, weft);
    verbs_of_locks(remote);
    two_meet_at_a_lock(remote);
    a_wait_is_cancelled(remote, weft);
    verbs_of_events(remote);
    verbs_of_conditions(remote);
    verbs_of_barriers(remote);
    verbs_of_dicts(remote, weft);
    verbs_of_lists_and_numbers(remote);
}

START_TEST(objects_of_weft_have_the_verbs_of_local_ones)
{
    need_digests();
    weft_manager *manager = manager_at("127.0.0.1:0", 1);
    weft_task *task = weft_spawn(WEFT_THREAD, serve, weft_ptr(manager));
    weft_remote *remote = remote_at(weft_manager_address(manager));
    uses_verbs(remote, true);
    weft_proxy *event = proxy_of(remote, "Event");
    serve_end(manager, task);
    weft_manager_free(manager);
    ck_assert_int_eq(weft_proxy_set(event, weft_in(20)), -1);
    ck_assert_msg(errno == ECONNRESET || errno == EPIPE || errno == ECONNREFUSED, "%d", errno);
    weft_proxy_free(event);
    weft_remote_free(remote);
}
END_TEST

START_TEST(objects_of_python_have_the_verbs_of_local_ones)
{
    char address[40];
    int hold;
    need_digests();
    FILE *peer = python_standard(address, &hold);
    weft_remote *remote = remote_at(address);
    uses_verbs(remote, false);
    weft_remote_free(remote);
    python_standard_end(peer, hold);
}
END_TEST

static void add(TCase *tests)
{
    tcase_add_test(tests, objects_of_weft_have_the_verbs_of_local_ones);
    tcase_add_test(tests, objects_of_python_have_the_verbs_of_local_ones);
    tcase_add_test(tests, queues_of_all_orders_elsewhere);
    tcase_add_test(tests, a_child_has_connections_of_its_own);
    tcase_add_test(tests, what_only_python_knows);
    tcase_add_test(tests, an_item_that_is_too_deep);
    tcase_add_test(tests, a_relay_reads_what_it_may);
    tcase_add_test(tests, who_is_gone_without_a_word_is_noticed);
    tcase_add_test(tests, never_again);
    tcase_add_test(tests, what_was_not_sent_is_sent_again);
    tcase_add_test(tests, trying_again_ends);
    tcase_add_test(tests, what_may_have_been_done_is_done_again_if_that_is_asked_for);
    tcase_add_test(tests, proxies_lie_in_values);
    tcase_add_test(tests, a_manager_is_known_as_what_it_calls_itself);
    tcase_add_test(tests, select_takes_from_queues_elsewhere);
    tcase_add_test(tests, select_is_woken_by_what_comes_later);
    tcase_add_test(tests, many_select_and_each_item_comes_to_one);
    tcase_add_test(tests, a_select_that_is_given_up_takes_nothing);
    tcase_add_test(tests, a_lost_manager_ends_a_select);
    tcase_add_test(tests, what_cannot_be_selected_says_so);
}

int main(void)
{
    return fixture_main("remote", add);
}
