/* SPDX-License-Identifier: MIT */
/*
 * `weft ps`: what weft_inspect reports, and coroutines of programs that have no family, as lines to read or as JSON. `weft clean`: ends
 * what is left of families whose root is dead.
 *
 * With --why each task that waits is followed: what it waits for, who has that, what he waits for, until somebody runs, or the chain comes
 * back to where it has been, which is a deadlock.
 */
#include "ps.h"

#include <ctype.h>
#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <weft.h>

#include "complain.h"
#include "run_json.h"
#include "text.h"

enum { CHAIN_MOST = 64, COROUTINES_SHOWN = 20 };

struct ps_options {
    bool json, why, all;
};

static weft_value field(weft_value dict, const char *key)
{
    weft_value item = weft_none;
    weft_dict_get_str(dict, key, &item);
    return item;
}

static long long number(weft_value dict, const char *key)
{
    return (long long)weft_as_int(field(dict, key));
}

static const char *words(weft_value dict, const char *key)
{
    const char *text = weft_as_str(field(dict, key));
    return text ? text : "";
}

/* A name that another program chose, without what a terminal would obey. */
static void print_name(const char *name)
{
    for (; *name; name++)
        putchar((unsigned char)*name < ' ' || *name == 127 ? '?' : *name);
}

/* A value as JSON; only what reports are made of. */
static void json_add(struct text *out, weft_value value)
{
    weft_value key, item;
    size_t at = 0, count = 0;
    switch (weft_kind(value)) {
    case WEFT_DICT:
        for (; weft_dict_next(value, &at, &key, &item); count++) {
            text_add_string(out, count ? ", " : "{");
            run_json_add_string(out, span_of(weft_as_str(key)));
            text_add_string(out, ": ");
            json_add(out, item);
        }
        text_add_string(out, count ? "}" : "{}");
        break;
    case WEFT_LIST:
        text_add_char(out, '[');
        for (; count < weft_length(value); count++) {
            text_add_string(out, count ? ", " : "");
            json_add(out, weft_list_at(value, (ptrdiff_t)count));
        }
        text_add_char(out, ']');
        break;
    case WEFT_STR:
        run_json_add_string(out, (struct span){weft_as_str(value), weft_length(value)});
        break;
    case WEFT_BOOL:
        text_add_string(out, weft_as_bool(value) ? "true" : "false");
        break;
    case WEFT_FLOAT:
        text_format(out, "%.3f", weft_as_float(value));
        break;
    default:
        text_format(out, "%lld", (long long)weft_as_int(value));
    }
}

static void print_json(weft_value report)
{
    struct text out = {0};
    json_add(&out, report);
    puts(text_string(&out));
    text_free(&out);
}

static void print_things(const char *title, weft_value things)
{
    for (size_t i = 0; i < weft_length(things); i++) {
        weft_value one = weft_list_at(things, (ptrdiff_t)i);
        printf("%s%s %s", i ? ", " : title, words(one, "kind"), words(one, "address"));
        if (field(one, "count").kind == WEFT_INT)
            printf(" (%lld)", number(one, "count"));
        if (field(one, "pid").kind == WEFT_INT)
            printf(" of %lld/%lld", number(one, "pid"), number(one, "thread"));
    }
}

static void print_task(weft_value task)
{
    weft_value holds = field(task, "holds"), waits = field(task, "waits");
    if (weft_length(holds) == 0 && weft_length(waits) == 0)
        return;
    printf("      task %lld ", number(task, "thread"));
    print_name(words(task, "name"));
    print_things(" holds ", holds);
    print_things(" waits for ", waits);
    if (weft_length(waits) > 0)
        printf(" since %.1f s", weft_as_float(field(task, "seconds")));
    putchar('\n');
}

static void print_awaited(weft_value thing)
{
    if (field(thing, "descriptor").kind == WEFT_INT)
        printf(" %s %lld (%s)", words(thing, "kind"), number(thing, "descriptor"), words(thing, "events"));
    else
        printf(" %s %s", words(thing, "kind"), words(thing, "address"));
}

