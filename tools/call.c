/* SPDX-License-Identifier: MIT */
/* `weft call`: one call of a method of an object of a manager, its arguments and its answer as JSON. */
#include "managers.h"

#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "complain.h"
#include "nearest.h"

struct call_plan {
    const char *address, *name, *method, *key_file;
    char **words;
    int count;
    double seconds;
};

static void call_help(void)
{
    printf("Usage: weft call --authkey-file FILE [OPTION]... ADDRESS NAME METHOD [JSON]...\n"
           "Calls a method of what a manager, Python's or Weft's, has registered by a name, and prints the answer as JSON.\n\n"
           "      --authkey-file FILE  has the key\n"
           "      --timeout SECONDS    that it may take; 60\n"
           "  -h, --help               this\n\n"
           "What is raised there is printed on stderr; the exit status is 1 then.\n");
}

static int plan_read(struct call_plan *plan, int argc, char **argv)
{
    static const struct option rows[] = {{"authkey-file", required_argument, NULL, 'k'}, {"authkey", required_argument, NULL, 'K'},
        {"timeout", required_argument, NULL, 't'}, {"help", no_argument, NULL, 'h'}, {0}};
    opterr = 0;
    for (int code; (code = getopt_long(argc, argv, "+h", rows, NULL)) != -1;) {
        if (code == 'h') {
            call_help();
            return EXIT_SUCCESS;
        }
        if (code == 'K') {
            key_refuse(optarg);
            return EXIT_USAGE;
        }
        if (code == '?' || (code == 't' && !seconds_number(optarg, "--timeout", &plan->seconds))) {
            if (code == '?')
                complain("unknown option %s, or it lacks its value; weft call --help lists them", argv[optind - 1]);
            return EXIT_USAGE;
        }
        plan->key_file = code == 'k' ? optarg : plan->key_file;
    }
    if (argc - optind < 3) {
        complain("it takes an address, a name and a method; weft call --help says more");
        return EXIT_USAGE;
    }
    plan->address = argv[optind];
    plan->name = argv[optind + 1];
    plan->method = argv[optind + 2];
    plan->words = argv + optind + 3;
    plan->count = argc - optind - 3;
    return -1;
}

/* A list of the arguments; an error value, having complained. */
static weft_value arguments_of(const struct call_plan *plan)
{
    weft_value list = weft_list();
    for (int i = 0; i < plan->count; i++) {
        weft_value item = json_value(plan->words[i]);
        if (weft_is_error(item)) {
            complain("'%s' is no JSON: %s", plan->words[i], weft_error_text(item));
            weft_drop(list);
            return item;
        }
        weft_list_append(list, item);
    }
    return list;
}

static int raised(weft_value error)
{
    struct text text = {0};
    error_text(&text, error);
    complain("%s", text_string(&text));
    text_free(&text);
    weft_drop(error);
    return EXIT_FAILURE;
}

/* Whether the manager says that it has nothing of that name: in Python's words, "KeyError: 'NAME'", at the end of its traceback. */
static bool nothing_of_name(weft_value error, const char *name)
{
    const char *type = weft_error_type(error);
    struct text said = {0}, expected = {0};
    error_text(&said, error);
    text_format(&expected, "KeyError: '%s'", name);
    bool nothing =
        type && strcmp(type, "multiprocessing.managers.RemoteError") == 0 && strcmp(text_string(&said), text_string(&expected)) == 0;
    text_free(&said);
    text_free(&expected);
    return nothing;
}

