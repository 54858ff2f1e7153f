/* SPDX-License-Identifier: MIT */
/* See run_wrap.h. */
#include "run_wrap.h"

#include <stdlib.h>
#include <string.h>

void run_wrap_add(struct run_wrap *wrap, const char *script, const char *parameter)
{
    if (wrap->count == RUN_WRAP_MOST)
        return;
    text_format(&wrap->script, "%s; shift; ", script);
    wrap->parameters[wrap->count++] = parameter;
}

void run_wrap_set(struct run_wrap *wrap, size_t place, const char *parameter)
{
    wrap->parameters[place] = parameter;
}

const char *const *run_wrap_words(struct run_wrap *wrap, const char *const *argv)
{
    static const char *const shell[] = {"/bin/sh", "-c"};
    size_t count = 0, at = 0;
    if (!wrap->count)
        return argv;
    while (argv[count])
        count++;
    if (!strstr(text_string(&wrap->script), "exec \"$@\""))
        text_add_string(&wrap->script, "exec \"$@\"");
    wrap->argv = memory_resize(wrap->argv, (count + wrap->count + 5) * sizeof *wrap->argv);
    for (size_t i = 0; i < 2; i++)
        wrap->argv[at++] = shell[i];
    wrap->argv[at++] = text_string(&wrap->script);
    wrap->argv[at++] = "weft-run"; /* $0: what complaints begin with */
    for (size_t i = 0; i < wrap->count; i++)
        wrap->argv[at++] = wrap->parameters[i];
    memcpy(wrap->argv + at, argv, (count + 1) * sizeof *argv);
    return wrap->argv;
}

void run_wrap_free(struct run_wrap *wrap)
{
    text_free(&wrap->script);
    free(wrap->argv);
}
