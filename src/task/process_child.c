/* SPDX-License-Identifier: MIT */
/*
 * The process that is a task, however it was begun: it makes itself that task (its name and number, the signals and the placement that it
 * was asked for), decodes the argument, says that it has arrived, runs the function, and gives its result before it leaves.
 *
 * What it writes into the record, and in which order, stands in process.h; that a block with the result is linked before it is committed is
 * what record_mend stands on.
 */

#include "task/process.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/memory.h"
#include "base/opening.h"
#include "shared/block.h"
#include "shared/life.h"
#include "value/flat.h"

enum { LINEAGE_REST = WEFTI_DIGITS + 1 /* octets for what is put behind it */ };

_Static_assert(WEFTI_NUMBERED_NAME >= sizeof("Process-") + WEFTI_TASK_LINEAGE + WEFTI_DIGITS, "a name has room for its lineage");
static char lineage[WEFTI_TASK_LINEAGE]; /* of the names of this process's children: "", "1:", "1:2:" ... */

static void child_signals(const struct wefti_task_record *record)
{
    uint64_t loosened = record->loosened;
    syscall(SYS_rt_sigprocmask, SIG_UNBLOCK, &loosened, NULL, sizeof(loosened));
}

/* What the thread that began the family was in the middle of is not this task's. */
static void child_context(struct wefti_task_record *record)
{
    struct wefti_context *context = wefti_context_current();
    context->shield = context->limit_shield = 0;
    context->limit = WEFT_FOREVER;
    context->cancelled = 0;
    context->locals = NULL;
    context->locals_count = 0;
    context->run = NULL;
    context->watched = &record->cancel;
}

/* As much of the text as there is room for. */
static char *lineage_add(char *end, const char *text)
{
    size_t length = strnlen(text, (size_t)(lineage + sizeof(lineage) - LINEAGE_REST - end));
    return mempcpy(end, text, length);
}

/* The number at the end of a default name, or the ident: what the names of its children begin with. */
static void child_lineage(const struct wefti_task_record *record)
{
    const char *number = record->octets + strlen("Process-");
    char digits[WEFTI_DIGITS], *end;
    if (strncmp(record->octets, "Process-", strlen("Process-")) == 0 && *number && !strchr(number, '-'))
        end = lineage_add(lineage, number);
    else
        end = stpcpy(lineage_add(lineage, record->lineage), wefti_task_digits((uint32_t)record->ident, digits));
    stpcpy(end, ":");
    wefti_task_process.lineage = lineage;
}

/* Finds and decodes what is to be done. 0, or an errno number. */
static int child_prepare(struct wefti_task_record *record, weft_task *task)
{
    struct wefti_placement placement = {.size = record->set_size, .nice = record->nice};
    if (record->set_size && !(placement.set = wefti_alloc(record->set_size)))
        return errno;
    if (placement.set)
        memcpy(placement.set, record->octets + record->name_size, record->set_size);
    int error = wefti_placement_take(&placement);
    wefti_placement_clear(&placement);
    if (error)
        return error;
    if (wefti_function_find(&record->function, &task->function) != 0 ||
        wefti_flat_read(record->octets + record->name_size + record->set_size, record->argument_size, &task->argument) != 0)
        return errno;
    return 0;
}

void wefti_task_child_arrive(struct wefti_task_record *record, int error)
{
    if (error) {
        record->failure = error;
        __atomic_store_n(&record->outcome, WEFT_FAILED, __ATOMIC_RELEASE);
    }
    __atomic_store_n(&record->arrived, error ? WEFTI_TASK_TURNED_BACK : WEFTI_TASK_ARRIVED, __ATOMIC_RELEASE);
    if (record->awaited)
        weft_wake(&record->arrived, UINT32_MAX);
}

/* Where the flat form goes: in the record, or in a block that is linked before it is committed. NULL with ENOMEM. */
static char *result_room(struct wefti_task_record *record, size_t length)
{
    record->length = length;
    char *room = length <= WEFTI_TASK_SMALL ? record->small : wefti_block_take(length);
    __atomic_store_n(&record->result, room, __ATOMIC_RELEASE); /* see record_mend */
    return room;
}

/* Lets the maker have the result. 0, or the errno number why it cannot cross. */
static int child_give(struct wefti_task_record *record, weft_value result)
{
    ssize_t length = wefti_flat_write(result, NULL, 0, weft_is_shared);
    char *room = length >= 0 ? result_room(record, (size_t)length) : NULL;
    if (!room || wefti_flat_write(result, room, (size_t)length, weft_is_shared) != length)
        return errno;
    if (room != record->small)
        wefti_block_commit(room, (size_t)length);
    return 0;
}

/* Tells the outcome. True when it is an error. */
static bool child_publish(struct wefti_task_record *record, const weft_task *task)
{
    int failure = child_give(record, task->result);
    record->failure = failure;
    __atomic_store_n(
        &record->outcome, failure ? WEFT_FAILED : task->outcome, __ATOMIC_RELEASE); /* pairs with the acquire of process_outcome */
    return failure || weft_is_error(task->result);
}

static int child_given = -1;

int wefti_process_given(void)
{
    int given = child_given;
    child_given = -1;
    return given;
}

/* In one that stands by, before anybody has asked for it: what it will use in wefti_task_child_main it uses once now, so that the pages are
 * there. Each is a fault of some microseconds, and brings fifteen others that the end of the process takes down again; so what a process
 * does on its way avoids what it need not use: printf, malloc, walks over the modules. */
static void child_warm(void)
{
    wefti_context_current();
    lineage_add(lineage, "");
    fflush(NULL);
}

int wefti_task_child_main(struct wefti_process *self)
{
    struct wefti_task_record *record = self->data;
    child_given = (int)self->given - 1;
    if (child_given >= 0)
        fcntl(child_given, F_SETFD, FD_CLOEXEC);
    child_signals(record);
    child_context(record);
    child_lineage(record);
    weft_task *task = wefti_register_become(record->octets, record->ident, record->daemon);
    int error = child_prepare(record, task);
    wefti_task_child_arrive(record, error);
    if (error)
        return 1;
    wefti_task_run(task);
    if (!wefti_member) /* a copy that the function has forked: the record is not its to write, and may be another's by now */
        return weft_is_error(task->result);
    bool failed = child_publish(record, task);
    wefti_exit_join();
    if (wefti_exit_hook)
        wefti_exit_hook();
    return failed;
}

WEFTI_OPENING_TASK static void children_open(void)
{
    wefti_process_warm = child_warm;
}
