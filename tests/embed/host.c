/* SPDX-License-Identifier: MIT */
/*
 * A host that comes by Weft at run time: host SCENARIO LIBRARY PLUGIN. Built three times: without Weft, linked with the shared library and
 * with the static one (HOST_LINKED; HOST_SHARED: 1 or 0), so that there are up to three copies in the process.
 */
#include <ctype.h>
#include <dirent.h>
#include <fcntl.h>
#include <sys/wait.h>

#include "workload.h"

#define CHECK(expression)                                                          \
    do {                                                                           \
        if (!(expression)) {                                                       \
            fprintf(stderr, "line %d: %s does not hold\n", __LINE__, #expression); \
            exit(1);                                                               \
        }                                                                          \
    } while (0)

/* Whether ThreadSanitizer watches: it does not survive threads that a forked child of a threaded program starts. */
#ifdef __SANITIZE_THREAD__
#define HOST_TSAN 1
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define HOST_TSAN 1
#endif
#endif
#ifndef HOST_TSAN
#define HOST_TSAN 0
#endif

#ifdef HOST_LINKED
#define HOST_TAKE(name) weft_##name,
static const struct workload_api own = {WORKLOAD_FUNCTIONS(HOST_TAKE)};
#endif

/* How many entries a folder of /proc has whose names are numbers. */
static int numbers_in(const char *folder)
{
    int count = 0;
    DIR *open = opendir(folder);
    for (struct dirent *entry; open && (entry = readdir(open));)
        count += isdigit((unsigned char)entry->d_name[0]) != 0;
    closedir(open);
    return count;
}

static void *library_open(const char *path)
{
    void *library = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    if (!library)
        fprintf(stderr, "%s\n", dlerror());
    CHECK(library);
    return library;
}

/* Opens a copy of the library that is a file of its own, for a moment: it lies in the build folder, as /tmp may not hold programs. */
static void *copy_open(const char *path, struct workload_api *api)
{
    char name[4096], buffer[65536];
    CHECK(snprintf(name, sizeof(name), "%s-XXXXXX", path) < (int)sizeof(name));
    int to = mkstemp(name), from = open(path, O_RDONLY | O_CLOEXEC);
    CHECK(to >= 0 && from >= 0);
    for (ssize_t got; (got = read(from, buffer, sizeof(buffer))) > 0;)
        CHECK(write(to, buffer, (size_t)got) == got);
    close(from);
    close(to);
    void *library = dlopen(name, RTLD_NOW | RTLD_LOCAL);
    unlink(name);
    CHECK(library && workload_load(api, library));
    return library;
}

struct held {
    const struct workload_api *api;
    weft_event begun, go;
};

static weft_value wait_to_go(weft_value argument)
{
    struct held *held = argument.as.pointer;
    held->api->event_set(&held->begun);
    held->api->event_wait(&held->go, WEFT_FOREVER);
    return workload_int(7);
}

static weft_task *held_start(struct held *held, const struct workload_api *api)
{
    *held = (struct held){.api = api};
    struct weft_spawn_options options = {
        .size = sizeof(options), .kind = WEFT_THREAD, .function = wait_to_go, .argument = workload_ptr(held)};
    weft_task *task = api->spawn_with(&options);
    CHECK(task && api->event_wait(&held->begun, WEFT_FOREVER) == 0);
    return task;
}

static void held_end(struct held *held, weft_task *task)
{
    weft_value value;
    held->api->event_set(&held->go);
    CHECK(held->api->task_result(task, &value, WEFT_FOREVER) == 0 && value.as.integer == 7);
    held->api->task_free(task);
}

static weft_value nothing(weft_value unused)
{
    return unused;
}

/* Closed with a task in it and an idle pool beside it, and opened again: what ran runs on, and it is the same library. */
static void scenario_reopen(const char *path)
{
    struct workload_api api;
    void *library = library_open(path);
    CHECK(workload_load(&api, library));
    struct held held;
    weft_task *task = held_start(&held, &api);
    struct weft_pool_options options = {.size = sizeof(options), .kind = WEFT_THREAD, .workers = 1};
    weft_pool *idle = api.pool_new_with(&options);
    struct weft_submit_options submit = {.size = sizeof(submit), .pool = idle, .function = nothing};
    weft_future *future = api.pool_submit_with(&submit);
    CHECK(future && api.future_result(future, NULL, WEFT_FOREVER) == 0);
    void *main_before = api.main();
    uint64_t ident = api.task_ident(task);
    CHECK(dlclose(library) == 0);
    for (int i = 0; i < 20; i++) {
        struct workload_api again;
        library = library_open(path);
        CHECK(workload_load(&again, library) && again.main() == main_before && again.task_ident(task) == ident);
        CHECK(workload_run(&again) == 0);
        CHECK(dlclose(library) == 0);
    }
    held_end(&held, task);
    api.future_free(future);
    api.pool_free(idle);
    CHECK(api.active_count() == 1);
}

/* A plugin that uses Weft comes and goes, unloaded each time; the library stays, and nothing else does. */
static void scenario_plugin(const char *path, const char *plugin)
{
    int descriptors = 0, threads = 0;
    for (int i = 0; i < 20; i++) {
        void *opened = library_open(plugin);
        int (*run)(void);
        *(void **)&run = dlsym(opened, "plugin_run");
        int line = run();
        if (line)
            fprintf(stderr, "workload.h:%d\n", line);
        CHECK(line == 0);
        CHECK(dlclose(opened) == 0);
        CHECK(!dlopen(plugin, RTLD_NOW | RTLD_NOLOAD));
        if (i == 0) {
            descriptors = numbers_in("/proc/self/fd");
            threads = numbers_in("/proc/self/task");
        }
    }
    CHECK(numbers_in("/proc/self/fd") == descriptors && numbers_in("/proc/self/task") == threads);
    void *library = dlopen(path, RTLD_NOW | RTLD_NOLOAD);
    CHECK(library);
    CHECK(workload_destroyed == 0); /* those of the plugin are its own */
}

static void *workload_thread(void *api)
{
    for (int i = 0; i < 10; i++)
        if (workload_run(api) != 0)
            return NULL;
    return api;
}

/* Two copies at once: each with tasks, pools and commands, used by the same threads; each knows of its own only. */
static void copies_meet(const struct workload_api *first, const struct workload_api *second)
{
    CHECK(first->main() != second->main() && first->spawn_with != second->spawn_with);
    CHECK(first->current() != second->current());
    struct held held, other;
    weft_task *task = held_start(&held, first);
    CHECK(first->active_count() == 2 && second->active_count() == 1);
    weft_task *beside = held_start(&other, second);
    pthread_t threads[2];
    const struct workload_api *apis[2] = {first, second};
    for (int i = 0; i < 2; i++)
        CHECK(pthread_create(&threads[i], NULL, workload_thread, (void *)apis[i]) == 0);
    for (int i = 0; i < 2; i++) {
        void *passed;
        CHECK(pthread_join(threads[i], &passed) == 0 && passed);
    }
    CHECK(first->active_count() == 2 && second->active_count() == 2);
    held_end(&held, task);
    held_end(&other, beside);
    CHECK(first->active_count() == 1 && second->active_count() == 1);
}

/* A forked child has both, and is alone in both. */
static void copies_fork(const struct workload_api *first, const struct workload_api *second)
{
    struct held held;
    weft_task *task = held_start(&held, first);
    pid_t child = fork();
    if (child == 0)
        _exit(first->active_count() == 1 && workload_run(first) == 0 && workload_run(second) == 0 ? 0 : 1);
    int status;
    CHECK(waitpid(child, &status, 0) == child && status == 0);
    held_end(&held, task);
}

/* At exit both wait for what they started. */
static weft_value write_late(weft_value argument)
{
    const struct workload_api *api = argument.as.pointer;
    api->sleep(0.05);
    CHECK(write(1, "late\n", 5) == 5);
    return argument;
}

static void copies_exit(const struct workload_api *api)
{
    struct weft_spawn_options options = {
        .size = sizeof(options), .kind = WEFT_THREAD, .function = write_late, .argument = workload_ptr((void *)api)};
    weft_task *task = api->spawn_with(&options);
    CHECK(task);
    api->task_free(task);
}

static struct workload_api first, second;

static void scenario_copies(const char *path)
{
    copy_open(path, &first);
    copy_open(path, &second);
    copies_meet(&first, &second);
    if (!HOST_TSAN)
        copies_fork(&first, &second);
    copies_exit(&first);
    copies_exit(&second);
}

#ifdef HOST_LINKED
/* This program's own, a plugin's, which is the program's where that is shared, and a copy. */
static void scenario_linked(const char *path, const char *plugin)
{
    int (*run)(void);
    void *(*main_task)(void);
    void *opened = library_open(plugin);
    copy_open(path, &second);
    copies_meet(&own, &second);
    if (!HOST_TSAN)
        copies_fork(&own, &second);
    *(void **)&run = dlsym(opened, "plugin_run");
    *(void **)&main_task = dlsym(opened, "plugin_main_task");
    CHECK(run() == 0 && main_task() != second.main());
    CHECK((main_task() == own.main()) == HOST_SHARED); /* the static one is seen by nobody else */
    CHECK(own.active_count() == 1 && second.active_count() == 1);
    copies_exit(&own);
    copies_exit(&second);
}
#endif

/*
 * In a namespace of the loader's own, with a C library of its own, which knows nothing of the threads that this program's started; so the
 * library is called by the main thread, and by threads that it starts itself.
 */
static void scenario_namespace(const char *path)
{
    void *library = dlmopen(LM_ID_NEWLM, path, RTLD_NOW | RTLD_LOCAL);
    if (!library)
        fprintf(stderr, "%s\n", dlerror());
    CHECK(library && workload_load(&first, library));
    copy_open(path, &second);
    for (int i = 0; i < 10; i++) {
        CHECK(workload_run_inside(&first) == 0 && workload_run(&second) == 0);
        CHECK(first.active_count() == 1 && second.active_count() == 1);
    }
    copies_exit(&second);
}

int main(int count, char **arguments)
{
    CHECK(count == 4);
    if (strcmp(arguments[1], "reopen") == 0)
        scenario_reopen(arguments[2]);
    else if (strcmp(arguments[1], "plugin") == 0)
        scenario_plugin(arguments[2], arguments[3]);
    else if (strcmp(arguments[1], "copies") == 0)
        scenario_copies(arguments[2]);
    else if (strcmp(arguments[1], "namespace") == 0)
        scenario_namespace(arguments[2]);
#ifdef HOST_LINKED
    else if (strcmp(arguments[1], "linked") == 0)
        scenario_linked(arguments[2], arguments[3]);
#endif
    else
        CHECK(arguments[1] == NULL);
    return 0;
}
