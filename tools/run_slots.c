/* SPDX-License-Identifier: MIT */
/*
 * See run_slots.h. There is no dispatcher: a free slot reads the next arguments itself, under the lock, so that a job costs no hand-over
 * between tasks. Lock order: this lock, then the list's or the printer's; then an attempt's; the spool's last.
 */
#include "run_slots.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "complain.h"
#include "run_attempt.h"
#include "run_memory.h"

enum { SLOT_STACK = 256 * 1024 };

struct run_slot {
    struct run_slots *slots;
    unsigned number; /* {%} */
    struct run_attempt attempt;
    struct run_program program;
    int token; /* of the jobserver, that its job has */
};

static struct run_job *make_job(struct run_slots *slots, unsigned number)
{
    struct run_job *job = run_job_new();
    job->sequence = slots->sequence;
    job->slot = number;
    const struct run_template_values values = {slots->arguments, slots->argument_count, slots->sequence, number};
    run_template_expand(slots->command, &values, &job->command);
    if (slots->directory)
        run_template_expand(slots->directory, &values, &job->directory);
    if (slots->tag) {
        run_template_expand(slots->tag, &values, &job->tag);
        text_add_char(&job->tag, '\t');
    }
    job->feed = slots->feed;
    slots->feed = (struct run_feed){0};
    if (run_results_wants_arguments(&slots->printer->results))
        run_job_keep_values(job, values.arguments, values.count);
    if (slots->printer->results.kind == RUN_RESULTS_PATTERN)
        run_template_expand(&slots->printer->results.pattern, &values, &job->file);
    return job;
}

/* What the next job is made of. */
static enum run_input_got next_work(struct run_slots *slots)
{
    static const struct span none = {"", 0};
    if (slots->blocks) {
        slots->arguments = &none;
        slots->argument_count = 1;
        return run_blocks_next(slots->blocks, &slots->feed);
    }
    return run_pack_next(slots->pack, slots->sequence + 1, &slots->arguments, &slots->argument_count);
}

/* Reads on to arguments that an earlier run has not done. False when there are none, or it is time to stop. */
static bool read_arguments(struct run_slots *slots)
{
    do {
        if (run_stop_state(slots->stop) != RUN_GOING)
            return false;
        enum run_input_got got = next_work(slots);
        if (got == RUN_INPUT_FAILED)
            run_stop_break(slots->stop);
        slots->all_read |= got == RUN_INPUT_END;
        if (got != RUN_INPUT_RECORD)
            return false;
        slots->sequence++;
    } while (run_joblog_is_done(slots->past, slots->sequence));
    return true;
}

static void slot_free(struct run_slot *slot)
{
    run_attempt_end(&slot->attempt);
    text_free(&slot->program.name);
    free(slot);
}

/* Tries until the job succeeds or was tried often enough, waiting while the system has no room. False: it was stopped. */
static bool slot_run(struct run_slot *slot, struct run_job *job)
{
    struct run_slots *slots = slot->slots;
    run_events_start(&slots->printer->events, job);
    for (unsigned tries = 1;; tries++) {
        enum run_attempt_end end = run_attempt_try(&slot->attempt, job);
        for (; end == RUN_ATTEMPT_NO_ROOM; end = run_attempt_try(&slot->attempt, job)) {
            int error = errno;
            if (run_stop_state(slots->stop) == RUN_ABORTING)
                return false;
            if (!run_printer_wait(slots->printer)) {
                complain("cannot start job %llu: %s", (unsigned long long)job->sequence, strerror(error));
                run_stop_break(slots->stop);
                return false;
            }
        }
        if (end == RUN_ATTEMPT_STOPPED)
            return false;
        if (end == RUN_ATTEMPT_EVICTED) {
            if (!run_pace_wait_for_memory(slots->pace))
                return false;
            tries--;
            continue;
        }
        if (run_job_status(job) == 0 || tries == slots->options->retries)
            return true;
        if (run_stop_state(slots->stop) != RUN_GOING) {
            __atomic_store_n(&slots->stop->cut, 1, __ATOMIC_RELAXED);
            job->unlogged = true;
            return true;
        }
    }
}

static void kick_all(struct run_slots *slots)
{
    weft_with (&slots->list)
        for (unsigned i = 0; i < slots->count; i++) {
            uint64_t one = 1;
            ssize_t written = write(slots->slots[i]->attempt.kick, &one, sizeof one);
            (void)written; /* it is kicked already then */
        }
}

