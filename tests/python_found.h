/* SPDX-License-Identifier: MIT */
/* Versions of Python that may be there. */
#ifndef PYTHON_FOUND_H
#define PYTHON_FOUND_H

#include <stdio.h>
#include <string.h>

/* A command that starts it, known to pyenv or to the PATH; false where there is none that has what is asked for. */
static inline bool python_found(const char *name, char command[300])
{
    char look[400];
    snprintf(look, sizeof(look),
        "for p in ${PYENV_ROOT:-$HOME/.pyenv}/versions/%s.*/bin/python %s; do"
        " $p -c 'import multiprocessing.managers' 2>/dev/null && echo $p && break; done",
        strchr(name, '.') ? name + strlen("python") : "none", name);
    FILE *found = popen(look, "r");
    bool there = found && fgets(command, 300, found);
    if (found)
        pclose(found);
    if (there)
        command[strcspn(command, "\n")] = 0;
    return there;
}

#endif