static void print_wait(weft_value coroutine)
{
    weft_value things = field(coroutine, "waits"), left = field(coroutine, "left");
    for (size_t i = 0; i < weft_length(things); i++) {
        printf("%s", i ? "," : " for");
        print_awaited(weft_list_at(things, (ptrdiff_t)i));
    }
    printf(" since %.1f s", weft_as_float(field(coroutine, "seconds")));
    if (left.kind == WEFT_FLOAT)
        printf(", for %.1f s more", weft_as_float(left));
    if (*words(coroutine, "call"))
        printf(", in %s", words(coroutine, "call"));
    if (*words(coroutine, "place")) {
        printf(", called from ");
        print_name(words(coroutine, "place"));
    }
}

static void print_coroutine(weft_value coroutine)
{
    printf("      coroutine %lld ", number(coroutine, "thread"));
    print_name(words(coroutine, "name"));
    printf(" %s", strcmp(words(coroutine, "state"), "ready") == 0 ? "can go on"
                  : strcmp(words(coroutine, "state"), "new") == 0 ? "is to begin"
                                                                  : words(coroutine, "state"));
    if (strcmp(words(coroutine, "state"), "waits") == 0)
        print_wait(coroutine);
    putchar('\n');
}

static void print_coroutines(weft_value coroutines, bool all)
{
    size_t count = weft_length(coroutines), shown = all || count <= COROUTINES_SHOWN ? count : COROUTINES_SHOWN;
    for (size_t i = 0; i < shown; i++)
        print_coroutine(weft_list_at(coroutines, (ptrdiff_t)i));
    if (shown < count)
        printf("      and %zu coroutines more\n", count - shown);
}

static void print_process(weft_value process, bool all)
{
    weft_value tasks = field(process, "tasks");
    printf("   %7lld %-7s %9.1f s ", number(process, "pid"), words(process, "state"), weft_as_float(field(process, "seconds")));
    print_name(words(process, "name"));
    putchar('\n');
    for (size_t i = 0; i < weft_length(tasks); i++)
        print_task(weft_list_at(tasks, (ptrdiff_t)i));
    print_coroutines(field(process, "coroutines"), all);
}

/* The task of a thread number, or none. */
static weft_value task_find(weft_value report, long long pid, long long thread)
{
    weft_value processes = field(report, "processes");
    for (size_t i = 0; i < weft_length(processes); i++) {
        weft_value process = weft_list_at(processes, (ptrdiff_t)i), tasks = field(process, "tasks");
        for (size_t j = 0; number(process, "pid") == pid && j < weft_length(tasks); j++)
            if (number(weft_list_at(tasks, (ptrdiff_t)j), "thread") == thread)
                return weft_list_at(tasks, (ptrdiff_t)j);
    }
    return weft_none;
}

/* One step of a chain: whom the task waits for, in *task and *pid. False at its end, which is told. */
static bool chain_step(weft_value report, weft_value *task, long long *pid)
{
    weft_value wait = weft_list_at(field(*task, "waits"), 0);
    printf(" waits %.1f s for %s %s", weft_as_float(field(*task, "seconds")), words(wait, "kind"), words(wait, "address"));
    if (field(wait, "pid").kind != WEFT_INT)
        return false;
    *pid = number(wait, "pid");
    printf(", which %lld/%lld has", *pid, number(wait, "thread"));
    *task = task_find(report, *pid, number(wait, "thread"));
    if (task->kind == WEFT_DICT && weft_length(field(*task, "waits")) > 0)
        return true;
    printf(", which runs");
    return false;
}

/* Whether a chain has come to this thread before. */
static bool been_there(const long long *threads, int count, long long thread)
{
    for (int i = 0; i < count; i++)
        if (threads[i] == thread)
            return true;
    return false;
}

static void print_chain(weft_value report, weft_value process, weft_value first)
{
    weft_value task = first;
    long long pid = number(process, "pid"), threads[CHAIN_MOST] = {number(first, "thread")};
    printf("   %lld/%lld ", pid, threads[0]);
    print_name(words(first, "name"));
    for (int count = 1; chain_step(report, &task, &pid); count++) {
        long long thread = number(task, "thread");
        if (been_there(threads, count, thread)) {
            printf(": a deadlock");
            break;
        }
        if (count == CHAIN_MOST) {
            printf(", and so on");
            break;
        }
        threads[count] = thread;
        printf(", which");
    }
    putchar('\n');
}

