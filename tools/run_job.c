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
    run_output_drop(spool, &job->outputs[0]);
    run_output_drop(spool, &job->outputs[1]);
    free(job);
}

int run_job_status(const struct run_job *job)
{
    if (job->exitval)
        return job->exitval & 255;
    return job->signal ? 128 + job->signal : 0;
}
