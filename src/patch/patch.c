/* SPDX-License-Identifier: MIT */
/*
 * libweft-patch: blocking calls of the C library that wait as Weft does.
 *
 * It defines functions of the same names, and is found before the C library: by the linker's order, or as LD_PRELOAD. Each looks whether it
 * was called in a coroutine, by somebody else than Weft. If not, and until weft_patch(), it goes on to the C library's own (dlsym's
 * RTLD_NEXT). If so, it makes the call in a way that does not wait, and when that says that it would have to, it waits as any call of
 * Weft's does and tries again. So what does not have to wait is done by the kernel at once, in the order in which it was called.
 *
 * It is a library of its own over libweft's public calls; which library it is linked with is the one whose coroutines it knows. No more is
 * known here of hubs and stacks than weft_flow_here tells.
 *
 * What cannot be tried without waiting (connect, getaddrinfo, the end of a thread or of any child) is done by a helper thread, as by
 * weft_offload.
 *
 * Signal handlers may call read, write, close and the like: who is at work on a list of ours says so (wefti_patch_inside), and a handler's
 * call is then the C library's.
 *
 * fork: the child has none of the parent's waits; it forgets them. A child of vfork has the parent's memory and its stack pointer: it is
 * told by its process number.
 */

#include "patch/patch.h"

#include <dlfcn.h>
#include <errno.h>
#include <link.h>
#include <signal.h>
#include <string.h>

#include <weft/task.h>

uint32_t wefti_patch_on;
__thread uint32_t wefti_patch_inside;

static struct wefti_real real_calls;
static uint32_t real_known; /* 1: all of them; 2: not all are there */
static pid_t patch_process;

/* Where the machine code of libweft lies. */
static struct {
    uintptr_t first, last;
} weft_code;

/*
 * Conditions have had two layouts, and the names of the first are the oldest: RTLD_NEXT of older C libraries finds these. Whoever is linked
 * today has the second.
 */
static void *real_find(const char *name)
{
    void *found = dlvsym(RTLD_NEXT, name, "GLIBC_2.3.2");
    return found ? found : dlsym(RTLD_NEXT, name);
}

/* Writes where the call is into a field of real_calls: a function's address, which C would not have be a pointer to data. */
static bool real_set(void *field, const char *name)
{
    void *found = real_find(name);
    memcpy(field, &found, sizeof(found));
    return found != NULL;
}

/* When the library is loaded, or in what is loaded before it: there are no threads yet. */
static void real_look(void)
{
    unsigned missing = 0;
#define REAL_SET(name_) missing += !real_set(&real_calls.name_, #name_);
    WEFTI_PATCH_CALLS(REAL_SET)
#undef REAL_SET
    __atomic_store_n(&real_known, missing == 0 ? 1 : 2, __ATOMIC_RELEASE);
}

const struct wefti_real *wefti_real(void)
{
    if (__builtin_expect(!__atomic_load_n(&real_known, __ATOMIC_ACQUIRE), 0))
        real_look();
    return &real_calls;
}

bool wefti_patch_here(void)
{
    return getpid() == patch_process;
}

enum weft_flow wefti_patch_flow(const void *caller)
{
    uintptr_t at = (uintptr_t)caller;
    if (wefti_patch_inside || (at >= weft_code.first && at <= weft_code.last))
        return WEFT_FLOW_NONE;
    return weft_flow_here();
}

weft_time wefti_patch_after(time_t seconds, long nanoseconds)
{
    weft_time now = weft_clock();
    if (seconds == 0 && nanoseconds == 0)
        return WEFT_NOW;
    if (seconds >= (WEFT_FOREVER - now) / 1000000000 - 1)
        return WEFT_FOREVER;
    return now + seconds * 1000000000 + nanoseconds;
}

weft_time wefti_patch_moment(clockid_t clock, const struct timespec *moment)
{
    struct timespec now = {0};
    clock_gettime(clock, &now);
    int64_t seconds = (int64_t)moment->tv_sec - now.tv_sec, rest = moment->tv_nsec - now.tv_nsec;
    if (seconds < 0 || (seconds == 0 && rest <= 0))
        return WEFT_NOW;
    if (rest < 0)
        seconds--, rest += 1000000000;
    return wefti_patch_after(seconds, (long)rest);
}

struct errand {
    void (*function)(void *data);
    void *data;
};

/* No signal interrupts it, as none interrupts a wait. */
static weft_value errand_run(weft_value argument)
{
    struct errand *errand = weft_as_ptr(argument);
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_BLOCK, &all, &before);
    errand->function(errand->data);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return weft_none;
}

void wefti_patch_elsewhere(void (*function)(void *data), void *data)
{
    struct errand errand = {function, data};
    weft_shield if (weft_offload(errand_run, weft_ptr(&errand), NULL, WEFT_FOREVER) != 0) function(data);
}

static int object_look(struct dl_phdr_info *object, size_t size, void *data)
{
    (void)size, (void)data;
    uintptr_t sought = (uintptr_t)weft_version;
    for (int i = 0; i < object->dlpi_phnum; i++) {
        const ElfW(Phdr) *part = &object->dlpi_phdr[i];
        uintptr_t first = object->dlpi_addr + part->p_vaddr;
        if (part->p_type != PT_LOAD || sought < first || sought >= first + part->p_memsz)
            continue;
        weft_code.first = first;
        weft_code.last = first + part->p_memsz - 1;
        return 1;
    }
    return 0;
}

int weft_patch(void)
{
    if (__atomic_load_n(&wefti_patch_on, __ATOMIC_ACQUIRE))
        return 0;
    wefti_real();
    if (__atomic_load_n(&real_known, __ATOMIC_ACQUIRE) != 1) {
        errno = ENOSYS;
        return -1;
    }
    dl_iterate_phdr(object_look, NULL);
    patch_process = getpid();
    __atomic_store_n(&wefti_patch_on, 1, __ATOMIC_RELEASE);
    return 0;
}

static void patch_forked(void)
{
    patch_process = getpid();
}

__attribute__((constructor(1001))) static void patch_open(void)
{
    wefti_real();
    pthread_atfork(NULL, NULL, patch_forked);
}
