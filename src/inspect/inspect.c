/* SPDX-License-Identifier: MIT */
/*
 * Reports of families, for `weft ps` and `weft clean`, from what view.c maps. A report is made of values; what cannot be had for want of
 * memory makes the whole of it fail.
 *
 * What a task waits for is known by the words that its life says it sleeps on. Who waits for a lock has written that lock among its
 * holdings before, so such a word is a lock's if it lies in one; the lock's word then names its owner. Of other words the life says what
 * they lie in; who wants to write waits for readers, of whom one is named.
 */

#include <weft/inspect.h>

#include <errno.h>
#include <fcntl.h>
#include <linux/futex.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include <weft/lock.h>
#include <weft/rwlock.h>

#include "base/memory.h"
#include "inspect/fields.h"
#include "inspect/view.h"
#include "pool/process.h"
#include "queue/queue_shared.h"
#include "shared/block.h"

enum { LIVES_MOST = 1 << 20 /* a list that is longer is damaged */, LOCK_FLAGS = 3, PROCESS_COROUTINES = 1000 };

static const char *const holding_names[WEFTI_HOLD_KINDS] = {[WEFTI_HOLD_LOCK] = "lock",
    [WEFTI_HOLD_READER] = "rwlock read",
    [WEFTI_HOLD_WRITER] = "rwlock write",
    [WEFTI_HOLD_PERMITS] = "permits",
    [WEFTI_HOLD_PARTY] = "barrier",
    [WEFTI_HOLD_ONCE] = "once",
    [WEFTI_HOLD_QUEUE] = "queue",
    [WEFTI_HOLD_MAP] = "map",
    [WEFTI_HOLD_POOL] = "pool"};
static const char *const sleep_names[WEFTI_SLEEPS] = {"word", "condition", "event", "permits", "rwlock", "rwlock"};

static void address_set(weft_value dict, uint64_t address, bool *failed)
{
    wefti_field_set(dict, "address", weft_str_f("0x%llx", (unsigned long long)address), failed);
}

/* Lives. */

static const struct wefti_life *life_at(const struct wefti_view *view, const struct wefti_life *address)
{
    return address ? wefti_view_at(view, address, sizeof(*address)) : NULL;
}

static const struct wefti_life *life_of(const struct wefti_view *view, const struct wefti_family *family, uint32_t ident)
{
    const struct wefti_life *life =
        life_at(view, __atomic_load_n(&family->seats[wefti_life_seat(ident) % WEFTI_SEATS].lives, __ATOMIC_ACQUIRE));
    for (int i = 0; life && i < LIVES_MOST; i++, life = life_at(view, life->next))
        if (life->ident == ident)
            return life;
    return NULL;
}

static const char *holding_name(unsigned kind)
{
    return holding_names[kind] ? holding_names[kind] : "something";
}

typedef void holding_visitor(unsigned kind, uint64_t address, uint64_t detail, void *data);

static void holdings_visit(const struct wefti_holding *holdings, unsigned count, holding_visitor *visitor, void *data)
{
    for (unsigned i = 0; i < count; i++) {
        uint64_t word = __atomic_load_n(&holdings[i].object, __ATOMIC_ACQUIRE), kind = word >> 56;
        if (kind > WEFTI_HOLD_NOTHING && kind < WEFTI_HOLD_KINDS)
            visitor((unsigned)kind, word << 8 >> 8, __atomic_load_n(&holdings[i].detail, __ATOMIC_RELAXED), data);
    }
}

/* Calls the function with each holding of a life. */
static void holdings_each(const struct wefti_view *view, const struct wefti_life *life, holding_visitor *visitor, void *data)
{
    holdings_visit(life->holdings, WEFTI_LIFE_HOLDINGS, visitor, data);
    const struct wefti_life_more *more = life->more;
    for (int i = 0; more && i < LIVES_MOST; i++) {
        more = wefti_view_at(view, more, sizeof(*more));
        if (more)
            holdings_visit(more->holdings, WEFTI_LIFE_MORE, visitor, data);
        more = more ? more->next : NULL;
    }
}

