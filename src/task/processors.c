/* SPDX-License-Identifier: MIT */
/*
 * How many processors this process may use: those of its affinity mask, of which the cpu controllers of its cgroups may allow only so much
 * time.
 *
 * /proc/self/cgroup says which cgroup the process is in, per hierarchy; /proc/self/mountinfo where that hierarchy can be seen, and from
 * which of its folders on (a container often sees only its own part). From the process's folder up to the one that is mounted, each may
 * have a limit: the least counts. Version 2 has one hierarchy, "0::/path", and cpu.max with "QUOTA PERIOD" or "max PERIOD"; version 1 one
 * with the controller cpu, and a file for each of the two, the quota -1 for none. Both versions are looked at: a machine may have both
 * mounted, with the controller in either.
 *
 * A limit that is not whole counts as the next whole number: with 1.5 processors' time, two threads use all of it, one does not. What
 * cannot be read limits nothing.
 */

#include "task/processors.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <sched.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <weft/task.h>

#include "base/memory.h"

/* Where one hierarchy is looked at. */
struct hierarchy {
    bool second;           /* version 2 */
    const char *group;     /* the process's folder in it */
    char place[PATH_MAX];  /* the folder at which it is mounted, with the root before it */
    char within[PATH_MAX]; /* the folder of the hierarchy that is mounted there */
};

/* Reads a file to its end. The text with a zero after it; NULL without memory. */
static char *text_read(int file)
{
    size_t room = 4096, length = 0;
    char *text = wefti_alloc_raw(room);
    while (text) {
        ssize_t got = read(file, text + length, room - length - 1);
        if (got < 0 && errno == EINTR)
            continue;
        length += got > 0 ? (size_t)got : 0;
        text[length] = 0;
        if (got <= 0)
            break;
        char *more = length + 1 < room ? text : wefti_realloc(text, room *= 2);
        if (!more)
            wefti_release(text);
        text = more;
    }
    return text;
}

/* All that `path` under `root` holds; NULL when it cannot be read. */
static char *file_read(const char *root, const char *path)
{
    char name[PATH_MAX];
    if (snprintf(name, sizeof(name), "%s%s", root, path) >= (int)sizeof(name))
        return NULL;
    int file = open(name, O_RDONLY | O_CLOEXEC);
    if (file < 0)
        return NULL;
    char *text = text_read(file);
    close(file);
    return text;
}

/* Takes the next line off *rest; NULL after the last. */
static char *line_take(char **rest)
{
    return strsep(rest, "\n");
}

/* Whether `word` is one of those in a list with commas. */
static bool list_has(const char *list, const char *word)
{
    size_t length = strlen(word);
    for (const char *at = list; (at = strstr(at, word)); at += length)
        if ((at == list || at[-1] == ',') && (at[length] == ',' || at[length] == 0))
            return true;
    return false;
}

/* mountinfo writes blanks, tabs, newlines and backslashes as a backslash and three octal digits. */
static void unescape(const char *from, char *to, size_t room)
{
    size_t length = 0;
    for (; *from && length + 1 < room; from++) {
        bool escaped =
            from[0] == '\\' && from[1] >= '0' && from[1] <= '3' && from[2] >= '0' && from[2] <= '7' && from[3] >= '0' && from[3] <= '7';
        to[length++] = escaped ? (char)((from[1] - '0') * 64 + (from[2] - '0') * 8 + (from[3] - '0')) : *from;
        from += escaped ? 3 : 0;
    }
    to[length] = 0;
}

/* Looks at a line of mountinfo, which it cuts up. True when it mounts the hierarchy. */
static bool mount_matches(struct hierarchy *hierarchy, char *line, const char *root)
{
    char *fields[10] = {NULL}, *tail = strstr(line, " - ");
    if (!tail)
        return false;
    *tail = 0;
    tail += 3;
    for (int i = 0; i < 5 && line; i++)
        fields[i] = strsep(&line, " ");
    char *type = strsep(&tail, " "), *options = tail ? strrchr(tail, ' ') : NULL;
    if (!fields[4] || !type || strcmp(type, hierarchy->second ? "cgroup2" : "cgroup") != 0)
        return false;
    if (!hierarchy->second && (!options || !list_has(options + 1, "cpu")))
        return false;
    unescape(fields[3], hierarchy->within, sizeof(hierarchy->within));
    size_t length = (size_t)snprintf(hierarchy->place, sizeof(hierarchy->place), "%s", root);
    if (length >= sizeof(hierarchy->place))
        return false;
    unescape(fields[4], hierarchy->place + length, sizeof(hierarchy->place) - length);
    return true;
}

