/* SPDX-License-Identifier: MIT */
/* Subcommands that are programs of their own. */
#ifndef WEFT_TOOLS_BESIDE_H
#define WEFT_TOOLS_BESIDE_H

int fetch_main(int argc, char **argv);

#endif
