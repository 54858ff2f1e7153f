/* SPDX-License-Identifier: MIT */
/*
 * A growing run of octets, always followed by a zero. All-zero is an empty one. Running out of memory ends the program with one line, as a
 * command may; a library may not.
 */
#ifndef WEFT_TOOLS_TEXT_H
#define WEFT_TOOLS_TEXT_H

#include <stdbool.h>
#include <stddef.h>

struct text {
    char *at; /* NULL while nothing was ever added */
    size_t length;
    size_t room;
};

/* Octets that belong to somebody else. */
struct span {
    const char *at;
    size_t length;
};

/* malloc and realloc that give memory or end the program. */
void *memory_get(size_t size);
void *memory_resize(void *old, size_t size);

/* Makes room for `more` octets after those that are there, and the zero. */
void text_reserve(struct text *text, size_t more);
void text_add(struct text *text, const void *data, size_t length);
void text_add_char(struct text *text, char c);
void text_add_string(struct text *text, const char *string);
void text_add_span(struct text *text, struct span span);
void text_format(struct text *text, const char *format, ...) __attribute__((format(printf, 2, 3), nonnull));
/* Empties it and keeps its memory. */
void text_clear(struct text *text);
/* Empties it and gives its memory back. */
void text_free(struct text *text);
/* Its octets as a C string: "" when nothing was ever added. */
const char *text_string(const struct text *text);
struct span text_span(const struct text *text);
struct span span_of(const char *string);
bool span_equal(struct span a, struct span b);

#endif
