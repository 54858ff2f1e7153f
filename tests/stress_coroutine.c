/* SPDX-License-Identifier: MIT */
/*
 * Coroutines of four threads, or of four processes, exchange values through a few queues, with deadlines that pass and tasks that are
 * cancelled at random. A wake that is lost leaves somebody asleep for ever, and the test in its time limit; each value is counted where it
 * is put and where it is got, so that one that is lost or doubled shows. WEFT_STRESS_COROUTINES=n takes n coroutines instead of some
 * thousands. Joins are one more such meeting; and so are objects in shared memory, whose owners are killed.
 */
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "family_root.h"
#include "wait/context.h"

enum { THREADS = 4, QUEUES = 6, VALUES = 20 };

/* What they have in common; in shared memory for processes. */
struct market {
    weft_queue *queues[QUEUES];
    uint64_t cancelled; /* waits */
    uint8_t *put, *got; /* of each value: how often */
    uint32_t begun, arrived;
    int coroutines;
};
static struct market *market;

static unsigned next_random(uint64_t *state)
{
    *state = *state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return (unsigned)(*state >> 33);
}

static weft_time some_deadline(uint64_t *state)
{
    switch (next_random(state) % 8) {
    case 0:
        return WEFT_NOW;
    case 1:
    case 2:
        return weft_in(1e-6 * (next_random(state) % 300));
    default:
        return WEFT_FOREVER;
    }
}

/* A wait was cancelled, which cannot be undone from outside: it is, so that the next may be. */
static void go_on_cancelled(void)
{
    wefti_context_uncancel(wefti_context_current());
    __atomic_add_fetch(&market->cancelled, 1, __ATOMIC_RELAXED);
}

/* Alone, or by a select over two queues. */
static int put_one(int64_t number, uint64_t *state)
{
    weft_queue *queue = market->queues[next_random(state) % QUEUES], *other = market->queues[next_random(state) % QUEUES];
    weft_value value = weft_int(number);
    if (next_random(state) % 4)
        return weft_queue_put(queue, value, some_deadline(state));
    weft_case cases[] = {weft_case_put(queue, &value), weft_case_put(other, &value)};
    int done = weft_select(cases, 2, some_deadline(state));
    MUST(done < 0 || cases[done].error == 0);
    return done < 0 ? -1 : 0;
}

/* Puts its values, each until it is there, or it is cancelled and gives that value up. */
static weft_value produce(weft_value own)
{
    uint64_t state = (uint64_t)weft_as_int(own) * 2 + 1;
    for (int64_t number = weft_as_int(own) * VALUES, last = number + VALUES; number < last; number++) {
        int put;
        while ((put = put_one(number, &state)) != 0 && errno != ECANCELED) {
            MUST(errno == EAGAIN || errno == ETIMEDOUT);
            weft_yield();
        }
        if (put == 0)
            __atomic_add_fetch(&market->put[number], 1, __ATOMIC_RELAXED);
        else
            go_on_cancelled();
    }
    return weft_none;
}

/* -1 with errno of the wait, or of the case. */
static int get_one(weft_queue *queue, weft_value *value, uint64_t *state)
{
    if (next_random(state) % 4)
        return weft_queue_get(queue, value, some_deadline(state));
    weft_case cases[] = {weft_case_get(queue, value), weft_case_time(weft_in(1e-6 * (next_random(state) % 200)))};
    int done = weft_select(cases, 2, WEFT_FOREVER);
    if (done >= 0)
        errno = done == 1 ? ETIMEDOUT : cases[0].error;
    return done == 0 && cases[0].error == 0 ? 0 : -1;
}

/* Gets from one queue, until that is closed and empty. */
static weft_value consume(weft_value own)
{
    uint64_t state = (uint64_t)weft_as_int(own) * 2 + 2;
    weft_queue *queue = market->queues[(uint64_t)weft_as_int(own) % QUEUES];
    for (;;) {
        weft_value value = weft_none;
        if (get_one(queue, &value, &state) == 0) {
            __atomic_add_fetch(&market->got[weft_as_int(value)], 1, __ATOMIC_RELAXED);
            continue;
        }
        if (errno == EPIPE)
            return weft_none;
        MUST(errno == EAGAIN || errno == ETIMEDOUT || errno == ECANCELED);
        if (errno == ECANCELED)
            go_on_cancelled();
        weft_yield();
    }
}

