/* SPDX-License-Identifier: MIT */
/*
 * `weft manager`: serves queues and dictionaries that Python's programs reach by register("NAME"), until it is told to end by a client or a
 * signal.
 *
 * Its address is printed first, so that port 0 can be asked for. It listens on this machine alone unless an address says otherwise, and
 * then says so.
 */
#include "managers.h"

#include <errno.h>
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "complain.h"
#include "descriptors.h"

struct queue_named {
    const char *name;
    size_t capacity;
    weft_queue *queue;
};

struct manager_plan {
    const char *listen, *key_file;
    struct queue_named *queues;
    const char **dicts;
    size_t queue_count, dict_count;
    long threads;
    bool python, relay, locks_return, no_shutdown;
};

static void manager_help(void)
{
    printf("Usage: weft manager --authkey-file FILE [OPTION]...\n"
           "Serves queues and dictionaries over the protocol of Python's multiprocessing.managers.\n\n"
           "  -l, --listen ADDRESS        HOST:PORT, unix:PATH or abstract:NAME; 127.0.0.1:0, any free port, if not given\n"
           "      --authkey-file FILE     has the key; a newline at its end is not part of it\n"
           "      --queue NAME[:CAPACITY] a queue that clients get by this name\n"
           "      --dict NAME             a dictionary\n"
           "      --python                also all types of Python's SyncManager (but Pool)\n"
           "      --relay                 objects of classes that are not known here are carried as they came\n"
           "      --locks-return          Locks and permits of Semaphores of a client that has gone are given back\n"
           "      --threads N             that serve; 1\n"
           "      --no-shutdown           clients may not end it\n"
           "  -h, --help                  this\n");
}

/* A second thing of the same name would keep everybody from the first. */
static bool name_is_good(const struct manager_plan *plan, const char *name)
{
    bool taken = false;
    for (size_t i = 0; i < plan->queue_count; i++)
        taken |= strcmp(plan->queues[i].name, name) == 0;
    for (size_t i = 0; i < plan->dict_count; i++)
        taken |= strcmp(plan->dicts[i], name) == 0;
    if (!*name)
        complain("--queue and --dict take a name");
    else if (taken)
        complain("there are two of the name %s", name);
    return *name && !taken;
}

static bool queue_add(struct manager_plan *plan, char *word)
{
    char *colon = strrchr(word, ':');
    long capacity = 0;
    if (colon && !whole_number(colon + 1, "--queue NAME:CAPACITY", 1, &capacity))
        return false;
    if (colon)
        *colon = 0;
    if (!name_is_good(plan, word))
        return false;
    plan->queues = memory_resize(plan->queues, (plan->queue_count + 1) * sizeof *plan->queues);
    plan->queues[plan->queue_count++] = (struct queue_named){word, colon ? (size_t)capacity : WEFT_UNBOUNDED, NULL};
    return true;
}

static bool dict_add(struct manager_plan *plan, const char *word)
{
    if (!name_is_good(plan, word))
        return false;
    plan->dicts = memory_resize(plan->dicts, (plan->dict_count + 1) * sizeof *plan->dicts);
    plan->dicts[plan->dict_count++] = word;
    return true;
}

/* -1: go on; else the exit status. */
static int plan_read(struct manager_plan *plan, int argc, char **argv)
{
    static const struct option rows[] = {{"listen", required_argument, NULL, 'l'}, {"authkey-file", required_argument, NULL, 'k'},
        {"authkey", required_argument, NULL, 'K'}, {"queue", required_argument, NULL, 'q'}, {"dict", required_argument, NULL, 'd'},
        {"python", no_argument, NULL, 'p'}, {"relay", no_argument, NULL, 'r'}, {"locks-return", no_argument, NULL, 'b'},
        {"threads", required_argument, NULL, 't'}, {"no-shutdown", no_argument, NULL, 'n'}, {"help", no_argument, NULL, 'h'}, {0}};
    opterr = 0;
    for (int code; (code = getopt_long(argc, argv, "l:h", rows, NULL)) != -1;) {
        bool good = true;
        switch (code) {
        case 'l':
            plan->listen = optarg;
            break;
        case 'k':
            plan->key_file = optarg;
            break;
        case 'K':
            key_refuse(optarg);
            return EXIT_USAGE;
        case 'q':
            good = queue_add(plan, optarg);
            break;
        case 'd':
            good = dict_add(plan, optarg);
            break;
        case 'p':
            plan->python = true;
            break;
        case 'r':
            plan->relay = true;
            break;
        case 'b':
            plan->locks_return = true;
            break;
        case 't':
            good = whole_number(optarg, "--threads", 1, &plan->threads);
            break;
        case 'n':
            plan->no_shutdown = true;
            break;
        case 'h':
            manager_help();
            return EXIT_SUCCESS;
        default:
            complain("unknown option %s, or it lacks its value; weft manager --help lists them", argv[optind - 1]);
            return EXIT_USAGE;
        }
        if (!good)
            return EXIT_USAGE;
    }
    if (optind < argc) {
        complain("'%s' is no option; weft manager --help lists them", argv[optind]);
        return EXIT_USAGE;
    }
    return -1;
}

