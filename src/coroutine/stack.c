/* SPDX-License-Identifier: MIT */
/*
 * Stacks for coroutines.
 *
 * A slab is one mapping of many stacks of one size, side by side, never backed by huge pages, which would make a stack at rest 2 MiB. The
 * lowest page of each stack is its guard, put in before the stack is taken for the first time: a mark in the page table
 * (MADV_GUARD_INSTALL, Linux 6.13), which splits no mapping, so that a million stacks are a few thousand mappings (some are put in together
 * where the kernel has a call for that: process_madvise on oneself, Linux 6.14); or else a page without access, which makes two mappings of
 * each stack and ends, with the default vm.max_map_count, at some 32,000. That the mark really faults is tried once: emulators accept
 * advice that they do not know.
 *
 * At rest a stack has one page that was touched: the topmost, where its control block is, and the waiter of what it waits for is right
 * below.
 *
 * Free stacks are reused last in first out. Of each size WEFTI_STACKS_WARM are kept with the pages that they have touched. One more, and
 * its pages are given back (MADV_DONTNEED: at once; MADV_FREE would leave them to be counted as ours until memory is scarce), for which its
 * number is kept in an array, as it has no page to keep it in. The room of that array is made with the slab, so that giving back cannot
 * fail. Slabs are given back with the hub.
 *
 * All stacks of a hub belong to its thread: nothing here is atomic but what is known of guards.
 *
 * fork: a child has them too, guards included.
 */

#include "coroutine/stack.h"

#include <errno.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#include "base/memory.h"
#include "coroutine/told.h"

#ifndef MADV_GUARD_INSTALL
#define MADV_GUARD_INSTALL 102
#endif

#ifndef PIDFD_SELF_THREAD
#define PIDFD_SELF_THREAD (-10000)
#endif

#ifdef WEFTI_SMALL
enum { SLAB_STACKS = 4, GUARDS_TOGETHER = 2 };
#else
enum { SLAB_STACKS = 256, GUARDS_TOGETHER = 32 };
#endif
#define SLAB_SIZE_MOST ((size_t)1 << 28) /* of large stacks a slab has fewer */

struct wefti_slab {
    struct wefti_slab *next;
    char *base;
    size_t stack_size;
    uint32_t count;
    uint32_t used;    /* how many have been taken at least once */
    uint32_t guarded; /* how many have their guard */
    unsigned ids[];   /* Valgrind's, of those */
};

static size_t page_size(void)
{
    static size_t size;
    size_t known = __atomic_load_n(&size, __ATOMIC_RELAXED);
    if (!known)
        __atomic_store_n(&size, known = (size_t)sysconf(_SC_PAGESIZE), __ATOMIC_RELAXED);
    return known;
}

/* By letting the kernel read a set of signals there, for a change that does not exist. */
bool wefti_page_faults(const void *page)
{
    enum { NO_CHANGE = 1234 };
    int error = errno;
    bool faults = syscall(SYS_rt_sigprocmask, NO_CHANGE, page, NULL, (size_t)8) != 0 && errno == EFAULT;
    errno = error;
    return faults;
}

static bool guards_try(void)
{
    size_t size = page_size();
    char *page = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (page == MAP_FAILED)
        return false;
    /* Valgrind knows nothing of marks, and says so of the question */
    bool light =
        !RUNNING_ON_VALGRIND && !wefti_page_faults(page) && madvise(page, size, MADV_GUARD_INSTALL) == 0 && wefti_page_faults(page);
    munmap(page, size);
    return light;
}

bool wefti_guards_light(void)
{
    enum { UNKNOWN, LIGHT, HEAVY };
    static uint32_t answer;
    uint32_t known = __atomic_load_n(&answer, __ATOMIC_RELAXED);
    if (known == UNKNOWN) {
        int error = errno;
        known = guards_try() ? LIGHT : HEAVY;
        errno = error;
        __atomic_store_n(&answer, known, __ATOMIC_RELAXED);
    }
    return known == LIGHT;
}