/* Objects: blocks that say by a magic number what they are. What they hold is read once, and may be changing. */

struct object {
    const char *kind;
    const char *block; /* here */
    size_t size;
};

struct objects {
    const struct wefti_view *view;
    struct object *list;
    size_t count, room;
    bool failed;
};

static const char *object_kind(const void *block, size_t size)
{
    const struct wefti_shared_queue *queue = block;
    const struct wefti_process_pool *pool = block;
    if (size >= sizeof(*queue) && __atomic_load_n(&queue->magic, __ATOMIC_ACQUIRE) == WEFTI_QUEUE_MAGIC)
        return "queue";
    return size >= sizeof(*pool) && __atomic_load_n(&pool->magic, __ATOMIC_ACQUIRE) == WEFTI_PROCESS_MAGIC ? "pool" : NULL;
}

static void object_visit(const void *block, size_t size, void *data)
{
    struct objects *objects = data;
    const char *kind = object_kind(block, size);
    if (!kind || objects->failed)
        return;
    if (objects->count == objects->room) {
        size_t room = objects->room ? objects->room * 2 : 16;
        struct object *list = wefti_realloc(objects->list, room * sizeof(*list));
        objects->failed = !list;
        objects->list = list ? list : objects->list;
        objects->room = list ? room : objects->room;
    }
    if (!objects->failed)
        objects->list[objects->count++] = (struct object){.kind = kind, .block = block, .size = size};
}

static uint64_t object_address(const struct objects *objects, const struct object *object)
{
    return objects->view->base + (uint64_t)(object->block - (const char *)objects->view->arena);
}

/* The object that an address there lies in, or NULL. */
static const struct object *object_of(const struct objects *objects, uint64_t address)
{
    for (size_t i = 0; i < objects->count; i++)
        if (address - object_address(objects, &objects->list[i]) < objects->list[i].size)
            return &objects->list[i];
    return NULL;
}

static void queue_report(weft_value report, const struct wefti_shared_queue *queue, bool *failed)
{
    size_t capacity = queue->queue.capacity;
    wefti_field_set(report, "capacity", weft_int(capacity > INT64_MAX ? -1 : (int64_t)capacity), failed);
    wefti_field_set(report, "closed", weft_bool(__atomic_load_n(&queue->queue.closed, __ATOMIC_RELAXED) != 0), failed);
    wefti_field_set(report, "getters", weft_int(__atomic_load_n(&queue->filled.waiting, __ATOMIC_RELAXED)), failed);
    wefti_field_set(report, "putters", weft_int(__atomic_load_n(&queue->emptied.waiting, __ATOMIC_RELAXED)), failed);
}

static void pool_report(const struct wefti_view *view, weft_value report, const struct wefti_process_pool *pool, bool *failed)
{
    int64_t there = 0, idle = 0;
    for (uint32_t i = 0; i < WEFTI_PROCESS_WORKERS; i++) {
        const struct wefti_process_worker *worker = pool->table[i] ? wefti_view_at(view, pool->table[i], sizeof(*worker)) : NULL;
        bool runs = worker && __atomic_load_n(&worker->state, __ATOMIC_ACQUIRE) == WEFTI_WORKER_THERE;
        there += runs;
        idle += runs && __atomic_load_n(&worker->idle, __ATOMIC_RELAXED);
    }
    wefti_field_set(report, "limit", weft_int(pool->workers), failed);
    wefti_field_set(report, "workers", weft_int(there), failed);
    wefti_field_set(report, "idle", weft_int(idle), failed);
    wefti_field_set(report, "closed", weft_bool(__atomic_load_n(&pool->closed, __ATOMIC_RELAXED) != 0), failed);
}

static weft_value objects_report(const struct objects *objects, bool *failed)
{
    weft_value list = weft_list();
    for (size_t i = 0; i < objects->count; i++) {
        weft_value one = weft_dict();
        const struct object *object = &objects->list[i];
        wefti_field_set(one, "kind", weft_str(object->kind), failed);
        address_set(one, object_address(objects, object), failed);
        if (strcmp(object->kind, "queue") == 0)
            queue_report(one, (const void *)object->block, failed);
        else
            pool_report(objects->view, one, (const void *)object->block, failed);
        wefti_item_add(list, one, failed);
    }
    return list;
}

