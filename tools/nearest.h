/* SPDX-License-Identifier: MIT */
/* The known name nearest to a mistyped one. */
#ifndef WEFT_TOOLS_NEAREST_H
#define WEFT_TOOLS_NEAREST_H

#include <stddef.h>

/*
 * The name among `count` that takes the fewest insertions, deletions, replacements and swaps of neighbours to make from `word`, or that
 * `word` begins; NULL when none is near (more than a third of it would change).
 */
const char *nearest_name(const char *word, const char *const *names, size_t count);

#endif
