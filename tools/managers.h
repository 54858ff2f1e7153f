/* SPDX-License-Identifier: MIT */
/* `weft manager`, `weft call` and `weft worker`, and what they have in common. */
#ifndef WEFT_TOOLS_MANAGERS_H
#define WEFT_TOOLS_MANAGERS_H

#include <weft.h>

#include "text.h"

int manager_main(int argc, char **argv);
int call_main(int argc, char **argv);
int worker_main(int argc, char **argv);

/* A value of JSON text, yours; an error value whose text says what is wrong with it. */
weft_value json_value(const char *text);
/* Whether it is no more than can be printed: forty lists, each of which holds the next twice, are few octets to send, and a line without
 * end. */
bool json_fits(weft_value value);
/* The value as one line of JSON: tuples and sets as lists, keys that are no strs and what else JSON does not have as Python prints it.
 * False, and nothing is added: it does not fit. */
bool json_line(struct text *line, weft_value value);

/* A whole number of at least `least`; false, having complained, for what is none. */
bool whole_number(const char *word, const char *of, long least, long *number);
bool seconds_number(const char *word, const char *of, double *seconds);
/* Of a key that was given as a word of the command line: wipes it, and complains. */
void key_refuse(char *key);
/* Complains of what is no address to listen at. */
void address_refuse(const char *address);
/* The manager at an address; NULL, having complained. */
weft_remote *manager_reach(const char *address, const char *key_file, double seconds);
/* "KeyError: 'x'", or what the last line of a remote traceback says. */
void error_text(struct text *to, weft_value error);

#endif
