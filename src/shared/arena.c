/* SPDX-License-Identifier: MIT */
/*
 * The arena's memory: a sealed, sparse memfd at one address in every process of the family.
 *
 * Made at the first use, so a program without shared memory reserves nothing. Its size is set once and sealed: no process can cut it short
 * under another. Memory is taken (fallocate) before a chunk is handed out: then want of memory is an error here, and not SIGBUS at some
 * later store. It is kept out of core dumps, which would otherwise fill its holes.
 *
 * A process may lose the descriptor: a task that closes all it does not know (closefrom), and opens files of its own, which have the number
 * then. Nothing is done to those. The mapping stays, and memory is taken and given back by it (madvise), a little slower.
 *
 * Where it lies is one of a few places, the first that is free: a second family in one process, or a second copy of the library, takes the
 * next.
 *
 * fork: a child of the host's own has the mapping, as it has all memory, and may read and write; what it inherits of this file stays as it
 * is.
 */

#include "shared/arena.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/falloc.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

#include "address.h"
#include "base/file_id.h"
#include "base/latch.h"
#include "base/memory.h"
#include "base/streams.h"
#include "shared/life.h"

#ifndef MAP_FIXED_NOREPLACE
#define MAP_FIXED_NOREPLACE 0x100000
#endif
#ifndef MADV_POPULATE_WRITE
#define MADV_POPULATE_WRITE 23
#endif

static const size_t LEAST = 1 << 20, SMALL = 1 << 26, MOST = (size_t)WEFTI_ARENA_STEP;

uintptr_t wefti_arena_base;
size_t wefti_arena_size;

static struct wefti_latch latch; /* of making it, and of the next */
static size_t limit;             /* 0: not said */
static int arena_fd = -1;
static struct wefti_file_id arena_file; /* what arena_fd is of, as long as nobody else has the number */

int weft_shared_limit(size_t octets)
{
    if (octets == 0 || octets > MOST) {
        errno = EINVAL;
        return -1;
    }
    size_t rounded = (octets + WEFTI_CHUNK - 1) & ~(size_t)(WEFTI_CHUNK - 1);
    wefti_latch_close(&latch);
    bool there = wefti_arena_size > 0;
    if (!there)
        limit = rounded < LEAST ? LEAST : rounded;
    wefti_latch_open(&latch);
    if (there)
        errno = EBUSY;
    return there ? -1 : 0;
}

bool weft_is_shared(const void *address)
{
    return wefti_is_shared(address);
}

/* Growing a file beyond the limit would be a signal, not an error. */
static bool file_may_be(size_t size)
{
    struct rlimit file;
    if (getrlimit(RLIMIT_FSIZE, &file) == 0 && file.rlim_cur != RLIM_INFINITY && file.rlim_cur < size) {
        errno = EFBIG;
        return false;
    }
    return true;
}

/* Sealed against any change of its size. */
static int file_make(size_t size)
{
    if (!file_may_be(size))
        return -1;
    int fd = wefti_fails_with(EMFILE) ? -1 : wefti_beside_streams(memfd_create("weft-arena", MFD_CLOEXEC | MFD_ALLOW_SEALING));
    if (fd < 0)
        return -1;
    if (ftruncate(fd, (off_t)size) == 0 && fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) == 0)
        return fd;
    int error = errno;
    close(fd);
    errno = error;
    return -1;
}

/* At the first place that is free. NULL with ENOMEM. */
static void *file_map(int fd, size_t size)
{
    for (unsigned i = 0; i < WEFTI_ARENA_PLACES && !wefti_fails(); i++) {
        void *place = (void *)(uintptr_t)(WEFTI_ARENA_FIRST + i * WEFTI_ARENA_STEP); /* NOLINT: an address that was chosen */
        void *mapped = mmap(place, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_NORESERVE | MAP_FIXED_NOREPLACE, fd, 0);
        if (mapped == place)
            return mapped;
        if (mapped != MAP_FAILED) /* a kernel that takes the address for a wish */
            munmap(mapped, size);
    }
    errno = ENOMEM;
    return NULL;
}

/* From the chunk on in which they begin: that is on a page's border, too. */
static int mapped_advise(size_t offset, size_t length, int advice)
{
    size_t begun = offset & (size_t)(WEFTI_CHUNK - 1);
    return madvise((void *)(wefti_arena_base + offset - begun), begun + length, advice); /* NOLINT: an address that was chosen */
}

static int octets_back(int fd, size_t offset, size_t length)
{
    bool fails = wefti_fails();
    if (!fails && (fd >= 0 ? fallocate(fd, 0, (off_t)offset, (off_t)length) : mapped_advise(offset, length, MADV_POPULATE_WRITE)) == 0)
        return 0;
    errno = ENOMEM;
    return -1;
}

/* The header without its table, of which wefti_arena_reach takes what is needed. */
static int header_write(int fd, void *place, size_t size)
{
    uint64_t chunks = size >> WEFTI_CHUNK_BITS;
    uint64_t first = (sizeof(struct wefti_arena) + chunks * sizeof(struct wefti_chunk) + WEFTI_CHUNK - 1) >> WEFTI_CHUNK_BITS;
    if (octets_back(fd, 0, sizeof(struct wefti_arena)) != 0)
        return -1;
    struct wefti_arena *arena = place;
    arena->base = (uintptr_t)place;
    arena->size = size;
    arena->chunks = chunks;
    arena->first = arena->used = arena->hint = first;
    arena->layout = WEFTI_ARENA_LAYOUT;
    arena->magic = WEFTI_ARENA_MAGIC;
    return 0;
}