/* One task's report while it is made. */
struct task_report {
    const struct wefti_view *view;
    const struct wefti_family *family;
    const struct wefti_life *life;
    const struct objects *objects;
    weft_value holds;
    uint64_t word;   /* that is waited for: the next is what it lies in */
    unsigned kind;   /* of that holding, or 0 */
    uint64_t object; /* its address */
    bool failed;
};

static uint32_t lock_owner(const struct wefti_view *view, uint64_t address)
{
    const weft_lock *lock = wefti_view_at(view, (const void *)(uintptr_t)address, sizeof(*lock)); /* NOLINT: an address there */
    return lock ? __atomic_load_n(&lock->word, __ATOMIC_RELAXED) >> LOCK_FLAGS : 0;
}

static void holding_report(unsigned kind, uint64_t address, uint64_t detail, void *data)
{
    struct task_report *task = data;
    if (kind == WEFTI_HOLD_LOCK && lock_owner(task->view, address) != task->life->ident)
        return; /* it waits for it */
    if (kind == WEFTI_HOLD_PROCESS || kind == WEFTI_HOLD_TASK)
        return; /* what the library keeps of its processes is no object of the program's */
    weft_value one = weft_dict();
    wefti_field_set(one, "kind", weft_str(holding_name(kind)), &task->failed);
    address_set(one, address, &task->failed);
    if (kind == WEFTI_HOLD_PERMITS || kind == WEFTI_HOLD_READER)
        wefti_field_set(one, "count", weft_int((uint32_t)detail), &task->failed); /* beside the object's name */
    wefti_item_add(task->holds, one, &task->failed);
}

static void holding_covers(unsigned kind, uint64_t address, uint64_t detail, void *data)
{
    struct task_report *task = data;
    (void)detail;
    if (task->word - address < sizeof(weft_lock)) {
        task->kind = kind;
        task->object = address;
    }
}

/* What else the word of that number lies in: only of the first the task has said it. */
static uint32_t sleep_of(const struct task_report *task, uint32_t number)
{
    uint32_t sleep = __atomic_load_n(&task->life->sleep, __ATOMIC_RELAXED);
    return number == 0 && sleep < WEFTI_SLEEPS ? sleep : WEFTI_SLEEP_WORD;
}

struct reads {
    uint64_t object; /* the lock */
    bool are;        /* the life has it for reading */
};

static void holding_reads(unsigned kind, uint64_t address, uint64_t detail, void *data)
{
    struct reads *reads = data;
    reads->are |= kind == WEFTI_HOLD_READER && address == reads->object && (uint32_t)detail > 0;
}

/* Somebody else who has the lock at task->object for reading, or 0. */
static uint32_t reader_of(const struct task_report *task)
{
    struct reads reads = {.object = task->object};
    for (uint32_t i = 0; i < WEFTI_SEATS; i++) {
        const struct wefti_life *life = life_at(task->view, __atomic_load_n(&task->family->seats[i].lives, __ATOMIC_ACQUIRE));
        for (int j = 0; life && j < LIVES_MOST; j++, life = life_at(task->view, life->next)) {
            if (life->ident != task->life->ident)
                holdings_each(task->view, life, holding_reads, &reads);
            if (reads.are)
                return life->ident;
        }
    }
    return 0;
}

/* Who has what the task waits for, by the holding that covers it or what it has said of the sleep; 0: nobody, or it cannot be told. */
static uint32_t owner_of(const struct task_report *task, uint32_t sleep)
{
    if (task->kind == WEFTI_HOLD_LOCK)
        return lock_owner(task->view, task->object);
    if (!task->kind && sleep == WEFTI_SLEEP_GATE)
        return lock_owner(task->view, task->word);
    return !task->kind && sleep == WEFTI_SLEEP_READERS ? reader_of(task) : 0;
}

