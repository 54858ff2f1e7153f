/* SPDX-License-Identifier: MIT */
/*
 * The processes of the machine as trees.
 *
 * One look reads /proc/PID/stat of every process: some 10 us each, and done only to stop something. The kernel lists /proc by rising
 * number, so the table is sorted as it comes. A look is no snapshot: a process that is started meanwhile may be missed, and one whose
 * parent dies meanwhile appears under another. So whoever must be exact looks again until nothing changes (wefti_tree_freeze), or, where
 * orphans come to him, until he has no child left.
 *
 * A number alone is never signalled: the process is opened first, then its start is compared with what was read.
 *
 * Raw code: see raw.h.
 */

#include "command/tree.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/mman.h>

#include "command/raw.h"

#ifdef WEFTI_SMALL
enum { FIRST_PROCESSES = 8, DIRECTORY_SIZE = 512 };
#else
enum { FIRST_PROCESSES = 4096, DIRECTORY_SIZE = 32768 };
#endif
enum {
    STAT_SIZE = 1024,
    NAME_SIZE = 32,
    BUFFER_SIZE = DIRECTORY_SIZE + STAT_SIZE,
    FREEZE_LOOKS = 64,
    FREEZE_QUICK = 8,
    FREEZE_REST = 2000000 /* ns */
};
/* The fields of stat that follow the name. */
enum { FIELD_STATE, FIELD_PARENT, FIELD_GROUP, FIELD_SESSION, FIELD_SINCE = 19 };

/* An entry that getdents64 gives. */
struct directory_entry {
    uint64_t inode;
    int64_t offset;
    uint16_t length;
    uint8_t type;
    char name[];
};

