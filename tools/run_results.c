/* SPDX-License-Identifier: MIT */
/* See run_results.h. */
#include "run_results.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <unistd.h>

#include "complain.h"
#include "run_json.h"

#ifdef WEFTI_SMALL
enum { ROW_PIECE = 16 };
#else
enum { ROW_PIECE = 65536 };
#endif
enum { NAME_LONGEST = 255 };

static bool ends_with(const char *text, const char *end)
{
    size_t length = strlen(text), wanted = strlen(end);
    return length >= wanted && strcasecmp(text + length - wanted, end) == 0;
}

enum run_results_kind run_results_kind_of(const char *path, bool replaces)
{
    if (ends_with(path, ".csv"))
        return RUN_RESULTS_CSV;
    if (ends_with(path, ".tsv"))
        return RUN_RESULTS_TSV;
    if (ends_with(path, ".json"))
        return RUN_RESULTS_JSON;
    return replaces ? RUN_RESULTS_PATTERN : RUN_RESULTS_TREE;
}

static bool has_rows(const struct run_results *results)
{
    return results->kind >= RUN_RESULTS_CSV;
}

bool run_results_wants_arguments(const struct run_results *results)
{
    return results->kind == RUN_RESULTS_TREE || has_rows(results);
}

static int results_failed(const char *path, int error)
{
    complain("cannot write the results %s: %s", path, strerror(error));
    return -1;
}

/* Where the last whole row ends: a newline ends a row unless it stands between quotes, which JSON never has. */
static off_t rows_end(int fd, bool quotes)
{
    char octets[16384];
    off_t at = 0, end = 0;
    bool quoted = false;
    ssize_t length;
    while ((length = pread(fd, octets, sizeof octets, at)) > 0) {
        for (ssize_t i = 0; i < length; i++) {
            quoted ^= quotes && octets[i] == '"';
            if (octets[i] == '\n' && !quoted)
                end = at + i + 1;
        }
        at += length;
    }
    return end;
}

static int open_rows(struct run_results *results, bool adds)
{
    if (results->path[0] == '-' && results->path[1] == '.') {
        results->to_stdout = true;
        results->fd = fcntl(STDOUT_FILENO, F_DUPFD_CLOEXEC, 3);
        return results->fd < 0 ? results_failed(results->path, errno) : 0;
    }
    results->fd = open(results->path, (adds ? O_RDWR : O_WRONLY | O_TRUNC) | O_APPEND | O_CREAT | O_CLOEXEC, 0666);
    if (results->fd < 0)
        return results_failed(results->path, errno);
    off_t end = adds ? rows_end(results->fd, results->kind != RUN_RESULTS_JSON) : 0;
    if (adds && ftruncate(results->fd, end) != 0 && errno != EINVAL) /* EINVAL: a device, which has no end to mend */
        return results_failed(results->path, errno);
    results->has_header = end > 0;
    return 0;
}

/* Makes a folder and those above it, `path` being changed meanwhile. */
static int make_folders(char *path)
{
    if (mkdir(path, 0777) == 0 || errno == EEXIST)
        return 0;
    if (errno != ENOENT)
        return -1;
    for (char *slash = strchr(path + 1, '/'); slash; slash = strchr(slash + 1, '/')) {
        *slash = '\0';
        int made = mkdir(path, 0777);
        *slash = '/';
        if (made != 0 && errno != EEXIST)
            return -1;
    }
    return mkdir(path, 0777) == 0 || errno == EEXIST ? 0 : -1;
}

int run_results_open(
    struct run_results *results, const char *path, const struct run_template_options *how, bool adds, struct run_spool *spool)
{
    char *words[] = {(char *)path};
    *results = (struct run_results){.path = path, .spool = spool, .fd = -1};
    run_template_read(&results->pattern, words, 1, how);
    results->kind = run_results_kind_of(path, results->pattern.replaces);
    if (has_rows(results))
        return open_rows(results, adds);
    if (results->kind == RUN_RESULTS_PATTERN)
        return 0;
    struct text folder = {0};
    text_add_string(&folder, path);
    int made = make_folders(folder.at);
    struct stat status;
    if (made == 0 && (stat(path, &status) != 0 || !S_ISDIR(status.st_mode))) {
        errno = ENOTDIR;
        made = -1;
    }
    text_free(&folder);
    return made == 0 ? 0 : results_failed(path, errno);
}

static void folder_add_argument(struct span argument, struct text *out)
{
    static const char special[] = "\\\t\0/", letters[] = "\\t0_";
    size_t from = out->length;
    if (argument.length == 0)
        text_add_string(out, "\\.");
    else if (argument.at[0] == '.' && (argument.length == 1 || (argument.length == 2 && argument.at[1] == '.')))
        text_add_char(out, '\\');
    for (size_t i = 0; i < argument.length; i++) {
        const char *found = memchr(special, argument.at[i], sizeof special - 1);
        if (found)
            text_add_char(out, '\\');
        text_add_char(out, found ? letters[found - special] : argument.at[i]);
    }
    if (out->length - from > NAME_LONGEST)
        out->at[out->length = from + NAME_LONGEST] = '\0';
}