static uint32_t guards_apart; /* 1: several at once were refused */

static bool guard_install(char *page)
{
    if (wefti_guards_light())
        return madvise(page, page_size(), MADV_GUARD_INSTALL) == 0;
    return mprotect(page, page_size(), PROT_NONE) == 0;
}

/* Those of `count` stacks that follow each other, in one call. False: this kernel, or who filters its calls, does not have it; some may
 * have been put in. */
static bool guards_install(char *lowest, size_t stack_size, uint32_t count)
{
    struct iovec pages[GUARDS_TOGETHER];
    for (uint32_t i = 0; i < count; i++)
        pages[i] = (struct iovec){.iov_base = lowest + i * stack_size, .iov_len = page_size()};
    int error = errno;
    bool installed =
        syscall(SYS_process_madvise, PIDFD_SELF_THREAD, pages, (size_t)count, MADV_GUARD_INSTALL, 0UL) == (long)(count * page_size());
    errno = error;
    return installed;
}

/* Where the struct of the stack with this number lies. */
static struct wefti_stack *slab_stack(const struct wefti_slab *slab, uint32_t number)
{
    return (struct wefti_stack *)(void *)(slab->base + (number + 1) * slab->stack_size - sizeof(struct wefti_stack));
}

static bool cold_grow(struct wefti_stack_class *class, uint32_t count)
{
    struct wefti_stack_cold *cold = wefti_realloc(class->cold, (class->cold_room + count) * sizeof(*cold));
    if (!cold)
        return false;
    class->cold = cold;
    class->cold_room += count;
    return true;
}

static char *slab_map(size_t size)
{
    if (wefti_fails_with(ENOMEM))
        return NULL;
    char *base = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_STACK, -1, 0);
    if (base == MAP_FAILED)
        return NULL;
    madvise(base, size, MADV_NOHUGEPAGE); /* refused where the kernel has no huge pages */
    return base;
}

static struct wefti_slab *slab_make(struct wefti_stack_class *class, size_t stack_size)
{
    size_t count = SLAB_SIZE_MOST / stack_size;
    count = count < 1 ? 1 : count > SLAB_STACKS ? SLAB_STACKS : count;
    struct wefti_slab *slab = wefti_alloc(sizeof(*slab) + count * sizeof(slab->ids[0]));
    if (!slab)
        return NULL;
    *slab = (struct wefti_slab){.next = class->slabs, .stack_size = stack_size, .count = (uint32_t)count};
    if (cold_grow(class, slab->count) && (slab->base = slab_map(count * stack_size)))
        return class->slabs = slab;
    wefti_release(slab); /* the array may be longer than it need be */
    return NULL;
}

/*
 * Puts in the guard of the next stack; in a slab that is not the first of its size, and has not found the call missing, those of the next
 * few at once, as the million that is to come pays for a call each otherwise.
 */
static bool slab_guard(struct wefti_slab *slab)
{
    char *lowest = slab->base + slab->guarded * slab->stack_size;
    uint32_t count = slab->count - slab->guarded;
    count = count < GUARDS_TOGETHER ? count : GUARDS_TOGETHER;
    if (wefti_fails_with(ENOMEM))
        return false;
    if (slab->next && __atomic_load_n(&guards_apart, __ATOMIC_RELAXED) == 0 && wefti_guards_light()) {
        if (guards_install(lowest, slab->stack_size, count)) {
            slab->guarded += count;
            return true;
        }
        __atomic_store_n(&guards_apart, 1, __ATOMIC_RELAXED);
    }
    bool installed = guard_install(lowest);
    slab->guarded += installed;
    return installed;
}

