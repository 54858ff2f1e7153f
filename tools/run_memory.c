/* SPDX-License-Identifier: MIT */
/* See run_memory.h. A job's shell writes itself into its cgroup before it becomes the job (run_wrap.h). */
#include "run_memory.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "complain.h"

static const char leaf_prefix[] = "weft-run-";

/* What differs between the two kinds. */
struct run_memory_kind {
    const char *type;       /* of the mount */
    const char *limit;      /* files of a cgroup */
    const char *swap;       /* a limit that counts swap too: "0" more, or the same */
    const char *swap_value; /* NULL: the limit again */
    const char *group;      /* "1" in it: killed as a whole; NULL: there is none */
    const char *events;     /* has a line "oom_kill N" */
};

static const struct run_memory_kind memory_kinds[] = {
    {"cgroup2", "memory.max", "memory.swap.max", "0", "memory.oom.group", "memory.events"},
    {"cgroup", "memory.limit_in_bytes", "memory.memsw.limit_in_bytes", NULL, NULL, "memory.oom_control"},
};

/* Reads or writes a small file of a folder. -1 with errno. */
static int file_write(const char *folder, const char *name, const char *value)
{
    char path[4096];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    int fd = open(path, O_WRONLY | O_CLOEXEC);
    if (fd < 0)
        return -1;
    ssize_t written = write(fd, value, strlen(value));
    int error = errno;
    close(fd);
    errno = error;
    return written < 0 ? -1 : 0;
}

static bool file_has_word(const char *folder, const char *name, const char *word)
{
    char path[4096], found[64];
    bool has = false;
    snprintf(path, sizeof path, "%s/%s", folder, name);
    FILE *file = fopen(path, "re");
    while (file && !has && fscanf(file, "%63s", found) == 1)
        has = strcmp(found, word) == 0;
    if (file)
        fclose(file);
    return has;
}

/* Whether a list with commas between has "memory". */
static bool lists_memory(const char *list)
{
    const char *found = strstr(list, "memory");
    return found && (found == list || found[-1] == ',') && (found[6] == '\0' || found[6] == ',');
}

/* Where the hierarchy of this kind is mounted, and which part of it that is. False: nowhere. */
static bool find_mount(const struct run_memory_kind *kind, char root[2048], char mount[2048])
{
    char line[8192], type[64], options[1024];
    bool found = false;
    FILE *file = fopen("/proc/self/mountinfo", "re");
    while (file && !found && fgets(line, sizeof line, file)) {
        const char *rest = strstr(line, " - ");
        found = sscanf(line, "%*s %*s %*s %2047s %2047s", root, mount) == 2 && rest &&
                sscanf(rest + 3, "%63s %*s %1023s", type, options) == 2 && strcmp(type, kind->type) == 0 &&
                (kind->group || lists_memory(options));
    }
    if (file)
        fclose(file);
    return found;
}

/* The path of this process's cgroup in the hierarchy. */
static bool find_own(const struct run_memory_kind *kind, char path[2048])
{
    char line[4096];
    bool found = false;
    FILE *file = fopen("/proc/self/cgroup", "re");
    while (file && !found && fgets(line, sizeof line, file)) {
        char *list = strchr(line, ':'), *own = list ? strchr(list + 1, ':') : NULL;
        if (!own)
            continue;
        *own++ = '\0';
        own[strcspn(own, "\n")] = '\0';
        found = kind->group ? strcmp(list, ":") == 0 : lists_memory(list + 1);
        snprintf(path, 2048, "%s", own);
    }
    if (file)
        fclose(file);
    return found;
}

static bool is_mine(const char *name)
{
    return strncmp(name, leaf_prefix, sizeof leaf_prefix - 1) == 0;
}

/* Removes what killed runs left: the name says which process made it. */
static void sweep_leaves(const char *folder)
{
    char path[4096];
    DIR *entries = opendir(folder);
    for (struct dirent *entry; entries && (entry = readdir(entries));) {
        pid_t maker = is_mine(entry->d_name) ? atoi(entry->d_name + sizeof leaf_prefix - 1) : 0;
        if (maker > 0 && kill(maker, 0) != 0 && errno == ESRCH) {
            snprintf(path, sizeof path, "%s/%s", folder, entry->d_name);
            rmdir(path);
        }
    }
    if (entries)
        closedir(entries);
}

