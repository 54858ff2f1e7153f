/* SPDX-License-Identifier: MIT */
/*
 * Finding and mapping arenas of others. An arena has no name in the file system: it is found among the descriptors of a process that has
 * it. Nothing that stands in it is believed: every address is checked before it is followed, and what is followed lies inside the mapping.
 */

#include "inspect/view.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/memory.h"

static const char ARENA_FILE[] = "/memfd:weft-arena";

int wefti_processes_each(int (*visit)(pid_t pid, void *data), void *data)
{
    DIR *folder = wefti_fails_with(EMFILE) ? NULL : opendir("/proc");
    if (!folder)
        return -1;
    int result = 0;
    for (struct dirent *entry; result == 0 && (entry = readdir(folder));)
        if (isdigit((unsigned char)entry->d_name[0]))
            result = visit((pid_t)atoi(entry->d_name), data);
    int error = errno;
    closedir(folder);
    errno = error;
    return result;
}

/* The arena's descriptor in this folder of descriptors, opened to be read; -1 with ESRCH when there is none. */
static int arena_find(DIR *folder)
{
    char target[64];
    for (struct dirent *entry; (entry = readdir(folder));) {
        ssize_t length = readlinkat(dirfd(folder), entry->d_name, target, sizeof(target) - 1);
        if (length < (ssize_t)sizeof(ARENA_FILE) - 1 || memcmp(target, ARENA_FILE, sizeof(ARENA_FILE) - 1) != 0)
            continue;
        return openat(dirfd(folder), entry->d_name, O_RDONLY | O_CLOEXEC);
    }
    errno = ESRCH;
    return -1;
}

static int arena_open(pid_t pid)
{
    char path[64];
    snprintf(path, sizeof(path), "/proc/%d/fd", pid);
    DIR *folder = wefti_fails_with(EMFILE) ? NULL : opendir(path);
    if (!folder) {
        errno = errno == ENOENT ? ESRCH : errno;
        return -1;
    }
    int fd = arena_find(folder), error = errno;
    closedir(folder);
    errno = error;
    return fd;
}

/* What the header says has to fit what is there. */
static bool view_valid(const struct wefti_view *view)
{
    const struct wefti_arena *arena = view->arena;
    return arena->magic == WEFTI_ARENA_MAGIC && arena->layout == WEFTI_ARENA_LAYOUT && arena->size == view->size &&
           arena->chunks == view->size >> WEFTI_CHUNK_BITS && arena->first > 0 && arena->first < arena->chunks &&
           arena->used <= arena->chunks;
}

static int view_map(struct wefti_view *view, int fd)
{
    struct stat status;
    if (fstat(fd, &status) != 0)
        return -1;
    if (status.st_size < (off_t)sizeof(struct wefti_arena)) {
        errno = EPROTO;
        return -1;
    }
    view->size = (size_t)status.st_size;
    view->inode = status.st_ino;
    void *mapped = mmap(NULL, view->size, PROT_READ, MAP_SHARED | MAP_NORESERVE, fd, 0);
    if (mapped == MAP_FAILED)
        return -1;
    view->arena = mapped;
    view->base = view->arena->base;
    if (view_valid(view))
        return 0;
    munmap(mapped, view->size);
    errno = EPROTO;
    return -1;
}

int wefti_view_open(struct wefti_view *view, pid_t pid)
{
    int fd = arena_open(pid);
    if (fd < 0)
        return -1;
    int failed = view_map(view, fd), error = errno;
    close(fd);
    errno = error;
    return failed;
}

void wefti_view_close(struct wefti_view *view)
{
    munmap((void *)view->arena, view->size);
}

const void *wefti_view_at(const struct wefti_view *view, const void *address, size_t size)
{
    uint64_t offset = (uint64_t)(uintptr_t)address - view->base;
    bool inside = offset >= sizeof(struct wefti_arena) && offset < view->size && size <= view->size - offset && offset % 4 == 0;
    return inside ? (const char *)view->arena + offset : NULL;
}

const struct wefti_family *wefti_view_family(const struct wefti_view *view)
{
    uint64_t family = __atomic_load_n(&view->arena->family, __ATOMIC_ACQUIRE);
    return wefti_view_at(view, (const void *)(uintptr_t)family, sizeof(struct wefti_family)); /* NOLINT: an address there */
}
