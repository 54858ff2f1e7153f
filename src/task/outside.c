/* SPDX-License-Identifier: MIT */
/*
 * The coroutines of another process, without its doing anything for it: its memory is read as a debugger would read it (base/peek.h), so
 * nothing in there is slower or larger for that, but for the time that a hub notes at each park.
 *
 * Where it is. The process has mapped the same file as this one, the library or the program that it is linked into: the register of tasks
 * then lies as far from the beginning of that file as it does here. A file of another content is another build, of whose structures nothing
 * is known here.
 *
 * What is read may change meanwhile. Nothing is believed: each address is followed by a read that may fail; a task in the list has to name
 * the one that it was reached from as that before it, or the walk ends there; and a wait is told only if the context is still in it when
 * all of it has been read.
 *
 * What a coroutine waits in is found on its stack: the first return address that lies neither in the library nor in the C library, and the
 * last before it that lies in a public function of the library, which this process has at a place that it can work out. A return address is
 * a word that points behind a call; one left there by an earlier call could be taken for it.
 */

#include "task/outside.h"

#include <dlfcn.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "base/peek.h"
#include "coroutine/hub.h"
#include "place.h"
#include "task/task.h"

enum { TASKS_MOST = 1 << 28 /* a list that is longer goes round in circles */, STACK_WORDS = 512, PATH_ROOM = 4096 };

/* One mapping of a file. */
struct mapping {
    uintptr_t start, end;
    unsigned long long inode;
    unsigned device;
    bool runs;                      /* it can be executed */
    char name[WEFTI_OUTSIDE_PLACE]; /* of the file, without its folders */
};

struct mappings {
    struct mapping *list;
    size_t count, room;
};

/* A process, while it is looked at. */
struct outside {
    pid_t pid;
    struct mappings mappings;
    uintptr_t here, there; /* where the library begins, in this process and in that */
};

/* One line of /proc/PID/maps; false: it is of no file. */
static bool mapping_read(const char *line, struct mapping *mapping)
{
    unsigned major, minor;
    char path[PATH_ROOM] = "", rights[5] = "";
    if (sscanf(line, "%" SCNxPTR "-%" SCNxPTR " %4s %*x %x:%x %llu %4095[^\n]", &mapping->start, &mapping->end, rights, &major, &minor,
            &mapping->inode, path) < 7 ||
        mapping->inode == 0)
        return false;
    const char *slash = strrchr(path, '/');
    mapping->device = major << 20 | minor;
    mapping->runs = rights[2] == 'x';
    snprintf(mapping->name, sizeof(mapping->name), "%s", slash ? slash + 1 : path);
    return true;
}

static bool mapping_add(struct mappings *mappings, const struct mapping *mapping)
{
    if (mappings->count == mappings->room) {
        size_t room = mappings->room ? mappings->room * 2 : 64;
        struct mapping *list = wefti_realloc(mappings->list, room * sizeof(*list));
        if (!list)
            return false;
        mappings->list = list;
        mappings->room = room;
    }
    mappings->list[mappings->count++] = *mapping;
    return true;
}

/* All mappings of files, in the order of their addresses. False with ESRCH, EACCES, ENOMEM. */
static bool mappings_read(pid_t pid, struct mappings *mappings)
{
    char path[64], line[PATH_ROOM + 128];
    struct mapping mapping;
    snprintf(path, sizeof(path), "/proc/%d/maps", pid);
    FILE *file = wefti_fails_with(ENOMEM) ? NULL : fopen(path, "re");
    bool whole = file != NULL;
    while (whole && fgets(line, sizeof(line), file))
        whole = !mapping_read(line, &mapping) || mapping_add(mappings, &mapping);
    int error = errno == ENOENT ? ESRCH : errno;
    if (file)
        fclose(file);
    errno = error;
    return whole;
}

static const struct mapping *mapping_of(const struct mappings *mappings, uintptr_t address)
{
    for (size_t i = 0; i < mappings->count; i++)
        if (address >= mappings->list[i].start && address < mappings->list[i].end)
            return &mappings->list[i];
    return NULL;
}

static bool mapping_same(const struct mapping *one, const struct mapping *other)
{
    return one->inode == other->inode && one->device == other->device;
}

