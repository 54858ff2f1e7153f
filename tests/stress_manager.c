/* SPDX-License-Identifier: MIT */
/*
 * One manager and many clients: threads and coroutines of this process, which are cancelled at any moment, and processes that are killed at
 * any moment. None hangs; what was counted is there, and nothing that was not asked for; no item comes twice; who holds a lock is alone; at
 * the end all locks can be had.
 */
#include <signal.h>
#include <sys/mman.h>
#include <sys/wait.h>

#include "manager_peers.h"

enum { PROCESSES = 3, ITEMS = 1 << 16 };
static const double SECONDS = 1.2;

/* What all processes see. */
struct common {
    uint32_t over;
    uint32_t asked, counted; /* increments */
    uint32_t next;           /* item */
    uint32_t holder;         /* of the lock: whoever; the killed do not take themselves out */
    uint32_t number;         /* of clients so far */
    uint8_t got[ITEMS];
};
static struct common *common;
static char address[300];

static uint32_t random_next(uint32_t *state)
{
    *state = *state * 1664525 + 1013904223;
    return *state >> 8;
}

static bool over(void)
{
    return __atomic_load_n(&common->over, __ATOMIC_ACQUIRE) || weft_cancelled();
}

struct client {
    weft_remote *remote;
    weft_proxy *words, *jobs, *lock;
    weft_queue *queue;
    uint32_t state, name;
};

static void adds(struct client *client)
{
    weft_value key = weft_str("n"), arguments = weft_tuple(&key, 1), result = weft_none;
    __atomic_add_fetch(&common->asked, 1, __ATOMIC_RELAXED);
    if (weft_proxy_call(client->words, "incr", &result, weft_in(20), .arguments = arguments) == 0 && !weft_is_error(result))
        __atomic_add_fetch(&common->counted, 1, __ATOMIC_RELAXED);
    weft_drop(result), weft_drop(arguments);
}

static void puts_one(struct client *client)
{
    uint32_t number = __atomic_fetch_add(&common->next, 1, __ATOMIC_RELAXED);
    if (number < ITEMS)
        weft_queue_put(client->queue, weft_int(number), weft_in(0.001 * (random_next(&client->state) % 5)));
}

static void took(weft_value item)
{
    ck_assert_int_eq(item.kind, WEFT_INT);
    ck_assert_int_eq(__atomic_exchange_n(&common->got[weft_as_int(item)], 1, __ATOMIC_RELAXED), 0);
}

static void gets_one(struct client *client)
{
    weft_value item;
    if (weft_queue_get(client->queue, &item, weft_in(0.001 * (random_next(&client->state) % 5))) == 0)
        took(item);
}

static void selects_one(struct client *client)
{
    weft_value item;
    weft_case cases[] = {weft_case_get(client->queue, &item), weft_case_time(weft_in(0.001 * (random_next(&client->state) % 5)))};
    if (weft_select(cases, 2, WEFT_FOREVER) == 0 && cases[0].error == 0)
        took(item);
}

static void locks(struct client *client)
{
    weft_value wait = weft_tuple((weft_value[]){weft_bool(true), weft_float(0.005)}, 2), result = weft_none;
    int called = weft_proxy_call(client->lock, "acquire", &result, weft_in(20), .arguments = wait);
    if (called == 0 && result.kind == WEFT_BOOL && weft_as_bool(result)) {
        __atomic_store_n(&common->holder, client->name, __ATOMIC_RELAXED);
        weft_proxy_call(client->words, "__len__", NULL, weft_in(20));
        /* Whoever was cancelled in between has closed his connection, and his lock is another's. */
        if (!weft_cancelled())
            ck_assert_uint_eq(__atomic_load_n(&common->holder, __ATOMIC_RELAXED), client->name);
        weft_proxy_call(client->lock, "release", NULL, weft_in(20));
    }
    weft_drop(result), weft_drop(wait);
}

static void nests(struct client *client)
{
    weft_value result = weft_none, zero = weft_int(0), index = weft_tuple(&zero, 1);
    weft_proxy *outer = weft_proxy_new(client->remote, "list", weft_in(20)), *inner = NULL;
    weft_value value = outer ? weft_proxy_value(client->words, "dict") : weft_none, arguments = weft_tuple(&value, 1);
    if (outer && weft_proxy_call(outer, "append", NULL, weft_in(20), .arguments = arguments) == 0)
        weft_proxy_call(outer, "__getitem__", &result, weft_in(20), .arguments = index, .proxy = &inner);
    if (inner)
        ck_assert_str_eq(weft_proxy_ident(inner), weft_proxy_ident(client->words));
    weft_drop(result), weft_drop(index), weft_drop(arguments);
    weft_proxy_free(inner), weft_proxy_free(outer);
}

static bool client_begin(struct client *client)
{
    client->remote = weft_manager_connect(address, weft_in(20), .key = KEY, .key_length = 6, .reconnect = WEFT_RECONNECT_UNSENT);
    if (!client->remote)
        return false;
    client->words = weft_proxy_new(client->remote, "words", weft_in(20));
    client->jobs = weft_proxy_new(client->remote, "jobs", weft_in(20));
    client->lock = weft_proxy_new(client->remote, "lock", weft_in(20));
    client->queue = client->jobs ? weft_queue_of_proxy(client->jobs) : NULL;
    client->name = __atomic_add_fetch(&common->number, 1, __ATOMIC_RELAXED);
    return client->words && client->lock && client->queue;
}

