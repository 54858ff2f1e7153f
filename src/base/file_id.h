/* SPDX-License-Identifier: MIT */
/*
 * Which file a descriptor is of. A program may close descriptors that it has not opened (closefrom, close_range), and their numbers are its
 * own files' then: what the library keeps open for good, and writes to later, it looks at first.
 */
#ifndef WEFTI_FILE_ID_H
#define WEFTI_FILE_ID_H

#include <errno.h>
#include <stdbool.h>
#include <sys/stat.h>

struct wefti_file_id {
    dev_t device;
    ino_t number; /* 0 with device 0: of none */
};

/* Of an open descriptor; of none, if it is not open. Keeps errno. */
static inline struct wefti_file_id wefti_file_id_of(int descriptor)
{
    struct stat seen;
    int saved = errno;
    if (fstat(descriptor, &seen) != 0) {
        seen.st_dev = 0;
        seen.st_ino = 0;
    }
    errno = saved;
    return (struct wefti_file_id){.device = seen.st_dev, .number = seen.st_ino};
}

/* Whether the descriptor is open, and of that file still. Keeps errno. */
static inline bool wefti_file_id_is(int descriptor, struct wefti_file_id file)
{
    struct wefti_file_id now = wefti_file_id_of(descriptor);
    return now.number != 0 && now.number == file.number && now.device == file.device;
}

#endif