static weft_value spread(weft_value where)
{
    if (!market) /* in a process of its own */
        market = weft_as_ptr(where);
    int number = (int)__atomic_fetch_add(&market->begun, 1, __ATOMIC_RELAXED), share = market->coroutines / THREADS;
    weft_task **tasks = calloc((size_t)share, sizeof(*tasks));
    uint64_t state = (uint64_t)number + 77;
    for (int i = 0; i < share; i++) /* those who put, and those who get, of all threads are numbered from 0 on */
        MUST(tasks[i] = weft_spawn(WEFT_COROUTINE, i % 2 ? produce : consume, weft_int((int64_t)number * (share / 2) + i / 2)));
    for (int i = 0; i < share / 4; i++) {
        weft_task_cancel(tasks[next_random(&state) % (unsigned)share]);
        weft_sleep(1e-6 * (next_random(&state) % 20));
    }
    for (int i = 1; i < share; i += 2)
        ck_assert_int_eq(weft_task_join(tasks[i], WEFT_FOREVER), 0);
    if (__atomic_add_fetch(&market->arrived, 1, __ATOMIC_ACQ_REL) == THREADS)
        for (int i = 0; i < QUEUES; i++)
            weft_queue_close(market->queues[i]);
    for (int i = 0; i < share; i++) {
        ck_assert_int_eq(weft_task_join(tasks[i], WEFT_FOREVER), 0);
        weft_task_free(tasks[i]);
    }
    free(tasks);
    return weft_none;
}

/* As many as the environment asks for, or so many: a multiple of twice the threads, and of the queues, that each may have one who gets. */
static int wanted(int otherwise)
{
    const char *asked = getenv("WEFT_STRESS_COROUTINES");
    int unit = 2 * THREADS * QUEUES, count = asked ? atoi(asked) : otherwise;
    return (count + unit - 1) / unit * unit;
}

/* Opens the market, lets tasks of a kind trade there, and looks at the sums. */
static void trade(enum weft_task_kind kind, struct market *where)
{
    weft_task *tasks[THREADS];
    for (int i = 0; i < THREADS; i++)
        MUST(tasks[i] = weft_spawn(kind, spread, weft_ptr(where)));
    for (int i = 0; i < THREADS; i++) {
        weft_value result;
        MUST(weft_task_result(tasks[i], &result, WEFT_FOREVER) == 0);
        if (weft_is_error(result))
            fprintf(stderr, "%s\n", weft_error_text(result));
        MUST(!weft_is_error(result));
        weft_drop(result);
        weft_task_free(tasks[i]);
    }
    int64_t lost = 0, doubled = 0, invented = 0, all = 0;
    for (int64_t i = 0; i < (int64_t)where->coroutines / 2 * VALUES; i++) {
        all += where->put[i];
        lost += where->put[i] > where->got[i];
        doubled += where->got[i] > 1;
        invented += where->got[i] > where->put[i];
    }
    if (lost || doubled || invented)
        fprintf(stderr, "of %lld values %lld are lost, %lld were got twice, %lld though they were not put\n", (long long)all,
            (long long)lost, (long long)doubled, (long long)invented);
    MUST(all > 0 && lost == 0 && doubled == 0 && invented == 0);
    MUST(where->cancelled > 0);
    for (int i = 0; i < QUEUES; i++)
        weft_queue_free(where->queues[i]);
}

/* Queues of several kinds. */
static void market_open(struct market *place, bool shared)
{
    MUST(place->put && place->got);
    for (int i = 0; i < QUEUES; i++)
        MUST(place->queues[i] = weft_queue_new(.capacity = i == 0 ? WEFT_RENDEZVOUS : (size_t)1 << i,
                 .order = i == QUEUES - 1 ? WEFT_LIFO : WEFT_FIFO, .shared = shared));
}

START_TEST(nothing_is_lost_between_threads)
{
    static struct market place;
    place.coroutines = wanted(FIXTURE_TSAN ? 600 : 4000);
    place.put = calloc((size_t)place.coroutines / 2, VALUES);
    place.got = calloc((size_t)place.coroutines / 2, VALUES);
    market = &place;
    market_open(&place, false);
    trade(WEFT_THREAD, &place);
    free(place.put);
    free(place.got);
}
END_TEST

static void root_of_traders(void)
{
    MUST(weft_shared_limit((size_t)1 << 30) == 0); /* each coroutine has a life there */
    struct market *place = weft_shared_new(struct market);
    MUST(place);
    place->coroutines = wanted(2000);
    place->put = weft_shared_alloc((size_t)place->coroutines / 2 * VALUES);
    place->got = weft_shared_alloc((size_t)place->coroutines / 2 * VALUES);
    market_open(place, true);
    trade(WEFT_PROCESS, place);
}

START_TEST(nothing_is_lost_between_processes)
{
    root_runs(root_of_traders);
}
END_TEST

/* Two threads, whose coroutines wait for words and for a pipe at once: both ways to wake a hub in one. */
enum { ROUNDS = 3000, PAIRS = 8 };

struct pair {
    uint32_t ball; /* odd: the first thread's turn */
    int pipes[2];
    uint32_t rounds;
};

