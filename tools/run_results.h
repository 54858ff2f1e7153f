/* SPDX-License-Identifier: MIT */
/*
 * What jobs wrote, kept in files (--results) instead of being printed, laid out as GNU parallel lays it out:
 *
 *   DIR            DIR/1/ARGUMENT/2/ARGUMENT/stdout, stderr and seq. In a folder's name \ / tab and NUL are \\ \_ \t and \0, as GNU
 *   parallel has
 *                  them; besides, an argument that is empty, "." or ".." is \., \. and \.. , which would be lost or lead out of DIR
 *                  otherwise.
 *   a name with {} and the like   NAME, NAME.err and NAME.seq; with a slash at its end the same three names as above in that folder
 *   FILE.csv, FILE.tsv            a row a job: the joblog's columns, the arguments (V1, V2 ...), Stdout, Stderr
 *   FILE.json                     an object a line, with the same names; V is a list
 *
 * Files are written when the job has ended, before its line in the joblog is; a row is written whole or not at all.
 */
#ifndef WEFT_TOOLS_RUN_RESULTS_H
#define WEFT_TOOLS_RUN_RESULTS_H

#include "run_job.h"
#include "run_template.h"

enum run_results_kind { RUN_RESULTS_NONE, RUN_RESULTS_TREE, RUN_RESULTS_PATTERN, RUN_RESULTS_CSV, RUN_RESULTS_TSV, RUN_RESULTS_JSON };

/* All-zero: no results are kept. */
struct run_results {
    enum run_results_kind kind;
    const char *path;
    struct run_spool *spool;
    struct run_template pattern;
    int fd;          /* of the rows */
    bool numbered;   /* jobs have no arguments to be told apart by: a tree has a folder for each number */
    bool to_stdout;  /* they go to standard output: -.csv */
    bool has_header; /* the rows have their first line */
};

/* What kind a name asks for. `replaces`: a replacement string stands in it. */
enum run_results_kind run_results_kind_of(const char *path, bool replaces);
/* Opens the file of rows, or makes the folder. With `adds` the rows that are there stay, but for a torn last one. -1, having complained. */
int run_results_open(
    struct run_results *results, const char *path, const struct run_template_options *how, bool adds, struct run_spool *spool);
/* Whether jobs must know their arguments for it. */
bool run_results_wants_arguments(const struct run_results *results);
/* Writes a job's files, for the kinds that have some. Any task. -1, having complained. */
int run_results_store(const struct run_results *results, const struct run_job *job);
/*
 * Writes a job's row, for the kinds that have rows. One task at a time. -1, having complained; then nothing of it is in the
 * file. Without a word, with EPIPE, when nobody reads standard output any more.
 */
int run_results_add_row(struct run_results *results, const struct run_job *job);
void run_results_close(struct run_results *results);

/* Adds the folders of these arguments, as they stand in DIR: "1/a/2/b". */
void run_results_folder(const struct span *arguments, size_t count, struct text *out);

#endif
