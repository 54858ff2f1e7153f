/* SPDX-License-Identifier: MIT */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <linux/futex.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "coroutine/hub.h"
#include "base/alone.h"
#include "fixture.h"
#include "wait/wait.h"

static weft_task *spawn(weft_function *function, void *data)
{
    weft_task *task = weft_spawn(WEFT_COROUTINE, function, weft_ptr(data));
    ck_assert_ptr_nonnull(task);
    return task;
}

static int64_t end(weft_task *task)
{
    weft_value value = weft_none;
    ck_assert_int_eq(weft_task_result(task, &value, weft_in(20)), 0);
    weft_task_free(task);
    return weft_as_int(value);
}

static weft_value square(weft_value n)
{
    return weft_int(weft_as_int(n) * weft_as_int(n));
}

START_TEST(a_coroutine_is_a_task)
{
    weft_task *task = weft_task_new(WEFT_COROUTINE, square, weft_int(12));
    char text[64];
    ck_assert_ptr_nonnull(task);
    ck_assert_int_eq(weft_task_kind_of(task), WEFT_COROUTINE);
    ck_assert_str_eq(weft_task_name(task), "Coroutine-1");
    ck_assert_int_eq(weft_task_state_of(task), WEFT_INITIAL);
    ck_assert_int_eq(weft_task_native_id(task), 0);
    ck_fails(weft_task_join(task, WEFT_FOREVER), EINVAL);
    ck_assert_int_eq(weft_task_start(task), 0);
    ck_fails(weft_task_start(task), EALREADY);
    ck_assert_int_eq(weft_task_state_of(task), WEFT_STARTED);
    ck_assert_int_eq(weft_task_native_id(task), gettid());
    ck_assert_uint_eq(weft_active_count(), 2);
    weft_task_repr(task, text, sizeof(text));
    ck_assert_str_eq(text, "<Coroutine(Coroutine-1, started)>");
    ck_fails(weft_task_kill(task), ENOTSUP);
    ck_fails(weft_task_join(task, WEFT_NOW), EAGAIN); /* it has not had its turn */
    ck_assert_int_eq(weft_task_join(task, WEFT_FOREVER), 0);
    ck_assert_int_eq(weft_task_join(task, WEFT_NOW), 0);
    ck_assert_int_eq(weft_task_outcome(task), WEFT_DONE);
    ck_assert_int_eq(weft_task_exitcode(task), 0);
    ck_assert_uint_eq(weft_active_count(), 1);
    ck_assert_int_eq(end(task), 144);
}
END_TEST

START_TEST(options_that_cannot_be)
{
    ck_fails_null(weft_spawn(WEFT_COROUTINE, square, weft_none, .cpus = "0"), ENOTSUP);
    ck_fails_null(weft_spawn(WEFT_COROUTINE, square, weft_none, .nice = 1), ENOTSUP);
    ck_fails_null(weft_spawn(WEFT_COROUTINE, square, weft_none, .stack_size = SIZE_MAX), EINVAL);
    ck_fails_null(weft_spawn(WEFT_COROUTINE, NULL, weft_none), EINVAL);
    ck_assert_uint_eq(weft_active_count(), 1);
}
END_TEST

static char turns[64];

static weft_value take_turns(weft_value letter)
{
    for (int i = 0; i < 3; i++) {
        strncat(turns, weft_as_ptr(letter), 1);
        weft_yield();
    }
    return weft_none;
}

START_TEST(they_take_turns_in_order)
{
    weft_task *a = spawn(take_turns, "a"), *b = spawn(take_turns, "b"), *c = spawn(take_turns, "c");
    ck_assert_str_eq(turns, "");
    weft_yield();
    ck_assert_str_eq(turns, "abc");
    end(a), end(b), end(c);
    ck_assert_str_eq(turns, "abcabcabc");
}
END_TEST

static weft_value own_errno(weft_value number)
{
    for (int i = 0; i < 100; i++) {
        errno = (int)weft_as_int(number);
        i % 2 ? weft_yield() : (void)weft_sleep(0.0001);
        ck_assert_int_eq(errno, (int)weft_as_int(number));
    }
    return weft_none;
}

START_TEST(each_has_its_errno)
{
    weft_task *one = weft_spawn(WEFT_COROUTINE, own_errno, weft_int(1)), *two = weft_spawn(WEFT_COROUTINE, own_errno, weft_int(2));
    end(one), end(two);
}
END_TEST

static weft_value is_itself(weft_value parent)
{
    ck_assert_ptr_ne(weft_current(), weft_as_ptr(parent));
    ck_assert_int_eq(weft_task_kind_of(weft_current()), WEFT_COROUTINE);
    ck_assert_int_eq(weft_task_native_id(weft_current()), gettid());
    ck_fails(weft_task_join(weft_current(), WEFT_FOREVER), EDEADLK);
    return weft_none;
}

START_TEST(each_is_current_in_its_turn)
{
    ck_assert_int_eq(end(spawn(is_itself, weft_current())), 0);
    ck_assert_ptr_eq(weft_current(), weft_main());
}
END_TEST

static weft_value sleep_for_ever(weft_value data)
{
    (void)data;
    return weft_sleep_until(WEFT_FOREVER) == -1 && errno == ECANCELED ? weft_error(ECANCELED, NULL) : weft_none;
}

START_TEST(cancellation_ends_the_wait_it_is_in)
{
    weft_task *asleep = spawn(sleep_for_ever, NULL);
    weft_yield();
    weft_task_cancel(asleep);
    ck_assert_int_eq(weft_task_join(asleep, WEFT_FOREVER), 0);
    ck_assert_int_eq(weft_task_outcome(asleep), WEFT_CANCELLED);
    weft_task_free(asleep);

    weft_task *before = spawn(sleep_for_ever, NULL); /* it has not begun */
    weft_task_terminate(before);
    ck_assert_int_eq(weft_task_join(before, WEFT_FOREVER), 0);
    ck_assert_int_eq(weft_task_outcome(before), WEFT_CANCELLED);
    weft_task_free(before);
}
END_TEST

/* What coroutines wait for in vain, in every kind of wait that there is. */
static struct {
    uint32_t word;
    weft_lock lock, free;
    weft_rlock rlock;
    weft_rwlock rwlock;
    weft_semaphore permits;
    weft_event event, over;
    weft_condition condition;
    weft_barrier barrier;
    weft_once once;
    weft_queue *empty, *full, *meeting, *least, *undone;
    struct {
        weft_lock lock;
        weft_event event;
        weft_semaphore permits;
    } * shared;
    weft_queue *shared_empty, *shared_full;
    weft_task *thread;
    weft_pool *pool;
    weft_future *future;
    weft_timer *timer;
    weft_signals *signals;
    weft_command *command;
    weft_stream *stream;
    int pipe[2], full_pipe[2], sockets[2], listener;
    char fifo[256];
    weft_value value;
} stage;

static int once_over(void *data)
{
    (void)data;
    return weft_event_wait(&stage.over, WEFT_FOREVER);
}

static weft_value stage_over(weft_value data)
{
    return weft_once_call(&stage.once, once_over, NULL, WEFT_FOREVER) == 0 ? data : weft_error(errno, NULL);
}

static weft_value wait_for_over(weft_value data)
{
    return weft_event_wait(&stage.over, WEFT_FOREVER) == 0 ? data : weft_error(errno, NULL);
}

static uint32_t helpers_done;

static weft_value read_blocking(weft_value data)
{
    char octet;
    ck_assert_int_eq(read(stage.pipe[0], &octet, 1), 0);
    __atomic_add_fetch(&helpers_done, 1, __ATOMIC_RELEASE);
    return data;
}

/* It comes back with the lock in its hands. */
static int wait_with_condition(void)
{
    ck_assert_int_eq(weft_lock_acquire(&stage.free, WEFT_FOREVER), 0);
    int waited = weft_condition_wait(&stage.condition, &stage.free, WEFT_FOREVER), error = errno;
    ck_assert_int_eq(weft_lock_release(&stage.free), 0);
    errno = error;
    return waited;
}

static int wait_at_barrier(void)
{
    weft_barrier_reset(&stage.barrier);
    return weft_barrier_wait(&stage.barrier, WEFT_FOREVER);
}

static int wait_in_select(void)
{
    weft_case cases[] = {weft_case_get(stage.empty, &stage.value), weft_case_event(&stage.event), weft_case_task(stage.thread, NULL),
        weft_case_future(stage.future, NULL), weft_case_descriptor(stage.pipe[0], POLLIN, NULL), weft_case_time(weft_in(1000))};
    return weft_select(cases, 6, WEFT_FOREVER);
}

static int wait_in_group(void)
{
    weft_group *group = weft_group_new();
    ck_assert_int_eq(weft_group_spawn(group, WEFT_COROUTINE, wait_for_over, weft_none), 0);
    int joined = weft_group_join(group, NULL, WEFT_FOREVER), error = errno;
    weft_group_free(group);
    errno = error;
    return joined;
}

static int submit_to_full(void)
{
    return weft_pool_submit(stage.pool, wait_for_over, weft_none) ? 0 : -1;
}

static int read_line(void)
{
    const char *line;
    size_t length;
    return weft_stream_line(stage.stream, &line, &length, WEFT_FOREVER);
}

static int poll_descriptors(void)
{
    struct pollfd fds[] = {{.fd = stage.pipe[0], .events = POLLIN}, {.fd = stage.sockets[0], .events = POLLIN}};
    return weft_poll(fds, 2, WEFT_FOREVER);
}

static char octets[65536];

