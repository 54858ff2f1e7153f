/* SPDX-License-Identifier: MIT */
/*
 * The limit of `weft run -j2 COMMAND`: a bare loop of posix_spawn and wait that runs COMMAND once for each line of stdin, the line as its
 * last argument, two at a time. It captures nothing and keeps no record.
 */
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>

extern char **environ;

static void wait_for_one(void)
{
    int status;
    if (wait(&status) < 0 || status != 0)
        exit(EXIT_FAILURE);
}

int main(int argc, char **argv)
{
    char *line = NULL;
    size_t room = 0;
    int running = 0;
    char *command[3] = {argc > 1 ? argv[1] : "/bin/true", NULL, NULL};
    for (ssize_t length; (length = getline(&line, &room, stdin)) > 0;) {
        line[length - 1] = '\0';
        command[1] = line;
        if (running == 2) {
            wait_for_one();
            running--;
        }
        pid_t child;
        if (posix_spawn(&child, command[0], NULL, NULL, command, environ) != 0)
            return EXIT_FAILURE;
        running++;
    }
    for (; running > 0; running--)
        wait_for_one();
    free(line);
    return EXIT_SUCCESS;
}
