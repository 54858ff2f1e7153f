/* SPDX-License-Identifier: MIT */
/* See run_report.h. */
#include "run_report.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

enum { STATUS_OF_SIGNAL = 256, STATUS_TIMED_OUT = RUN_REPORT_STATUSES - 1 };

static unsigned status_place(const struct run_job *job)
{
    if (job->exitval < 0)
        return STATUS_TIMED_OUT;
    return job->signal ? STATUS_OF_SIGNAL + (unsigned)(job->signal & 127) : (unsigned)(job->exitval & 255);
}

void run_report_count(struct run_report *report, const struct run_job *job)
{
    report->jobs++;
    report->statuses[status_place(job)]++;
    report->busy += job->runtime;
    unsigned place = report->slowest_count;
    while (place > 0 && report->slowest[place - 1].runtime < job->runtime)
        place--;
    if (place == RUN_REPORT_SLOWEST)
        return;
    report->slowest_count += report->slowest_count < RUN_REPORT_SLOWEST;
    memmove(report->slowest + place + 1, report->slowest + place, (report->slowest_count - place - 1) * sizeof *report->slowest);
    struct run_report_job *slow = &report->slowest[place];
    *slow = (struct run_report_job){.sequence = job->sequence, .runtime = job->runtime};
    snprintf(slow->command, sizeof slow->command, "%s", text_string(&job->command));
}

void run_report_add_time(double seconds, struct text *out)
{
    uint64_t whole = (uint64_t)(seconds + 0.5);
    if (seconds < 60)
        text_format(out, "%.2f s", seconds);
    else if (whole < 3600)
        text_format(out, "%" PRIu64 ":%02u", whole / 60, (unsigned)(whole % 60));
    else
        text_format(out, "%" PRIu64 ":%02u:%02u", whole / 3600, (unsigned)(whole / 60 % 60), (unsigned)(whole % 60));
}

/* "1": a status; "SIGKILL": a signal. */
static void add_status(unsigned status, struct text *out)
{
    const char *name = status > STATUS_OF_SIGNAL && status < STATUS_TIMED_OUT ? sigabbrev_np((int)(status - STATUS_OF_SIGNAL)) : NULL;
    if (status == STATUS_TIMED_OUT)
        text_add_string(out, "stopped at the time limit");
    else if (status < STATUS_OF_SIGNAL)
        text_format(out, "with status %u", status);
    else if (name)
        text_format(out, "by SIG%s", name);
    else
        text_format(out, "by signal %u", status - STATUS_OF_SIGNAL);
}

static void add_failures(const struct run_report *report, struct text *out)
{
    text_add_string(out, "failed: ");
    bool first = true;
    for (unsigned status = 1; status < RUN_REPORT_STATUSES; status++) {
        if (!report->statuses[status])
            continue;
        text_format(out, "%s%" PRIu64 " ", first ? "" : ", ", report->statuses[status]);
        add_status(status, out);
        first = false;
    }
    text_add_char(out, '\n');
}

static void add_slowest(const struct run_report *report, struct text *out)
{
    for (unsigned i = 0; i < report->slowest_count; i++) {
        const struct run_report_job *slow = &report->slowest[i];
        text_add_string(out, i ? "         " : "slowest: ");
        run_report_add_time(slow->runtime, out);
        text_format(out, "  job %" PRIu64 ": ", slow->sequence);
        for (const char *at = slow->command; *at; at++)
            text_add_char(out, (unsigned char)*at < ' ' || *at == 127 ? '?' : *at);
        text_add_char(out, '\n');
    }
}

void run_report_text(const struct run_report *report, double seconds, unsigned slots, struct text *out)
{
    if (!report->jobs)
        return;
    uint64_t failed = report->jobs - report->statuses[0];
    text_format(out, "%" PRIu64 " job%s in ", report->jobs, report->jobs == 1 ? "" : "s");
    run_report_add_time(seconds, out);
    text_format(out, ": %" PRIu64 " succeeded, %" PRIu64 " failed; ", report->jobs - failed, failed);
    double share = seconds > 0 && slots ? report->busy / seconds / slots * 100 : 0;
    text_format(out, "%u at once, busy %.0f%% of the time\n", slots, share > 100 ? 100 : share);
    if (failed)
        add_failures(report, out);
    if (report->jobs > 1)
        add_slowest(report, out);
}
