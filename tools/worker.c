/* SPDX-License-Identifier: MIT */
/*
 * `weft worker`: takes items of a manager's task queue, runs a command or a function of a shared object on each, and puts what comes of it
 * on the result queue.
 *
 * Several at a time: a thread each, with a connection of its own. A command gets the item in place of {}, or as its last argument: a str as
 * it is, all else as JSON; what it prints is the result, a str without the newline at its end. One that fails, or cannot be run, is a
 * RuntimeError as result: the program that waits for ten results gets ten. So is an item that cannot be read here or is too much for JSON,
 * and a result that has no pickle; output that is no UTF-8 is bytes.
 */
#include "managers.h"

#include <dlfcn.h>
#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "complain.h"

static const double GET_SECONDS = 3;

struct worker_plan {
    const char *address, *key_file, *tasks, *results, *module;
    char **command;
    int words;
    long jobs;
    double idle; /* seconds without an item after which it ends; 0: never */
    weft_function *function;
    weft_remote *remote;
};

static void worker_help(void)
{
    printf("Usage: weft worker --authkey-file FILE [OPTION]... ADDRESS COMMAND [ARGUMENT]...\n"
           "       weft worker --authkey-file FILE --module FILE.so:FUNCTION [OPTION]... ADDRESS\n"
           "Takes items of a task queue, runs a command or a function on each, and puts the results on the result queue.\n\n"
           "      --authkey-file FILE  has the key\n"
           "      --tasks NAME         what the task queue is registered as; get_task_queue\n"
           "      --results NAME       the result queue; get_result_queue\n"
           "      --module FILE:NAME   a function, weft_value NAME(weft_value item), of a shared object\n"
           "      --jobs N             so many at once; 1\n"
           "      --timeout SECONDS    ends when no item has come for so long; without, when the manager does\n"
           "  -h, --help               this\n\n"
           "{} in the command is the item; without it the item comes last. What the command prints is the result.\n");
}

static int plan_read(struct worker_plan *plan, int argc, char **argv)
{
    static const struct option rows[] = {{"authkey-file", required_argument, NULL, 'k'}, {"authkey", required_argument, NULL, 'K'},
        {"tasks", required_argument, NULL, 'a'}, {"results", required_argument, NULL, 'r'}, {"module", required_argument, NULL, 'm'},
        {"jobs", required_argument, NULL, 'j'}, {"timeout", required_argument, NULL, 't'}, {"help", no_argument, NULL, 'h'}, {0}};
    opterr = 0;
    for (int code; (code = getopt_long(argc, argv, "+h", rows, NULL)) != -1;) {
        if (code == 'h') {
            worker_help();
            return EXIT_SUCCESS;
        }
        if (code == 'K') {
            key_refuse(optarg);
            return EXIT_USAGE;
        }
        if (code == '?') {
            complain("unknown option %s, or it lacks its value; weft worker --help lists them", argv[optind - 1]);
            return EXIT_USAGE;
        }
        if ((code == 'j' && !whole_number(optarg, "--jobs", 1, &plan->jobs)) ||
            (code == 't' && !seconds_number(optarg, "--timeout", &plan->idle)))
            return EXIT_USAGE;
        const char **text = code == 'k'   ? &plan->key_file
                            : code == 'a' ? &plan->tasks
                            : code == 'r' ? &plan->results
                            : code == 'm' ? &plan->module
                                          : NULL;
        if (text)
            *text = optarg;
    }
    plan->words = argc - optind - 1;
    if (plan->words < 0 || (plan->words == 0) == !plan->module) {
        complain("it takes an address, and a command or --module; weft worker --help says more");
        return EXIT_USAGE;
    }
    if (plan->words > 0 && *argv[optind + 1] == '-') {
        complain("%s comes after the address, where the command is: options stand before it", argv[optind + 1]);
        return EXIT_USAGE;
    }
    plan->address = argv[optind];
    plan->command = argv + optind + 1;
    return -1;
}