static weft_value play(weft_value data)
{
    struct pair *pair = weft_as_ptr(data);
    uint32_t mine = weft_current() != NULL && weft_task_name(weft_current())[0] == 'O';
    uint64_t state = mine + 3;
    for (uint32_t ball; (ball = __atomic_load_n(&pair->ball, __ATOMIC_ACQUIRE)) < ROUNDS;) {
        if (ball % 2 == mine) {
            __atomic_store_n(&pair->ball, ball + 1, __ATOMIC_RELEASE);
            weft_wake(&pair->ball, UINT32_MAX);
        } else if (next_random(&state) % 2) {
            weft_wait(&pair->ball, ball, WEFT_FOREVER);
        } else { /* nobody writes to the pipe: only its being waited for makes the hub sleep in epoll */
            short seen;
            weft_event never = {0};
            weft_case cases[] = {weft_case_descriptor(pair->pipes[0], POLLIN, &seen), weft_case_event(&never)};
            weft_select(cases, 2, weft_in(1e-6 * (next_random(&state) % 100)));
        }
    }
    return weft_none;
}

static weft_value play_all(weft_value data)
{
    struct pair *pairs = weft_as_ptr(data);
    const char *name = weft_task_name(weft_current());
    weft_task *tasks[PAIRS];
    for (int i = 0; i < PAIRS; i++)
        tasks[i] = weft_spawn(WEFT_COROUTINE, play, weft_ptr(&pairs[i]), .name = name);
    for (int i = 0; i < PAIRS; i++) {
        ck_assert_int_eq(weft_task_join(tasks[i], WEFT_FOREVER), 0);
        weft_task_free(tasks[i]);
    }
    return weft_none;
}

START_TEST(hubs_wake_each_other)
{
    struct pair pairs[PAIRS] = {{0}};
    for (int i = 0; i < PAIRS; i++)
        ck_assert_int_eq(pipe(pairs[i].pipes), 0);
    weft_task *one = weft_spawn(WEFT_THREAD, play_all, weft_ptr(pairs), .name = "One");
    weft_task *other = weft_spawn(WEFT_THREAD, play_all, weft_ptr(pairs), .name = "other");
    weft_task_join(one, WEFT_FOREVER);
    weft_task_join(other, WEFT_FOREVER);
    weft_task_free(one);
    weft_task_free(other);
    for (int i = 0; i < PAIRS; i++) {
        close(pairs[i].pipes[0]);
        close(pairs[i].pipes[1]);
    }
}
END_TEST

/* Coroutines of three threads join each other's with deadlines, and are cancelled at random. Who waits for ever waits for one that was
 * begun before. */
enum { CROWDS = 3, EACH = 60, JOINS = 8 };

struct crowd {
    weft_task *tasks[CROWDS * EACH]; /* those of thread t are number % CROWDS == t */
    uint32_t joined;
};

static struct crowd crowd;

static weft_value mingle(weft_value own)
{
    int64_t number = weft_as_int(own);
    uint64_t state = (uint64_t)number + 5;
    for (int i = 0; i < JOINS; i++) {
        weft_task *task = number > 0 ? __atomic_load_n(&crowd.tasks[next_random(&state) % number], __ATOMIC_ACQUIRE) : NULL;
        if (task && weft_task_join(task, some_deadline(&state)) == 0) {
            ck_assert_int_eq(weft_task_state_of(task), WEFT_STOPPED);
            __atomic_add_fetch(&crowd.joined, 1, __ATOMIC_RELAXED);
        } else if (task && errno == ECANCELED) {
            return weft_error(ECANCELED, NULL);
        }
        if (next_random(&state) % 4 == 0)
            weft_sleep(1e-6 * (next_random(&state) % 100));
        else
            weft_yield();
    }
    return own;
}

static weft_value gather(weft_value number)
{
    int64_t own = weft_as_int(number);
    uint64_t state = (uint64_t)own + 9;
    for (int i = 0; i < EACH; i++) {
        weft_task *task = weft_spawn(WEFT_COROUTINE, mingle, weft_int(i * CROWDS + own));
        MUST(task);
        __atomic_store_n(&crowd.tasks[i * CROWDS + own], task, __ATOMIC_RELEASE);
        if (next_random(&state) % 4 == 0)
            weft_yield();
    }
    for (int i = 0; i < EACH / 4; i++) {
        weft_task_cancel(crowd.tasks[(next_random(&state) % EACH) * CROWDS + (unsigned)own]);
        weft_sleep(1e-6 * (next_random(&state) % 30));
    }
    for (int i = EACH - 1; i >= 0; i--)
        MUST(weft_task_join(crowd.tasks[i * CROWDS + own], WEFT_FOREVER) == 0);
    return weft_none;
}