static weft_value wait_report(struct task_report *task, uint32_t number)
{
    weft_value one = weft_dict();
    task->word = (uint64_t)(uintptr_t)task->life->waits[number];
    task->kind = 0;
    task->object = task->word;
    holdings_each(task->view, task->life, holding_covers, task);
    const struct object *object = object_of(task->objects, task->word);
    uint32_t sleep = sleep_of(task, number);
    if (object)
        task->object = object_address(task->objects, object);
    else if (!task->kind && sleep == WEFTI_SLEEP_GATE)
        task->object -= offsetof(weft_rwlock, gate);
    wefti_field_set(one, "kind",
        weft_str(object       ? object->kind
                 : task->kind ? holding_name(task->kind)
                              : sleep_names[sleep]),
        &task->failed);
    address_set(one, task->object, &task->failed);
    uint32_t owner = object ? 0 : owner_of(task, sleep);
    const struct wefti_life *other = owner ? life_of(task->view, task->family, owner) : NULL;
    if (other) {
        wefti_field_set(one, "pid", weft_int(task->family->seats[wefti_life_seat(owner) % WEFTI_SEATS].pid), &task->failed);
        wefti_field_set(one, "thread", weft_int(other->thread), &task->failed);
    }
    return one;
}

static weft_value task_report(const struct objects *objects, const struct wefti_family *family, const struct wefti_life *life, bool *failed)
{
    const struct wefti_view *view = objects->view;
    char name[sizeof(life->name) + 1] = "";
    struct task_report task = {.view = view, .family = family, .life = life, .objects = objects, .holds = weft_list()};
    weft_value report = weft_dict(), waits = weft_list();
    memcpy(name, life->name, sizeof(life->name));
    wefti_field_set(report, "thread", weft_int(life->thread), failed);
    wefti_field_set(report, "name", weft_str(name), failed);
    holdings_each(view, life, holding_report, &task);
    uint32_t used = __atomic_load_n(&life->waits_used, __ATOMIC_ACQUIRE);
    for (uint32_t i = 0; i < used && i < WEFTI_LIFE_WAITS; i++)
        wefti_item_add(waits, wait_report(&task, i), &task.failed);
    double since = used > 0 ? (double)(weft_clock() - (weft_time)life->since) / 1e9 : 0;
    wefti_field_set(report, "holds", task.holds, failed);
    wefti_field_set(report, "waits", waits, failed);
    wefti_field_set(report, "seconds", weft_float(since > 0 ? since : 0), failed);
    *failed |= task.failed;
    return report;
}

/* Processes. */

static weft_value name_of(pid_t pid)
{
    char path[64], name[64] = "";
    snprintf(path, sizeof(path), "/proc/%d/comm", pid);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t got = fd >= 0 ? read(fd, name, sizeof(name) - 1) : 0;
    if (fd >= 0)
        close(fd);
    return weft_str_n(name, got > 0 ? (size_t)got - 1 : 0);
}

static double seconds_since(uint64_t started)
{
    struct timespec now;
    clock_gettime(CLOCK_BOOTTIME, &now);
    return ((double)now.tv_sec * 1e9 + (double)now.tv_nsec - (double)started) / 1e9;
}

/* Of one that is shown. */
static const char *state_name(uint32_t state)
{
    return state == WEFTI_SEAT_TAKEN ? "runs" : state == WEFTI_SEAT_GONE ? "gone" : "coming";
}

static weft_value process_report(
    const struct objects *objects, const struct wefti_family *family, uint32_t number, uint32_t state, bool *failed)
{
    const struct wefti_view *view = objects->view;
    const struct wefti_seat *seat = &family->seats[number];
    weft_value report = weft_dict(), tasks = weft_list();
    wefti_field_set(report, "pid", weft_int(seat->pid), failed);
    wefti_field_set(report, "seat", weft_int(number), failed);
    wefti_field_set(report, "state", weft_str(state_name(state)), failed);
    wefti_field_set(report, "name", name_of(seat->pid), failed);
    wefti_field_set(report, "seconds", weft_float(seat->started ? seconds_since(seat->started) : 0), failed);
    const struct wefti_life *life = life_at(view, __atomic_load_n(&seat->lives, __ATOMIC_ACQUIRE));
    for (int i = 0; life && i < LIVES_MOST; i++, life = life_at(view, life->next))
        if (__atomic_load_n(&life->thread, __ATOMIC_RELAXED) != 0)
            wefti_item_add(tasks, task_report(objects, family, life, failed), failed);
    wefti_field_set(report, "tasks", tasks, failed);
    wefti_field_set(report, "coroutines", wefti_coroutines_report(seat->pid, PROCESS_COROUTINES, failed), failed);
    return report;
}