static void client_end(struct client *client)
{
    weft_queue_free(client->queue);
    weft_proxy_free(client->words), weft_proxy_free(client->jobs), weft_proxy_free(client->lock);
    weft_remote_free(client->remote);
}

static weft_value client_run(weft_value seed)
{
    static void (*const does[])(struct client *) = {adds, puts_one, puts_one, gets_one, selects_one, locks, nests};
    struct client client = {.state = (uint32_t)weft_as_int(seed)};
    if (client_begin(&client))
        while (!over())
            does[random_next(&client.state) % (sizeof(does) / sizeof(*does))](&client);
    client_end(&client);
    return weft_none;
}

/* A thread with some clients, one of them itself; all are cancelled with it. */
static weft_value clients_run(weft_value seed)
{
    weft_group *group = weft_group_new();
    for (int i = 0; i < 3; i++)
        ck_assert_int_eq(weft_group_spawn(group, WEFT_COROUTINE, client_run, weft_int(weft_as_int(seed) * 10 + i)), 0);
    client_run(seed);
    weft_group_cancel(group);
    weft_shield weft_group_free(group);
    return weft_none;
}

/* A process of its own, with one thread: has client processes, and kills them. It begins before there are threads. */
static void killer_run(void)
{
    uint32_t state = 99;
    pid_t children[PROCESSES] = {0};
    for (int i = 0; !__atomic_load_n(&common->over, __ATOMIC_ACQUIRE); i = (i + 1) % PROCESSES) {
        if (children[i] > 0) {
            kill(children[i], SIGKILL);
            waitpid(children[i], NULL, 0);
        }
        children[i] = fork();
        if (children[i] == 0) {
            client_run(weft_int(random_next(&state)));
            fixture_leave(0);
        }
        usleep(random_next(&state) % 40000);
    }
    for (int i = 0; i < PROCESSES; i++)
        if (children[i] > 0 && kill(children[i], SIGKILL) == 0)
            waitpid(children[i], NULL, 0);
    fixture_leave(0);
}

static void all_is_in_order(weft_remote *remote)
{
    weft_proxy *words = proxy_of(remote, "words"), *lock = proxy_of(remote, "lock");
    weft_value count = call(words, "get", two(weft_str("n"), weft_int(0)));
    ck_assert_int_ge(weft_as_int(count), common->counted);
    ck_assert_int_le(weft_as_int(count), common->asked);
    ck_assert_uint_gt(common->counted, 0);
    repr_is(call(lock, "acquire", two(weft_bool(true), weft_float(20))), "True"); /* the dead have given it back */
    repr_is(call(lock, "release", weft_none), "None");
    weft_proxy_free(words), weft_proxy_free(lock);
}

START_TEST(clients_of_all_kinds_come_and_go)
{
    need_digests();
    snprintf(address, sizeof(address), "unix:%s/socket", fixture_folder());
    common = mmap(NULL, sizeof(*common), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    pid_t killer = fork();
    if (killer == 0)
        killer_run();
    weft_queue *jobs = weft_queue_new(.capacity = 20);
    weft_manager *manager = manager_at(address, 2);
    ck_assert_int_eq(weft_manager_register(manager, "words", .standard = "dict", .single = true), 0);
    ck_assert_int_eq(weft_manager_register(manager, "lock", .standard = "RLock", .single = true), 0);
    ck_assert_int_eq(weft_manager_register(manager, "jobs", .queue = jobs), 0);
    weft_task *task = weft_spawn(WEFT_THREAD, serve, weft_ptr(manager)), *clients[3];
    weft_remote *remote = remote_at(address);
    for (int i = 0; i < 3; i++)
        clients[i] = weft_spawn(WEFT_THREAD, clients_run, weft_int(i));
    uint32_t state = 7;
    for (weft_time end = weft_in(SECONDS); weft_clock() < end;) {
        uint32_t which = random_next(&state) % 3;
        weft_sleep(0.001 * (random_next(&state) % 30));
        weft_task_cancel(clients[which]);
        ck_assert_int_eq(weft_task_join(clients[which], weft_in(60)), 0);
        weft_task_free(clients[which]);
        clients[which] = weft_spawn(WEFT_THREAD, clients_run, weft_int(random_next(&state)));
    }
    __atomic_store_n(&common->over, 1, __ATOMIC_RELEASE);
    for (int i = 0; i < 3; i++) {
        ck_assert_int_eq(weft_task_join(clients[i], weft_in(60)), 0);
        weft_task_free(clients[i]);
    }
    int status;
    ck_assert_int_eq(waitpid(killer, &status, 0), killer);
    ck_assert_int_eq(status, 0);
    all_is_in_order(remote);
    weft_remote_free(remote);
    serve_end(manager, task);
    weft_manager_free(manager);
    weft_queue_free(jobs);
    munmap(common, sizeof(*common));
}
END_TEST

static void add(TCase *tests)
{
    tcase_add_test(tests, clients_of_all_kinds_come_and_go);
}

int main(void)
{
    return fixture_main("manager", add);
}