static void print_chains(weft_value report)
{
    weft_value processes = field(report, "processes");
    for (size_t i = 0; i < weft_length(processes); i++) {
        weft_value process = weft_list_at(processes, (ptrdiff_t)i), tasks = field(process, "tasks");
        for (size_t j = 0; j < weft_length(tasks); j++)
            if (weft_length(field(weft_list_at(tasks, (ptrdiff_t)j), "waits")) > 0)
                print_chain(report, process, weft_list_at(tasks, (ptrdiff_t)j));
    }
}

static void print_keeper(const char *name, long long pid)
{
    if (pid)
        printf(", %s %lld", name, pid);
}

static void print_objects(weft_value objects)
{
    for (size_t i = 0; i < weft_length(objects); i++) {
        weft_value one = weft_list_at(objects, (ptrdiff_t)i), name, item;
        printf("   %s %s:", words(one, "kind"), words(one, "address"));
        for (size_t at = 0; weft_dict_next(one, &at, &name, &item);)
            if (item.kind == WEFT_INT)
                printf(" %s %lld", weft_as_str(name), (long long)weft_as_int(item));
        puts(weft_as_bool(field(one, "closed")) ? " closed" : "");
    }
}

static void print_family(weft_value report, const struct ps_options *options)
{
    bool why = options->why;
    weft_value processes = field(report, "processes");
    printf("family %lld%s", number(report, "root"), weft_as_bool(field(report, "alive")) ? "" : " (dead)");
    print_keeper("supervisor", number(report, "supervisor"));
    print_keeper("spare", number(report, "spare"));
    printf(", %lld blocks of %lld octets in shared memory\n", number(report, "blocks"), number(report, "octets"));
    for (size_t i = 0; !why && i < weft_length(processes); i++)
        print_process(weft_list_at(processes, (ptrdiff_t)i), options->all);
    if (why)
        print_chains(report);
    else
        print_objects(field(report, "objects"));
}

/* The numbers of the processes that have been shown, as the keys of a dict. */
static weft_value shown;

static void shown_add(weft_value report)
{
    weft_value processes = field(report, "processes");
    for (size_t i = 0; i < weft_length(processes); i++)
        weft_dict_set(shown, weft_int(number(weft_list_at(processes, (ptrdiff_t)i), "pid")), weft_none);
}

static int ps_family(int pid, const struct ps_options *options)
{
    weft_value report;
    if (weft_inspect(pid, &report) != 0)
        return -1;
    if (options->json)
        print_json(report);
    else
        print_family(report, options);
    shown_add(report);
    weft_drop(report);
    return 0;
}

/* Shows a process that is of no family, for its coroutines. */
static int ps_alone(int pid, const struct ps_options *options, bool always)
{
    weft_value coroutines, report;
    if (weft_inspect_coroutines(pid, &coroutines) != 0)
        return -1;
    report = weft_dict();
    if (!options->json && !options->why && (always || weft_length(coroutines) > 0)) {
        printf("process %d\n", pid);
        print_coroutines(coroutines, options->all);
    }
    bool made = weft_dict_set_str(report, "pid", weft_int(pid)) == 0 && weft_dict_set_str(report, "coroutines", weft_keep(coroutines)) == 0;
    if (options->json && made && (always || weft_length(coroutines) > 0))
        print_json(report);
    weft_drop(report);
    weft_drop(coroutines);
    return 0;
}

static int ps_one(int pid, const struct ps_options *options)
{
    return ps_family(pid, options) == 0 || (errno == ESRCH && ps_alone(pid, options, true) == 0) ? 0 : -1;
}

/* Those of no family that have coroutines; those that have ended meanwhile are none. */
static void ps_others(const struct ps_options *options)
{
    weft_value programs;
    if (weft_programs(&programs) != 0)
        return;
    for (size_t i = 0; i < weft_length(programs); i++) {
        weft_value pid = weft_list_at(programs, (ptrdiff_t)i);
        if (weft_dict_get(shown, pid, NULL) != 0 && weft_as_int(pid) != getpid())
            ps_alone((int)weft_as_int(pid), options, false);
    }
    weft_drop(programs);
}

