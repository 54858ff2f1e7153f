/* SPDX-License-Identifier: MIT */
/*
 * Finds what a test left behind. What a process has of each kind (descriptors, processes, threads, shared memory) is read from /proc as a
 * set of lines, before the test and after it; a line that is new is a leak, and is what the failure shows. The set before is taken in the
 * test's own process, so that what a sanitizer or Valgrind keeps there (a thread, some descriptors) stands in both.
 *
 * What ends by itself (a detached thread, a child that was killed) may take a moment: the set is looked at again until it is clean, for at
 * most leaks_patience seconds.
 */
#include <ctype.h>
#include <dirent.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include "fixture.h"
#include "leaks.h"

enum { LINE = 512 };

double leaks_patience = 3;

struct lines {
    char **line;
    size_t count;
};

/* Adds a line for each thing of one kind that the process has now. */
typedef void leaks_gather(struct lines *into);

/* Valgrind keeps its own descriptors above the limit that it shows. */
static rlim_t descriptor_limit = RLIM_INFINITY;

static void lines_add(struct lines *lines, const char *text)
{
    char **more = realloc(lines->line, (lines->count + 1) * sizeof *more);
    ck_assert_ptr_nonnull(more);
    lines->line = more;
    lines->line[lines->count] = strdup(text);
    ck_assert_ptr_nonnull(lines->line[lines->count]);
    lines->count++;
}

static void lines_clear(struct lines *lines)
{
    for (size_t i = 0; i < lines->count; i++)
        free(lines->line[i]);
    free(lines->line);
    *lines = (struct lines){NULL, 0};
}

/* The first line of `a` that `b` has not, or NULL. */
static const char *lines_extra(const struct lines *a, const struct lines *b)
{
    for (size_t i = 0; i < a->count; i++) {
        size_t j = 0;
        while (j < b->count && strcmp(a->line[i], b->line[j]) != 0)
            j++;
        if (j == b->count)
            return a->line[i];
    }
    return NULL;
}

/*
 * Forgives one new eventfd: the thread that runs the test keeps the one by which it is woken from waiting for descriptors (see
 * src/wait/thread_context.c). Every other thread closes its own as it ends.
 */
static void forgive_doorbell(struct lines *now, const struct lines *then)
{
    for (size_t i = 0; i < now->count; i++) {
        struct lines one = {&now->line[i], 1};
        if (strstr(now->line[i], "[eventfd]") && lines_extra(&one, then)) {
            free(now->line[i]);
            now->line[i] = now->line[--now->count];
            return;
        }
    }
}

/* The arena stays for as long as the process. */
static bool is_arena(const char *what)
{
    return strstr(what, "/memfd:weft-arena") != NULL;
}

static void gather_descriptors(struct lines *into)
{
    DIR *folder = opendir("/proc/self/fd");
    if (!folder) /* the test lowered its own limit to nothing */
        return;
    for (struct dirent *entry; (entry = readdir(folder));) {
        char target[LINE / 2] = "", text[LINE];
        if (!isdigit((unsigned char)entry->d_name[0]) || atoi(entry->d_name) == dirfd(folder))
            continue;
        if ((rlim_t)atoi(entry->d_name) >= descriptor_limit)
            continue;
        if (readlinkat(dirfd(folder), entry->d_name, target, sizeof target - 1) < 0)
            continue;
        snprintf(text, sizeof text, "descriptor %d (%s)", atoi(entry->d_name), target);
        if (!is_arena(target))
            lines_add(into, text);
    }
    closedir(folder);
}

static void gather_threads(struct lines *into)
{
    DIR *folder = opendir("/proc/self/task");
    if (!folder)
        return;
    for (struct dirent *entry; (entry = readdir(folder));) {
        char path[LINE], name[32] = "", text[LINE];
        snprintf(path, sizeof path, "/proc/self/task/%s/comm", entry->d_name);
        FILE *file = isdigit((unsigned char)entry->d_name[0]) ? fopen(path, "re") : NULL;
        if (!file)
            continue;
        if (fgets(name, sizeof name, file)) {
            name[strcspn(name, "\n")] = 0;
            snprintf(text, sizeof text, "thread %s (%s)", entry->d_name, name);
            lines_add(into, text);
        }
        fclose(file);
    }
    closedir(folder);
}

/* Does the process have the mark in its environment that this test's children inherit? */
static bool process_is_marked(const char *pid)
{
    char path[LINE], mark[64], *environment = NULL;
    size_t room = 0;
    bool marked = false;
    snprintf(mark, sizeof mark, "WEFT_FIXTURE=%d", getpid());
    snprintf(path, sizeof path, "/proc/%s/environ", pid);
    FILE *file = fopen(path, "re");
    if (!file)
        return false;
    while (!marked && getdelim(&environment, &room, 0, file) > 0)
        marked = strcmp(environment, mark) == 0;
    free(environment);
    fclose(file);
    return marked;
}

/*
 * A child, dead or alive, or a living descendant: it has the test's process group, or called setsid but has its environment. (What called
 * setsid, lost its parent and did not exec is not seen.)
 */
