/* SPDX-License-Identifier: MIT */
/*
 * A function as something that can cross into another process of the family: the module that it is in, and where in that. The other process
 * finds it wherever its own copy of the module lies.
 */
#ifndef WEFTI_FUNCTION_H
#define WEFTI_FUNCTION_H

#include <stdbool.h>
#include <stdint.h>

#include <weft/value.h>

/* One cache line, for the arena or for a message; without pointers but the first, which only its maker may follow. */
struct wefti_function {
    uint64_t address; /* where it is in the process that packed it: in one that was forked from the same image it is there too */
    uint64_t module;  /* hash of the module's build-id; without one, of its name and program headers */
    uint64_t offset;  /* in the module */
    char name[40];    /* the module's, without folders, cut; for messages */
};

/*
 * Packs a function: some 10 ns when it is one of the program's own or Weft's and was packed before. 0; -1 with EFAULT (it is in no module
 * that is loaded here). From any task.
 */
int wefti_function_pack(weft_function *function, struct wefti_function *packed);
/* Whether a function that was packed is the program's own or Weft's, so that every process has it. */
bool wefti_function_lasts(weft_function *function);
/*
 * The function that was packed, here or in another process. 0; -1 with ENOEXEC: its module (`name`) is not loaded in this process, or not
 * the same build of it. From any task.
 */
int wefti_function_find(const struct wefti_function *packed, weft_function **function);

#endif