static int ps_all(const struct ps_options *options)
{
    weft_value roots;
    if (weft_families(&roots) != 0) {
        complain("cannot look for families: %s", strerror(errno));
        return EXIT_FAILURE;
    }
    for (size_t i = 0; i < weft_length(roots); i++)
        ps_family((int)weft_as_int(weft_list_at(roots, (ptrdiff_t)i)), options); /* one that has ended meanwhile is none */
    if (weft_length(roots) == 0 && !options->json)
        puts("no families");
    ps_others(options);
    weft_drop(roots);
    return EXIT_SUCCESS;
}

static const char *ps_reason(int error)
{
    switch (error) {
    case ESRCH:
        return "there is no such process, or it has no family and does not use this library";
    case EACCES:
    case EPERM:
        return "it is another user's";
    case EPROTO:
        return "it uses another version or build of Weft, or its shared memory is damaged";
    default:
        return strerror(error);
    }
}

/* The process number that a word is, or 0. */
static int pid_read(const char *word)
{
    char *end;
    errno = 0;
    long value = strtol(word, &end, 10);
    return isdigit((unsigned char)*word) && !*end && errno == 0 && value <= INT32_MAX ? (int)value : 0;
}

static int ps_named(char **words_given, int count, const struct ps_options *options)
{
    int status = EXIT_SUCCESS;
    for (int i = 0; i < count; i++) {
        int pid = pid_read(words_given[i]);
        if (!pid) {
            complain("'%s' is no process number", words_given[i]);
            return EXIT_USAGE;
        }
        if (ps_one(pid, options) == 0)
            continue;
        complain("process %d: %s", pid, ps_reason(errno));
        status = EXIT_FAILURE;
    }
    return status;
}

static void ps_help(void)
{
    printf(
        "Usage: weft ps [OPTION]... [PID]...\n"
        "Shows families of processes that share memory through Weft, and the coroutines of programs: all of yours, or those of these processes.\n\n"
        "  -w, --why    what each waiting task waits for, who has that, and so on\n"
        "  -a, --all    all coroutines, not twenty of each process\n"
        "  -j, --json   one line of JSON for each family\n"
        "  -h, --help   this\n");
}

int ps_main(int argc, char **argv)
{
    static const struct option rows[] = {{"why", no_argument, NULL, 'w'}, {"all", no_argument, NULL, 'a'}, {"json", no_argument, NULL, 'j'},
        {"help", no_argument, NULL, 'h'}, {0}};
    struct ps_options options = {0};
    complain_as("weft ps");
    opterr = 0;
    for (int code; (code = getopt_long(argc, argv, "wajh", rows, NULL)) != -1;) {
        switch (code) {
        case 'w':
            options.why = true;
            break;
        case 'a':
            options.all = true;
            break;
        case 'j':
            options.json = true;
            break;
        case 'h':
            ps_help();
            return EXIT_SUCCESS;
        default:
            complain("unknown option %s; weft ps --help lists them", argv[optind - 1]);
            return EXIT_USAGE;
        }
    }
    shown = weft_dict();
    int status = optind < argc ? ps_named(argv + optind, argc - optind, &options) : ps_all(&options);
    weft_drop(shown);
    return status;
}

int clean_main(int argc, char **argv)
{
    complain_as("weft clean");
    if (argc == 2 && (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0)) {
        printf("Usage: weft clean\n"
               "Ends what is left of your families whose first process is dead, and says what that was: as a rule, nothing.\n");
        return EXIT_SUCCESS;
    }
    if (argc > 1) {
        complain("it takes no arguments, but got '%s'; weft clean --help says what it does", argv[1]);
        return EXIT_USAGE;
    }
    int killed = weft_families_clean();
    if (killed < 0) {
        complain("cannot look for families: %s", strerror(errno));
        return EXIT_FAILURE;
    }
    if (killed == 0)
        puts("nothing left");
    else
        printf("ended %d process%s of dead families\n", killed, killed == 1 ? "" : "es");
    return EXIT_SUCCESS;
}
