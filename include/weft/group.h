/* SPDX-License-Identifier: MIT */
/*
 * Groups: tasks that end together. Who leaves a group has all its members behind him, whatever happened: Python's TaskGroup, trio's
 * nursery.
 *
 *     weft_value error;
 *     weft_group_scope (group, &error) {
 *         for (int i = 0; i < 10; i++)
 *             weft_group_spawn(group, WEFT_THREAD, fetch, weft_int(i));
 *     }                                       // here all ten have ended
 *     if (weft_is_error(error)) ...           // the first error; the rest were cancelled because of it
 *
 * The first member that returns an error value cancels all others; what they return then is kept, too, and can be listed. An error of
 * ECANCELED by a member that was cancelled is no failure, and cancels nobody.
 *
 * Who is cancelled while he waits for his group, or whose deadline comes (the one given, or that of a weft_deadline around it), cancels the
 * members, and waits on until they have ended: nothing of a group is left behind. So groups in groups end from the inside.
 */
#ifndef WEFT_GROUP_H
#define WEFT_GROUP_H

#include <weft/base.h>
#include <weft/select.h>
#include <weft/task.h>

typedef struct weft_group weft_group;

WEFT_BEGIN

/* A group without members. From any task. Yours: weft_group_free. NULL with ENOMEM. */
WEFT_API weft_group *weft_group_new(void) WEFT_WARN_UNUSED;

/*
 * Starts a task as a member; kind, argument and options as weft_spawn. Ended members cost nothing. From any task, and from members, which
 * may do so while the group is being left, too. 0; -1 with ECANCELED (the group was cancelled, or a member failed), ESHUTDOWN (it is being
 * left, or was), and as
 * weft_spawn: the argument is still yours then. A process has a thread of this process beside it, which follows it and is a task of its
 * own. The plain form writes a handle of the task to *task, which is yours; NULL is allowed.
 */
WEFT_API int weft_group_spawn_with(weft_group *group, const struct weft_spawn_options *options, weft_task **task);
#define weft_group_spawn(group_, kind_, function_, ...)                                                                    \
    weft_group_spawn_with((group_),                                                                                        \
        &(struct weft_spawn_options){                                                                                      \
            .size = sizeof(struct weft_spawn_options), .kind = (kind_), .function = (function_), .argument = __VA_ARGS__}, \
        NULL)

/*
 * Leaves the group: waits until all members have ended. From any kind of task, again and again. How many have failed; if there are some and
 * error is not NULL, the first error is written to *error, and yours. -1 with EDEADLK (a member), EAGAIN (WEFT_NOW, and not all have ended:
 * nothing has changed), and with
 * ETIMEDOUT or ECANCELED: the members were cancelled, and have ended since; their errors can be listed.
 */
WEFT_API int weft_group_join(weft_group *group, weft_value *error, weft_time deadline);
/* Cancels all members; there will be no more. Any task, members too; cannot fail. */
WEFT_API void weft_group_cancel(weft_group *group);
/*
 * The errors that members returned, in the order in which they came: writes up to `room` of them to `errors`, each yours to drop, and
 * returns how many there are. Any task; cannot fail.
 */
WEFT_API size_t weft_group_errors(weft_group *group, weft_value *errors, size_t room);
/* How many members have not ended, at this moment. Any task; cannot fail. */
WEFT_API size_t weft_group_alive(const weft_group *group);
/* For weft_select: ready when no member is alive. The group is not left by this. Error: EDEADLK (a member). */
WEFT_API weft_case weft_case_group(weft_group *group);
/*
 * Leaves the group as weft_group_join does, without a deadline, and ends it (NULL is allowed). Errors that nobody has read go to
 * weft_on_uncollected. Not by a member.
 */
WEFT_API void weft_group_free(weft_group *group);

/*
 * weft_group_scope (group, &error) { ... }: a block with a group of its own, named `group` in it, that is left when the block is, in any
 * way but longjmp. *error (NULL is allowed) is set then: the first error; else an error of ECANCELED or ETIMEDOUT when that ended it; else
 * none. When there is no memory for a group the block is passed over, with an error of ENOMEM. break and continue end the block, not a loop
 * around it.
 */
struct weft_group_inside {
    weft_group *group; /* the library's, all three */
    weft_value *error;
    bool inside;
};
WEFT_API struct weft_group_inside weft_group_begin(weft_value *error);
WEFT_API void weft_group_end(struct weft_group_inside *scope);

WEFT_END

#ifndef __cplusplus
#define weft_group_scope_(group_, error_, name_)                                                                           \
    for (struct weft_group_inside name_ __attribute__((cleanup(weft_group_end))) = weft_group_begin(error_); name_.inside; \
         name_.inside = false)                                                                                             \
        for (weft_group *group_ = name_.group; group_; group_ = NULL)
#define weft_group_scope(group_, error_) weft_group_scope_(group_, error_, WEFT_PASTE(weft_group_scope_, __COUNTER__))
#endif

#endif