static void *pages_map(size_t size)
{
    long place = wefti_raw(SYS_mmap, 0, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    return place < 0 && place > -4096 ? NULL : (void *)place;
}

/* Room for one more of `count`. False without memory. */
static bool table_reserve(struct wefti_process **table, size_t count, size_t *room)
{
    if (count < *room)
        return true;
    size_t more = *room ? *room * 2 : FIRST_PROCESSES;
    long place;
    if (*table)
        place = wefti_raw(SYS_mremap, *table, *room * sizeof(**table), more * sizeof(**table), MREMAP_MAYMOVE);
    else
        place = (long)pages_map(more * sizeof(**table));
    if (place == 0 || (place < 0 && place > -4096))
        return false;
    *table = (struct wefti_process *)place;
    *room = more;
    return true;
}

/* "1234" -> 1234; 0 for what is no number. */
static pid_t name_number(const char *name)
{
    pid_t number = 0;
    for (; *name; name++) {
        if (*name < '0' || *name > '9')
            return 0;
        number = number * 10 + (*name - '0');
    }
    return number;
}

/* Writes "/proc/1234/stat". */
static void stat_path(char *path, pid_t pid)
{
    char digits[NAME_SIZE];
    int count = 0;
    for (const char *head = "/proc/"; *head; head++)
        *path++ = *head;
    do
        digits[count++] = (char)('0' + pid % 10);
    while (pid /= 10);
    while (count > 0)
        *path++ = digits[--count];
    for (const char *tail = "/stat"; *tail; tail++)
        *path++ = *tail;
    *path = 0;
}

/* The name stands in parentheses, and may itself contain some. */
static void stat_parse(const char *text, long length, struct wefti_process *process)
{
    uint64_t fields[FIELD_SINCE + 1];
    long at = length - 1;
    while (at > 0 && text[at] != ')')
        at--;
    at += 2;
    process->state = at < length ? text[at] : 'X';
    for (int i = 0; i <= FIELD_SINCE; i++, at++) {
        fields[i] = 0;
        for (; at < length && text[at] != ' '; at++)
            fields[i] = fields[i] * 10 + (uint64_t)(text[at] - '0');
    }
    process->parent = (pid_t)fields[FIELD_PARENT];
    process->group = (pid_t)fields[FIELD_GROUP];
    process->session = (pid_t)fields[FIELD_SESSION];
    process->since = fields[FIELD_SINCE];
}

/* False when there is no such process. */
static bool process_read(struct wefti_process *process, char *text, pid_t pid)
{
    char path[NAME_SIZE];
    stat_path(path, pid);
    long file = wefti_raw(SYS_openat, AT_FDCWD, path, O_RDONLY | O_CLOEXEC);
    if (file < 0)
        return false;
    long length = wefti_raw(SYS_read, file, text, STAT_SIZE);
    wefti_raw(SYS_close, file);
    if (length <= 0)
        return false;
    process->pid = pid;
    process->member = false;
    stat_parse(text, length, process);
    return true;
}

/* Reads the processes that one piece of the directory lists. */
static bool tree_read(struct wefti_tree *tree, long length)
{
    for (long at = 0; at < length;) {
        const struct directory_entry *entry = (const struct directory_entry *)(const void *)(tree->buffer + at);
        pid_t pid = name_number(entry->name);
        at += entry->length;
        if (pid == 0)
            continue;
        if (!table_reserve(&tree->table, tree->count, &tree->room))
            return false;
        tree->count += process_read(&tree->table[tree->count], tree->buffer + DIRECTORY_SIZE, pid);
    }
    return true;
}

static bool tree_scan(struct wefti_tree *tree)
{
    bool whole = true;
    long length = 0;
    if (!tree->buffer)
        tree->buffer = pages_map(BUFFER_SIZE);
    long directory = wefti_raw(SYS_openat, AT_FDCWD, "/proc", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (!tree->buffer || directory < 0)
        return false;
    tree->count = 0;
    while (whole && (length = wefti_raw(SYS_getdents64, directory, tree->buffer, DIRECTORY_SIZE)) > 0)
        whole = tree_read(tree, length);
    wefti_raw(SYS_close, directory);
    return whole && length == 0;
}

struct wefti_process *wefti_tree_find(const struct wefti_tree *tree, pid_t pid)
{
    size_t from = 0, to = tree->count;
    while (from < to) {
        size_t middle = from + (to - from) / 2;
        if (tree->table[middle].pid == pid)
            return &tree->table[middle];
        if (tree->table[middle].pid < pid)
            from = middle + 1;
        else
            to = middle;
    }
    return NULL;
}

void wefti_tree_enter(struct wefti_tree *tree, pid_t pid, bool group)
{
    struct wefti_process *leader = wefti_tree_find(tree, pid);
    if (leader)
        leader->member = true;
    for (size_t i = 0; group && i < tree->count; i++)
        if (tree->table[i].group == pid || tree->table[i].session == pid)
            tree->table[i].member = true;
}

/* Parents usually have the smaller numbers, so this takes few rounds. */
static void tree_descend(struct wefti_tree *tree)
{
    bool changed;
    do {
        changed = false;
        for (size_t i = 0; i < tree->count; i++) {
            struct wefti_process *process = &tree->table[i];
            const struct wefti_process *parent = process->member ? NULL : wefti_tree_find(tree, process->parent);
            if (parent && parent->member)
                changed = process->member = true;
        }
    } while (changed);
}

static void tree_recall(struct wefti_tree *tree)
{
    for (size_t i = 0; i < tree->kept_count; i++) {
        struct wefti_process *process = wefti_tree_find(tree, tree->kept[i].pid);
        if (process && process->since == tree->kept[i].since)
            process->member = true;
    }
}

bool wefti_tree_look(struct wefti_tree *tree, wefti_tree_mark *mark, void *data)
{
    if (!tree_scan(tree))
        return false;
    mark(tree, data);
    tree_recall(tree);
    tree_descend(tree);
    return true;
}

static bool tree_kept(const struct wefti_tree *tree, const struct wefti_process *process)
{
    for (size_t i = 0; i < tree->kept_count; i++)
        if (tree->kept[i].pid == process->pid && tree->kept[i].since == process->since)
            return true;
    return false;
}

bool wefti_tree_keep(struct wefti_tree *tree)
{
    for (size_t i = 0; i < tree->count; i++) {
        if (!tree->table[i].member || tree_kept(tree, &tree->table[i]))
            continue;
        if (!table_reserve(&tree->kept, tree->kept_count, &tree->kept_room))
            return false;
        tree->kept[tree->kept_count].pid = tree->table[i].pid;
        tree->kept[tree->kept_count++].since = tree->table[i].since;
    }
    return true;
}

bool wefti_process_lives(const struct wefti_process *process)
{
    char text[STAT_SIZE];
    struct wefti_process now;
    return process_read(&now, text, process->pid) && now.since == process->since && now.state != 'Z';
}

long wefti_process_open(const struct wefti_process *process)
{
    long descriptor = wefti_raw(SYS_pidfd_open, process->pid, 0);
    if (descriptor < 0 || wefti_process_lives(process))
        return descriptor;
    wefti_raw(SYS_close, descriptor);
    return -ESRCH;
}

static bool process_signal(const struct wefti_process *process, int signal)
{
    long descriptor = wefti_process_open(process);
    if (descriptor == -ENOSYS && wefti_process_lives(process)) /* Valgrind */
        return wefti_raw(SYS_kill, process->pid, signal) == 0;
    if (descriptor < 0)
        return false;
    long failed = wefti_raw_signal(descriptor, process->pid, signal);
    wefti_raw(SYS_close, descriptor);
    return failed == 0;
}

size_t wefti_tree_signal(const struct wefti_tree *tree, int signal)
{
    pid_t self = (pid_t)wefti_raw(SYS_getpid);
    size_t sent = 0;
    for (size_t i = 0; i < tree->count; i++)
        if (tree->table[i].member && tree->table[i].pid != self)
            sent += process_signal(&tree->table[i], signal);
    return sent;
}

static bool state_among(char state, const char *states)
{
    for (; *states; states++)
        if (*states == state)
            return true;
    return false;
}

/* How many members, the caller apart, are in none of the states. */
static size_t tree_others(const struct wefti_tree *tree, const char *states)
{
    pid_t self = (pid_t)wefti_raw(SYS_getpid);
    size_t count = 0;
    for (size_t i = 0; i < tree->count; i++)
        if (tree->table[i].member && tree->table[i].pid != self && !state_among(tree->table[i].state, states))
            count++;
    return count;
}

size_t wefti_tree_living(const struct wefti_tree *tree)
{
    return tree_others(tree, "ZX");
}

/* Some time for those that were told to stop: on a busy machine they have to get a processor for that. */
static void freeze_rest(int looks)
{
    struct timespec rest = {.tv_nsec = looks < FREEZE_QUICK ? 0 : FREEZE_REST};
    if (rest.tv_nsec)
        wefti_raw(SYS_nanosleep, &rest, 0);
}

/*
 * Who was seen once is remembered: what is told to stop may lose its parent before that stops too, and would lie there stopped for ever.
 * One look that sees all stopped is not enough: a process can have started another, and stopped, while the look had the new number behind
 * it (numbers begin anew at the top). The look after that begins when none of them runs, and sees all there are.
 */
bool wefti_tree_freeze(struct wefti_tree *tree, wefti_tree_mark *mark, void *data)
{
    bool before = false;
    for (int i = 0; i < FREEZE_LOOKS; i++) {
        if (!wefti_tree_look(tree, mark, data) || !wefti_tree_keep(tree))
            return false;
        bool stopped = tree_others(tree, "TtZX") == 0;
        if (stopped && before)
            return true;
        before = stopped;
        if (!stopped) {
            wefti_tree_signal(tree, SIGSTOP);
            freeze_rest(i);
        }
    }
    return true; /* one of them sleeps where signals do not reach; SIGKILL will wait for it too */
}

static void pages_unmap(void *place, size_t size)
{
    if (place)
        wefti_raw(SYS_munmap, place, size);
}

void wefti_tree_end(struct wefti_tree *tree)
{
    pages_unmap(tree->table, tree->room * sizeof(*tree->table));
    pages_unmap(tree->kept, tree->kept_room * sizeof(*tree->kept));
    pages_unmap(tree->buffer, BUFFER_SIZE);
    tree->table = tree->kept = NULL;
    tree->buffer = NULL;
    tree->count = tree->room = tree->kept_count = tree->kept_room = 0;
}
