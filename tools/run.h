/* SPDX-License-Identifier: MIT */
/* `weft run`. */
#ifndef WEFT_TOOLS_RUN_H
#define WEFT_TOOLS_RUN_H

/* argv[0] is "run". Returns the exit status. */
int run_main(int argc, char **argv);

#endif
