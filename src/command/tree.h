/* SPDX-License-Identifier: MIT */
/*
 * The processes of the machine as trees, read from /proc, and signals to whole trees.
 */
#ifndef WEFTI_TREE_H
#define WEFTI_TREE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/* A process, named by its number and its start: numbers are used again. */
struct wefti_process {
    pid_t pid, parent, group, session;
    uint64_t since; /* its start, in ticks (1/100 s) after the machine's */
    char state;     /* as in /proc/PID/stat */
    bool member;
};

/*
 * A look at all processes. All-zero is ready. What the pointers lead to is touched by raw code alone: its pages come and go without a
 * sanitizer's notice.
 */
struct wefti_tree {
    struct wefti_process *table; /* by rising pid */
    size_t count, room;
    struct wefti_process *kept; /* members of earlier looks, where they are wanted */
    size_t kept_count, kept_room;
    char *buffer; /* what /proc is read into */
};

/* Says which processes of a fresh look are roots, by setting `member`. */
typedef void wefti_tree_mark(struct wefti_tree *tree, void *data);

/*
 * Looks: members are then the roots that `mark` names, what `keep` kept, and all their descendants. False when it could not (no memory, no
 * /proc).
 */
bool wefti_tree_look(struct wefti_tree *tree, wefti_tree_mark *mark, void *data);
/* Remembers the members: they and what descends from them are members of later looks, whoever their parents become. False without
 * memory. */
bool wefti_tree_keep(struct wefti_tree *tree);
/* The process with this number, or NULL. */
struct wefti_process *wefti_tree_find(const struct wefti_tree *tree, pid_t pid);
/* Makes it a member, and with `group` whoever is in the group or session that has its number. */
void wefti_tree_enter(struct wefti_tree *tree, pid_t pid, bool group);
/* Whether the very process is there, and no zombie. */
bool wefti_process_lives(const struct wefti_process *process);
/* A descriptor of the very process (a pidfd), or minus an error number: -ESRCH when it has ended, -ENOSYS under Valgrind. */
long wefti_process_open(const struct wefti_process *process);
/* Sends a signal to every member but the caller. Gives how many got it. */
size_t wefti_tree_signal(const struct wefti_tree *tree, int signal);
/* Stops (SIGSTOP) the members, looking again until no unstopped one is seen, so that none starts another while they are killed. */
bool wefti_tree_freeze(struct wefti_tree *tree, wefti_tree_mark *mark, void *data);
/* How many members are alive: neither zombies nor the caller. */
size_t wefti_tree_living(const struct wefti_tree *tree);
void wefti_tree_end(struct wefti_tree *tree);

#endif