/* Makes a cgroup and sets its limit. */
static int leaf_make(const struct run_memory *memory, const char *path)
{
    char limit[32];
    const struct run_memory_kind *kind = memory->kind;
    snprintf(limit, sizeof limit, "%" PRIu64, memory->limit);
    if (mkdir(path, 0755) != 0)
        return -1;
    if (file_write(path, kind->limit, limit) != 0) {
        int error = errno;
        rmdir(path);
        errno = error;
        return -1;
    }
    file_write(path, kind->swap, kind->swap_value ? kind->swap_value : limit); /* where swap is accounted for */
    if (kind->group)
        file_write(path, kind->group, "1");
    return 0;
}

/* Whether cgroups can be made in this folder, and processes go there. */
static bool folder_serves(struct run_memory *memory, const char *folder, bool own)
{
    static const char script[] = "echo 0 >\"$1\"";
    struct text procs = {0};
    struct weft_command_result result = {.status = {.exitcode = -1}};
    text_clear(&memory->folder);
    text_add_string(&memory->folder, folder);
    if (own && memory->kind->group && !file_has_word(folder, "cgroup.subtree_control", "memory"))
        file_write(folder, "cgroup.subtree_control", "+memory");
    if (run_memory_enter(memory, 0, &procs) == 0) {
        if (weft_command_run(weft_argv("/bin/sh", "-c", script, "sh", procs.at), &result, WEFT_FOREVER) == 0) {
            weft_drop(result.output);
            weft_drop(result.error);
        }
        run_memory_leave(memory, &procs);
    }
    text_free(&procs);
    return result.status.exitcode == 0;
}

/* Tries this process's cgroup of a kind, and, since v2 wants a cgroup with others below it to have no processes, the one above. */
static bool kind_serves(struct run_memory *memory, const struct run_memory_kind *kind)
{
    char root[2048], mount[2048], own[2048], folder[4096];
    if (!find_mount(kind, root, mount) || !find_own(kind, own))
        return false;
    memory->kind = kind;
    size_t skipped = strcmp(root, "/") != 0 && strncmp(own, root, strlen(root)) == 0 ? strlen(root) : 0;
    snprintf(folder, sizeof folder, "%s%s", mount, strcmp(own + skipped, "/") == 0 ? "" : own + skipped);
    for (int level = 0; level < 2 && strlen(folder) >= strlen(mount); level++) {
        sweep_leaves(folder);
        if (folder_serves(memory, folder, level == 0))
            return true;
        *strrchr(folder, '/') = '\0';
    }
    return false;
}

int run_memory_begin(struct run_memory *memory, uint64_t limit)
{
    *memory = (struct run_memory){.limit = limit};
    if (!limit)
        return 0;
    for (size_t i = 0; i < sizeof memory_kinds / sizeof *memory_kinds; i++)
        if (kind_serves(memory, &memory_kinds[i]))
            return 0;
    run_memory_end(memory);
    complain("--memory: there is no cgroup with a memory controller here that this user may make cgroups in");
    return -1;
}

int run_memory_enter(struct run_memory *memory, uint64_t sequence, struct text *procs)
{
    text_clear(procs);
    text_format(procs, "%s/%s%d-%" PRIu64, memory->folder.at, leaf_prefix, (int)getpid(), sequence);
    int made = leaf_make(memory, procs->at);
    for (unsigned again = 1; made != 0 && errno == EEXIST && again < 1000; again++) { /* a try before has left children there */
        text_clear(procs);
        text_format(procs, "%s/%s%d-%" PRIu64 "-%u", memory->folder.at, leaf_prefix, (int)getpid(), sequence, again);
        made = leaf_make(memory, procs->at);
    }
    text_add_string(procs, "/cgroup.procs");
    return made;
}

/* How many processes the kernel has killed in it. */
static unsigned long leaf_kills(const struct run_memory *memory, const char *path)
{
    char name[4096], word[64];
    unsigned long count = 0, kills = 0;
    snprintf(name, sizeof name, "%s/%s", path, memory->kind->events);
    FILE *file = fopen(name, "re");
    while (file && fscanf(file, "%63s %lu", word, &count) == 2)
        if (strcmp(word, "oom_kill") == 0)
            kills = count;
    if (file)
        fclose(file);
    return kills;
}

bool run_memory_leave(struct run_memory *memory, struct text *procs)
{
    char *end = strrchr(procs->at, '/');
    *end = '\0';
    bool killed = leaf_kills(memory, procs->at) > 0;
    if (rmdir(procs->at) != 0)
        weft_with (&memory->lock)
            text_add(&memory->busy, procs->at, (size_t)(end - procs->at) + 1);
    text_clear(procs);
    return killed;
}

void run_memory_end(struct run_memory *memory)
{
    for (size_t at = 0; at < memory->busy.length; at += strlen(memory->busy.at + at) + 1)
        rmdir(memory->busy.at + at);
    text_free(&memory->busy);
    text_free(&memory->folder);
    memory->limit = 0;
}