static void slot_finish(struct run_slot *slot, struct run_job *job)
{
    struct run_slots *slots = slot->slots;
    if (slots->limit->share > 0 && run_job_status(job) == 0 && run_limit_learn(slots->limit, job->runtime))
        kick_all(slots);
    if (run_results_store(&slots->printer->results, job) != 0)
        run_stop_break(slots->stop);
    run_printer_finish(slots->printer, job);
}

static void print_dry(struct run_slots *slots, struct run_job *job)
{
    text_add_char(&job->command, '\n');
    if (run_output_add(slots->spool, &job->outputs[0], job->command.at, job->command.length) != 0)
        run_stop_break(slots->stop);
    run_printer_finish(slots->printer, job);
}

static struct run_job *slot_take(struct run_slot *slot);

static weft_value slot_work(weft_value argument)
{
    struct run_slot *slot = weft_as_ptr(argument);
    struct run_slots *slots = slot->slots;
    for (struct run_job *job; (job = slot_take(slot));) {
        if (slots->options->trace)
            complain("%s", text_string(&job->command));
        bool ended = slots->options->dry_run || slot_run(slot, job);
        run_tokens_give(slots->tokens, slot->token);
        if (slots->options->dry_run)
            print_dry(slots, job);
        else if (ended)
            slot_finish(slot, job);
        else
            run_printer_abandon(slots->printer, job);
    }
    if (__atomic_sub_fetch(&slots->alive, 1, __ATOMIC_ACQ_REL) == 0) {
        uint64_t one = 1;
        ssize_t written = write(slots->ended, &one, sizeof one);
        (void)written; /* a single one always fits */
    }
    return weft_none;
}

static struct run_slot *slot_new(struct run_slots *slots)
{
    struct run_slot *slot = memory_get(sizeof *slot);
    *slot = (struct run_slot){.slots = slots, .number = slots->count + 1};
    slot->attempt = (struct run_attempt){.options = slots->options,
        .shell = slots->shell,
        .program = &slot->program,
        .spool = slots->spool,
        .stop = slots->stop,
        .printer = slots->printer,
        .limit = slots->limit,
        .memory = slots->memory,
        .mark = slots->mark};
    slot->attempt.flags = slots->tokens->flags.length ? slots->tokens->flags.at : NULL;
    if (slots->memory->limit)
        run_wrap_add(&slot->attempt.wrap, "echo 0 >\"$1\" || exit 126", NULL); /* the first: the attempt sets its parameter */
    run_tokens_wrap(slots->tokens, &slot->attempt.wrap);
    if (run_attempt_begin(&slot->attempt) == 0)
        return slot;
    slot_free(slot);
    return NULL;
}

static int start_slot(struct run_slots *slots, struct run_slot *slot)
{
    slots->slots = memory_resize(slots->slots, (slots->count + 1) * sizeof(struct run_slot *));
    slots->tasks = memory_resize(slots->tasks, (slots->count + 1) * sizeof(weft_task *));
    __atomic_add_fetch(&slots->alive, 1, __ATOMIC_RELAXED);
    weft_task *task = weft_spawn(RUN_SLOT_KIND, slot_work, weft_ptr(slot), .stack_size = SLOT_STACK);
    if (!task) {
        __atomic_sub_fetch(&slots->alive, 1, __ATOMIC_RELAXED);
        return -1;
    }
    slots->slots[slots->count] = slot;
    slots->tasks[slots->count++] = task;
    return 0;
}

/* Makes one more slot, with the list's lock held. -1 when the system has no room for it. */
static int add_slot(struct run_slots *slots)
{
    struct run_slot *slot = slot_new(slots);
    if (!slot || start_slot(slots, slot) == 0)
        return slot ? 0 : -1;
    slot_free(slot);
    return -1;
}

/* This slot has a job. If all others are busy or wait for the next one, one more slot may be of use. */
static void slot_call_another(struct run_slot *slot)
{
    struct run_slots *slots = slot->slots;
    weft_with (&slots->list)
        if (slots->count < slots->most && slots->count < slots->room && slot->number == slots->count && add_slot(slots) != 0)
            slots->room = slots->count;
}

/* A slot without a job rests while more slots than wanted do not. */
static void slot_rest(struct run_slot *slot)
{
    struct run_slots *slots = slot->slots;
    weft_with (&slots->list)
        while (slots->count - slots->resting > slots->most && !slots->closed) {
            slots->resting++;
            weft_condition_wait(&slots->changed, &slots->list, WEFT_FOREVER);
            slots->resting--;
        }
}