static bool is_local(const char *address)
{
    return strncmp(address, "unix:", 5) == 0 || strncmp(address, "abstract:", 9) == 0 || strncmp(address, "127.", 4) == 0;
}

/* One of the two is not as it should be. The file may be a pipe, which cannot be read again. */
static void complain_of_either(const char *address, const char *key_file)
{
    weft_listener *listener = weft_connection_listen(address);
    if (listener)
        complain("the key in %s is empty", key_file);
    else
        address_refuse(address);
    weft_listener_close(listener);
}

static weft_manager *manager_make(const struct manager_plan *plan)
{
    char here[64];
    const char *listen = plan->listen ? plan->listen : "127.0.0.1:0";
    if (*listen == ':' && !strchr(listen + 1, ':')) {
        snprintf(here, sizeof here, "127.0.0.1%s", listen);
        listen = here;
    }
    weft_manager *manager = weft_manager_new(listen, .key_file = plan->key_file, .standard = plan->python, .relay = plan->relay,
        .locks_return = plan->locks_return, .no_shutdown = plan->no_shutdown, .threads = (unsigned)plan->threads);
    if (!manager && errno == EINVAL)
        complain_of_either(listen, plan->key_file);
    else if (!manager)
        complain("cannot listen on %s with the key in %s: %s", listen, plan->key_file, strerror(errno));
    return manager;
}

static bool manager_fill(weft_manager *manager, struct manager_plan *plan)
{
    bool good = true;
    for (size_t i = 0; good && i < plan->queue_count; i++) {
        struct queue_named *named = &plan->queues[i];
        named->queue = weft_queue_new(.capacity = named->capacity);
        good = named->queue && weft_manager_register(manager, named->name, .queue = named->queue) == 0;
    }
    for (size_t i = 0; good && i < plan->dict_count; i++)
        good = weft_manager_register(manager, plan->dicts[i], .standard = "dict", .single = true) == 0;
    if (!good)
        complain("cannot register what was asked for: %s", strerror(errno));
    return good;
}

static weft_value serve(weft_value manager)
{
    return weft_manager_serve(weft_as_ptr(manager)) == 0 ? weft_none : weft_error(errno, NULL);
}

/* Until a client says shutdown, or a signal comes. */
static int manager_serve_until(weft_manager *manager)
{
    static weft_signals *signals; /* to the end: a signal that is there by then would have the last word */
    signals = weft_signals_new(SIGINT, SIGTERM, SIGHUP);
    weft_task *task = signals ? weft_spawn(WEFT_COROUTINE, serve, weft_ptr(manager)) : NULL;
    weft_value result = weft_none;
    if (!task) {
        complain("cannot serve: %s", strerror(errno));
        return EXIT_FAILURE;
    }
    weft_case cases[] = {weft_case_task(task, &result), weft_case_signals(signals, NULL)};
    if (weft_select(cases, 2, WEFT_FOREVER) == 1) {
        weft_manager_shutdown(manager);
        weft_task_result(task, &result, WEFT_FOREVER);
    }
    bool failed = weft_is_error(result);
    if (failed)
        complain("serving ended: %s", weft_error_text(result));
    weft_drop(result);
    weft_task_free(task);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}

int manager_main(int argc, char **argv)
{
    struct manager_plan plan = {.threads = 1};
    complain_as("weft manager");
    int status = plan_read(&plan, argc, argv);
    if (status >= 0)
        return status;
    if (!plan.key_file) {
        complain("the key is needed: --authkey-file FILE");
        return EXIT_USAGE;
    }
    descriptors_allow();
    weft_manager *manager = manager_make(&plan);
    if (!manager)
        return EXIT_USAGE;
    status = EXIT_USAGE;
    if (manager_fill(manager, &plan)) {
        if (!is_local(weft_manager_address(manager)))
            complain("other machines can reach %s; nothing is encrypted, and the key gives everything", weft_manager_address(manager));
        printf("%s\n", weft_manager_address(manager));
        fflush(stdout);
        status = manager_serve_until(manager);
    }
    weft_manager_free(manager);
    for (size_t i = 0; i < plan.queue_count; i++)
        weft_queue_free(plan.queues[i].queue);
    free(plan.queues);
    free(plan.dicts);
    return status;
}