/* clang-format off */
#define WAITS(WAIT) \
    WAIT(weft_sleep(1000)) \
    WAIT(weft_wait(&stage.word, 0, WEFT_FOREVER)) \
    WAIT(weft_lock_acquire(&stage.lock, WEFT_FOREVER)) \
    WAIT(weft_rlock_acquire(&stage.rlock, WEFT_FOREVER)) \
    WAIT(weft_rwlock_acquire_read(&stage.rwlock, WEFT_FOREVER)) \
    WAIT(weft_rwlock_acquire_write(&stage.rwlock, WEFT_FOREVER)) \
    WAIT(weft_semaphore_acquire(&stage.permits, WEFT_FOREVER)) \
    WAIT(weft_event_wait(&stage.event, WEFT_FOREVER)) \
    WAIT(wait_with_condition()) \
    WAIT(wait_at_barrier()) \
    WAIT(weft_once_call(&stage.once, once_over, NULL, WEFT_FOREVER)) \
    WAIT(weft_queue_get(stage.empty, &stage.value, WEFT_FOREVER)) \
    WAIT(weft_queue_get_many(stage.empty, &stage.value, 1, WEFT_FOREVER)) \
    WAIT(weft_queue_put(stage.full, weft_int(1), WEFT_FOREVER)) \
    WAIT(weft_queue_get(stage.meeting, &stage.value, WEFT_FOREVER)) \
    WAIT(weft_queue_put(stage.meeting, weft_int(1), WEFT_FOREVER)) \
    WAIT(weft_queue_get(stage.least, &stage.value, WEFT_FOREVER)) \
    WAIT(weft_queue_join(stage.undone, WEFT_FOREVER)) \
    WAIT(weft_lock_acquire(&stage.shared->lock, WEFT_FOREVER)) \
    WAIT(weft_event_wait(&stage.shared->event, WEFT_FOREVER)) \
    WAIT(weft_semaphore_acquire(&stage.shared->permits, WEFT_FOREVER)) \
    WAIT(weft_queue_get(stage.shared_empty, &stage.value, WEFT_FOREVER)) \
    WAIT(weft_queue_put(stage.shared_full, weft_int(1), WEFT_FOREVER)) \
    WAIT(wait_in_select()) \
    WAIT(weft_task_join(stage.thread, WEFT_FOREVER)) \
    WAIT(weft_task_result(stage.thread, &stage.value, WEFT_FOREVER)) \
    WAIT(weft_future_result(stage.future, &stage.value, WEFT_FOREVER)) \
    WAIT(weft_wait_any(&stage.future, 1, WEFT_FOREVER)) \
    WAIT(weft_wait_all(&stage.future, 1, WEFT_FOREVER)) \
    WAIT(wait_in_group()) \
    WAIT(submit_to_full()) \
    WAIT(weft_timer_wait(stage.timer, NULL, WEFT_FOREVER)) \
    WAIT(weft_signals_wait(stage.signals, NULL, WEFT_FOREVER)) \
    WAIT(weft_command_wait(stage.command, NULL, WEFT_FOREVER)) \
    WAIT(weft_read(stage.pipe[0], octets, 1, WEFT_FOREVER)) \
    WAIT(weft_read(stage.sockets[0], octets, 1, WEFT_FOREVER)) \
    WAIT(weft_recv(stage.sockets[0], octets, 1, MSG_PEEK, WEFT_FOREVER)) \
    WAIT(weft_write(stage.full_pipe[1], octets, sizeof(octets), WEFT_FOREVER)) \
    WAIT(weft_write_all(stage.full_pipe[1], octets, sizeof(octets), WEFT_FOREVER)) \
    WAIT(weft_accept(stage.listener, NULL, NULL, WEFT_FOREVER)) \
    WAIT(poll_descriptors()) \
    WAIT(read_line()) \
    WAIT(weft_open(stage.fifo, O_RDONLY, 0, WEFT_FOREVER)) \
    WAIT(weft_offload(read_blocking, weft_none, NULL, WEFT_FOREVER))
/* clang-format on */

/* Does the wait of that number; minus 1: there is none. */
static int64_t stage_wait(int64_t number, const char **text)
{
    int64_t at = 0;
#define WAIT_ONE(call_) \
    if (at++ == number) \
        return *text = #call_, (call_) == -1 ? errno : 0;
    WAITS(WAIT_ONE)
#undef WAIT_ONE
    return -1;
}

static const char *stage_text = "";

static weft_value wait_in_vain(weft_value number)
{
    return weft_int(stage_wait(weft_as_int(number), &stage_text));
}

static void stage_begin_queues(void)
{
    stage.empty = weft_queue_new();
    stage.full = weft_queue_new(.capacity = 1);
    stage.meeting = weft_queue_new(.capacity = WEFT_RENDEZVOUS);
    stage.least = weft_queue_new(.order = WEFT_PRIORITY);
    stage.undone = weft_queue_new();
    ck_assert_int_eq(weft_queue_put(stage.full, weft_int(1), WEFT_NOW), 0);
    ck_assert_int_eq(weft_queue_put(stage.undone, weft_int(1), WEFT_NOW), 0);
    ck_assert_int_eq(weft_shared_limit(1 << 23), 0);
    ck_assert_ptr_nonnull(stage.shared = weft_shared_alloc(sizeof(*stage.shared)));
    ck_assert_ptr_nonnull(stage.shared_empty = weft_queue_new(.shared = true));
    ck_assert_ptr_nonnull(stage.shared_full = weft_queue_new(.shared = true, .capacity = 1));
    ck_assert_int_eq(weft_queue_put(stage.shared_full, weft_int(1), WEFT_NOW), 0);
    ck_assert_int_eq(weft_lock_acquire(&stage.shared->lock, WEFT_NOW), 0);
}

static void stage_begin_descriptors(void)
{
    ck_assert_int_eq(pipe(stage.pipe), 0);
    ck_assert_int_eq(pipe(stage.full_pipe), 0);
    while (weft_write(stage.full_pipe[1], octets, sizeof(octets), WEFT_NOW) > 0)
        ;
    ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM, 0, stage.sockets), 0);
    ck_assert_int_ge(stage.listener = weft_listen("127.0.0.1:0"), 0);
    ck_assert_ptr_nonnull(stage.stream = weft_stream_new(stage.sockets[0]));
    snprintf(stage.fifo, sizeof(stage.fifo), "%s/fifo", fixture_folder());
    ck_assert_int_eq(mkfifo(stage.fifo, 0600), 0);
    ck_assert_ptr_nonnull(stage.signals = weft_signals_new(SIGUSR2));
    ck_assert_ptr_nonnull(stage.command = weft_command_start(weft_argv("sleep", "1000")));
}

static void stage_begin(void)
{
    stage.barrier = (weft_barrier)WEFT_BARRIER(2);
    ck_assert_int_eq(weft_lock_acquire(&stage.lock, WEFT_NOW), 0);
    ck_assert_int_eq(weft_rlock_acquire(&stage.rlock, WEFT_NOW), 0);
    ck_assert_int_eq(weft_rwlock_acquire_write(&stage.rwlock, WEFT_NOW), 0);
    stage_begin_queues();
    stage_begin_descriptors();
    ck_assert_ptr_nonnull(stage.thread = weft_spawn(WEFT_THREAD, stage_over, weft_none));
    ck_assert_ptr_nonnull(stage.timer = weft_every(1000, NULL, weft_none));
    ck_assert_ptr_nonnull(stage.pool = weft_pool_new(WEFT_THREAD, .workers = 1, .backlog = 1));
    ck_assert_ptr_nonnull(stage.future = weft_pool_submit(stage.pool, wait_for_over, weft_none));
    fixture_until(weft_future_running(stage.future));
    ck_assert_int_eq(weft_pool_start(stage.pool, wait_for_over, weft_none), 0);
}

/* Also for helpers who cannot be cancelled, and wait still. */
static void stage_end_descriptors(void)
{
    int fifo = open(stage.fifo, O_RDWR | O_NONBLOCK);
    weft_stream_free(stage.stream);
    weft_close(stage.listener);
    for (int i = 0; i < 2; i++)
        close(stage.sockets[i]), close(stage.full_pipe[i]);
    close(stage.pipe[1]);
    fixture_until(__atomic_load_n(&helpers_done, __ATOMIC_ACQUIRE) == 2);
    close(stage.pipe[0]);
    close(fifo);
    weft_signals_free(stage.signals);
    ck_assert_int_eq(weft_command_kill(stage.command, weft_in(20)), 0);
    weft_command_free(stage.command);
}

static void stage_end(void)
{
    weft_event_set(&stage.over);
    stage_end_descriptors();
    ck_assert_int_eq(end(stage.thread), 0);
    weft_future_free(stage.future);
    weft_pool_free(stage.pool);
    weft_timer_cancel(stage.timer);
    weft_timer_free(stage.timer);
    weft_lock_release(&stage.shared->lock);
    weft_shared_free(stage.shared);
    weft_queue *queues[] = {stage.empty, stage.full, stage.meeting, stage.least, stage.undone, stage.shared_empty, stage.shared_full};
    for (size_t i = 0; i < sizeof(queues) / sizeof(*queues); i++)
        weft_queue_free(queues[i]);
}

/* While it waits, and before it has begun. */
START_TEST(cancellation_ends_every_kind_of_wait)
{
    if (fixture_emulated())
        fixture_skip("an emulator starts no program from memory that it shares");
    stage_begin();
    for (int64_t number = 0;; number++)
        for (int yields = 0; yields < 4; yields += 3) {
            weft_task *task = weft_spawn(WEFT_COROUTINE, wait_in_vain, weft_int(number));
            for (int i = 0; i < yields; i++)
                weft_yield();
            weft_task_cancel(task);
            int64_t error = end(task);
            if (error == -1) {
                stage_end();
                return;
            }
            ck_assert_msg(error == ECANCELED, "%s: %s", stage_text, strerror((int)error));
        }
}
END_TEST

static weft_value cancel_it(weft_value task)
{
    weft_sleep(0.005);
    weft_task_cancel(weft_as_ptr(task));
    return weft_none;
}