/* A stack that has never been used. */
static struct wefti_stack *slab_take(struct wefti_stack_class *class, size_t stack_size)
{
    struct wefti_slab *slab = class->slabs;
    if (!slab || slab->used == slab->count)
        slab = slab_make(class, stack_size);
    char *lowest = slab ? slab->base + slab->used * stack_size : NULL;
    if (!slab || (slab->used == slab->guarded && !slab_guard(slab))) {
        errno = ENOMEM;
        return NULL;
    }
    struct wefti_stack *stack = slab_stack(slab, slab->used);
    slab->ids[slab->used++] = VALGRIND_STACK_REGISTER(lowest + page_size(), (char *)stack + sizeof(*stack));
    *stack = (struct wefti_stack){.slab = slab, .of = class, .bottom = lowest + page_size()};
    return stack;
}

/* One whose pages were given back: its struct is zeros. */
static struct wefti_stack *cold_take(struct wefti_stack_class *class)
{
    struct wefti_stack_cold cold = class->cold[--class->cold_count];
    struct wefti_stack *stack = slab_stack(cold.slab, cold.number);
    stack->slab = cold.slab;
    stack->of = class;
    stack->bottom = cold.slab->base + cold.number * cold.slab->stack_size + page_size();
    return stack;
}

/* The number of the size that fits, and that size; -1: none does. */
static int class_of(size_t *size)
{
    size_t wanted = *size ? *size : WEFTI_STACK_DEFAULT;
    *size = WEFTI_STACK_LEAST;
    if (wanted > WEFTI_STACK_MOST)
        return -1;
    int number = 0;
    for (; *size < wanted; number++)
        *size *= 2;
    return number;
}

struct wefti_stack *wefti_stack_take_other(struct wefti_stacks *stacks, size_t size)
{
    int number = class_of(&size);
    if (number < 0) {
        errno = EINVAL;
        return NULL;
    }
    struct wefti_stack_class *class = &stacks->classes[number];
    struct wefti_stack *stack = wefti_stack_take_warm(class);
    if (stack)
        return stack;
    return class->cold_count > 0 ? cold_take(class) : slab_take(class, size);
}

void wefti_stack_give_cold(struct wefti_stack *stack)
{
    struct wefti_slab *slab = stack->slab;
    struct wefti_stack_class *class = stack->of;
    char *lowest = stack->bottom - page_size();
    int error = errno;
    class->cold[class->cold_count++] =
        (struct wefti_stack_cold){.slab = slab, .number = (uint32_t)((size_t)(lowest - slab->base) / slab->stack_size)};
    madvise(stack->bottom, slab->stack_size - page_size(), MADV_DONTNEED);
    errno = error;
}

static void slab_end(struct wefti_slab *slab)
{
    size_t size = slab->count * slab->stack_size;
    for (uint32_t i = 0; i < slab->used; i++)
        VALGRIND_STACK_DEREGISTER(slab->ids[i]);
    wefti_told_slab_end(slab->base, size);
    munmap(slab->base, size);
    wefti_release(slab);
}

void wefti_stacks_end(struct wefti_stacks *stacks)
{
    int error = errno;
    for (int i = 0; i < WEFTI_STACK_CLASSES; i++) {
        struct wefti_stack_class *class = &stacks->classes[i];
        for (struct wefti_slab *slab = class->slabs, *next; slab; slab = next) {
            next = slab->next;
            slab_end(slab);
        }
        wefti_release(class->cold);
        *class = (struct wefti_stack_class){0};
    }
    errno = error;
}

size_t wefti_stack_size(const struct wefti_stack *stack)
{
    return (size_t)((const char *)(stack + 1) - stack->bottom);
}

size_t wefti_stack_touched(const struct wefti_stack *stack)
{
    size_t page = page_size(), touched = wefti_stack_size(stack);
    unsigned char in = 0;
    for (char *at = stack->bottom; touched > page; at += page, touched -= page)
        if (mincore(at, page, &in) != 0 || (in & 1))
            break;
    return touched;
}

bool wefti_stack_guards(const struct wefti_stack *stack, const void *address)
{
    return (const char *)address < stack->bottom && (const char *)address >= stack->bottom - page_size();
}
