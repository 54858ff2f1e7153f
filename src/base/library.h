/* SPDX-License-Identifier: MIT */
/*
 * Libraries that are loaded when they are used, not with this one: what lies in memory is copied by each fork, and taken down at each exit.
 * They stay, and loading one twice, by two threads at once, loads it once.
 */
#ifndef WEFTI_LIBRARY_H
#define WEFTI_LIBRARY_H

#include <dlfcn.h>
#include <stdbool.h>
#include <string.h>

/* NULL: it is not there. */
static inline void *wefti_library_load(const char *name)
{
    return dlopen(name, RTLD_NOW | RTLD_LOCAL | RTLD_NODELETE);
}

/* Its function of that name goes into the pointer at `place`: stored there as octets, as ISO C has no cast for it. False: it has none. */
static inline bool wefti_library_find(void *library, const char *name, void *place)
{
    void *function = library ? dlsym(library, name) : NULL;
    memcpy(place, &function, sizeof(function));
    return function != NULL;
}

#endif