START_TEST(another_thread_may_cancel)
{
    weft_task *asleep = spawn(sleep_for_ever, NULL);
    weft_task *thread = weft_spawn(WEFT_THREAD, cancel_it, weft_ptr(asleep));
    ck_assert_int_eq(weft_task_join(asleep, WEFT_FOREVER), 0);
    ck_assert_int_eq(weft_task_outcome(asleep), WEFT_CANCELLED);
    weft_task_free(asleep);
    end(thread);
}
END_TEST

static weft_value sleep_and_note(weft_value milliseconds)
{
    weft_sleep(0.001 * (double)weft_as_int(milliseconds));
    char digit[2] = {(char)('0' + weft_as_int(milliseconds) / 10), 0};
    strcat(turns, digit);
    return weft_none;
}

START_TEST(deadlines_come_in_their_order)
{
    const int order[] = {5, 1, 4, 2, 3, 6};
    weft_task *tasks[6];
    weft_time begin = weft_clock();
    for (int i = 0; i < 6; i++)
        tasks[i] = weft_spawn(WEFT_COROUTINE, sleep_and_note, weft_int(10 * order[i]));
    for (int i = 0; i < 6; i++)
        end(tasks[i]);
    ck_assert_str_eq(turns, "123456");
    ck_assert_int_ge(weft_clock() - begin, 60000000);
}
END_TEST

static weft_value read_one(weft_value pipe)
{
    short seen = 0;
    weft_case cases[] = {weft_case_descriptor((int)weft_as_int(pipe), POLLIN, &seen)};
    char octet = 0;
    ck_assert_int_eq(weft_select(cases, 1, weft_in(20)), 0);
    ck_assert(seen & POLLIN);
    ck_assert_int_eq((int)read((int)weft_as_int(pipe), &octet, 1), 1);
    return weft_int(octet);
}

START_TEST(descriptors_are_waited_for_side_by_side)
{
    enum { MANY = 50 };
    int pipes[MANY][2];
    weft_task *tasks[MANY];
    for (int i = 0; i < MANY; i++) {
        ck_assert_int_eq(pipe(pipes[i]), 0);
        tasks[i] = weft_spawn(WEFT_COROUTINE, read_one, weft_int(pipes[i][0]));
    }
    weft_sleep(0.001);
    for (int i = MANY - 1; i >= 0; i--)
        ck_assert_int_eq((int)write(pipes[i][1], &(char){(char)i}, 1), 1);
    for (int i = 0; i < MANY; i++) {
        ck_assert_int_eq(end(tasks[i]), i);
        close(pipes[i][0]);
        close(pipes[i][1]);
    }
}
END_TEST

START_TEST(several_wait_for_one_descriptor)
{
    int pipes[2];
    weft_task *tasks[3];
    ck_assert_int_eq(pipe(pipes), 0);
    for (int i = 0; i < 3; i++)
        tasks[i] = weft_spawn(WEFT_COROUTINE, read_one, weft_int(pipes[0]));
    weft_sleep(0.001);
    ck_assert_int_eq((int)write(pipes[1], "abc", 3), 3);
    int64_t sum = 0;
    for (int i = 0; i < 3; i++)
        sum += end(tasks[i]);
    ck_assert_int_eq(sum, 'a' + 'b' + 'c');
    close(pipes[0]);
    close(pipes[1]);
}
END_TEST

/* One of a thread that a coroutine waits for in ways of all kinds: see test_wait.c. */
static weft_value wait_in_all_ways(weft_value data)
{
    (void)data;
    uint32_t word = 0;
    int pipes[2];
    ck_fails(weft_wait(&word, 0, weft_in(0.001)), ETIMEDOUT);
    ck_fails(weft_wait(&word, 0, WEFT_NOW), EAGAIN);
    ck_fails(weft_wait(&word, 0, 1), ETIMEDOUT);
    ck_assert_int_eq(weft_wait(&word, 1, WEFT_FOREVER), 0);
    ck_assert_int_eq(pipe(pipes), 0);
    struct wefti_item items[] = {{.kind = WEFTI_DESCRIPTOR, .descriptor = pipes[0], .events = POLLIN},
        {.kind = WEFTI_DESCRIPTOR, .descriptor = pipes[1], .events = POLLOUT}, {.kind = WEFTI_WORD, .word = &word}};
    ck_fails(wefti_wait_items(items, 1, WEFT_NOW), EAGAIN);
    ck_fails(wefti_wait_items(items, 1, weft_in(0.001)), ETIMEDOUT);
    ck_assert_int_eq(wefti_wait_items(items, 3, WEFT_FOREVER), 1);
    ck_assert_int_eq(items[1].seen, POLLOUT);
    ck_assert_int_eq((int)write(pipes[1], "x", 1), 1);
    ck_assert_int_eq(wefti_wait_items(items, 1, WEFT_FOREVER), 0);
    ck_assert_int_eq(items[0].seen, POLLIN);
    close(pipes[0]);
    close(pipes[1]);
    struct wefti_item closed = {.kind = WEFTI_DESCRIPTOR, .descriptor = 999, .events = POLLIN};
    ck_assert_int_eq(wefti_wait_items(&closed, 1, WEFT_FOREVER), 0);
    ck_assert_int_eq(closed.seen, POLLNVAL);
    struct wefti_item file = {.kind = WEFTI_DESCRIPTOR, .descriptor = fileno(tmpfile()), .events = POLLIN};
    ck_assert_int_eq(wefti_wait_items(&file, 1, WEFT_FOREVER), 0);
    ck_assert_int_eq(file.seen, POLLIN);
    close(file.descriptor);
    struct wefti_item kernel = {.kind = WEFTI_KERNEL_WORD, .word = &word};
    ck_fails(wefti_wait_items(&kernel, 1, WEFT_NOW), EAGAIN);
    ck_fails(wefti_wait_items(&kernel, 1, weft_in(0.001)), ETIMEDOUT);
    kernel.expected = 1;
    ck_assert_int_eq(wefti_wait_items(&kernel, 1, WEFT_FOREVER), 0);
    return weft_none;
}

START_TEST(every_wait_is_there)
{
    weft_task *tasks[5];
    for (int i = 0; i < 5; i++)
        tasks[i] = spawn(wait_in_all_ways, NULL);
    for (int i = 0; i < 5; i++)
        end(tasks[i]);
}
END_TEST

static weft_value sleep_awhile(weft_value data)
{
    (void)data;
    weft_sleep(0.02);
    return weft_none;
}

static uint32_t joiners;
static weft_event may_end;

static weft_value join_it(weft_value task)
{
    ck_fails(weft_task_join(weft_as_ptr(task), weft_in(0.002)), ETIMEDOUT);
    joiners++;
    return weft_int(weft_task_join(weft_as_ptr(task), weft_in(20)));
}

static weft_value wait_for_may_end(weft_value data)
{
    (void)data;
    return weft_int(weft_event_wait(&may_end, WEFT_FOREVER));
}

START_TEST(coroutines_join_threads_and_each_other)
{
    weft_task *thread = weft_spawn(WEFT_THREAD, wait_for_may_end, weft_none);
    weft_task *first = spawn(join_it, thread), *second = spawn(join_it, first), *third = spawn(join_it, thread);
    while (joiners < 3)
        weft_sleep(0.001);
    weft_event_set(&may_end);
    ck_assert_int_eq(end(second), 0);
    ck_assert_int_eq(end(first), 0);
    ck_assert_int_eq(end(third), 0);
    end(thread);
}
END_TEST

static weft_value wait_at(weft_value gate)
{
    return weft_int(weft_event_wait(weft_as_ptr(gate), WEFT_FOREVER));
}

static weft_value join_until(weft_value task)
{
    return weft_int(weft_task_join(weft_as_ptr(task), weft_in(0.002)) == 0 ? 0 : errno);
}

static weft_value join_for_ever(weft_value task)
{
    return weft_int(weft_task_join(weft_as_ptr(task), WEFT_FOREVER) == 0 ? 0 : errno);
}

/* The first who joins a coroutine waits in another way than those who come while he does: each may come, go and stay. */
START_TEST(any_number_join_one_and_may_give_up)
{
    weft_event gate = {0};
    weft_task *joined = spawn(wait_at, &gate);
    weft_task *gives_up = spawn(join_until, joined), *stays = spawn(join_for_ever, joined), *cancelled = spawn(join_for_ever, joined);
    ck_assert_int_eq(end(gives_up), ETIMEDOUT);
    weft_task *comes = spawn(join_for_ever, joined), *elsewhere = weft_spawn(WEFT_THREAD, join_for_ever, weft_ptr(joined));
    weft_yield();
    weft_task_cancel(cancelled);
    ck_assert_int_eq(end(cancelled), ECANCELED);
    weft_task_cancel(comes);
    ck_assert_int_eq(end(comes), ECANCELED);
    comes = spawn(join_for_ever, joined);
    ck_fails(weft_task_join(joined, weft_in(0.001)), ETIMEDOUT);
    weft_event_set(&gate);
    ck_assert_int_eq(end(stays), 0);
    ck_assert_int_eq(end(comes), 0);
    ck_assert_int_eq(end(elsewhere), 0);
    ck_assert_int_eq(end(joined), 0);
    weft_task *never = weft_task_new(WEFT_COROUTINE, square, weft_int(1));
    weft_task_cancel(never); /* it ends without having begun */
    ck_assert_int_eq(weft_task_join(never, WEFT_FOREVER), 0);
    weft_task_free(never);
}
END_TEST

static weft_value free_it(weft_value task)
{
    weft_task_free(weft_as_ptr(task));
    return weft_none;
}