static bool module_load(struct worker_plan *plan)
{
    char file[4096] = "./"; /* without it the loader looks for a name everywhere but here */
    const char *colon = strrchr(plan->module, ':');
    if (!colon || !colon[1] || (size_t)(colon - plan->module) >= sizeof file - 2) {
        complain("--module takes FILE:FUNCTION, not '%s'", plan->module);
        return false;
    }
    memcpy(file + 2, plan->module, (size_t)(colon - plan->module));
    file[2 + (colon - plan->module)] = 0;
    bool here = !strchr(file + 2, '/') && access(file, F_OK) == 0;
    void *module = dlopen(here ? file : file + 2, RTLD_NOW | RTLD_LOCAL);
    if (module)
        *(void **)&plan->function = dlsym(module, colon + 1);
    if (!plan->function)
        complain("%s", dlerror());
    return plan->function != NULL;
}

/* False: it is too much. */
static bool item_text(struct text *to, weft_value item)
{
    if (weft_kind(item) != WEFT_STR)
        return json_line(to, item);
    text_add(to, weft_as_str(item), weft_length(item));
    return true;
}

/* A word of the command with the item in place of each {}. */
static char *word_of(const char *word, const struct text *item, bool *used)
{
    struct text made = {0};
    for (const char *braces; (braces = strstr(word, "{}")); word = braces + 2) {
        text_add(&made, word, (size_t)(braces - word));
        text_add_string(&made, text_string(item));
        *used = true;
    }
    text_add_string(&made, word);
    text_reserve(&made, 1);
    return made.at;
}

static weft_value command_result(struct weft_command_result *done)
{
    size_t length = weft_length(done->output);
    const char *output = weft_as_bytes(done->output);
    length -= length > 0 && output[length - 1] == '\n';
    if (done->status.exitcode == 0)
        return weft_str_n(length ? output : "", length);
    return weft_error_of_type(EREMOTEIO, "RuntimeError", "the command ended with %d", done->status.exitcode);
}

static weft_value command_run(const struct worker_plan *plan, weft_value item)
{
    struct text text = {0};
    struct weft_command_result done;
    if (!item_text(&text, item))
        return weft_error_of_type(EMSGSIZE, "RuntimeError", "the item is too much for JSON");
    char **words = memory_get(((size_t)plan->words + 2) * sizeof *words);
    int count = 0;
    bool used = false;
    for (; count < plan->words; count++)
        words[count] = word_of(plan->command[count], &text, &used);
    if (!used)
        words[count++] = strdup(text_string(&text));
    words[count] = NULL;
    weft_value result;
    if (weft_command_run(
            (const char *const *)words, &done, WEFT_FOREVER, .standard_error = {.kind = WEFT_FD, .fd = 2}, .end_with_us = true) == 0) {
        result = command_result(&done);
        weft_drop(done.output);
        weft_drop(done.error);
    } else
        result = weft_error_of_type(errno, "RuntimeError", "the command could not be run: %s", strerror(errno));
    while (count > 0)
        free(words[--count]);
    free(words);
    text_free(&text);
    return result;
}

/* The result of an item; of one that could not be read when `refused` says why. */
static weft_value result_of(const struct worker_plan *plan, weft_value item, const char *refused)
{
    if (refused)
        return weft_error_of_type(EREMOTEIO, "RuntimeError", "the item cannot be read: %s", refused);
    return plan->function ? plan->function(item) : command_run(plan, item);
}

/* What has no pickle goes as what has. Given away on success. */
static int result_put(weft_queue *results, weft_value result)
{
    if (weft_queue_put(results, result, WEFT_FOREVER) == 0)
        return 0;
    if (errno != EILSEQ && errno != EFAULT && errno != EINVAL && errno != EMSGSIZE)
        return -1;
    bool text = errno == EILSEQ && weft_kind(result) == WEFT_STR;
    weft_value instead = text ? weft_bytes(weft_as_str(result), weft_length(result))
                              : weft_error_of_type(EREMOTEIO, "RuntimeError", "the result cannot be sent: %s", strerror(errno));
    if (weft_queue_put(results, instead, WEFT_FOREVER) == 0) {
        weft_drop(result);
        return 0;
    }
    int error = errno;
    weft_drop(instead);
    errno = error;
    return -1;
}

