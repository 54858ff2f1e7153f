/* SPDX-License-Identifier: MIT */
/*
 * JSON as `weft run` writes it: octets become strings. What is no UTF-8 is written octet by octet as \udc80 to \udcff, the way Python's
 * "surrogateescape" reads such octets: so nothing is lost, and a program that wants the octets has them back.
 */
#ifndef WEFT_TOOLS_RUN_JSON_H
#define WEFT_TOOLS_RUN_JSON_H

#include "text.h"

/*
 * Adds the inside of a string, without quotes. Returns how many octets were taken: all when `last`, else all but up to three that may begin
 * a character which the next octets complete.
 */
size_t run_json_add_octets(struct text *out, struct span octets, bool last);
/* Adds a string with its quotes. */
void run_json_add_string(struct text *out, struct span string);

#endif
