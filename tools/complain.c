/* SPDX-License-Identifier: MIT */
/* See complain.h. Nothing here allocates: it also reports that memory is out. */
#include "complain.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static const char *complain_name = "weft";

void complain_as(const char *name)
{
    complain_name = name;
}

static void complain_list(const char *format, va_list arguments)
{
    char line[2048];
    int error = errno;
    int head = snprintf(line, sizeof line, "%s: ", complain_name);
    int body = vsnprintf(line + head, sizeof line - (size_t)head - 1, format, arguments);
    size_t length = body < 0 ? (size_t)head : (size_t)head + (size_t)body;
    if (length > sizeof line - 2)
        length = sizeof line - 2;
    for (size_t i = 0; i < length; i++)
        if ((unsigned char)line[i] < ' ' || line[i] == 127)
            line[i] = '?';
    line[length] = '\n';
    ssize_t written = write(STDERR_FILENO, line, length + 1);
    (void)written; /* there is nobody else to tell */
    errno = error;
}

void complain(const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    complain_list(format, arguments);
    va_end(arguments);
}

static void (*give_up_last)(void);

void give_up_after(void (*last)(void))
{
    give_up_last = last;
}

void give_up(const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    complain_list(format, arguments);
    va_end(arguments);
    if (give_up_last)
        give_up_last();
    _exit(EXIT_USAGE);
}
