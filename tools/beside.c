/* SPDX-License-Identifier: MIT */
/* Subcommands that are programs of their own, which lie beside this one: `weft fetch` becomes weft-fetch. */
#include "beside.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "complain.h"

int fetch_main(int argc, char **argv)
{
    char path[4096];
    (void)argc;
    complain_as("weft fetch");
    ssize_t length = readlink("/proc/self/exe", path, sizeof(path) - sizeof("-fetch"));
    if (length > 0) {
        strcpy(path + length, "-fetch");
        execv(path, argv);
    }
    if (errno == ENOENT)
        complain("there is no weft-fetch beside weft: it was built without libcurl");
    else
        complain("cannot run weft-fetch: %s", strerror(errno));
    return EXIT_USAGE;
}