/* An arena of this size: 0, or an error number. */
static int arena_make(size_t size)
{
    int fd = file_make(size);
    if (fd < 0)
        return errno;
    void *place = file_map(fd, size);
    int error = place ? 0 : errno;
    if (!error && header_write(fd, place, size) != 0)
        error = errno;
    if (error) {
        if (place)
            munmap(place, size);
        close(fd);
        return error;
    }
    madvise(place, size, MADV_DONTDUMP);
    arena_fd = fd;
    arena_file = wefti_file_id_of(fd);
    __atomic_store_n(&wefti_arena_base, (uintptr_t)place, __ATOMIC_RELAXED);
    __atomic_store_n(&wefti_arena_size, size, __ATOMIC_RELEASE); /* pairs with the acquire in wefti_arena_now */
    return 0;
}

/*
 * What is tried first when no size was said. Where the address space is limited, the program needs most of it itself. Valgrind's search for
 * leaks reads all that is mapped, and so would fill the holes.
 */
static size_t size_default(void)
{
    const char *preloaded = getenv("LD_PRELOAD");
    if (preloaded && strstr(preloaded, "vgpreload"))
        return SMALL;
    struct rlimit space;
    if (getrlimit(RLIMIT_AS, &space) != 0 || space.rlim_cur == RLIM_INFINITY || space.rlim_cur / 4 >= MOST)
        return MOST;
    size_t size = space.rlim_cur / 4 & ~(size_t)(WEFTI_CHUNK - 1);
    return size < LEAST ? LEAST : size;
}

/* As large as was said; else the largest that the limits leave room for. */
static void arena_open(void)
{
    wefti_latch_close(&latch);
    int error = 0;
    if (wefti_arena_size == 0) {
        size_t size = limit ? limit : size_default();
        while ((error = arena_make(size)) != 0 && !limit && (error == ENOMEM || error == EFBIG) && size > LEAST)
            size = size / 2 < LEAST ? LEAST : size / 2 & ~(size_t)(WEFTI_CHUNK - 1);
    }
    wefti_latch_open(&latch);
    errno = error ? error : errno;
}

struct wefti_arena *wefti_arena_now(void)
{
    size_t size = __atomic_load_n(&wefti_arena_size, __ATOMIC_ACQUIRE);
    return size ? (struct wefti_arena *)wefti_arena_base : NULL; /* NOLINT: an address that was chosen */
}

struct wefti_arena *wefti_arena_get(void)
{
    struct wefti_arena *arena = wefti_arena_now();
    if (arena)
        return arena;
    arena_open();
    return wefti_arena_now();
}

int wefti_arena_adopt(int descriptor, uintptr_t base, size_t size)
{
    void *place = (void *)base; /* NOLINT: an address that was chosen */
    const struct wefti_arena *arena =
        mmap(place, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_NORESERVE | MAP_FIXED_NOREPLACE, descriptor, 0);
    if (arena != place || arena->magic != WEFTI_ARENA_MAGIC || arena->layout != WEFTI_ARENA_LAYOUT || arena->base != base ||
        arena->size != size) {
        errno = ENOMEM;
        return -1;
    }
    madvise(place, size, MADV_DONTDUMP);
    arena_fd = descriptor;
    arena_file = wefti_file_id_of(descriptor);
    __atomic_store_n(&wefti_arena_base, base, __ATOMIC_RELAXED);
    __atomic_store_n(&wefti_arena_size, size, __ATOMIC_RELEASE);
    return 0;
}

int wefti_arena_descriptor(void)
{
    return wefti_file_id_is(arena_fd, arena_file) ? arena_fd : -1;
}

struct wefti_family *wefti_family_now(void)
{
    const struct wefti_arena *arena = wefti_arena_now();
    return arena ? (struct wefti_family *)(uintptr_t)__atomic_load_n(&arena->family, __ATOMIC_ACQUIRE)
                 : NULL; /* NOLINT: an address in the arena */
}

int wefti_arena_back(uint64_t chunk, uint64_t count)
{
    return octets_back(wefti_arena_descriptor(), chunk << WEFTI_CHUNK_BITS, count << WEFTI_CHUNK_BITS);
}

int wefti_arena_reach(struct wefti_arena *arena, uint64_t end)
{
    uint64_t used = __atomic_load_n(&arena->used, __ATOMIC_ACQUIRE);
    if (end <= used)
        return 0;
    if (octets_back(wefti_arena_descriptor(), offsetof(struct wefti_arena, table) + used * sizeof(struct wefti_chunk),
            (end - used) * sizeof(struct wefti_chunk)) != 0)
        return -1;
    while (used < end && !__atomic_compare_exchange_n(&arena->used, &used, end, false, __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE))
        ;
    return 0;
}

void wefti_arena_unback(uint64_t chunk, uint64_t count)
{
    int saved = errno, fd = wefti_arena_descriptor();
    size_t offset = chunk << WEFTI_CHUNK_BITS, length = count << WEFTI_CHUNK_BITS;
    if (fd >= 0)
        fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, (off_t)offset, (off_t)length);
    else
        mapped_advise(offset, length, MADV_REMOVE);
    errno = saved;
}