void run_results_folder(const struct span *arguments, size_t count, struct text *out)
{
    for (size_t i = 0; i < count; i++) {
        text_format(out, "%s%zu/", i ? "/" : "", i + 1);
        folder_add_argument(arguments[i], out);
    }
}

/* Rows and files are gathered and written in pieces. */
struct writer {
    int fd;
    int error; /* the first that came; 0: none */
    struct text piece;
    struct text half; /* JSON: the beginning of a character */
    char separator;   /* of columns; 0: it is JSON */
    bool quoted;
};

static void writer_flush(struct writer *writer)
{
    const char *at = text_string(&writer->piece);
    size_t left = writer->error ? 0 : writer->piece.length;
    while (left) {
        ssize_t written = write(writer->fd, at, left);
        if (written < 0 && errno == EINTR)
            continue;
        if (written <= 0) {
            writer->error = written ? errno : ENOSPC;
            break;
        }
        at += written;
        left -= (size_t)written;
    }
    text_clear(&writer->piece);
}

static int writer_settle(struct writer *writer)
{
    if (writer->piece.length >= ROW_PIECE)
        writer_flush(writer);
    return writer->error;
}

static int writer_add(void *data, struct span octets)
{
    struct writer *writer = data;
    text_add_span(&writer->piece, octets);
    return writer_settle(writer);
}

/* Calls take for all that a stream wrote. -1, having complained, when it cannot be read back. */
static int each_octet(
    const struct run_results *results, const struct run_job *job, int stream, int (*take)(void *, struct span), void *data)
{
    return run_output_each(results->spool, &job->outputs[stream - 1], take, data) < 0 ? -1 : 0;
}

/* Writes one file of a job: what it wrote to a stream, or (stream 0) its number. */
static int write_file(const struct run_results *results, const struct run_job *job, int stream, const char *path)
{
    struct writer writer = {.fd = open(path, O_WRONLY | O_TRUNC | O_CREAT | O_CLOEXEC, 0666)};
    if (writer.fd < 0)
        return results_failed(path, errno);
    int result = 0;
    if (stream)
        result = each_octet(results, job, stream, writer_add, &writer);
    else
        text_format(&writer.piece, "%" PRIu64, job->sequence);
    writer_flush(&writer);
    if (close(writer.fd) != 0 && !writer.error)
        writer.error = errno;
    text_free(&writer.piece);
    if (result == 0 && writer.error)
        result = results_failed(path, writer.error);
    return result;
}

/* The folder of a tree's job, or what a pattern became, with the folders above it made. */
static int prepare_names(const struct run_results *results, const struct run_job *job, struct text *base)
{
    if (results->kind == RUN_RESULTS_TREE) {
        text_format(base, "%s/", results->path);
        if (results->numbered)
            text_format(base, "%" PRIu64, job->sequence);
        else
            run_results_folder(job->values.arguments, job->values.count, base);
        text_add_char(base, '/');
    } else {
        text_add_span(base, text_span(&job->file));
    }
    char *slash = base->length ? strrchr(base->at, '/') : NULL;
    if (!slash || slash == base->at)
        return 0;
    *slash = '\0';
    int made = make_folders(base->at);
    int error = errno;
    *slash = '/';
    return made == 0 ? 0 : results_failed(base->at, error);
}

int run_results_store(const struct run_results *results, const struct run_job *job)
{
    static const struct {
        int stream;
        const char *in_folder, *beside;
    } files[] = {{STDOUT_FILENO, "stdout", ""}, {STDERR_FILENO, "stderr", ".err"}, {0, "seq", ".seq"}};
    if (results->kind == RUN_RESULTS_NONE || has_rows(results))
        return 0;
    struct text base = {0};
    int result = prepare_names(results, job, &base);
    size_t length = base.length;
    bool folder = length && base.at[length - 1] == '/';
    for (size_t i = 0; result == 0 && i < sizeof files / sizeof *files; i++) {
        if (length)
            base.at[base.length = length] = '\0';
        text_add_string(&base, folder ? files[i].in_folder : files[i].beside);
        result = write_file(results, job, files[i].stream, base.at);
    }
    text_free(&base);
    return result;
}

static bool must_quote(const struct writer *writer, struct span field)
{
    for (size_t i = 0; i < field.length; i++)
        if (strchr(" \t\n\v\f\r\"", field.at[i]) || field.at[i] == writer->separator) /* strchr finds the NUL too */
            return true;
    return false;
}

/* Adds octets of a column that stands in quotes. */
static int field_add(void *data, struct span octets)
{
    struct writer *writer = data;
    for (size_t i = 0; i < octets.length; i++) {
        if (octets.at[i] == '"' && writer->quoted)
            text_add_char(&writer->piece, '"');
        text_add_char(&writer->piece, octets.at[i]);
    }
    return writer_settle(writer);
}

static void field_begin(struct writer *writer, bool quoted)
{
    writer->quoted = quoted;
    if (quoted)
        text_add_char(&writer->piece, '"');
}

