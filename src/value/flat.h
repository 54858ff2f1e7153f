/* SPDX-License-Identifier: MIT */
/*
 * Flat values: a value as octets, for another process of the same program (the same library, the same byte order). Not for files or
 * networks: the form may change with any version.
 */
#ifndef WEFTI_FLAT_H
#define WEFTI_FLAT_H

#include <sys/types.h>

#include "value/value.h"

/* Whether a pointer means the same where the octets will be read. */
typedef bool wefti_flat_pointer(const void *pointer);

/*
 * Writes up to `size` octets of the flat form to `to` (NULL with 0 measures), and gives how many it has. What several containers hold is
 * written once, and is one object again where it is read. -1 with EFAULT (it has a pointer that `may` refuses), ENOMEM (what several hold
 * is remembered).
 */
ssize_t wefti_flat_write(weft_value value, void *to, size_t size, wefti_flat_pointer *may);

/*
 * The value that so many octets are: yours. -1 with EBADMSG (they are no flat value: whatever they are, nothing else happens), ENOMEM;
 * *value is untouched then.
 */
int wefti_flat_read(const void *octets, size_t length, weft_value *value);

#endif