/* More than a thread keeps, some of them freed by another, with names and without. */
START_TEST(handles_are_used_again)
{
    enum { MANY = 1500 };
    static weft_task *tasks[MANY];
    for (int round = 0; round < 3; round++) {
        for (int i = 0; i < MANY; i++) {
            tasks[i] = weft_spawn(
                WEFT_COROUTINE, square, weft_int(i), .name = i % 7 == 3 ? "a name that is longer than what has room in a handle" : NULL);
            ck_assert_ptr_nonnull(tasks[i]);
            ck_assert_uint_eq(weft_task_ident(tasks[i]) > 0, 1);
            ck_assert_int_eq(strncmp(weft_task_name(tasks[i]), i % 7 == 3 ? "a name" : "Coroutine-", 6), 0);
        }
        for (int i = 0; i < MANY; i++) {
            weft_value result = weft_none;
            ck_assert_int_eq(weft_task_result(tasks[i], &result, WEFT_FOREVER), 0);
            ck_assert_int_eq(weft_as_int(result), (int64_t)i * i);
            if (i % 100 == 0)
                end(weft_spawn(WEFT_THREAD, free_it, weft_ptr(tasks[i])));
            else
                weft_task_free(tasks[i]);
        }
    }
    ck_assert_uint_eq(weft_active_count(), 1);
}
END_TEST

static weft_value give_seven(weft_value queue)
{
    return weft_int(weft_queue_put(weft_as_ptr(queue), weft_int(7), WEFT_FOREVER) == 0 ? 0 : errno);
}

static weft_value take_one(weft_value queue)
{
    weft_value value = weft_none;
    return weft_int(weft_queue_get(weft_as_ptr(queue), &value, WEFT_FOREVER) == 0 ? weft_as_int(value) : -errno);
}

static weft_value take_until(weft_value queue)
{
    weft_value value = weft_none;
    return weft_int(weft_queue_get(weft_as_ptr(queue), &value, weft_in(0.002)) == 0 ? weft_as_int(value) : -errno);
}

/* A coroutine that waits at a rendezvous is met by another, by a thread and by a select, and leaves in every way there is. */
START_TEST(a_rendezvous_ends_in_every_way)
{
    weft_queue *queue = weft_queue_new(.capacity = WEFT_RENDEZVOUS);
    weft_value value = weft_none;
    ck_assert_int_eq(end(spawn(take_until, queue)), -ETIMEDOUT);
    weft_task *taker = spawn(take_one, queue);
    weft_yield();
    weft_task_cancel(taker);
    ck_assert_int_eq(end(taker), -ECANCELED);
    taker = spawn(take_one, queue);
    weft_yield();
    ck_assert_int_eq(weft_queue_put(queue, weft_int(3), WEFT_NOW), 0); /* nobody who is gone is met */
    ck_assert_int_eq(end(taker), 3);
    weft_task *giver = weft_spawn(WEFT_THREAD, give_seven, weft_ptr(queue));
    ck_assert_int_eq(end(spawn(take_one, queue)), 7);
    ck_assert_int_eq(end(giver), 0);
    giver = spawn(give_seven, queue);
    weft_case one = weft_case_get(queue, &value);
    ck_assert_int_eq(weft_select(&one, 1, weft_in(20)), 0);
    ck_assert_int_eq(weft_as_int(value), 7);
    ck_assert_int_eq(end(giver), 0);
    giver = spawn(give_seven, queue);
    ck_assert_int_eq(weft_queue_get(queue, &value, weft_in(20)), 0);
    ck_assert_int_eq(end(giver), 0);
    giver = spawn(give_seven, queue);
    weft_yield();
    weft_queue_close(queue);
    ck_assert_int_eq(end(giver), EPIPE);
    ck_assert_int_eq(end(spawn(take_one, queue)), -EPIPE);
    weft_queue_free(queue);
}
END_TEST

struct kernel_word {
    uint32_t word;
    uint32_t waiting;
};

static weft_value wait_for_kernel_word(weft_value data)
{
    struct kernel_word *wanted = weft_as_ptr(data);
    struct wefti_item item = {.kind = WEFTI_KERNEL_WORD, .word = &wanted->word};
    wanted->waiting++;
    while (__atomic_load_n(&wanted->word, __ATOMIC_ACQUIRE) == 0)
        ck_assert_int_eq(wefti_wait_items(&item, 1, weft_in(20)), 0);
    return weft_none;
}

static void *set_kernel_word(void *data)
{
    struct kernel_word *wanted = data;
    usleep(3000);
    __atomic_store_n(&wanted->word, 1, __ATOMIC_RELEASE);
    wefti_futex_wake_shared(&wanted->word, UINT32_MAX);
    return NULL;
}

/* Whether a thread sleeps on words for coroutines (coroutine/words.c). */
static bool words_thread_is_there(void)
{
    char path[64], name[32] = "";
    DIR *folder = opendir("/proc/self/task");
    bool there = false;
    ck_assert_ptr_nonnull(folder);
    for (const struct dirent *entry; !there && (entry = readdir(folder));) {
        snprintf(path, sizeof(path), "/proc/self/task/%.20s/comm", entry->d_name);
        FILE *file = fopen(path, "re");
        there = file && fgets(name, sizeof(name), file) && strcmp(name, "Words\n") == 0;
        if (file)
            fclose(file);
    }
    closedir(folder);
    return there;
}

static void words_block_no_hub(bool by_thread)
{
    enum { MANY = 40 };
    struct kernel_word words[4] = {{0}};
    weft_task *tasks[MANY];
    pthread_t threads[4];
    for (int i = 0; i < MANY; i++)
        tasks[i] = spawn(wait_for_kernel_word, &words[i % 4]);
    weft_task *other = spawn(sleep_awhile, NULL);
    weft_yield();
    for (int i = 0; i < 4; i++) {
        ck_assert_uint_eq(words[i].waiting, MANY / 4);
        pthread_create(&threads[i], NULL, set_kernel_word, &words[i]);
    }
    if (by_thread)
        fixture_until(words_thread_is_there());
    ck_assert(by_thread || !words_thread_is_there());
    for (int i = 0; i < MANY; i++)
        end(tasks[i]);
    end(other);
    for (int i = 0; i < 4; i++)
        pthread_join(threads[i], NULL);
}

START_TEST(words_of_the_kernel_block_no_hub)
{
    unsetenv("WEFT_IO");
    words_block_no_hub(true);
}
END_TEST

/* Sets it, for a hub that is not made yet. Where the kernel watches no words in io_uring (before Linux 6.7), the test is skipped. */
static void words_by_ring(void)
{
    struct kernel_word word = {0};
    setenv("WEFT_IO", "io_uring", 1);
    if (!wefti_backend_uring || fixture_copies())
        fixture_skip("no io_uring here");
    weft_task *task = spawn(wait_for_kernel_word, &word);
    weft_sleep(0.001);
    bool by_thread = words_thread_is_there(); /* by now it has its name */
    set_kernel_word(&word);
    end(task);
    if (by_thread)
        fixture_skip("the kernel watches no words in io_uring");
}

START_TEST(words_of_the_kernel_need_no_thread_over_io_uring)
{
    words_by_ring();
    words_block_no_hub(false);
}
END_TEST

/* Of two that wait for a word one is woken. If that is the one that leaves at the moment, it says so, or the other gets the wake. */
struct leaver {
    uint32_t *word;
    weft_time deadline;
    int woken; /* out */
};

static weft_value wait_and_leave(weft_value data)
{
    struct leaver *leaver = weft_as_ptr(data);
    struct wefti_item items[2] = {{.kind = WEFTI_KERNEL_WORD, .word = leaver->word + 1}, {.kind = WEFTI_KERNEL_WORD, .word = leaver->word}};
    int which = wefti_wait_items(items, 2, leaver->deadline);
    leaver->woken = which == 1 && __atomic_load_n(leaver->word, __ATOMIC_ACQUIRE) == 0;
    return weft_none;
}

static void *wake_one(void *word)
{
    usleep(100);
    return (void *)syscall(SYS_futex, word, FUTEX_WAKE, 1, NULL, NULL, 0);
}

static bool leaving_round(int microseconds)
{
    uint32_t word[2] = {0};
    pthread_t waker;
    void *woken;
    struct leaver leaving = {.word = word, .deadline = weft_in(microseconds * 1e-6)}, staying = {.word = word, .deadline = weft_in(20)};
    weft_task *first = spawn(wait_and_leave, &leaving), *second = spawn(wait_and_leave, &staying);
    pthread_create(&waker, NULL, wake_one, word);
    end(first);
    pthread_join(waker, &woken);
    if (woken && !leaving.woken)
        end(second);
    else {
        __atomic_store_n(word, 1, __ATOMIC_RELEASE);
        wefti_futex_wake_shared(word, UINT32_MAX);
        end(second);
    }
    ck_assert(!woken || leaving.woken || staying.woken);
    return woken && staying.woken;
}

static void leave_often(void)
{
    int passed_on = 0;
    for (int i = 0; i < 300; i++)
        passed_on += leaving_round(i % 100 * 4);
    ck_assert(passed_on > 0 || fixture_emulated() || fixture_copies()); /* there who leaves does so long before the wake, or long after */
}

START_TEST(a_wake_is_not_lost_on_who_leaves)
{
    unsetenv("WEFT_IO");
    leave_often();
}
END_TEST

START_TEST(a_wake_is_not_lost_on_who_leaves_over_io_uring)
{
    words_by_ring();
    leave_often();
}
END_TEST

static uint32_t counted;

static weft_value count_slowly(weft_value data)
{
    (void)data;
    for (int i = 0; i < 5; i++)
        weft_sleep(0.001);
    __atomic_add_fetch(&counted, 1, __ATOMIC_RELAXED);
    return weft_none;
}