/* Whether this is the process that had the number when that was written down. */
static bool process_same(pid_t pid, uint64_t started)
{
    enum { CLOCK_TICK = 10000000 /* ns; /proc's unit */ };
    char path[64], line[1024];
    unsigned long long ticks = 0;
    snprintf(path, sizeof(path), "/proc/%d/stat", pid);
    FILE *file = pid > 0 ? fopen(path, "re") : NULL;
    const char *rest = file && fgets(line, sizeof(line), file) ? strrchr(line, ')') : NULL;
    char state = 'X';
    if (rest)
        sscanf(rest, ") %c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %*u %*u %*d %*d %*d %*d %*d %*d %llu", &state, &ticks);
    if (file)
        fclose(file);
    return rest && state != 'Z' && state != 'X' && ticks * CLOCK_TICK <= started + 2 * (uint64_t)CLOCK_TICK;
}

/* A keeper's number while it lives: its robust mutex says so. */
static pid_t keeper_living(const struct wefti_keeper *keeper)
{
    uint32_t life = *(const volatile uint32_t *)&keeper->life.__data.__lock;
    return (life & FUTEX_TID_MASK) && !(life & FUTEX_OWNER_DIED) ? keeper->pid : 0;
}

static void keepers_report(const struct wefti_family *family, weft_value report, bool *failed)
{
    pid_t supervisor = __atomic_load_n(&family->supervisor, __ATOMIC_ACQUIRE), serving = 0, spare = 0;
    for (unsigned i = 0; i < WEFTI_KEEPERS; i++) {
        pid_t living = keeper_living(&family->keepers[i]);
        if (living && living == supervisor)
            serving = living;
        else if (living)
            spare = living;
    }
    wefti_field_set(report, "supervisor", weft_int(serving), failed);
    wefti_field_set(report, "spare", weft_int(spare), failed);
}

/* A process that stands by, or is being made for that, is none that anybody has asked for. */
static bool seat_shown(const struct wefti_seat *seat, uint32_t state)
{
    return state == WEFTI_SEAT_TAKEN || (state != WEFTI_SEAT_EMPTY && __atomic_load_n(&seat->process, __ATOMIC_RELAXED));
}

static weft_value family_report(const struct wefti_view *view, const struct wefti_family *family, bool *failed)
{
    struct wefti_blocks_census census;
    weft_value report = weft_dict(), processes = weft_list();
    struct objects objects = {.view = view};
    wefti_blocks_walk(view->arena, object_visit, &objects);
    wefti_blocks_count_in(view->arena, &census);
    wefti_field_set(report, "root", weft_int(family->root), failed);
    wefti_field_set(report, "alive", weft_bool(process_same(family->root, family->seats[WEFTI_SEAT_ROOT].started)), failed);
    keepers_report(family, report, failed);
    wefti_field_set(report, "epoch", weft_int(__atomic_load_n(&family->epoch, __ATOMIC_ACQUIRE)), failed);
    wefti_field_set(report, "size", weft_int((int64_t)view->size), failed);
    wefti_field_set(report, "octets", weft_int((int64_t)census.octets), failed);
    wefti_field_set(report, "blocks", weft_int((int64_t)census.committed), failed);
    for (uint32_t i = WEFTI_SEAT_ROOT; i < WEFTI_SEATS; i++) {
        uint32_t state = __atomic_load_n(&family->seats[i].state, __ATOMIC_ACQUIRE); /* once: it may change meanwhile */
        if (seat_shown(&family->seats[i], state))
            wefti_item_add(processes, process_report(&objects, family, i, state, failed), failed);
    }
    wefti_field_set(report, "processes", processes, failed);
    wefti_field_set(report, "objects", objects_report(&objects, failed), failed);
    *failed |= objects.failed;
    wefti_release(objects.list);
    return report;
}

