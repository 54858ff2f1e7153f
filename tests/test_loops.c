/* SPDX-License-Identifier: MIT */
/* A thread's coroutines inside another library's main loop: GLib's and libuv's. The loop watches weft_hub_fd, and calls
 * weft_hub_run_once. */
#include <pthread.h>
#include <unistd.h>
#ifdef HAVE_GLIB
#include <glib-unix.h>
#endif
#ifdef HAVE_LIBUV
#include <uv.h>
#endif

#include "fixture.h"

enum { COROUTINES = 20, ROUNDS = 5 };

static int ends[2];
static size_t rounds;

/* Sleeps, reads what a thread writes, and meets the others in a queue. */
static weft_value work(weft_value queue)
{
    for (int i = 0; i < ROUNDS; i++) {
        weft_value token;
        short seen = 0;
        weft_case readable = weft_case_descriptor(ends[0], 1 /* POLLIN */, &seen);
        ck_assert_int_eq(weft_sleep(0.001), 0);
        ck_assert_int_eq(weft_select(&readable, 1, weft_in(20)), 0);
        ck_assert_int_eq(weft_queue_get(weft_as_ptr(queue), &token, weft_in(20)), 0);
        rounds++;
        ck_assert_int_eq(weft_queue_put(weft_as_ptr(queue), token, weft_in(20)), 0);
    }
    return weft_none;
}

static void *begin_late(void *queue)
{
    usleep(2000);
    ck_assert_int_eq(write(ends[1], "x", 1), 1);
    usleep(2000);
    ck_assert_int_eq(weft_queue_put(queue, weft_int(1), WEFT_FOREVER), 0);
    return NULL;
}

/* Starts all; the loop runs until they have ended. On a thread that then ends, as the descriptor is there as long as that. */
static void *loop_main(void *data)
{
    void (*loop)(int fd) = *(void (**)(int fd))data;
    weft_queue *queue = weft_queue_new(WEFT_FIFO);
    weft_task *tasks[COROUTINES];
    pthread_t thread;
    ck_assert_int_eq(pipe(ends), 0);
    for (int i = 0; i < COROUTINES; i++)
        ck_assert_ptr_nonnull(tasks[i] = weft_spawn(WEFT_COROUTINE, work, weft_ptr(queue)));
    int fd = weft_hub_fd();
    ck_assert_int_ge(fd, 0);
    ck_assert_int_eq(weft_hub_fd(), fd);
    ck_assert_int_eq(pthread_create(&thread, NULL, begin_late, queue), 0);
    loop(fd);
    pthread_join(thread, NULL);
    for (int i = 0; i < COROUTINES; i++) {
        ck_assert_int_eq(weft_task_state_of(tasks[i]), WEFT_STOPPED); /* nothing but the loop has run them */
        weft_task_free(tasks[i]);
    }
    ck_assert_uint_eq(rounds, COROUTINES * ROUNDS);
    weft_queue_free(queue);
    close(ends[0]);
    close(ends[1]);
    return NULL;
}

static void with_loop(void (*loop)(int fd))
{
    pthread_t thread;
    ck_assert_int_eq(pthread_create(&thread, NULL, loop_main, &loop), 0);
    ck_assert_int_eq(pthread_join(thread, NULL), 0);
}

#ifdef HAVE_GLIB

static GMainLoop *glib_loop;
static int glib_ticks;

static gboolean glib_readable(gint fd, GIOCondition condition, gpointer data)
{
    (void)fd, (void)condition, (void)data;
    if (weft_hub_run_once() == 0)
        g_main_loop_quit(glib_loop);
    return G_SOURCE_CONTINUE;
}

static gboolean glib_tick(gpointer data)
{
    (void)data;
    glib_ticks++;
    return G_SOURCE_CONTINUE;
}

static void glib_run(int fd)
{
    glib_loop = g_main_loop_new(NULL, FALSE);
    guint watch = g_unix_fd_add(fd, G_IO_IN, glib_readable, NULL), ticks = g_timeout_add(1, glib_tick, NULL);
    if (weft_hub_run_once() > 0)
        g_main_loop_run(glib_loop);
    g_source_remove(watch);
    g_source_remove(ticks);
    g_main_loop_unref(glib_loop);
    ck_assert_int_gt(glib_ticks, 0); /* its own sources had their turn */
}

START_TEST(inside_glib)
{
    with_loop(glib_run);
}
END_TEST

#endif

#ifdef HAVE_LIBUV

static int uv_ticks;

static void uv_tick(uv_timer_t *timer)
{
    (void)timer;
    uv_ticks++;
}

static void uv_readable(uv_poll_t *watch, int status, int events)
{
    ck_assert_int_eq(status, 0);
    ck_assert_int_eq(events, UV_READABLE);
    if (weft_hub_run_once() == 0)
        uv_stop(watch->loop);
}

static void uv_run_with(int fd)
{
    uv_loop_t loop;
    uv_poll_t watch;
    uv_timer_t timer;
    ck_assert_int_eq(uv_loop_init(&loop), 0);
    ck_assert_int_eq(uv_poll_init(&loop, &watch, fd), 0);
    ck_assert_int_eq(uv_timer_init(&loop, &timer), 0);
    uv_poll_start(&watch, UV_READABLE, uv_readable);
    uv_timer_start(&timer, uv_tick, 1, 1);
    if (weft_hub_run_once() > 0)
        uv_run(&loop, UV_RUN_DEFAULT);
    uv_close((uv_handle_t *)&watch, NULL);
    uv_close((uv_handle_t *)&timer, NULL);
    uv_run(&loop, UV_RUN_DEFAULT);
    ck_assert_int_eq(uv_loop_close(&loop), 0);
    ck_assert_int_gt(uv_ticks, 0);
}

START_TEST(inside_libuv)
{
    with_loop(uv_run_with);
    uv_library_shutdown();
}
END_TEST

#endif

static void add(TCase *tests)
{
#ifdef HAVE_GLIB
    tcase_add_test(tests, inside_glib);
#endif
#ifdef HAVE_LIBUV
    tcase_add_test(tests, inside_libuv);
#endif
    (void)tests;
}

int main(void)
{
    return fixture_main("loops", add);
}
