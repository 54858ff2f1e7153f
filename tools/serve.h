/* SPDX-License-Identifier: MIT */
/* `weft serve`. */
#ifndef WEFT_TOOLS_SERVE_H
#define WEFT_TOOLS_SERVE_H

#include <weft.h>

/* argv[0] is "serve". Returns the exit status. */
int serve_main(int argc, char **argv);

/* Serves files by HTTP; the argument is the folder's path. */
void serve_files(int fd, weft_value folder);

#endif