static weft_value leave_some(weft_value data)
{
    (void)data;
    for (int i = 0; i < 10; i++)
        weft_task_free(spawn(count_slowly, NULL));
    weft_task_free(weft_spawn(WEFT_COROUTINE, sleep_for_ever, weft_none, .daemon = true));
    return weft_none;
}

static void *leave_some_foreign(void *data)
{
    leave_some(weft_none);
    return data;
}

START_TEST(a_thread_ends_with_its_coroutines)
{
    weft_task *thread = weft_spawn(WEFT_THREAD, leave_some, weft_none);
    end(thread);
    fixture_until(__atomic_load_n(&counted, __ATOMIC_RELAXED) == 10);
    pthread_t foreign;
    pthread_create(&foreign, NULL, leave_some_foreign, NULL);
    pthread_join(foreign, NULL);
    ck_assert_uint_eq(counted, 20);
    ck_assert_uint_eq(weft_active_count(), 1);
}
END_TEST

static weft_value leave_one(weft_value gate)
{
    weft_task_free(spawn(wait_at, weft_as_ptr(gate)));
    return weft_none;
}

static weft_value open_gate(weft_value gate)
{
    weft_event_set(weft_as_ptr(gate));
    return weft_none;
}

/* A thread that has stopped, but for a coroutine of its own, which waits for one of who joins the thread. */
START_TEST(who_joins_a_thread_lets_his_own_run)
{
    weft_event gate = {0};
    weft_task *thread = weft_spawn(WEFT_THREAD, leave_one, weft_ptr(&gate));
    fixture_until(weft_task_state_of(thread) == WEFT_STOPPED);
    ck_fails(weft_task_join(thread, weft_in(0.001)), ETIMEDOUT);
    ck_assert_int_eq(weft_task_join(thread, WEFT_NOW), 0); /* it has stopped; nothing is waited for */
    weft_task *opens = spawn(open_gate, &gate);
    end(thread);
    end(opens);
}
END_TEST

static int exit_output;

static weft_value say(weft_value word)
{
    weft_sleep(0.002);
    ck_assert_int_ge((int)write(exit_output, weft_as_ptr(word), 1), 1);
    return weft_none;
}

static void exit_with_some(int output)
{
    exit_output = output;
    weft_task_free(spawn(say, "a"));
    weft_task_free(spawn(say, "b"));
    weft_task_free(weft_spawn(WEFT_COROUTINE, sleep_for_ever, weft_none, .daemon = true));
}

START_TEST(the_program_joins_them_at_exit)
{
    char text[16];
    fixture_exit_output(exit_with_some, text, sizeof(text));
    ck_assert_str_eq(text, "ab");
}
END_TEST

static weft_value yield_until(weft_value flag)
{
    uint32_t *word = weft_as_ptr(flag);
    while (__atomic_load_n(word, __ATOMIC_RELAXED) == 0)
        weft_yield();
    return weft_none;
}

static weft_value set_after_all(weft_value data)
{
    uint32_t *word = weft_as_ptr(data);
    int pipes[2];
    ck_assert_int_eq(pipe(pipes), 0);
    weft_sleep(0.001); /* time */
    ck_assert_int_eq((int)write(pipes[1], "x", 1), 1);
    end(weft_spawn(WEFT_COROUTINE, read_one, weft_int(pipes[0]))); /* a descriptor */
    end(weft_spawn(WEFT_THREAD, sleep_awhile, weft_none));         /* another thread */
    close(pipes[0]);
    close(pipes[1]);
    __atomic_store_n(word, 1, __ATOMIC_RELAXED);
    return weft_none;
}

START_TEST(who_never_waits_starves_nobody)
{
    uint32_t flag = 0;
    weft_task *busy[] = {spawn(yield_until, &flag), spawn(yield_until, &flag)}, *other = spawn(set_after_all, &flag);
    end(other);
    end(busy[0]), end(busy[1]);
}
END_TEST

static struct crowd {
    int pipes[2];
    bool asked, over;
    uint64_t switches, written_at;
} crowd;

static weft_value never_waits(weft_value data)
{
    for (; !crowd.over; crowd.switches++) {
        if (crowd.asked && weft_as_int(data) == 0) {
            crowd.asked = false;
            crowd.written_at = crowd.switches;
            ck_assert_int_eq((int)write(crowd.pipes[1], "x", 1), 1);
        }
        weft_yield();
    }
    return weft_none;
}

/* Who waits for a descriptor, among those that only yield, goes on a bounded number of switches after it was ready. */
START_TEST(a_descriptor_is_looked_at_in_time)
{
    enum { ROUNDS = 50, BOUND = 150 }; /* two looks are 128 switches apart at most, and those who are ready come in their order */
    ck_assert_int_eq(pipe(crowd.pipes), 0);
    weft_task *busy[3];
    for (int i = 0; i < 3; i++)
        busy[i] = weft_spawn(WEFT_COROUTINE, never_waits, weft_int(i));
    for (int i = 0; i < ROUNDS; i++) {
        char octet;
        crowd.asked = true;
        weft_case one = weft_case_descriptor(crowd.pipes[0], POLLIN, NULL);
        ck_assert_int_eq(weft_select(&one, 1, WEFT_FOREVER), 0);
        ck_assert_uint_le(crowd.switches - crowd.written_at, BOUND);
        ck_assert_int_eq((int)read(crowd.pipes[0], &octet, 1), 1);
    }
    crowd.over = true;
    for (int i = 0; i < 3; i++)
        end(busy[i]);
    close(crowd.pipes[0]);
    close(crowd.pipes[1]);
}
END_TEST

/* As another program: LeakSanitizer does not see the stack that the thread came with when it looks from a coroutine's. */
_Noreturn static void leave(int status)
{
    char line[16];
    snprintf(line, sizeof(line), "exit %d", status);
    execl("/bin/sh", "sh", "-c", line, NULL);
    _exit(100);
}

static weft_value read_late(weft_value pipe)
{
    char octet;
    return weft_int(weft_read((int)weft_as_int(pipe), &octet, 1, weft_in(0.001)) < 0 ? errno : 0);
}

static weft_value write_soon(weft_value pipe)
{
    char octet;
    ck_fails(weft_read((int)weft_as_int(pipe), &octet, 1, weft_in(0.001)), ETIMEDOUT);
    return weft_int(write((int)weft_as_int(pipe), "x", 1));
}

/* The last coroutine ends while the thread is in a wait that no other task ends; then the thread is as it was without any. */
START_TEST(a_hub_stands_by_after_any_wait)
{
    int ends[2];
    char octet;
    ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM, 0, ends), 0);
    weft_task *late = weft_spawn(WEFT_COROUTINE, read_late, weft_int(ends[0]));
    do /* once, unless the machine is slow: it has a millisecond from when it begins */
        ck_assert_int_eq(weft_sleep(0.005), 0);
    while (weft_task_state_of(late) != WEFT_STOPPED);
    ck_assert_int_lt(wefti_hub_now()->descriptors.epoll, 0);
    ck_assert_int_eq(end(late), ETIMEDOUT);
    weft_task *soon = weft_spawn(WEFT_COROUTINE, write_soon, weft_int(ends[0]));
    ck_assert_int_eq(weft_read(ends[1], &octet, 1, weft_in(20)), 1);
    ck_assert_int_lt(wefti_hub_now()->descriptors.epoll, 0);
    ck_assert_int_eq(end(soon), 1);
    ck_fails(weft_read(ends[1], &octet, 1, weft_in(0.001)), ETIMEDOUT);
    ck_assert_int_eq(end(spawn(sleep_awhile, NULL)), 0);
    close(ends[0]);
    close(ends[1]);
}
END_TEST

static weft_value fork_here(weft_value data)
{
    (void)data;
    pid_t child = fork();
    if (child == 0) {
        weft_task *task = weft_spawn(WEFT_COROUTINE, square, weft_int(3));
        weft_value value = weft_none;
        if (!task || weft_task_result(task, &value, weft_in(20)) != 0 || weft_as_int(value) != 9)
            leave(1);
        weft_task_free(task);
        if (weft_sleep(0.001) != 0)
            leave(2);
        leave(weft_current() == weft_main() ? 0 : 3);
    }
    int status = -1;
    ck_assert_int_eq(waitpid(child, &status, 0), child);
    return weft_int(status);
}

START_TEST(a_forked_child_has_only_the_flow_that_forked)
{
    weft_task *others[] = {spawn(sleep_for_ever, NULL), spawn(sleep_awhile, NULL)};
    weft_yield();
    ck_assert_int_eq(end(spawn(fork_here, NULL)), 0);
    weft_value from_home = fork_here(weft_none);
    ck_assert_int_eq(weft_as_int(from_home), 0);
    weft_task_cancel(others[0]);
    weft_task_join(others[0], WEFT_FOREVER);
    weft_task_free(others[0]);
    end(others[1]);
}
END_TEST

static int deep(int levels)
{
    volatile char room[512];
    room[levels % 512] = (char)levels;
    return levels == 0 ? 0 : deep(levels - 1) + room[levels % 512];
}

static weft_value overflow(weft_value data)
{
    (void)data;
    return weft_int(deep(1000000));
}

/* What a child says on stderr that overflows a stack, and how it ends. */
static int overflow_of(char *text, size_t size, bool report)
{
    int pipes[2], status = -1;
    ck_assert_int_eq(pipe(pipes), 0);
    pid_t child = fork();
    if (child == 0) {
        dup2(pipes[1], STDERR_FILENO);
        weft_overflow_report(report);
        weft_task *task = weft_spawn(WEFT_COROUTINE, overflow, weft_none, .name = "Deep", .stack_size = 32768);
        weft_task_join(task, WEFT_FOREVER);
        _exit(0);
    }
    close(pipes[1]);
    ssize_t got, all = 0;
    while ((got = read(pipes[0], text + all, size - 1 - (size_t)all)) > 0)
        all += got;
    text[all] = 0;
    close(pipes[0]);
    ck_assert_int_eq(waitpid(child, &status, 0), child);
    return status;
}

