/* SPDX-License-Identifier: MIT */
/* See run_job.h. */
#include "run_job.h"

#include <stdlib.h>

struct run_job *run_job_new(void)
{
    struct run_job *job = memory_get(sizeof *job);
    *job = (struct run_job){0};
    return job;
}

void run_job_free(struct run_spool *spool, struct run_job *job)
{
    text_free(&job->command);
    text_free(&job->tag);
    text_free(&job->values.octets);
    free(job->values.arguments);
    text_free(&job->file);
    text_free(&job->directory);
    run_feed_free(&job->feed);
    for (int i = 0; i < 2; i++) {
        run_output_drop(spool, &job->outputs[i]);
        run_output_drop(spool, &job->halves[i]);
    }
    free(job);
}

void run_job_keep_values(struct run_job *job, const struct span *arguments, size_t count)
{
    struct run_values *values = &job->values;
    size_t length = 0;
    for (size_t i = 0; i < count; i++)
        length += arguments[i].length;
    text_reserve(&values->octets, length); /* so that it does not move */
    values->arguments = memory_get(count * sizeof *values->arguments);
    values->count = count;
    for (size_t i = 0; i < count; i++) {
        values->arguments[i] = (struct span){values->octets.at + values->octets.length, arguments[i].length};
        text_add_span(&values->octets, arguments[i]);
    }
}

int run_job_status(const struct run_job *job)
{
    if (job->exitval)
        return job->exitval & 255;
    return job->signal ? 128 + job->signal : 0;
}