START_TEST(joins_end_in_every_way)
{
    for (int round = 0; round < (FIXTURE_TSAN ? 3 : 20); round++) {
        weft_task *threads[CROWDS];
        memset(&crowd, 0, sizeof(crowd));
        for (int i = 0; i < CROWDS; i++)
            MUST(threads[i] = weft_spawn(WEFT_THREAD, gather, weft_int(i)));
        for (int i = 0; i < CROWDS; i++) {
            MUST(weft_task_join(threads[i], WEFT_FOREVER) == 0);
            weft_task_free(threads[i]);
        }
        for (int i = 0; i < CROWDS * EACH; i++) {
            MUST(weft_task_state_of(crowd.tasks[i]) == WEFT_STOPPED);
            weft_task_free(crowd.tasks[i]);
        }
        ck_assert_uint_gt(crowd.joined, 0);
    }
}
END_TEST

/* Objects in shared memory that a coroutine of one process has and coroutines of another wait for, on two hubs there; then it is killed. */
enum object { LOCK, RLOCK, READ, WRITE, PERMIT, BARRIER, CONDITION, EVENT, OBJECTS };

struct bench {
    weft_lock lock, guard;
    weft_rlock rlock;
    weft_rwlock rwlock;
    weft_semaphore permits;
    weft_barrier barrier;
    weft_condition condition;
    weft_event event;
    enum object object;
    uint32_t held, ready, over, had, told; /* told: those to whom the object said that its owner died */
    bool known;
    uint32_t ticks[2];
};
static struct bench *bench;

/* Until somebody is told of the death, who tells the others. */
static int wait_with_guard(weft_time deadline)
{
    int waited = weft_lock_acquire(&bench->guard, WEFT_FOREVER);
    if (waited < 0)
        return -1;
    while (waited == 0 && !bench->known)
        waited = weft_condition_wait(&bench->condition, &bench->guard, deadline);
    int error = errno;
    bench->known |= waited == 1;
    if (waited == 1)
        weft_condition_notify_all(&bench->condition);
    MUST(weft_lock_repaired(&bench->guard) == 0 && weft_lock_release(&bench->guard) == 0);
    errno = error;
    return waited;
}

static int object_wait(weft_time deadline)
{
    switch (bench->object) {
    case LOCK:
        return weft_lock_acquire(&bench->lock, deadline);
    case RLOCK:
        return weft_rlock_acquire(&bench->rlock, deadline);
    case READ:
        return weft_rwlock_acquire_read(&bench->rwlock, deadline);
    case WRITE:
        return weft_rwlock_acquire_write(&bench->rwlock, deadline);
    case PERMIT:
        return weft_semaphore_acquire(&bench->permits, deadline);
    case BARRIER:
        return weft_barrier_wait(&bench->barrier, deadline);
    case CONDITION:
        return wait_with_guard(deadline);
    default:
        return weft_event_wait(&bench->event, deadline);
    }
}

static int object_give(void)
{
    switch (bench->object) {
    case LOCK:
        return weft_lock_repaired(&bench->lock) | weft_lock_release(&bench->lock);
    case RLOCK:
        return weft_rlock_repaired(&bench->rlock) | weft_rlock_release(&bench->rlock);
    case READ:
        return weft_rwlock_release_read(&bench->rwlock);
    case WRITE:
        return weft_rwlock_release_write(&bench->rwlock);
    case PERMIT:
        return weft_semaphore_release(&bench->permits, 1);
    default:
        return 0;
    }
}

/* What keeps the others waiting: of who reads one that writes, of who writes one that reads. */
static int object_hold(void)
{
    switch (bench->object) {
    case READ:
        return weft_rwlock_acquire_write(&bench->rwlock, WEFT_FOREVER);
    case WRITE:
        return weft_rwlock_acquire_read(&bench->rwlock, WEFT_FOREVER);
    case CONDITION:
        return weft_lock_acquire(&bench->guard, WEFT_FOREVER);
    case EVENT:
        return 0;
    default:
        return object_wait(WEFT_FOREVER);
    }
}

static void rise(uint32_t *word)
{
    __atomic_add_fetch(word, 1, __ATOMIC_RELEASE);
    weft_wake(word, UINT32_MAX);
}

static weft_value holds_and_dies(weft_value none)
{
    if (bench->object == BARRIER) /* it waits inside */
        rise(&bench->held);
    MUST(object_hold() == 0);
    rise(&bench->held);
    weft_sleep(1000);
    return none;
}

static weft_value holder_process(weft_value where)
{
    bench = weft_as_ptr(where);
    weft_task *task = weft_spawn(WEFT_COROUTINE, holds_and_dies, weft_none);
    weft_task_join(task, WEFT_FOREVER);
    return weft_none;
}