static bool process_is_ours(const char *pid, char state, int parent, int group)
{
    if (parent == getpid())
        return true;
    if (state == 'Z' || state == 'X')
        return false;
    return (getpgrp() == getpid() && group == getpid()) || process_is_marked(pid);
}

static void process_look(struct lines *into, const char *pid)
{
    char path[LINE], stat[LINE], state;
    int parent, group;
    snprintf(path, sizeof path, "/proc/%s/stat", pid);
    FILE *file = atoi(pid) == getpid() ? NULL : fopen(path, "re");
    if (!file)
        return;
    size_t length = fread(stat, 1, sizeof stat - 1, file);
    fclose(file);
    stat[length] = 0;
    char *name = strchr(stat, '('), *end = strrchr(stat, ')');
    if (!name || !end || sscanf(end + 1, " %c %d %d", &state, &parent, &group) != 3 || !process_is_ours(pid, state, parent, group))
        return;
    char text[2 * LINE];
    snprintf(text, sizeof text, "process %s %.*s%s", pid, (int)(end + 1 - name), name, state == 'Z' ? ", dead and not waited for" : "");
    lines_add(into, text);
}

static void gather_processes(struct lines *into)
{
    DIR *folder = opendir("/proc");
    if (!folder)
        return;
    for (struct dirent *entry; (entry = readdir(folder));)
        if (isdigit((unsigned char)entry->d_name[0]))
            process_look(into, entry->d_name);
    closedir(folder);
}

/* Shared mappings: memfds, files, and anonymous ones that children would see. */
static void gather_mappings(struct lines *into)
{
    char line[LINE + PATH_MAX], access[8];
    FILE *file = fopen("/proc/self/maps", "re");
    if (!file)
        return;
    while (fgets(line, sizeof line, file)) {
        line[strcspn(line, "\n")] = 0;
        if (sscanf(line, "%*s %7s", access) == 1 && access[3] == 's' && !is_arena(line)) {
            char text[sizeof line + 16];
            snprintf(text, sizeof text, "shared mapping %s", line);
            lines_add(into, text);
        }
    }
    fclose(file);
}

/* Names in /dev/shm that speak of weft: others on this machine use the folder too. */
static void gather_names(struct lines *into)
{
    DIR *folder = opendir("/dev/shm");
    if (!folder)
        return;
    for (struct dirent *entry; (entry = readdir(folder));) {
        char text[LINE];
        if (!strstr(entry->d_name, "weft"))
            continue;
        snprintf(text, sizeof text, "/dev/shm/%s", entry->d_name);
        lines_add(into, text);
    }
    closedir(folder);
}

/* Processes come first: what they hold goes with them. */
static leaks_gather *const gather[] = {gather_processes, gather_threads, gather_descriptors, gather_mappings, gather_names};
enum { KINDS = sizeof gather / sizeof gather[0] };

static struct lines before[KINDS];

#if defined(__SANITIZE_THREAD__) || defined(__clang__)
static void *end_at_once(void *unused)
{
    return unused;
}

/* ThreadSanitizer starts a thread of its own with the first of a process: let it stand in the set before. */
static void settle(void)
{
    pthread_t thread;
    if (pthread_create(&thread, NULL, end_at_once, NULL) == 0)
        pthread_join(thread, NULL);
}
#else
static void settle(void)
{
}
#endif

void leaks_before(void)
{
    settle();
    struct rlimit limit;
    char mark[32];
    snprintf(mark, sizeof mark, "%d", getpid());
    setenv("WEFT_FIXTURE", mark, true);
    if (getrlimit(RLIMIT_NOFILE, &limit) == 0)
        descriptor_limit = limit.rlim_cur;
    for (int kind = 0; kind < KINDS; kind++) {
        lines_clear(&before[kind]);
        if (gather[kind] != gather_processes) /* a process that has just begun has none, and looking takes long */
            gather[kind](&before[kind]);
    }
}

static void leaks_check(int kind, weft_time late)
{
    for (;;) {
        char leak[LINE] = "";
        struct lines now = {NULL, 0};
        gather[kind](&now);
        if (gather[kind] == gather_descriptors)
            forgive_doorbell(&now, &before[kind]);
        const char *extra = lines_extra(&now, &before[kind]);
        const char *lost = gather[kind] == gather_descriptors ? lines_extra(&before[kind], &now) : NULL;
        if (extra || lost)
            snprintf(leak, sizeof leak, "%s %s", extra ? "left behind:" : "no longer there:", extra ? extra : lost);
        lines_clear(&now);
        if (!leak[0])
            return;
        if (weft_clock() > late)
            ck_abort_msg("%s", leak);
        nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
    }
}

void leaks_after(void)
{
    weft_time late = weft_in(leaks_patience);
    for (int kind = 0; kind < KINDS; kind++)
        leaks_check(kind, late);
    for (int kind = 0; kind < KINDS; kind++)
        lines_clear(&before[kind]);
}