/* Where that file's first mapping is among these; 0: nowhere. */
static uintptr_t mappings_base(const struct mappings *mappings, const struct mapping *file)
{
    for (size_t i = 0; i < mappings->count; i++)
        if (mapping_same(&mappings->list[i], file))
            return mappings->list[i].start;
    return 0;
}

static bool mappings_have(const struct mappings *mappings, const char *name)
{
    for (size_t i = 0; i < mappings->count; i++)
        if (strncmp(mappings->list[i].name, name, strlen(name)) == 0)
            return true;
    return false;
}

/* Fills in where the library is. False with ESRCH, EPROTO and what mappings_read gives. */
static bool outside_find(struct outside *outside)
{
    struct mappings own = {0};
    bool read = mappings_read(getpid(), &own) && mappings_read(outside->pid, &outside->mappings);
    const struct mapping *library = read ? mapping_of(&own, (uintptr_t)&wefti_outside_each) : NULL;
    if (library) {
        outside->here = mappings_base(&own, library);
        outside->there = mappings_base(&outside->mappings, library);
    }
    if (read && !outside->there)
        errno = mappings_have(&outside->mappings, "libweft.so") ? EPROTO : ESRCH;
    int error = errno;
    wefti_release(own.list);
    errno = error;
    return read && outside->there != 0;
}

/* Whether the word is a return address there; *mapping: into what. */
static bool word_returns(const struct outside *outside, uintptr_t word, const struct mapping **mapping)
{
    unsigned char before[WEFTI_CALL_LONGEST];
    *mapping = mapping_of(&outside->mappings, word);
    return *mapping && (*mapping)->runs && word - (*mapping)->start >= sizeof(before) &&
           wefti_peek(outside->pid, (const void *)(word - sizeof(before)), before, sizeof(before)) && /* NOLINT: an address there */
           wefti_place_after_call(before);
}

/* Whether it is no place that a programmer would look at: the C library, Weft, what sanitizers put between. */
static bool mapping_is_system(const struct mapping *mapping)
{
    static const char *const names[] = {"libc.so", "libweft", "ld-linux", "libasan", "libtsan", "libubsan"};
    for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++)
        if (strncmp(mapping->name, names[i], strlen(names[i])) == 0)
            return true;
    return false;
}

/* The name of the public function at a place of the library there; that is the same function as at the place here. */
static void call_name(const struct outside *outside, uintptr_t word, char *call)
{
    Dl_info info;
    if (dladdr((void *)(word - outside->there + outside->here), &info) && info.dli_sname &&
        strncmp(info.dli_sname, "weft_", 5) == 0) /* NOLINT */
        snprintf(call, WEFTI_OUTSIDE_PLACE, "%s", info.dli_sname);
}

/* What one word of the stack says of where the coroutine waits. */
static void stack_word(const struct outside *outside, uintptr_t word, struct wefti_outside *seen)
{
    const struct mapping *mapping;
    if (!word_returns(outside, word, &mapping))
        return;
    uintptr_t base = mappings_base(&outside->mappings, mapping);
    if (base == outside->there)
        call_name(outside, word, seen->call);
    else if (*seen->call && !mapping_is_system(mapping))
        snprintf(seen->place, sizeof(seen->place), "%.100s+0x%" PRIxPTR, mapping->name, word - base);
}

/* Where a parked coroutine waits: from its last frame up to its control block. */
static void stack_see(const struct outside *outside, uintptr_t sp, uintptr_t end, struct wefti_outside *seen)
{
    uintptr_t words[STACK_WORDS];
    size_t count = end > sp ? (end - sp) / sizeof(*words) : 0;
    if (count > STACK_WORDS)
        count = STACK_WORDS;
    if (!wefti_peek(outside->pid, (const void *)sp, words, count * sizeof(*words))) /* NOLINT: an address there */
        return;
    for (size_t i = 0; i < count && !*seen->place; i++)
        stack_word(outside, words[i], seen);
}

