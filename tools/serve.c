/* SPDX-License-Identifier: MIT */
/*
 * `weft serve`: small servers, which show what the library's servers do, and are there to be measured. All of them are one function that
 * serves a connection; which task calls it is an option. SIGINT and SIGTERM end the whole: no connection is accepted any more, those that
 * are open have a while to end; a second signal ends them at once.
 */
#include <errno.h>
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "complain.h"
#include "descriptors.h"
#include "nearest.h"
#include "serve.h"

enum { ROOM = 16384 };
static const double THREADS_MOST = 10000;

struct serve_options {
    const char *listen;
    enum weft_task_kind task;
    unsigned threads, limit;
    double idle, grace;
};

static void serve_echo(int fd, weft_value argument)
{
    char octets[ROOM];
    ssize_t got;
    (void)argument;
    while ((got = weft_read(fd, octets, sizeof octets, WEFT_FOREVER)) > 0)
        if (weft_write_all(fd, octets, (size_t)got, WEFT_FOREVER) != 0)
            break;
}

static void serve_upper(int fd, weft_value argument)
{
    char octets[ROOM];
    ssize_t got;
    (void)argument;
    while ((got = weft_read(fd, octets, sizeof octets, WEFT_FOREVER)) > 0) {
        for (ssize_t i = 0; i < got; i++)
            octets[i] = (char)(octets[i] >= 'a' && octets[i] <= 'z' ? octets[i] - 'a' + 'A' : octets[i]);
        if (weft_write_all(fd, octets, (size_t)got, WEFT_FOREVER) != 0)
            break;
    }
}

static const struct service {
    const char *name;
    weft_handler *handler;
} services[] = {{"echo", serve_echo}, {"upper", serve_upper}, {"files", serve_files}};
enum { SERVICES = sizeof services / sizeof *services };

static void serve_help(void)
{
    printf("Usage: weft serve echo|upper [OPTION]...\n"
           "       weft serve files [OPTION]... [FOLDER]\n"
           "Serves connections until SIGINT or SIGTERM: gives back what comes, in capital letters, or files by HTTP (GET, HEAD).\n"
           "Prints where it listens. A second signal ends what is open at once.\n\n"
           "  -l, --listen=ADDRESS   HOST:PORT, [HOST]:PORT, :PORT, unix:PATH or abstract:NAME (127.0.0.1:0, any free port)\n"
           "  -t, --task=KIND        what serves a connection: coroutine (the default), thread or process\n"
           "  -n, --threads=N        coroutines: in so many threads (1); threads, processes: so many, each of which serves\n"
           "                         one connection after the other (0: a new one for each connection)\n"
           "  -m, --limit=N          connections at once; others wait (10000 coroutines, 1000 threads, 50 processes)\n"
           "  -i, --idle=SECONDS     ends a connection that says or takes nothing for so long (0: never)\n"
           "  -g, --grace=SECONDS    how long connections may go on after the signal (5)\n"
           "  -h, --help             this\n");
}

static double number_read(const char *option, const char *text, double most)
{
    char *end;
    errno = 0;
    double number = strtod(text, &end);
    if (*text == 0 || *end || !(number >= 0 && number <= most))
        give_up("--%s takes a number from 0 to %g, not '%s'", option, most, text);
    return number;
}

static unsigned count_read(const char *option, const char *text, double most)
{
    double number = number_read(option, text, most);
    if (number > (unsigned)number)
        give_up("--%s takes a whole number, not '%s'", option, text);
    return (unsigned)number;
}

static enum weft_task_kind kind_read(const char *text)
{
    static const struct {
        const char *name;
        enum weft_task_kind kind;
    } kinds[] = {{"coroutine", WEFT_COROUTINE}, {"thread", WEFT_THREAD}, {"process", WEFT_PROCESS}};
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++)
        if (strcmp(kinds[i].name, text) == 0)
            return kinds[i].kind;
    give_up("--task takes coroutine, thread or process, not '%s'", text);
}

/* False: help was asked for. */
static bool options_take(int argc, char **argv, struct serve_options *options)
{
    static const struct option rows[] = {{"listen", required_argument, NULL, 'l'}, {"task", required_argument, NULL, 't'},
        {"threads", required_argument, NULL, 'n'}, {"limit", required_argument, NULL, 'm'}, {"idle", required_argument, NULL, 'i'},
        {"grace", required_argument, NULL, 'g'}, {"help", no_argument, NULL, 'h'}, {0}};
    opterr = 0;
    for (int code; (code = getopt_long(argc, argv, ":l:t:n:m:i:g:h", rows, NULL)) != -1;)
        switch (code) {
        case 'l':
            options->listen = optarg;
            break;
        case 't':
            options->task = kind_read(optarg);
            break;
        case 'n':
            options->threads = count_read("threads", optarg, THREADS_MOST);
            break;
        case 'm':
            options->limit = count_read("limit", optarg, 1e6);
            break;
        case 'i':
            options->idle = number_read("idle", optarg, 1e8);
            break;
        case 'g':
            options->grace = number_read("grace", optarg, 1e8);
            break;
        case 'h':
            return false;
        default:
            give_up("%s %s; weft serve --help lists them", code == ':' ? "no value for" : "unknown option", argv[optind - 1]);
        }
    return true;
}