START_TEST(an_overflow_is_reported)
{
    char text[4096];
    struct sigaction now;
    sigaction(SIGSEGV, NULL, &now);
    if (now.sa_handler != SIG_DFL || fixture_copies())
        fixture_skip("somebody else handles SIGSEGV");
    int status = overflow_of(text, sizeof(text), true);
    ck_assert(WIFSIGNALED(status) && WTERMSIG(status) == SIGSEGV);
    unsigned long whole = 0, touched = 0;
    ck_assert_int_eq(sscanf(text, "weft: coroutine Deep has overflowed its stack of %lu bytes, %lu of them touched", &whole, &touched), 2);
    ck_assert_uint_eq(touched, whole); /* a small step at a time */
    status = overflow_of(text, sizeof(text), false);
    ck_assert(WIFSIGNALED(status) && WTERMSIG(status) == SIGSEGV);
    ck_assert_ptr_null(strstr(text, "weft")); /* an emulator may have a word of its own */
}
END_TEST

/* What goes to stderr, by a pipe; the line that came, without its end. */
static int caught[2], caught_before;

static void catch_stderr(void)
{
    ck_assert_int_eq(pipe(caught), 0);
    caught_before = dup(STDERR_FILENO);
    dup2(caught[1], STDERR_FILENO);
}

static void caught_line(char *line, size_t size)
{
    size_t length = 0;
    while (length + 1 < size && read(caught[0], line + length, 1) == 1 && line[length] != '\n')
        length++;
    line[length] = 0;
}

static void release_stderr(void)
{
    dup2(caught_before, STDERR_FILENO);
    close(caught_before);
    close(caught[0]);
    close(caught[1]);
}

struct hog {
    char line[1024];
    uint32_t stop;
    int blocks[2]; /* a pipe in which it blocks; or -1: it computes */
};

static weft_value keep_busy(weft_value data)
{
    struct hog *hog = weft_as_ptr(data);
    char octet;
    if (hog->blocks[0] >= 0)
        return weft_int(read(hog->blocks[0], &octet, 1));
    while (!__atomic_load_n(&hog->stop, __ATOMIC_ACQUIRE))
        ;
    return weft_int(1);
}

/* Lets the hog go on when it was reported. */
static weft_value await_report(weft_value data)
{
    struct hog *hog = weft_as_ptr(data);
    do /* the thread itself may be held up by others, and reported */
        caught_line(hog->line, sizeof(hog->line));
    while (!strstr(hog->line, "weft: coroutine "));
    if (hog->blocks[1] >= 0)
        ck_assert_int_eq(write(hog->blocks[1], "", 1), 1);
    __atomic_store_n(&hog->stop, 1, __ATOMIC_RELEASE);
    return weft_none;
}

static void hog_run(struct hog *hog, const char *name)
{
    weft_task *reader = weft_spawn(WEFT_THREAD, await_report, weft_ptr(hog));
    weft_task *task = weft_spawn(WEFT_COROUTINE, keep_busy, weft_ptr(hog), .name = name);
    ck_assert_int_eq(end(task), 1);
    ck_assert_int_eq(weft_task_join(reader, weft_in(20)), 0);
    weft_task_free(reader);
}

START_TEST(a_busy_hub_is_reported)
{
    char begins[128];
    struct hog spins = {.blocks = {-1, -1}}, blocks = {0};
    if (fixture_emulated())
        fixture_skip("an emulator's threads are elsewhere than what it emulates");
    ck_fails(weft_blocked_report(-1), EINVAL);
    ck_assert_int_eq(pipe(blocks.blocks), 0);
    catch_stderr();
    ck_assert_int_eq(weft_blocked_report(20), 0);
    hog_run(&spins, "Hog");
    hog_run(&blocks, NULL);
    ck_assert_int_eq(weft_blocked_report(0), 0);
    release_stderr();
    snprintf(begins, sizeof(begins), "weft: coroutine Hog has kept thread %d busy for ", gettid());
    ck_assert_ptr_eq(strstr(spins.line, begins), spins.line);
    if (!FIXTURE_TSAN &&
        !fixture_copies()) /* one lets a signal's handler wait for a call into the C library, the other lends its own lock */
        ck_assert_ptr_nonnull(strstr(spins.line, " ms, in test_coroutine+0x"));
    snprintf(begins, sizeof(begins), "weft: coroutine Coroutine-1 has kept thread %d busy for ", gettid());
    ck_assert_ptr_eq(strstr(blocks.line, begins), blocks.line);
    if (!strstr(blocks.line, "san.so") && !fixture_copies()) /* a sanitizer's read stands between; Valgrind's thread is in Valgrind */
        ck_assert_ptr_nonnull(strstr(blocks.line, "called from test_coroutine+0x"));
    close(blocks.blocks[0]);
    close(blocks.blocks[1]);
}
END_TEST

struct progress_look {
    const struct wefti_hub *hub;
    weft_event event;
};

static weft_value look_at_progress(weft_value data)
{
    struct progress_look *look = weft_as_ptr(data);
    fixture_until(wefti_hub_progress(look->hub) == 0);
    weft_event_set(&look->event);
    return weft_none;
}

static weft_value yield_often(weft_value data)
{
    uint64_t before = wefti_hub_progress(wefti_hub_now());
    for (int64_t left = weft_as_int(data); left > 0; left--) {
        weft_yield();
        uint64_t now = wefti_hub_progress(wefti_hub_now());
        ck_assert(now != before && now != 0);
        before = now;
    }
    return weft_int(0);
}

START_TEST(a_hub_that_goes_on_or_rests_is_not_busy)
{
    weft_task *yielding = weft_spawn(WEFT_COROUTINE, yield_often, weft_int(1000));
    struct progress_look look = {.hub = wefti_hub_now()};
    end(yielding);
    ck_assert_uint_eq(wefti_hub_progress(look.hub), 0); /* there are no coroutines */
    weft_task *sleeper = weft_spawn(WEFT_COROUTINE, sleep_for_ever, weft_none);
    ck_assert_uint_ne(wefti_hub_progress(look.hub), 0); /* one would like to begin */
    weft_task *looker = weft_spawn(WEFT_THREAD, look_at_progress, weft_ptr(&look));
    ck_assert_int_eq(weft_event_wait(&look.event, weft_in(20)), 0);
    weft_task_cancel(sleeper);
    weft_task_join(sleeper, WEFT_FOREVER);
    weft_task_join(looker, WEFT_FOREVER);
    weft_task_free(sleeper);
    weft_task_free(looker);
}
END_TEST

static uint32_t handler_word;

static void wake_in_handler(int signal)
{
    (void)signal;
    __atomic_add_fetch(&handler_word, 1, __ATOMIC_RELAXED);
    weft_wake(&handler_word, UINT32_MAX);
}

static weft_value wait_for_handler(weft_value data)
{
    (void)data;
    while (__atomic_load_n(&counted, __ATOMIC_RELAXED) == 0)
        weft_wait(&handler_word, __atomic_load_n(&handler_word, __ATOMIC_RELAXED), WEFT_FOREVER);
    return weft_none;
}

static void *send_signals(void *thread)
{
    for (int i = 0; i < 2000; i++) {
        pthread_kill(*(pthread_t *)thread, SIGUSR1);
        usleep(10);
    }
    __atomic_store_n(&counted, 1, __ATOMIC_RELAXED);
    pthread_kill(*(pthread_t *)thread, SIGUSR1);
    return NULL;
}

START_TEST(signal_handlers_may_wake)
{
    struct sigaction action = {.sa_handler = wake_in_handler, .sa_flags = SA_RESTART};
    pthread_t self = pthread_self(), sender;
    weft_task *tasks[8];
    sigaction(SIGUSR1, &action, NULL);
    for (int i = 0; i < 8; i++)
        tasks[i] = spawn(wait_for_handler, NULL);
    pthread_create(&sender, NULL, send_signals, &self);
    for (int i = 0; i < 8; i++)
        end(tasks[i]);
    pthread_join(sender, NULL);
}
END_TEST

static weft_local own_text = WEFT_LOCAL(free);

static weft_value keep_text(weft_value number)
{
    char text[16];
    snprintf(text, sizeof(text), "%d", (int)weft_as_int(number));
    ck_assert_ptr_null(weft_local_get(&own_text));
    weft_local_set(&own_text, strdup(text));
    weft_yield();
    ck_assert_str_eq(weft_local_get(&own_text), text);
    return weft_none;
}

START_TEST(each_has_its_locals)
{
    weft_task *tasks[4];
    for (int i = 0; i < 4; i++)
        tasks[i] = weft_spawn(WEFT_COROUTINE, keep_text, weft_int(i));
    for (int i = 0; i < 4; i++)
        end(tasks[i]);
}
END_TEST

static weft_value ten_thousand(weft_value data)
{
    weft_sleep(0.001 * (double)weft_as_int(data));
    return weft_none;
}

START_TEST(many_are_alive_at_once)
{
    enum { MANY = FIXTURE_TSAN ? 500 : 10000 };
    static weft_task *tasks[MANY];
    for (int round = 0; round < 2; round++) {
        for (int i = 0; i < MANY; i++) {
            tasks[i] = weft_spawn(WEFT_COROUTINE, ten_thousand, weft_int(i % 50));
            ck_assert_ptr_nonnull(tasks[i]);
        }
        ck_assert_uint_eq(weft_active_count(), MANY + 1);
        for (int i = 0; i < MANY; i++)
            end(tasks[i]);
    }
}
END_TEST

/* With a seed: who came when. */
enum { PLAYERS = 8, MOVES = 6 };
static char played[PLAYERS * MOVES + 1];
/* Seconds; of a time that passes at once, but where the C library says that there is, or was, another thread: it does so for some
 * builds. */
