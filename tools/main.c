/* SPDX-License-Identifier: MIT */
/* The command `weft`: one subcommand a file, built on the public API of the library alone. */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <weft.h>

#include "beside.h"
#include "blocking.h"
#include "complain.h"
#include "managers.h"
#include "nearest.h"
#include "ps.h"
#include "run.h"
#include "serve.h"

static const struct subcommand {
    const char *name, *text;
    int (*run)(int argc, char **argv);
} subcommands[] = {
    {"run", "run a command once for each argument, several at a time", run_main},
    {"serve", "serve connections: echo, capital letters, files", serve_main},
    {"manager", "serve queues and dictionaries to programs, Python's among them", manager_main},
    {"call", "call an object of a manager", call_main},
    {"worker", "run a command on each item of a manager's queue", worker_main},
    {"fetch", "fetch many pages at once", fetch_main},
    {"blocking", "list the blocking calls that a program makes", blocking_main},
    {"ps", "show the families of processes that share memory", ps_main},
    {"clean", "end what is left of dead families", clean_main},
};
enum { SUBCOMMAND_COUNT = sizeof subcommands / sizeof *subcommands };

static void print_help(void)
{
    printf("Usage: weft COMMAND [ARGUMENT]...\n\nCommands:\n");
    for (size_t i = 0; i < SUBCOMMAND_COUNT; i++)
        printf("  %-10s%s\n", subcommands[i].name, subcommands[i].text);
    printf("\nweft COMMAND --help says more of one. Also: weft --version, weft --help.\n");
}

static int print_version(void)
{
    printf("weft %s\n", weft_version());
    return EXIT_SUCCESS;
}

static int complain_of_command(const char *word)
{
    const char *names[SUBCOMMAND_COUNT + 2] = {"--help", "--version"};
    for (size_t i = 0; i < SUBCOMMAND_COUNT; i++)
        names[i + 2] = subcommands[i].name;
    const char *nearest = nearest_name(word, names, SUBCOMMAND_COUNT + 2);
    const char *what = *word == '-' ? "option" : "command";
    if (nearest)
        complain("unknown %s %s; did you mean %s?", what, word, nearest);
    else
        complain("unknown %s %s; weft --help lists them", what, word);
    return EXIT_USAGE;
}

/* What was printed with stdio is lost when stdout cannot take it: that is a failure. */
static int flushed(int status)
{
    return fflush(stdout) == 0 ? status : EXIT_FAILURE;
}

/*
 * Whoever started this may have closed a standard stream; then no descriptor of ours may take its place. What stands there instead fails as
 * the closed one would.
 */
static void keep_streams_apart(void)
{
    for (int stream = STDIN_FILENO; stream <= STDERR_FILENO; stream++)
        if (fcntl(stream, F_GETFD) < 0 && open("/dev/null", stream == STDIN_FILENO ? O_WRONLY : O_RDONLY) != stream)
            _exit(EXIT_USAGE);
}

int main(int argc, char **argv)
{
    keep_streams_apart();
    if (argc < 2) {
        complain("no command; weft --help lists them");
        return EXIT_USAGE;
    }
    if (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0 || strcmp(argv[1], "help") == 0) {
        print_help();
        return flushed(EXIT_SUCCESS);
    }
    if (strcmp(argv[1], "--version") == 0)
        return flushed(print_version());
    for (size_t i = 0; i < SUBCOMMAND_COUNT; i++)
        if (strcmp(argv[1], subcommands[i].name) == 0)
            return flushed(subcommands[i].run(argc - 1, argv + 1));
    return complain_of_command(argv[1]);
}