static void field_end(struct writer *writer, char separator)
{
    if (writer->quoted)
        text_add_char(&writer->piece, '"');
    text_add_char(&writer->piece, separator);
}

static void add_field(struct writer *writer, struct span field)
{
    field_begin(writer, must_quote(writer, field));
    field_add(writer, field);
    field_end(writer, writer->separator);
}

static void row_add_header(struct writer *writer, size_t count)
{
    static const char *const names[] = {"Seq", "Host", "Starttime", "JobRuntime", "Send", "Receive", "Exitval", "Signal", "Command"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        add_field(writer, span_of(names[i]));
    for (size_t i = 1; i <= count; i++)
        text_format(&writer->piece, "V%zu%c", i, writer->separator);
    add_field(writer, span_of("Stdout"));
    text_add_string(&writer->piece, "Stderr\n");
}

static int row_add_csv(struct run_results *results, struct writer *writer, const struct run_job *job)
{
    if (!results->has_header)
        row_add_header(writer, job->values.count);
    char by = writer->separator;
    text_format(&writer->piece, "%" PRIu64 "%c:%c%.3f%c%.3f%c0%c%" PRIu64 "%c%d%c%d%c", job->sequence, by, by, job->start, by, job->runtime,
        by, by, job->received[0], by, job->exitval, by, job->signal, by);
    add_field(writer, text_span(&job->command));
    for (size_t i = 0; i < job->values.count; i++)
        add_field(writer, job->values.arguments[i]);
    for (int stream = STDOUT_FILENO; stream <= STDERR_FILENO; stream++) {
        const struct run_output *output = &job->outputs[stream - 1];
        field_begin(writer, output->count > 0 || must_quote(writer, text_span(&output->memory)));
        if (each_octet(results, job, stream, field_add, writer) != 0)
            return -1;
        field_end(writer, stream == STDOUT_FILENO ? by : '\n');
    }
    return 0;
}

/* Adds octets of a JSON string; the beginning of a character waits for its rest. */
static int string_add(void *data, struct span octets)
{
    struct writer *writer = data;
    text_add_span(&writer->half, octets);
    size_t taken = run_json_add_octets(&writer->piece, text_span(&writer->half), false);
    memmove(writer->half.at, writer->half.at + taken, writer->half.length - taken);
    writer->half.length -= taken;
    return writer_settle(writer);
}

static int row_add_json(struct run_results *results, struct writer *writer, const struct run_job *job)
{
    text_format(&writer->piece,
        "{ \"Seq\": %" PRIu64 ", \"Host\": \":\", \"Starttime\": %.3f, \"JobRuntime\": %.3f, \"Send\": 0, \"Receive\": %" PRIu64
        ", \"Exitval\": %d, \"Signal\": %d, \"Command\": ",
        job->sequence, job->start, job->runtime, job->received[0], job->exitval, job->signal);
    run_json_add_string(&writer->piece, text_span(&job->command));
    text_add_string(&writer->piece, ", \"V\": [ ");
    for (size_t i = 0; i < job->values.count; i++) {
        text_add_string(&writer->piece, i ? "," : "");
        run_json_add_string(&writer->piece, job->values.arguments[i]);
    }
    text_add_string(&writer->piece, " ]");
    for (int stream = STDOUT_FILENO; stream <= STDERR_FILENO; stream++) {
        text_format(&writer->piece, ", \"%s\": \"", stream == STDOUT_FILENO ? "Stdout" : "Stderr");
        text_clear(&writer->half);
        if (each_octet(results, job, stream, string_add, writer) != 0)
            return -1;
        run_json_add_octets(&writer->piece, text_span(&writer->half), true);
        text_add_char(&writer->piece, '"');
    }
    text_add_string(&writer->piece, " }\n");
    return 0;
}

/* Takes back what there is of a row that could not be written to its end. */
static void row_take_back(const struct run_results *results, off_t from)
{
    if (from >= 0 && ftruncate(results->fd, from) != 0)
        complain("the last row of %s is torn", results->path);
}

int run_results_add_row(struct run_results *results, const struct run_job *job)
{
    if (!has_rows(results))
        return 0;
    struct stat before;
    off_t from = !results->to_stdout && fstat(results->fd, &before) == 0 && S_ISREG(before.st_mode) ? before.st_size : -1;
    struct writer writer = {.fd = results->fd, .separator = results->kind == RUN_RESULTS_CSV ? ',' : '\t'};
    int result = (results->kind == RUN_RESULTS_JSON ? row_add_json : row_add_csv)(results, &writer, job);
    writer_flush(&writer);
    if (result == 0 && writer.error) {
        bool unread = results->to_stdout && writer.error == EPIPE;
        result = unread ? -1 : results_failed(results->path, writer.error);
    }
    if (result != 0)
        row_take_back(results, from);
    errno = writer.error;
    results->has_header = true;
    text_free(&writer.piece);
    text_free(&writer.half);
    return result;
}

void run_results_close(struct run_results *results)
{
    if (results->kind == RUN_RESULTS_NONE)
        return;
    if (results->fd >= 0)
        close(results->fd);
    run_template_free(&results->pattern);
}
