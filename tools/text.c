/* SPDX-License-Identifier: MIT */
/* See text.h. Room doubles, so that adding is linear in what is added. */
#include "text.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "complain.h"

void *memory_get(size_t size)
{
    return memory_resize(NULL, size);
}

void *memory_resize(void *old, size_t size)
{
    void *memory = realloc(old, size ? size : 1);
    if (!memory)
        give_up("out of memory (%zu bytes)", size);
    return memory;
}

void text_reserve(struct text *text, size_t more)
{
    size_t needed = text->length + more + 1;
    if (needed <= text->room)
        return;
    size_t room = text->room ? text->room : 64;
    while (room < needed)
        room *= 2;
    text->at = memory_resize(text->at, room);
    text->room = room;
}

void text_add(struct text *text, const void *data, size_t length)
{
    text_reserve(text, length);
    if (length)
        memcpy(text->at + text->length, data, length);
    text->length += length;
    text->at[text->length] = '\0';
}

void text_add_char(struct text *text, char c)
{
    text_add(text, &c, 1);
}

void text_add_string(struct text *text, const char *string)
{
    text_add(text, string, strlen(string));
}

void text_add_span(struct text *text, struct span span)
{
    text_add(text, span.at, span.length);
}

void text_format(struct text *text, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    int length = vsnprintf(NULL, 0, format, arguments);
    va_end(arguments);
    if (length < 0)
        return;
    text_reserve(text, (size_t)length);
    va_start(arguments, format);
    vsnprintf(text->at + text->length, (size_t)length + 1, format, arguments);
    va_end(arguments);
    text->length += (size_t)length;
}

void text_clear(struct text *text)
{
    text->length = 0;
    if (text->at)
        text->at[0] = '\0';
}

void text_free(struct text *text)
{
    free(text->at);
    *text = (struct text){0};
}

const char *text_string(const struct text *text)
{
    return text->at ? text->at : "";
}

struct span text_span(const struct text *text)
{
    return (struct span){text_string(text), text->length};
}

struct span span_of(const char *string)
{
    return (struct span){string, strlen(string)};
}

bool span_equal(struct span a, struct span b)
{
    return a.length == b.length && (a.length == 0 || memcmp(a.at, b.at, a.length) == 0);
}