static void no_more_jobs(struct run_slots *slots)
{
    slots->over = true;
    weft_with (&slots->list) {
        slots->closed = true;
        weft_condition_notify_all(&slots->changed);
    }
}

/* Waits until a job may start. False: it is time to stop. */
static bool may_start(struct run_slot *slot, const struct run_job *job)
{
    struct run_slots *slots = slot->slots;
    slot->token = RUN_TOKEN_NONE;
    if (!slots->options->dry_run && (!run_pace_wait(slots->pace) || !run_tokens_take(slots->tokens, slots->pace, &slot->token)))
        return false;
    if (run_printer_admit(slots->printer, job->order))
        return true;
    run_tokens_give(slots->tokens, slot->token);
    return false;
}

/* The next job for this slot; NULL when there is none for it any more. */
static struct run_job *slot_take(struct run_slot *slot)
{
    struct run_slots *slots = slot->slots;
    struct run_job *job = NULL;
    slot_rest(slot);
    weft_with (&slots->lock) {
        if (slots->over || !read_arguments(slots)) {
            no_more_jobs(slots);
            return NULL;
        }
        job = make_job(slots, slot->number);
        job->order = slots->order++;
        if (!may_start(slot, job)) {
            run_job_free(slots->spool, job);
            slots->refused = true;
            no_more_jobs(slots);
            return NULL;
        }
        slot_call_another(slot);
    }
    return job;
}

int run_slots_begin(struct run_slots *slots)
{
    int added = -1;
    weft_with (&slots->list)
        added = add_slot(slots);
    if (added != 0)
        complain("cannot start a job slot: %s", strerror(errno));
    return added;
}

unsigned run_slots_most(const struct run_slots *slots)
{
    return slots->count;
}

unsigned run_slots_change(struct run_slots *slots, int by)
{
    unsigned most = 0;
    weft_with (&slots->list) {
        most = slots->most;
        if (by < 0 && most > slots->count)
            most = slots->count; /* one fewer than run now */
        if (by > 0 && most < slots->room)
            most++;
        if (by < 0 && most > 1)
            most--;
        slots->most = most;
        weft_condition_notify_all(&slots->changed);
        if (!slots->closed && slots->count && slots->count < most && add_slot(slots) != 0)
            slots->room = slots->count;
    }
    return most;
}

void run_slots_evict(struct run_slots *slots)
{
    weft_with (&slots->list) {
        struct run_slot *youngest = NULL;
        weft_time latest = 0;
        unsigned running = 0;
        for (unsigned i = 0; i < slots->count; i++) {
            weft_time started = run_attempt_started(&slots->slots[i]->attempt);
            running += started != 0;
            if (started > latest) {
                latest = started;
                youngest = slots->slots[i];
            }
        }
        if (running > 1)
            run_attempt_evict(&youngest->attempt);
    }
}

void run_slots_why(struct run_slots *slots, struct text *out)
{
    weft_with (&slots->list)
        for (unsigned i = 0; i < slots->count; i++)
            run_attempt_why(&slots->slots[i]->attempt, out);
    const char *cause = run_pace_cause_text(slots->pace);
    if (cause)
        text_format(out, "the next job waits for %s\n", cause);
    if (out->length == 0)
        text_add_string(out, "no job runs\n");
}

void run_slots_signal(struct run_slots *slots, int signal)
{
    weft_with (&slots->list)
        for (unsigned i = 0; i < slots->count; i++)
            run_attempt_signal(&slots->slots[i]->attempt, signal);
}

bool run_slots_left(struct run_slots *slots)
{
    if (slots->refused)
        return true;
    while (!slots->all_read) {
        enum run_input_got got = next_work(slots);
        slots->all_read = got == RUN_INPUT_END;
        if (!slots->all_read && !(got == RUN_INPUT_RECORD && run_joblog_is_done(slots->past, ++slots->sequence)))
            return true;
    }
    return false;
}

void run_slots_end(struct run_slots *slots)
{
    /* Pairs with what each slot did last: all that the slots wrote is seen. */
    (void)__atomic_load_n(&slots->alive, __ATOMIC_ACQUIRE);
    for (unsigned i = 0; i < slots->count; i++) {
        weft_task_join(slots->tasks[i], WEFT_FOREVER);
        weft_task_free(slots->tasks[i]);
        slot_free(slots->slots[i]);
    }
    run_feed_free(&slots->feed);
    free(slots->slots);
    free(slots->tasks);
}