static weft_value ticks(weft_value number)
{
    while (!__atomic_load_n(&bench->over, __ATOMIC_ACQUIRE)) {
        weft_sleep(0.0005);
        __atomic_add_fetch(&bench->ticks[weft_as_int(number)], 1, __ATOMIC_RELEASE);
    }
    return weft_none;
}

static weft_value waits_long(weft_value none)
{
    int had = object_wait(WEFT_FOREVER);
    if (bench->object == BARRIER)
        MUST(had == -1 && errno == EPIPE);
    else
        MUST(had >= 0);
    if (had == 1)
        __atomic_add_fetch(&bench->told, 1, __ATOMIC_RELAXED);
    rise(&bench->had);
    if (had >= 0)
        MUST(object_give() == 0);
    return none;
}

static weft_value waits_in_vain(weft_value seconds)
{
    int waited = object_wait(weft_as_float(seconds) > 0 ? weft_in(weft_as_float(seconds)) : WEFT_FOREVER);
    MUST(waited == -1 && errno == (weft_as_float(seconds) > 0 ? ETIMEDOUT : ECANCELED));
    return weft_none;
}

static void ends_well(weft_task *task)
{
    weft_value result;
    MUST(task && weft_task_result(task, &result, WEFT_FOREVER) == 0 && !weft_is_error(result));
    weft_drop(result);
    weft_task_free(task);
}

/* Who leaves a barrier breaks it for the others. */
static void some_leave(void)
{
    if (bench->object == BARRIER)
        return;
    weft_task *late = weft_spawn(WEFT_COROUTINE, waits_in_vain, weft_float(0.003));
    weft_task *cancelled = weft_spawn(WEFT_COROUTINE, waits_in_vain, weft_float(0));
    ends_well(late);
    weft_task_cancel(cancelled);
    ends_well(cancelled);
}

static weft_value waiting_hub(weft_value number)
{
    weft_task *ticking = weft_spawn(WEFT_COROUTINE, ticks, number), *waiting[3];
    for (int i = 0; i < 3; i++)
        waiting[i] = weft_spawn(WEFT_COROUTINE, waits_long, weft_none);
    some_leave();
    rise(&bench->ready);
    waits_long(weft_none); /* what the thread does itself */
    for (int i = 0; i < 3; i++)
        ends_well(waiting[i]);
    while (!__atomic_load_n(&bench->over, __ATOMIC_ACQUIRE))
        MUST(weft_wait(&bench->over, 0, WEFT_FOREVER) == 0);
    ends_well(ticking);
    return weft_none;
}

static weft_value waiting_process(weft_value where)
{
    bench = weft_as_ptr(where);
    weft_task *thread = weft_spawn(WEFT_THREAD, waiting_hub, weft_int(1));
    waiting_hub(weft_int(0));
    ends_well(thread);
    return weft_none;
}

static enum object bench_object;

static void root_of_a_held_object(void)
{
    MUST((bench = weft_shared_new(struct bench)));
    bench->object = bench_object;
    bench->permits = (weft_semaphore)WEFT_SEMAPHORE(1);
    bench->barrier = (weft_barrier)WEFT_BARRIER(100);
    weft_task *holder = NULL, *waiting = NULL;
    if (bench_object != CONDITION) { /* it would keep those who leave from coming out */
        MUST((holder = weft_spawn(WEFT_PROCESS, holder_process, weft_ptr(bench))));
        MUST(root_until(&bench->held, 1));
    }
    MUST((waiting = weft_spawn(WEFT_PROCESS, waiting_process, weft_ptr(bench))) && root_until(&bench->ready, 2));
    for (int i = 0; i < 2; i++)
        MUST(root_until(&bench->ticks[i], __atomic_load_n(&bench->ticks[i], __ATOMIC_ACQUIRE) + 5));
    if (!holder)
        MUST((holder = weft_spawn(WEFT_PROCESS, holder_process, weft_ptr(bench))) && root_until(&bench->held, 1));
    for (int i = 0; i < 2; i++) /* none of its hubs is kept by who waits there */
        MUST(root_until(&bench->ticks[i], __atomic_load_n(&bench->ticks[i], __ATOMIC_ACQUIRE) + 5));
    MUST(__atomic_load_n(&bench->had, __ATOMIC_ACQUIRE) == 0);
    MUST(weft_task_kill(holder) == 0 && weft_task_join(holder, WEFT_FOREVER) == 0);
    if (bench_object == EVENT)
        weft_event_set(&bench->event);
    MUST(root_until(&bench->had, 8));
    for (int i = 0; i < 2; i++)
        MUST(root_until(&bench->ticks[i], __atomic_load_n(&bench->ticks[i], __ATOMIC_ACQUIRE) + 5));
    rise(&bench->over);
    ends_well(waiting);
    bool tells = bench_object == LOCK || bench_object == RLOCK || bench_object == CONDITION;
    MUST(bench_object == READ ? bench->told == 8 : bench->told == tells); /* only who writes can say that it is repaired */
    weft_task_free(holder);
}