static double pace;

static weft_value play(weft_value data)
{
    weft_queue *queue = weft_as_ptr(data);
    static int players;
    int self = players++;
    for (int i = 0; i < MOVES; i++) {
        strncat(played, &"abcdefgh"[self], 1);
        weft_value value;
        if (i % 3 == 0)
            weft_yield();
        else if (i % 3 == 1)
            weft_sleep(pace * (1 + (self * 5 + i) % 7));
        else if (self % 2)
            ck_assert_int_eq(weft_queue_put(queue, weft_int(self), WEFT_FOREVER), 0);
        else
            ck_assert_int_eq(weft_queue_get(queue, &value, WEFT_FOREVER), 0);
    }
    return weft_none;
}

/* The same through pipes and local sockets: each gives to the next one, and waits for what it is given, but not for long. */
static int hands[PLAYERS][2];

static weft_value play_hands(weft_value data)
{
    static int players;
    int self = players++;
    (void)data;
    for (int i = 0; i < MOVES; i++) {
        char octet, move = "abcdefgh"[self];
        if (i == 3 && self % 4 == 3)
            weft_yield(); /* it gives nothing, and somebody waits in vain */
        else if (i % 3 == 0)
            ck_assert_int_eq(weft_write(hands[(self + 1) % PLAYERS][1], "x", 1, WEFT_FOREVER), 1);
        else if (i == 1)
            weft_yield();
        else if (i % 3 == 1)
            weft_sleep(0.001 * (1 + self % 2));
        else if (weft_read(hands[self][0], &octet, 1, weft_in(0.001 * (1 + self % 3))) != 1)
            move = "ABCDEFGH"[self]; /* late */
        strncat(played, &move, 1);
    }
    return weft_none;
}

static void hands_make(void)
{
    for (int i = 0; i < PLAYERS; i++)
        ck_assert_int_eq(i % 2 ? pipe(hands[i]) : socketpair(AF_UNIX, SOCK_STREAM, 0, hands[i]), 0);
}

/* A child's game under a seed: what was played, and whether it was late in it. */
static void game(const char *seed, weft_function *play_one, char out[sizeof(played)])
{
    int pipes[2];
    ck_assert_int_eq(pipe(pipes), 0);
    pid_t child = fork();
    if (child == 0) {
        setenv("WEFT_SEED", seed, 1);
        pace = wefti_alone() ? 60 : 0.002;
        if (play_one == play_hands)
            hands_make();
        weft_task *tasks[PLAYERS];
        weft_queue *queue = weft_queue_new(.capacity = WEFT_RENDEZVOUS);
        weft_time begun = weft_clock();
        for (int i = 0; i < PLAYERS; i++)
            tasks[i] = spawn(play_one, queue);
        for (int i = 0; i < PLAYERS; i++)
            weft_task_join(tasks[i], WEFT_FOREVER);
        bool late = play_one == play_hands || weft_clock() - begun >= (weft_time)(pace * 7e9);
        bool told = write(pipes[1], played, sizeof(played)) == (ssize_t)sizeof(played);
        _exit(told && late ? 0 : 1);
    }
    close(pipes[1]);
    ck_assert_int_eq((int)read(pipes[0], out, sizeof(played)), (int)sizeof(played));
    close(pipes[0]);
    int status;
    ck_assert_int_eq(waitpid(child, &status, 0), child);
    ck_assert_int_eq(status, 0);
}

START_TEST(a_seed_gives_the_same_order)
{
    char one[sizeof(played)], again[sizeof(played)], other[sizeof(played)];
    game("7", play, one);
    game("7", play, again);
    game("8", play, other);
    ck_assert_str_eq(one, again);
    ck_assert_str_ne(one, other);
    ck_assert_uint_eq(strlen(one), PLAYERS * MOVES);
}
END_TEST

START_TEST(a_seed_gives_the_same_order_through_pipes)
{
    char one[sizeof(played)], again[sizeof(played)], other[sizeof(played)];
    game("7", play_hands, one);
    for (int i = 0; i < 4; i++) {
        game("7", play_hands, again);
        ck_assert_str_eq(one, again);
    }
    game("8", play_hands, other);
    ck_assert_str_ne(one, other);
    ck_assert_ptr_nonnull(strpbrk(one, "ABCDEFGH"));
    ck_assert_uint_eq(strlen(one), PLAYERS * MOVES);
}
END_TEST

static weft_event all_pass;

static weft_value wait_to_pass(weft_value number)
{
    return weft_event_wait(&all_pass, WEFT_FOREVER) == 0 ? number : weft_error(errno, NULL);
}

/* LeakSanitizer looks for each stack among all when it ends. */
#ifdef __SANITIZE_ADDRESS__
enum { GUARDED = 2000 };
#else
enum { GUARDED = FIXTURE_TSAN ? 500 : 40000 };
#endif

/* More than two mappings each would allow. WEFT_STRESS_COROUTINES=1000000 takes a million. */
START_TEST(a_guard_is_no_mapping)
{
    const char *wanted = getenv("WEFT_STRESS_COROUTINES");
    size_t many = wanted ? strtoul(wanted, NULL, 10) : fixture_copies() ? 500 : (size_t)GUARDED, made = 0;
    weft_task **tasks = calloc(many, sizeof(*tasks));
    while (made < many && (tasks[made] = weft_spawn(WEFT_COROUTINE, wait_to_pass, weft_int((int64_t)made))))
        made++;
    int error = errno;
    weft_yield();
    if (made == many)
        ck_assert_uint_eq(weft_active_count(), many + 1);
    weft_event_set(&all_pass);
    for (size_t i = 0; i < made; i++) {
        weft_value number;
        ck_assert_int_eq(weft_task_result(tasks[i], &number, WEFT_FOREVER), 0);
        ck_assert_int_eq(weft_as_int(number), (int64_t)i);
        weft_task_free(tasks[i]);
    }
    free(tasks);
    if (made < many) {
        ck_assert_int_eq(error, ENOMEM);
        fixture_skip("guards are mappings here, of which a process may have some 65,000");
    }
}
END_TEST

/* One turn of a host's loop: waits for the hub's descriptor as for any other of its own, then lets the hub run. False: it was quiet for
 * `milliseconds`. */
static bool host_turn(int milliseconds)
{
    struct pollfd hub = {.fd = weft_hub_fd(), .events = POLLIN};
    ck_assert_int_ge(hub.fd, 0);
    if (poll(&hub, 1, milliseconds) <= 0)
        return false;
    weft_hub_run_once();
    return true;
}

static void host_run(weft_task *task)
{
    while (weft_task_is_alive(task))
        ck_assert(host_turn(20000));
    ck_assert_int_eq(weft_task_join(task, WEFT_NOW), 0);
}

static weft_value wait_for_event(weft_value event)
{
    return weft_int(weft_event_wait(weft_as_ptr(event), WEFT_FOREVER));
}

static weft_value set_event_soon(weft_value event)
{
    usleep(3000);
    weft_event_set(weft_as_ptr(event));
    return weft_none;
}

static weft_value yield_and_see(weft_value count)
{
    for (int64_t i = weft_as_int(count); i > 0; i--)
        weft_yield();
    return weft_none;
}

/* On a thread, with which its descriptor goes. */
static weft_value live_in_another_loop(weft_value data)
{
    int pipes[2];
    weft_event event = {0};
    ck_assert_uint_eq(weft_hub_run_once(), 0);
    ck_assert(!host_turn(0));
    weft_task *task = weft_spawn(WEFT_COROUTINE, square, weft_int(5)); /* a start is told */
    host_run(task);
    ck_assert_int_eq(end(task), 25);
    task = weft_spawn(WEFT_COROUTINE, sleep_and_note, weft_int(10)); /* a deadline */
    host_run(task);
    end(task);
    ck_assert(!host_turn(0));
    ck_assert_int_eq(pipe(pipes), 0); /* a descriptor */
    task = weft_spawn(WEFT_COROUTINE, read_one, weft_int(pipes[0]));
    ck_assert(host_turn(1000));
    ck_assert(!host_turn(0));
    ck_assert_int_eq((int)write(pipes[1], "x", 1), 1);
    host_run(task);
    ck_assert_int_eq(end(task), 'x');
    close(pipes[0]);
    close(pipes[1]);
    task = spawn(wait_for_event, &event); /* a wake from the loop itself */
    ck_assert(host_turn(1000));
    ck_assert(!host_turn(0));
    weft_event_set(&event);
    host_run(task);
    end(task);
    weft_event_clear(&event);
    task = spawn(wait_for_event, &event); /* and from another thread */
    ck_assert(host_turn(1000));
    weft_task *thread = weft_spawn(WEFT_THREAD, set_event_soon, weft_ptr(&event));
    host_run(task);
    end(task);
    task = weft_spawn(WEFT_COROUTINE, yield_and_see, weft_int(100)); /* who yields lets the loop turn */
    weft_hub_run_once();
    ck_assert(weft_task_is_alive(task));
    host_run(task);
    end(task);
    task = weft_spawn(WEFT_COROUTINE, yield_and_see, weft_int(100)); /* a wait in the loop's own code runs them as ever */
    end(task);
    end(thread);
    return data;
}

START_TEST(a_hub_lives_in_another_loop)
{
    end(weft_spawn(WEFT_THREAD, live_in_another_loop, weft_none));
}
END_TEST

static uint32_t blocking, beside_another; /* calls that block at the moment; whether there were ever two */

