/* SPDX-License-Identifier: MIT */
/*
 * Something of each floor, done through a table of functions, so that one program can do it with several copies of the library, however it
 * came by them.
 */
#ifndef WORKLOAD_H
#define WORKLOAD_H

#include <dlfcn.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <weft.h>

/* Every function that is used, by the name that it has behind weft_. */
#define WORKLOAD_FUNCTIONS(take)                                                                                                        \
    take(spawn_with) take(task_join) take(task_result) take(task_free) take(task_keep) take(current) take(main) take(active_count)      \
        take(task_ident) take(task_daemon) take(task_is_alive) take(in) take(sleep) take(pool_new_with) take(pool_submit_with)          \
            take(pool_free) take(future_result) take(future_free) take(queue_new_with) take(queue_put) take(queue_get) take(queue_free) \
                take(lock_acquire) take(lock_release) take(event_set) take(event_wait) take(local_get) take(local_set)                  \
                    take(command_run_with) take(drop_counted)

#define WORKLOAD_FIELD(name) __typeof__(weft_##name) *name;
struct workload_api {
    WORKLOAD_FUNCTIONS(WORKLOAD_FIELD)
};

/* Fills in the table from an open library; false when a name is missing. */
static inline bool workload_load(struct workload_api *api, void *library)
{
    bool all = true;
#define WORKLOAD_LOAD(name)                               \
    *(void **)&api->name = dlsym(library, "weft_" #name); \
    all = all && api->name;
    WORKLOAD_FUNCTIONS(WORKLOAD_LOAD)
    return all;
}

/* One run: what its tasks share. */
struct workload {
    const struct workload_api *api;
    weft_lock lock;
    weft_local local;
    weft_queue *queue;
    int sum;
};

static int workload_destroyed; /* how many task-local pointers */

static inline void workload_destroy(void *pointer)
{
    free(pointer);
    __atomic_add_fetch(&workload_destroyed, 1, __ATOMIC_RELAXED);
}

static inline weft_value workload_ptr(void *pointer)
{
    weft_value value = {.kind = WEFT_PTR};
    value.as.pointer = pointer;
    return value;
}

static inline weft_value workload_int(int64_t number)
{
    weft_value value = {.kind = WEFT_INT};
    value.as.integer = number;
    return value;
}

static inline weft_value workload_add(weft_value argument)
{
    struct workload *work = argument.as.pointer;
    work->api->lock_acquire(&work->lock, WEFT_FOREVER);
    work->sum++;
    work->api->lock_release(&work->lock);
    if (!work->api->local_get(&work->local))
        work->api->local_set(&work->local, malloc(1));
    return workload_int(1);
}

static inline weft_value workload_put(weft_value argument)
{
    struct workload *work = argument.as.pointer;
    for (int i = 0; i < 100; i++)
        if (work->api->queue_put(work->queue, workload_int(i), WEFT_FOREVER) != 0)
            return workload_int(-1);
    return workload_add(argument);
}

/* A thread of the host's own. */
static inline void *workload_foreign(void *data)
{
    struct workload *work = data;
    workload_add(workload_ptr(work));
    return work->api->task_daemon(work->api->current()) ? data : NULL;
}

#define WORKLOAD_CHECK(expression) \
    do {                           \
        if (!(expression))         \
            return __LINE__;       \
    } while (0)

static inline int workload_pool(struct workload *work)
{
    const struct workload_api *api = work->api;
    struct weft_pool_options options = {.size = sizeof(options), .kind = WEFT_THREAD, .workers = 2};
    weft_pool *pool = api->pool_new_with(&options);
    WORKLOAD_CHECK(pool);
    weft_future *futures[50];
    for (int i = 0; i < 50; i++) {
        struct weft_submit_options submit = {
            .size = sizeof(submit), .pool = pool, .function = workload_add, .argument = workload_ptr(work)};
        WORKLOAD_CHECK(futures[i] = api->pool_submit_with(&submit));
    }
    for (int i = 0; i < 50; i++) {
        weft_value value;
        WORKLOAD_CHECK(api->future_result(futures[i], &value, WEFT_FOREVER) == 0 && value.as.integer == 1);
        api->future_free(futures[i]);
    }
    api->pool_free(pool);
    return 0;
}

static inline int workload_queue(struct workload *work)
{
    const struct workload_api *api = work->api;
    struct weft_queue_options options = {.size = sizeof(options), .capacity = 3};
    WORKLOAD_CHECK(work->queue = api->queue_new_with(&options));
    struct weft_spawn_options spawn = {
        .size = sizeof(spawn), .kind = WEFT_THREAD, .function = workload_put, .argument = workload_ptr(work)};
    weft_task *task = api->spawn_with(&spawn);
    WORKLOAD_CHECK(task);
    for (int i = 0; i < 100; i++) {
        weft_value value;
        WORKLOAD_CHECK(api->queue_get(work->queue, &value, WEFT_FOREVER) == 0 && value.as.integer == i);
    }
    WORKLOAD_CHECK(api->task_join(task, WEFT_FOREVER) == 0);
    api->task_free(task);
    api->queue_free(work->queue);
    return 0;
}

static inline int workload_from_outside(struct workload *work)
{
    pthread_t thread;
    void *daemon;
    WORKLOAD_CHECK(pthread_create(&thread, NULL, workload_foreign, work) == 0);
    WORKLOAD_CHECK(pthread_join(thread, &daemon) == 0 && daemon);
    return 0;
}

static inline int workload_command(struct workload *work)
{
    static const char *const argv[] = {"true", NULL};
    struct weft_command_options options = {.size = sizeof(options), .argv = argv, .deadline = WEFT_FOREVER};
    struct weft_command_result result;
    WORKLOAD_CHECK(work->api->command_run_with(&options, &result) == 0 && result.status.exitcode == 0);
    work->api->drop_counted(result.output); /* captured, and empty */
    work->api->drop_counted(result.error);
    return 0;
}

/* All but what a thread of the host does: 0, or the line that does not hold. What it started has ended then. */
static inline int workload_run_inside(const struct workload_api *api)
{
    struct workload work = {.api = api, .local = {.destroy = workload_destroy}};
    int line = workload_pool(&work);
    line = line ? line : workload_queue(&work);
    line = line ? line : workload_command(&work);
    WORKLOAD_CHECK(line || work.sum == 51);
    return line;
}

/* All of it. */
static inline int workload_run(const struct workload_api *api)
{
    struct workload work = {.api = api, .local = {.destroy = workload_destroy}};
    int line = workload_from_outside(&work);
    WORKLOAD_CHECK(line || work.sum == 1);
    return line ? line : workload_run_inside(api);
}

#endif