/*
 * As weft_queue_get, for as long as the plan says. A get that waits in a Python server takes an item also for a worker that has been
 * killed: so none waits there for long.
 */
static int item_get(const struct worker_plan *plan, weft_queue *tasks, weft_value *item)
{
    weft_time late = plan->idle > 0 ? weft_in(plan->idle) : WEFT_FOREVER, step;
    do {
        weft_time longest = weft_in(GET_SECONDS);
        step = late < longest ? late : longest;
        if (weft_queue_get(tasks, item, step) == 0)
            return 0;
    } while (errno == ETIMEDOUT && step < late);
    return -1;
}

/* One item after the other, until there are no more: none; an error value, whose text says why it ended. */
static weft_value work_on(const struct worker_plan *plan, const weft_proxy *proxy, weft_queue *tasks, weft_queue *results)
{
    for (;;) {
        weft_value item = weft_none;
        bool readable = item_get(plan, tasks, &item) == 0;
        if (!readable && errno != EBADMSG && errno != EMSGSIZE)
            return errno == ETIMEDOUT ? weft_none : weft_error(errno, "no more items: %s", strerror(errno));
        weft_value result = result_of(plan, item, readable ? NULL : weft_proxy_reason(proxy));
        weft_drop(item);
        if (result_put(results, result) != 0) {
            int error = errno;
            weft_drop(result);
            return weft_error(error, "a result could not be handed over: %s", strerror(error));
        }
        weft_queue_task_done(tasks); /* what is no JoinableQueue may say no */
    }
}

static weft_value work(weft_value argument)
{
    const struct worker_plan *plan = weft_as_ptr(argument);
    weft_proxy *tasks = weft_proxy_new(plan->remote, plan->tasks, weft_in(60));
    weft_proxy *results = tasks ? weft_proxy_new(plan->remote, plan->results, weft_in(60)) : NULL;
    weft_queue *task_queue = results ? weft_queue_of_proxy(tasks) : NULL, *result_queue = task_queue ? weft_queue_of_proxy(results) : NULL;
    weft_value ended = result_queue ? work_on(plan, tasks, task_queue, result_queue)
                                    : weft_error(errno, "there are no queues %s and %s: %s", plan->tasks, plan->results, strerror(errno));
    if (result_queue)
        weft_queue_free(result_queue);
    if (task_queue)
        weft_queue_free(task_queue);
    weft_proxy_free(results);
    weft_proxy_free(tasks);
    return ended;
}

static int work_all(struct worker_plan *plan)
{
    weft_task **tasks = memory_get((size_t)plan->jobs * sizeof(weft_task *));
    long started = 0;
    bool failed = false;
    while (started < plan->jobs && (tasks[started] = weft_spawn(WEFT_THREAD, work, weft_ptr(plan), .name = "worker")))
        started++;
    failed = started == 0;
    for (long i = 0; i < started; i++) {
        weft_value ended = weft_none;
        weft_task_result(tasks[i], &ended, WEFT_FOREVER);
        if (weft_is_error(ended) && !failed)
            complain("%s", weft_error_text(ended));
        failed |= weft_is_error(ended);
        weft_drop(ended);
        weft_task_free(tasks[i]);
    }
    free(tasks);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}

int worker_main(int argc, char **argv)
{
    struct worker_plan plan = {.tasks = "get_task_queue", .results = "get_result_queue", .jobs = 1};
    complain_as("weft worker");
    int status = plan_read(&plan, argc, argv);
    if (status >= 0)
        return status;
    if (plan.module && !module_load(&plan))
        return EXIT_USAGE;
    plan.remote = manager_reach(plan.address, plan.key_file, 60);
    if (!plan.remote)
        return EXIT_USAGE;
    status = work_all(&plan);
    weft_remote_free(plan.remote);
    return status;
}