START_TEST(a_killed_owner_keeps_nobody_waiting)
{
    for (bench_object = 0; bench_object < OBJECTS; bench_object++)
        root_runs(root_of_a_held_object);
}
END_TEST

/*
 * The coroutines of three processes, two hubs in each, use all of that at once, with deadlines and cancels, while one process after the
 * other is killed. What an object guards is looked at; everybody goes on, and every hub ticks.
 */
enum { FAIR = 3, HUBS = 2, CUSTOMERS = 8, PERMITS = 3, BIRTHS = 4096, ROOM = 4 };

struct fair {
    struct bench objects;
    int64_t guarded[3][2];     /* alike, but in the midst of a change: of lock, rlock, rwlock */
    uint32_t holders[PERMITS]; /* births of those inside */
    uint32_t dead[BIRTHS];     /* is about to be killed */
    uint32_t steps[FAIR][HUBS], ticks[FAIR][HUBS];
    uint32_t stock, over;
};
static struct fair *fair;
static uint32_t own_birth, own_place;

struct customer {
    uint64_t state;
    uint32_t *steps;
};

/* 0: refused, for a reason there was; else the call has come through. */
static bool came_through(int result, weft_time deadline)
{
    if (result >= 0)
        return true;
    if (errno == ECANCELED)
        wefti_context_uncancel(wefti_context_current());
    else
        MUST((errno == EAGAIN && deadline == WEFT_NOW) || (errno == ETIMEDOUT && deadline != WEFT_FOREVER));
    return false;
}

/* In the midst of it others may run, and the process may die. */
static void guarded_change(int which, uint64_t *state)
{
    int64_t *pair = fair->guarded[which];
    MUST(pair[0] == pair[1]);
    pair[0]++;
    if (next_random(state) % 8 == 0)
        weft_yield();
    pair[1]++;
}

static void guarded_repair(int which, int had)
{
    if (had == 1)
        fair->guarded[which][1] = fair->guarded[which][0];
    else
        MUST(fair->guarded[which][0] == fair->guarded[which][1]);
}

static void lock_step(struct customer *customer)
{
    weft_time deadline = some_deadline(&customer->state);
    int had = weft_lock_acquire(&fair->objects.lock, deadline);
    if (!came_through(had, deadline))
        return;
    guarded_repair(0, had);
    guarded_change(0, &customer->state);
    MUST(weft_lock_repaired(&fair->objects.lock) == 0 && weft_lock_release(&fair->objects.lock) == 0);
}

static void rlock_step(struct customer *customer)
{
    weft_time deadline = some_deadline(&customer->state);
    int had = weft_rlock_acquire(&fair->objects.rlock, deadline);
    if (!came_through(had, deadline))
        return;
    guarded_repair(1, had);
    MUST(weft_rlock_repaired(&fair->objects.rlock) == 0 && weft_rlock_acquire(&fair->objects.rlock, WEFT_NOW) == 0);
    guarded_change(1, &customer->state);
    MUST(weft_rlock_release(&fair->objects.rlock) == 0 && weft_rlock_release(&fair->objects.rlock) == 0);
}

static void write_step(struct customer *customer)
{
    weft_time deadline = some_deadline(&customer->state);
    int had = weft_rwlock_acquire_write(&fair->objects.rwlock, deadline);
    if (!came_through(had, deadline))
        return;
    guarded_repair(2, had);
    guarded_change(2, &customer->state);
    MUST(weft_rwlock_repaired(&fair->objects.rwlock) == 0 && weft_rwlock_release_write(&fair->objects.rwlock) == 0);
}

static void read_step(struct customer *customer)
{
    weft_time deadline = some_deadline(&customer->state);
    int had = weft_rwlock_acquire_read(&fair->objects.rwlock, deadline);
    if (!came_through(had, deadline))
        return;
    for (int i = 0; i < 2; i++) {
        MUST(had == 1 || fair->guarded[2][0] == fair->guarded[2][1]);
        if (next_random(&customer->state) % 8 == 0)
            weft_yield();
    }
    MUST(weft_rwlock_release_read(&fair->objects.rwlock) == 0);
}

/* A place among those inside, which there is for each permit; the dead need theirs no more. NULL: this process is to die, and
 * was robbed. */
static uint32_t *holders_enter(void)
{
    for (weft_time late = weft_in(20); weft_clock() < late;)
        for (int i = 0; i < PERMITS; i++) {
            uint32_t there = __atomic_load_n(&fair->holders[i], __ATOMIC_ACQUIRE);
            bool free = there == 0 || __atomic_load_n(&fair->dead[there], __ATOMIC_ACQUIRE);
            if (free && __atomic_compare_exchange_n(&fair->holders[i], &there, own_birth, false, __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE))
                return &fair->holders[i];
            if (__atomic_load_n(&fair->dead[own_birth], __ATOMIC_ACQUIRE))
                return NULL;
        }
    MUST(false);
    return NULL;
}

