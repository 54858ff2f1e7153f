/* SPDX-License-Identifier: MIT */
/* What the command says on stderr: one line, one write, "weft run: what is wrong". */
#ifndef WEFT_TOOLS_COMPLAIN_H
#define WEFT_TOOLS_COMPLAIN_H

#include <stdbool.h>

/* The exit status of a usage error, and of anything that keeps the command from doing its work. */
enum { EXIT_USAGE = 255 };

/* Sets what lines begin with ("weft", "weft run"); static text. */
void complain_as(const char *name);
/* Prints a line. A newline is added; control characters inside it are printed as '?', so that it stays one line. */
void complain(const char *format, ...) __attribute__((format(printf, 1, 2)));
/* Prints a line and ends the program with EXIT_USAGE at once: no handlers run; what end_with_us covers ends with it. */
void give_up(const char *format, ...) __attribute__((format(printf, 1, 2), noreturn));

/* What give_up does last; NULL: nothing. It must not allocate. */
void give_up_after(void (*last)(void));

#endif