static int by_name(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* What the object has instead: the nearest, or all. */
static void complain_of_method(const struct call_plan *plan, weft_value names)
{
    size_t count = 0, length = weft_length(names);
    const char **words = memory_get((length + 1) * sizeof *words);
    struct text all = {0};
    for (size_t i = 0; i < length; i++)
        if ((words[count] = weft_as_str(weft_list_at(names, (ptrdiff_t)i))))
            count++;
    qsort(words, count, sizeof *words, by_name);
    for (size_t i = 0; i < count; i++)
        text_format(&all, "%s%s", i ? ", " : "", words[i]);
    const char *nearest = nearest_name(plan->method, words, count);
    if (nearest)
        complain("%s has no method %s; did you mean %s?", plan->name, plan->method, nearest);
    else
        complain("%s has no method %s; it has %s", plan->name, plan->method, count ? text_string(&all) : "none");
    text_free(&all);
    free(words);
}

/* A method that is not there. The manager knows which are, by the object's token. */
static int no_method(weft_remote *remote, const weft_proxy *proxy, const struct call_plan *plan, weft_value error)
{
    weft_value value = weft_proxy_value(proxy, NULL), names = weft_none;
    weft_value token = weft_keep(weft_list_at(weft_object_arguments(value), 1)), arguments = weft_tuple(&token, 1);
    int asked = weft_remote_call(remote, "get_methods", &names, weft_in(plan->seconds), .arguments = arguments);
    weft_drop(value), weft_drop(arguments);
    if (asked != 0 || weft_is_error(names)) {
        weft_drop(names);
        return raised(error);
    }
    complain_of_method(plan, names);
    weft_drop(names), weft_drop(error);
    return EXIT_FAILURE;
}

static int not_registered(const struct call_plan *plan, weft_value error)
{
    complain("nothing is registered as %s at %s", plan->name, plan->address);
    weft_drop(error);
    return EXIT_FAILURE;
}

static int call_answered(weft_value result)
{
    struct text line = {0};
    bool fits = json_line(&line, result);
    if (fits)
        puts(text_string(&line));
    else
        complain("the answer is too much to print as JSON");
    text_free(&line);
    weft_drop(result);
    return fits ? EXIT_SUCCESS : EXIT_FAILURE;
}

static int call_of(weft_remote *remote, weft_proxy *proxy, const struct call_plan *plan, weft_value arguments, weft_time late)
{
    weft_value result = weft_none, refused = weft_none;
    if (weft_proxy_call(proxy, plan->method, &result, late, .arguments = arguments, .error = &refused) != 0) {
        if (weft_is_error(refused))
            return raised(refused);
        complain("%s: %s", plan->address, strerror(errno));
        return EXIT_USAGE;
    }
    if (weft_is_error(result) && !weft_error_type(result) && weft_error_code(result) == ENOTSUP) {
        complain("the answer is another object, which cannot be printed");
        weft_drop(result);
        return EXIT_FAILURE;
    }
    if (weft_is_error(result))
        return nothing_of_name(result, plan->method) ? no_method(remote, proxy, plan, result) : raised(result);
    return call_answered(result);
}

static int call_on(weft_remote *remote, const struct call_plan *plan, weft_value arguments)
{
    weft_value error = weft_none;
    weft_time late = weft_in(plan->seconds);
    weft_proxy *proxy = weft_proxy_new(remote, plan->name, late, .error = &error);
    if (!proxy && weft_is_error(error))
        return nothing_of_name(error, plan->name) ? not_registered(plan, error) : raised(error);
    if (!proxy) {
        complain("%s: %s", plan->address, strerror(errno));
        return EXIT_USAGE;
    }
    int status = call_of(remote, proxy, plan, arguments, late);
    weft_proxy_free(proxy);
    return status;
}

int call_main(int argc, char **argv)
{
    struct call_plan plan = {.seconds = 60};
    complain_as("weft call");
    int status = plan_read(&plan, argc, argv);
    if (status >= 0)
        return status;
    weft_value arguments = arguments_of(&plan);
    if (weft_is_error(arguments)) {
        weft_drop(arguments);
        return EXIT_USAGE;
    }
    weft_remote *remote = manager_reach(plan.address, plan.key_file, plan.seconds);
    status = remote ? call_on(remote, &plan, arguments) : EXIT_USAGE;
    weft_drop(arguments);
    weft_remote_free(remote);
    return status;
}