int weft_inspect(int pid, weft_value *report)
{
    struct wefti_view view;
    if (!report) {
        errno = EINVAL;
        return -1;
    }
    if (wefti_view_open(&view, pid) != 0)
        return -1;
    const struct wefti_family *family = wefti_view_family(&view);
    bool failed = false;
    weft_value made = family ? family_report(&view, family, &failed) : weft_none;
    wefti_view_close(&view);
    if (family && !failed) {
        *report = made;
        return 0;
    }
    weft_drop(made);
    errno = family ? ENOMEM : ESRCH;
    return -1;
}

/* All families. */

struct search {
    int (*visit)(const struct wefti_view *view, const struct wefti_family *family, void *data);
    void *data;
    weft_value inodes; /* of those that were visited, as the keys of a dict */
};

static int search_one(pid_t pid, void *data)
{
    struct search *search = data;
    struct wefti_view view;
    if (wefti_view_open(&view, pid) != 0)
        return errno == ENOMEM ? -1 : 0;
    const struct wefti_family *family = wefti_view_family(&view);
    weft_value inode = weft_int((int64_t)view.inode);
    bool known = weft_dict_get(search->inodes, inode, NULL) == 0;
    int result = 0;
    if (family && !known)
        result = weft_dict_set(search->inodes, inode, weft_none) == 0 ? search->visit(&view, family, search->data) : -1;
    int error = errno;
    wefti_view_close(&view);
    errno = error;
    return result;
}

static int families_each(int (*visit)(const struct wefti_view *view, const struct wefti_family *family, void *data), void *data)
{
    struct search search = {.visit = visit, .data = data, .inodes = weft_dict()};
    int result = weft_is_error(search.inodes) ? -1 : wefti_processes_each(search_one, &search);
    weft_drop(search.inodes);
    return result;
}

static int root_add(const struct wefti_view *view, const struct wefti_family *family, void *data)
{
    (void)view;
    return weft_list_append(*(weft_value *)data, weft_int(family->root));
}

int weft_families(weft_value *roots)
{
    if (!roots) {
        errno = EINVAL;
        return -1;
    }
    weft_value found = weft_list();
    if (weft_is_error(found) || families_each(root_add, &found) != 0) {
        weft_drop(found);
        return -1;
    }
    *roots = found;
    return 0;
}

/* Kills one process of a family whose root is dead, if it is still the one that is meant: through a pidfd, looked at again after that was
 * opened. */
static int seat_kill(const struct wefti_seat *seat)
{
    pid_t pid = __atomic_load_n(&seat->pid, __ATOMIC_ACQUIRE);
    int pidfd = pid > 0 ? (int)syscall(SYS_pidfd_open, pid, 0) : -1;
    bool same = pidfd >= 0 && __atomic_load_n(&seat->state, __ATOMIC_ACQUIRE) == WEFTI_SEAT_TAKEN && process_same(pid, seat->started);
    int killed = same && syscall(SYS_pidfd_send_signal, pidfd, SIGKILL, NULL, 0) == 0;
    if (pidfd >= 0)
        close(pidfd);
    return killed;
}

static int family_clean(const struct wefti_view *view, const struct wefti_family *family, void *data)
{
    (void)view;
    if (process_same(family->root, family->seats[WEFTI_SEAT_ROOT].started))
        return 0;
    for (unsigned i = 0; i < WEFTI_KEEPERS; i++)
        if (keeper_living(&family->keepers[i]))
            return 0; /* it is about to do so itself */
    for (uint32_t i = WEFTI_SEAT_FIRST; i < WEFTI_SEATS; i++)
        *(int *)data += seat_kill(&family->seats[i]);
    return 0;
}

int weft_families_clean(void)
{
    int killed = 0;
    return families_each(family_clean, &killed) == 0 ? killed : -1;
}