static void permit_step(struct customer *customer)
{
    weft_time deadline = some_deadline(&customer->state);
    if (!came_through(weft_semaphore_acquire(&fair->objects.permits, deadline), deadline))
        return;
    uint32_t *holder = holders_enter(), mine = own_birth;
    if (next_random(&customer->state) % 8 == 0)
        weft_yield();
    if (holder)
        __atomic_compare_exchange_n(holder, &mine, 0, false, __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE);
    MUST(weft_semaphore_release(&fair->objects.permits, 1) == 0);
}

static bool has_room(void *data)
{
    return *(uint32_t *)data < ROOM;
}

static bool has_some(void *data)
{
    return *(uint32_t *)data > 0;
}

static void condition_step(struct customer *customer)
{
    bool puts = next_random(&customer->state) % 2;
    weft_time deadline = weft_in(1e-6 * (next_random(&customer->state) % 500));
    if (!came_through(weft_lock_acquire(&fair->objects.guard, WEFT_FOREVER), WEFT_FOREVER))
        return;
    int waited =
        weft_condition_wait_for(&fair->objects.condition, &fair->objects.guard, puts ? has_room : has_some, &fair->stock, deadline);
    if (came_through(waited, deadline) && waited == 0) /* 1: somebody died, and the predicate may not hold */
        fair->stock += puts ? 1 : UINT32_MAX;
    MUST(fair->stock <= ROOM);
    weft_condition_notify_all(&fair->objects.condition);
    MUST(weft_lock_repaired(&fair->objects.guard) == 0 && weft_lock_release(&fair->objects.guard) == 0);
}

static void barrier_step(struct customer *customer)
{
    weft_time deadline = weft_in(1e-6 * (next_random(&customer->state) % 1000));
    int met = weft_barrier_wait(&fair->objects.barrier, deadline);
    if (met < 0 && errno == EPIPE)
        weft_barrier_reset(&fair->objects.barrier);
    else
        MUST(!came_through(met, deadline) || met < 2);
}

static void event_step(struct customer *customer)
{
    weft_time deadline = some_deadline(&customer->state);
    came_through(weft_event_wait(&fair->objects.event, deadline), deadline);
}

static weft_value shops(weft_value pointer)
{
    static void (*const ways[])(struct customer * customer) = {
        lock_step, rlock_step, write_step, read_step, permit_step, condition_step, barrier_step, event_step};
    struct customer *customer = weft_as_ptr(pointer);
    while (!__atomic_load_n(&fair->over, __ATOMIC_ACQUIRE)) {
        ways[next_random(&customer->state) % (sizeof(ways) / sizeof(*ways))](customer);
        __atomic_add_fetch(customer->steps, 1, __ATOMIC_RELAXED);
        weft_yield();
    }
    return weft_none;
}

static weft_value ticks_at_the_fair(weft_value hub)
{
    while (!__atomic_load_n(&fair->over, __ATOMIC_ACQUIRE)) {
        weft_sleep(0.0005);
        __atomic_add_fetch(&fair->ticks[own_place][weft_as_int(hub)], 1, __ATOMIC_RELEASE);
    }
    return weft_none;
}

static weft_value hub_at_the_fair(weft_value hub)
{
    weft_task *tasks[CUSTOMERS], *ticking = weft_spawn(WEFT_COROUTINE, ticks_at_the_fair, hub);
    struct customer customers[CUSTOMERS];
    uint64_t state = own_birth * 2 + (uint64_t)weft_as_int(hub);
    for (int i = 0; i < CUSTOMERS; i++) {
        customers[i] = (struct customer){.state = state * 100 + (uint64_t)i, .steps = &fair->steps[own_place][weft_as_int(hub)]};
        MUST(tasks[i] = weft_spawn(WEFT_COROUTINE, shops, weft_ptr(&customers[i])));
    }
    while (!__atomic_load_n(&fair->over, __ATOMIC_ACQUIRE)) {
        weft_task_cancel(tasks[next_random(&state) % CUSTOMERS]);
        weft_sleep(1e-6 * (next_random(&state) % 500));
    }
    for (int i = 0; i < CUSTOMERS; i++)
        ends_well(tasks[i]);
    ends_well(ticking);
    return weft_none;
}