/* The wait at this address there. False: it could not be read. */
static bool wait_see(const struct outside *outside, const struct wefti_wait *there, struct wefti_outside *seen)
{
    struct wefti_wait wait;
    if (!wefti_peek(outside->pid, there, &wait, sizeof(wait)) || wait.count > UINT16_MAX || wait.stride > UINT16_MAX)
        return false;
    seen->deadline = wait.deadline;
    seen->count = wait.count < WEFTI_OUTSIDE_THINGS ? wait.count : WEFTI_OUTSIDE_THINGS;
    for (unsigned i = 0; i < seen->count; i++)
        if (!wefti_peek(outside->pid, wefti_wait_item(&wait, i), &seen->things[i], sizeof(seen->things[i])))
            return false;
    return true;
}

/* What a parked flow waits for. */
static void flow_see(
    const struct outside *outside, const struct wefti_flow *flow, const struct wefti_flow *there, struct wefti_outside *seen)
{
    struct wefti_wait *wait = NULL, *again = NULL;
    weft_time since = 0;
    uint64_t seed = 0;
    bool whole = wefti_peek(outside->pid, &flow->context->wait, &wait, sizeof(wait)) && wait && wait_see(outside, wait, seen) &&
                 wefti_peek(outside->pid, &flow->hub->seed, &seed, sizeof(seed));
    if (whole)
        stack_see(outside, (uintptr_t)flow->sp, (uintptr_t)there, seen);
    whole = whole && wefti_peek(outside->pid, &flow->context->wait, &again, sizeof(again)) && again == wait &&
            wefti_peek(outside->pid, &there->since, &since, sizeof(since)) && since == flow->since;
    seen->state = whole ? WEFTI_OUTSIDE_WAITS : WEFTI_OUTSIDE_READY;
    seen->since = flow->since;
    if (seed)
        seen->deadline = WEFT_FOREVER; /* the thread's own time, of which nothing is known here */
}

/* What is seen of a coroutine, whose task this is a copy of, from there. */
static void task_see(const struct outside *outside, const weft_task *task, const weft_task *there, struct wefti_outside *seen)
{
    void *address = NULL;
    struct wefti_flow flow, *current = NULL;
    *seen = (struct wefti_outside){.ident = task->ident, .thread = task->native_id, .state = WEFTI_OUTSIDE_NEW};
    wefti_coroutine_name_at(outside->pid, there, seen->name, sizeof(seen->name));
    if (!task->context || !wefti_peek(outside->pid, &task->context->flow, &address, sizeof(address)) ||
        !wefti_peek(outside->pid, address, &flow, sizeof(flow)) || !flow.hub || !flow.context || /* it is just being made, or gone */
        !wefti_peek(outside->pid, &flow.hub->current, &current, sizeof(current)))
        return;
    if (current == address)
        seen->state = WEFTI_OUTSIDE_RUNS;
    else if (!flow.parked || flow.queued || flow.given)
        seen->state = WEFTI_OUTSIDE_READY;
    else
        flow_see(outside, &flow, address, seen);
}

/* From task to task. 0; -1 with errno. */
static int register_walk(const struct outside *outside, bool (*visit)(const struct wefti_outside *seen, void *data), void *data)
{
    const weft_task *at, *before = NULL;
    uintptr_t place = (uintptr_t)wefti_register_place() - outside->here + outside->there;
    struct wefti_outside seen;
    weft_task task;
    if (!wefti_peek(outside->pid, (const void *)place, &at, sizeof(at))) /* NOLINT: an address there */
        return -1;
    for (int i = 0; at && i < TASKS_MOST; i++, before = at, at = task.next) {
        if (!wefti_peek(outside->pid, at, &task, sizeof(task)) || task.previous != before) {
            errno = EAGAIN;
            return -1;
        }
        if (task.kind != WEFT_COROUTINE)
            continue;
        task_see(outside, &task, at, &seen);
        if (!visit(&seen, data)) {
            errno = ECHILD;
            return -1;
        }
    }
    return 0;
}

int wefti_outside_each(pid_t pid, bool (*visit)(const struct wefti_outside *seen, void *data), void *data)
{
    struct outside outside = {.pid = pid};
    int result = outside_find(&outside) ? register_walk(&outside, visit, data) : -1, error = errno;
    wefti_release(outside.mappings.list);
    errno = error;
    return result;
}

bool wefti_outside_is(pid_t pid)
{
    struct outside outside = {.pid = pid};
    bool found = outside_find(&outside);
    wefti_release(outside.mappings.list);
    return found;
}
