/* SPDX-License-Identifier: MIT */
/* `weft ps` and `weft clean`. */
#ifndef WEFT_TOOLS_PS_H
#define WEFT_TOOLS_PS_H

int ps_main(int argc, char **argv);
int clean_main(int argc, char **argv);

#endif