static bool mount_find(struct hierarchy *hierarchy, const char *root)
{
    char *text = file_read(root, "/proc/self/mountinfo"), *rest = text;
    bool found = false;
    for (char *line; !found && (line = line_take(&rest));)
        found = mount_matches(hierarchy, line, root);
    wefti_release(text);
    return found;
}

/* The number in a file of a cgroup's folder, and the one behind it if there are two. How many there are. */
static int numbers_read(const char *folder, const char *file, double *first, double *second)
{
    char *text = file_read(folder, file);
    int count = text ? sscanf(text, "%lf %lf", first, second) : 0;
    wefti_release(text);
    return count;
}

/* How many processors' time one folder allows; 0: no limit. */
static double folder_limit(const struct hierarchy *hierarchy, const char *folder)
{
    double quota = 0, period = 0, unused;
    bool known = hierarchy->second ? numbers_read(folder, "/cpu.max", &quota, &period) == 2
                                   : numbers_read(folder, "/cpu.cfs_quota_us", &quota, &unused) >= 1 &&
                                         numbers_read(folder, "/cpu.cfs_period_us", &period, &unused) >= 1;
    return known && quota > 0 && period > 0 ? quota / period : 0;
}

static unsigned limit_apply(unsigned processors, double limit)
{
    if (limit <= 0 || limit >= processors)
        return processors;
    unsigned whole = (unsigned)limit;
    return whole < limit ? whole + 1 : whole;
}

/* The process's folder below what is mounted: its path, or "" when it lies elsewhere. */
static const char *group_below(const struct hierarchy *hierarchy)
{
    size_t length = strcmp(hierarchy->within, "/") == 0 ? 0 : strlen(hierarchy->within);
    bool below =
        strncmp(hierarchy->group, hierarchy->within, length) == 0 && (hierarchy->group[length] == '/' || hierarchy->group[length] == 0);
    return below && !strstr(hierarchy->group, "/..") ? hierarchy->group + length : "";
}

/* Goes from the process's folder up to the mounted one. */
static unsigned hierarchy_limit(struct hierarchy *hierarchy, const char *root, unsigned processors)
{
    char folder[PATH_MAX];
    if (!mount_find(hierarchy, root))
        return processors;
    size_t top = strlen(hierarchy->place);
    if (snprintf(folder, sizeof(folder), "%s%s", hierarchy->place, group_below(hierarchy)) >= (int)sizeof(folder))
        return processors;
    for (;;) {
        processors = limit_apply(processors, folder_limit(hierarchy, folder));
        char *slash = strrchr(folder + top, '/');
        if (!slash)
            return processors;
        *slash = 0;
    }
}

unsigned wefti_processors_limited(const char *root, unsigned processors)
{
    char *text = file_read(root, "/proc/self/cgroup"), *rest = text;
    struct hierarchy *hierarchy = wefti_alloc_raw(sizeof(*hierarchy));
    for (char *line; hierarchy && (line = line_take(&rest));) {
        strsep(&line, ":"); /* its number */
        char *controllers = strsep(&line, ":");
        if (!line || (*controllers && !list_has(controllers, "cpu")))
            continue;
        hierarchy->second = !*controllers;
        hierarchy->group = line;
        processors = hierarchy_limit(hierarchy, root, processors);
    }
    wefti_release(hierarchy);
    wefti_release(text);
    return processors > 0 ? processors : 1;
}

/* Those of the affinity mask, however many processors the kernel knows. */
static unsigned processors_allowed(void)
{
    for (size_t count = CPU_SETSIZE; count <= 1 << 20; count *= 4) {
        size_t size = CPU_ALLOC_SIZE(count);
        cpu_set_t *set = wefti_alloc(size);
        if (!set)
            return 1;
        int got = sched_getaffinity(0, size, set);
        int processors = got == 0 ? CPU_COUNT_S(size, set) : 0;
        wefti_release(set);
        if (processors > 0)
            return (unsigned)processors;
    }
    return 1;
}

unsigned weft_cpu_count(void)
{
    int error = errno;
    unsigned processors = wefti_processors_limited("", processors_allowed());
    errno = error;
    return processors;
}