static weft_value block(weft_value milliseconds)
{
    if (__atomic_add_fetch(&blocking, 1, __ATOMIC_SEQ_CST) > 1)
        __atomic_store_n(&beside_another, 1, __ATOMIC_SEQ_CST);
    usleep((useconds_t)weft_as_int(milliseconds) * 1000);
    ck_assert_int_eq(weft_task_kind_of(weft_current()), WEFT_THREAD);
    __atomic_sub_fetch(&blocking, 1, __ATOMIC_SEQ_CST);
    return weft_int(weft_as_int(milliseconds) + 1);
}

static weft_value offload_block(weft_value milliseconds)
{
    weft_value result = weft_none;
    int offloaded = weft_offload(block, milliseconds, &result, WEFT_FOREVER);
    return weft_int(offloaded == 0 ? weft_as_int(result) : -errno);
}

START_TEST(blocking_calls_are_offloaded)
{
    weft_task *tasks[10];
    for (int i = 0; i < 10; i++)
        tasks[i] = weft_spawn(WEFT_COROUTINE, offload_block, weft_int(50));
    for (int i = 0; i < 10; i++)
        ck_assert_int_eq(end(tasks[i]), 51);
    ck_assert_uint_eq(beside_another, 1);
    ck_fails(weft_offload(block, weft_int(0), NULL, WEFT_NOW), EAGAIN);
    ck_fails(weft_offload(NULL, weft_int(0), NULL, WEFT_FOREVER), EINVAL);
    ck_assert_int_eq(weft_offload(block, weft_int(0), NULL, WEFT_FOREVER), 0); /* from a thread, too */
    ck_fails(weft_offload(block, weft_int(30), NULL, weft_in(0.001)), ETIMEDOUT);
    weft_task *cancelled = weft_spawn(WEFT_COROUTINE, offload_block, weft_int(30));
    weft_yield();
    weft_task_cancel(cancelled);
    ck_assert_int_eq(end(cancelled), -ECANCELED);
}
END_TEST

static int pool_threads[8], pool_thread_count;
static weft_lock pool_lock;
static uint32_t inside, most_inside;

static void note_thread(void)
{
    int number = gettid(), i = 0;
    weft_with (&pool_lock) {
        while (i < pool_thread_count && pool_threads[i] != number)
            i++;
        ck_assert_int_lt(i, 8);
        pool_threads[i] = number;
        pool_thread_count += i == pool_thread_count;
    }
}

static weft_value sleep_in_pool(weft_value data)
{
    uint32_t now = __atomic_add_fetch(&inside, 1, __ATOMIC_RELAXED);
    note_thread();
    weft_with (&pool_lock)
        most_inside = now > most_inside ? now : most_inside;
    ck_assert_int_eq(weft_task_kind_of(weft_current()), WEFT_COROUTINE);
    int slept = weft_sleep(weft_as_float(data));
    __atomic_sub_fetch(&inside, 1, __ATOMIC_RELAXED);
    return slept == 0 ? weft_none : weft_error(errno, NULL);
}

START_TEST(a_pool_spreads_over_threads)
{
    enum { TASKS = 300 };
    weft_pool *pool = weft_pool_new(WEFT_COROUTINE, .workers = 200, .threads = 3, .backlog = TASKS);
    ck_assert_ptr_nonnull(pool);
    for (int i = 0; i < TASKS; i++)
        ck_assert_int_eq(weft_pool_start(pool, sleep_in_pool, weft_float(FIXTURE_TSAN ? 0.3 : 0.1)), 0);
    weft_pool_free(pool);
    ck_assert_uint_eq(inside, 0);
    ck_assert_int_eq(pool_thread_count, 3);
    ck_assert_uint_le(most_inside, 200);
    ck_assert_uint_gt(most_inside, 20);
    ck_fails_null(weft_pool_new(WEFT_COROUTINE, .nice = 77), EINVAL);
    ck_fails_null(weft_pool_new(WEFT_THREAD, .threads = 2), ENOTSUP);
    pool = weft_pool_new(WEFT_COROUTINE, .threads = 2);
    weft_future *future = weft_pool_submit(pool, sleep_in_pool, weft_float(1000));
    while (!weft_future_running(future))
        weft_sleep(0.0001);
    ck_assert_int_eq(weft_pool_terminate(pool, weft_in(20)), 0);
    ck_assert_int_eq(weft_future_outcome(future), WEFT_CANCELLED);
    weft_future_free(future);
    weft_pool_free(pool);
}
END_TEST

static weft_value free_pool_from_coroutine(weft_value data)
{
    weft_pool *pool = weft_pool_new(WEFT_COROUTINE, .threads = 1);
    weft_value value = weft_none;
    ck_assert_int_eq(weft_pool_apply(pool, square, data, &value, WEFT_FOREVER), 0);
    weft_pool_free(pool);
    return value;
}

START_TEST(coroutines_use_pools_of_coroutines)
{
    weft_task *tasks[4];
    for (int i = 0; i < 4; i++)
        tasks[i] = weft_spawn(WEFT_COROUTINE, free_pool_from_coroutine, weft_int(i));
    for (int i = 0; i < 4; i++)
        ck_assert_int_eq(end(tasks[i]), i * i);
}
END_TEST

static weft_value member(weft_value data)
{
    return weft_as_int(data) < 0 ? weft_error(EIO, NULL) : sleep_for_ever(weft_none);
}

START_TEST(the_first_error_of_a_group_ends_it)
{
    weft_group *group = weft_group_new();
    for (int i = 0; i < 5; i++)
        ck_assert_int_eq(weft_group_spawn(group, WEFT_COROUTINE, member, weft_int(i)), 0);
    ck_assert_int_eq(weft_group_spawn(group, WEFT_COROUTINE, member, weft_int(-1)), 0);
    weft_value error = weft_none;
    weft_group_join(group, &error, weft_in(20));
    ck_assert_int_eq(weft_error_code(error), EIO);
    weft_drop(error);
    ck_assert_uint_eq(weft_group_alive(group), 0);
    weft_group_free(group);
}
END_TEST

static weft_value waits_at(weft_value descriptor)
{
    weft_case readable = weft_case_descriptor((int)weft_as_int(descriptor), POLLIN, NULL);
    ck_fails(weft_select(&readable, 1, weft_in(0.001)), ETIMEDOUT);
    return weft_none;
}

/* Where the program runs without them. */
START_TEST(no_descriptor_of_a_hub_is_a_stream)
{
    int ends[2], kept[3];
    ck_assert_int_eq(pipe(ends), 0);
    fixture_streams_close(kept);
    weft_task *task = weft_spawn(WEFT_COROUTINE, waits_at, weft_int(ends[0]));
    weft_signals *signals = weft_signals_new(SIGUSR1);
    bool ran = task && signals && weft_task_join(task, WEFT_FOREVER) == 0, taken = fixture_streams_back(kept);
    ck_assert(ran && !taken);
    weft_signals_free(signals);
    weft_task_free(task);
    close(ends[0]);
    close(ends[1]);
}
END_TEST

static void add(TCase *tests)
{
    tcase_add_test(tests, a_pool_spreads_over_threads);
    tcase_add_test(tests, coroutines_use_pools_of_coroutines);
    tcase_add_test(tests, the_first_error_of_a_group_ends_it);
    tcase_add_test(tests, a_hub_lives_in_another_loop);
    tcase_add_test(tests, blocking_calls_are_offloaded);
    tcase_add_test(tests, a_coroutine_is_a_task);
    tcase_add_test(tests, options_that_cannot_be);
    tcase_add_test(tests, they_take_turns_in_order);
    tcase_add_test(tests, each_has_its_errno);
    tcase_add_test(tests, each_is_current_in_its_turn);
    tcase_add_test(tests, cancellation_ends_the_wait_it_is_in);
    tcase_add_test(tests, cancellation_ends_every_kind_of_wait);
    tcase_add_test(tests, another_thread_may_cancel);
    tcase_add_test(tests, deadlines_come_in_their_order);
    tcase_add_test(tests, descriptors_are_waited_for_side_by_side);
    tcase_add_test(tests, several_wait_for_one_descriptor);
    tcase_add_test(tests, every_wait_is_there);
    tcase_add_test(tests, coroutines_join_threads_and_each_other);
    tcase_add_test(tests, any_number_join_one_and_may_give_up);
    tcase_add_test(tests, handles_are_used_again);
    tcase_add_test(tests, a_rendezvous_ends_in_every_way);
    tcase_add_test(tests, words_of_the_kernel_block_no_hub);
    tcase_add_test(tests, words_of_the_kernel_need_no_thread_over_io_uring);
    tcase_add_test(tests, a_wake_is_not_lost_on_who_leaves);
    tcase_add_test(tests, a_wake_is_not_lost_on_who_leaves_over_io_uring);
    tcase_add_test(tests, a_thread_ends_with_its_coroutines);
    tcase_add_test(tests, who_joins_a_thread_lets_his_own_run);
    tcase_add_test(tests, the_program_joins_them_at_exit);
    tcase_add_test(tests, who_never_waits_starves_nobody);
    tcase_add_test(tests, a_descriptor_is_looked_at_in_time);
    tcase_add_test(tests, a_hub_stands_by_after_any_wait);
    tcase_add_test(tests, a_forked_child_has_only_the_flow_that_forked);
    tcase_add_test(tests, an_overflow_is_reported);
    tcase_add_test(tests, a_busy_hub_is_reported);
    tcase_add_test(tests, a_hub_that_goes_on_or_rests_is_not_busy);
    tcase_add_test(tests, signal_handlers_may_wake);
    tcase_add_test(tests, each_has_its_locals);
    tcase_add_test(tests, many_are_alive_at_once);
    tcase_add_test(tests, a_seed_gives_the_same_order);
    tcase_add_test(tests, a_seed_gives_the_same_order_through_pipes);
    tcase_add_test(tests, a_guard_is_no_mapping);
    tcase_add_test(tests, no_descriptor_of_a_hub_is_a_stream);
}

int main(void)
{
    return fixture_main("coroutine", add);
}