static const struct service *service_find(const char *name)
{
    const char *names[SERVICES];
    for (size_t i = 0; i < SERVICES; i++)
        if (strcmp(names[i] = services[i].name, name) == 0)
            return &services[i];
    const char *nearest = nearest_name(name, names, SERVICES);
    if (nearest)
        give_up("unknown service %s; did you mean %s?", name, nearest);
    give_up("unknown service %s; there are echo, upper and files", name);
}

/* What its handler is told: the folder's path, from its root. */
static weft_value service_argument(const struct service *service, char **words, int count)
{
    if (count > (service->handler == serve_files))
        give_up(
            "%s takes %s, but got '%s'", service->name, service->handler == serve_files ? "one folder" : "no arguments", words[count - 1]);
    if (service->handler != serve_files)
        return weft_none;
    struct stat about;
    char *path = realpath(count ? words[0] : ".", NULL);
    if (!path || stat(path, &about) != 0 || !S_ISDIR(about.st_mode))
        give_up("%s: %s", count ? words[0] : ".", strerror(path ? ENOTDIR : errno));
    weft_value folder = weft_str(path);
    free(path);
    return folder;
}

/* Why weft_listen has failed. */
static const char *listen_reason(const char *address)
{
    if (errno == EINVAL)
        return "addresses are HOST:PORT, [HOST]:PORT, :PORT, unix:PATH and abstract:NAME, with ports up to 65535";
    return errno == ENOENT && strncmp(address, "unix:", 5) != 0 ? "no such host" : strerror(errno);
}

/* The second signal: who waits for the connections' ends waits no more. */
static weft_value hurry(weft_value signals)
{
    if (weft_signals_wait(weft_as_ptr(signals), NULL, WEFT_FOREVER) == 0)
        weft_task_cancel(weft_main());
    return weft_none;
}

/* Ends the server; the exit status. */
static int stop(weft_server *server, weft_signals *signals, double grace)
{
    weft_task_free(weft_spawn(WEFT_COROUTINE, hurry, weft_ptr(signals), .daemon = true)); /* without it there is the grace */
    int stopped = weft_server_stop(server, weft_in(grace));
    if (stopped != 0 && errno == ECANCELED)
        complain("connections were open at the second signal, and have been ended");
    else if (stopped != 0)
        complain("connections were open after %g seconds, and have been ended", grace);
    return stopped == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}

static int serve(const struct service *service, const struct serve_options *options, weft_value argument)
{
    char address[256];
    bool hubs = options->task == WEFT_COROUTINE;
    descriptors_allow();
    static weft_signals *signals; /* to the end: a signal that is there by then would have the last word */
    signals = weft_signals_new(SIGINT, SIGTERM);
    int listener = weft_listen(options->listen);
    if (!signals || listener < 0 || weft_socket_address(listener, address, sizeof address) < 0)
        give_up("cannot listen at %s: %s", options->listen, listen_reason(options->listen));
    weft_server *server = weft_serve(listener, service->handler, .task = options->task, .argument = argument,
        .threads = hubs && options->threads > 1 ? options->threads : 0, .workers = hubs ? 0 : options->threads, .limit = options->limit,
        .idle_timeout = options->idle);
    if (!server)
        give_up("cannot serve: %s", strerror(errno));
    printf("%s\n", address);
    fflush(stdout);
    while (weft_signals_wait(signals, NULL, WEFT_FOREVER) != 0)
        ;
    return stop(server, signals, options->grace);
}

int serve_main(int argc, char **argv)
{
    struct serve_options options = {.listen = "127.0.0.1:0", .task = WEFT_COROUTINE, .grace = 5};
    complain_as("weft serve");
    if (!options_take(argc, argv, &options)) {
        serve_help();
        return EXIT_SUCCESS;
    }
    if (optind >= argc)
        give_up("no service; there are echo, upper and files");
    const struct service *service = service_find(argv[optind]);
    weft_value argument = service_argument(service, argv + optind + 1, argc - optind - 1);
    return serve(service, &options, argument);
}