static weft_value process_at_the_fair(weft_value number)
{
    own_birth = (uint32_t)weft_as_int(number) / FAIR;
    own_place = (uint32_t)weft_as_int(number) % FAIR;
    weft_task *thread = weft_spawn(WEFT_THREAD, hub_at_the_fair, weft_int(1));
    hub_at_the_fair(weft_int(0));
    ends_well(thread);
    return weft_none;
}

/* Ends the test when it takes too long, or one has ended by itself: with what that one found. */
static void not_ended(weft_task *const *processes, weft_time late)
{
    for (int i = 0; i < FAIR; i++)
        if (!weft_task_is_alive(processes[i])) {
            fprintf(stderr, "a process has ended: %d\n", weft_task_exitcode(processes[i]));
            MUST(false);
        }
    MUST(weft_clock() < late);
}

/* Each hub of the living has gone on since: `steps` of its own, and it ticks. */
static void all_go_on(weft_task *const *processes)
{
    for (int i = 0; i < FAIR; i++)
        for (int j = 0; j < HUBS; j++) {
            uint32_t steps = __atomic_load_n(&fair->steps[i][j], __ATOMIC_RELAXED),
                     now = __atomic_load_n(&fair->ticks[i][j], __ATOMIC_RELAXED);
            for (weft_time late = weft_in(20); __atomic_load_n(&fair->steps[i][j], __ATOMIC_RELAXED) < steps + 20;) {
                weft_event_set(&fair->objects.event);
                weft_event_clear(&fair->objects.event);
                not_ended(processes, late);
                MUST(weft_sleep(0.0003) == 0);
            }
            MUST(root_until(&fair->ticks[i][j], now + 2));
        }
}

static void fair_is_over(void)
{
    int had = weft_lock_acquire(&fair->objects.lock, WEFT_NOW);
    MUST(had >= 0 && weft_lock_acquire(&fair->objects.guard, WEFT_NOW) >= 0 && weft_rlock_acquire(&fair->objects.rlock, WEFT_NOW) >= 0);
    MUST(weft_rwlock_readers(&fair->objects.rwlock) == 0 && weft_rwlock_acquire_write(&fair->objects.rwlock, WEFT_NOW) >= 0);
    MUST(weft_semaphore_value(&fair->objects.permits) == PERMITS && weft_barrier_waiting(&fair->objects.barrier) == 0);
}

static void root_of_the_fair(void)
{
    MUST((fair = weft_shared_new(struct fair)));
    fair->objects.permits = (weft_semaphore)WEFT_SEMAPHORE(PERMITS);
    fair->objects.barrier = (weft_barrier)WEFT_BARRIER(2);
    weft_task *processes[FAIR];
    int births = 1, deaths = wanted(600) / 100 < 200 ? wanted(600) / 100 : 200;
    uint64_t state = (uint64_t)getpid();
    for (int i = 0; i < FAIR; i++)
        MUST(processes[i] = weft_spawn(WEFT_PROCESS, process_at_the_fair, weft_int(births++ * FAIR + i)));
    uint32_t living[FAIR];
    for (uint32_t i = 0; i < FAIR; i++)
        living[i] = i + 1;
    for (int death = 0; death < deaths && births < BIRTHS; death++) {
        all_go_on(processes);
        unsigned who = next_random(&state) % FAIR;
        __atomic_store_n(&fair->dead[living[who]], 1, __ATOMIC_RELEASE);
        weft_sleep(1e-6 * (next_random(&state) % 300));
        MUST(weft_task_kill(processes[who]) == 0 && weft_task_join(processes[who], WEFT_FOREVER) == 0);
        MUST(weft_task_exitcode(processes[who]) == -SIGKILL);
        weft_task_free(processes[who]);
        living[who] = (uint32_t)births;
        MUST(processes[who] = weft_spawn(WEFT_PROCESS, process_at_the_fair, weft_int(births++ * FAIR + (int)who)));
    }
    all_go_on(processes);
    __atomic_store_n(&fair->over, 1, __ATOMIC_RELEASE);
    weft_event_set(&fair->objects.event);
    for (int i = 0; i < FAIR; i++)
        ends_well(processes[i]);
    fair_is_over();
}

START_TEST(owners_are_killed_and_all_others_go_on)
{
    root_runs(root_of_the_fair);
}
END_TEST

static void add(TCase *tests)
{
    tcase_add_test(tests, joins_end_in_every_way);
    tcase_add_test(tests, nothing_is_lost_between_threads);
    tcase_add_test(tests, hubs_wake_each_other);
    if (FIXTURE_TSAN || fixture_emulated() || fixture_copies()) /* a family's processes do not live there */
        return;
    tcase_add_test(tests, nothing_is_lost_between_processes);
    tcase_add_test(tests, a_killed_owner_keeps_nobody_waiting);
    tcase_add_test(tests, owners_are_killed_and_all_others_go_on);
}

int main(void)
{
    return fixture_main("stress_coroutine", add);
}
