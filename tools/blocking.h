/* SPDX-License-Identifier: MIT */
/* `weft blocking`. */
#ifndef WEFT_TOOLS_BLOCKING_H
#define WEFT_TOOLS_BLOCKING_H

int blocking_main(int argc, char **argv);

#endif
