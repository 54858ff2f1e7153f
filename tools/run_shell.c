/* SPDX-License-Identifier: MIT */
/*
 * See run_shell.h. What is not known for certain to be plain goes to the shell: the sets of characters here are those that are safe, not
 * those that are special.
 */
#include "run_shell.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/*
 * Keywords and builtins of bash, dash, ksh and mksh. `echo` and the like have programs of the same name, but not the same in every corner.
 */
static const char *const shell_names[] = {"!", ".", ":", "[", "[[", "]]", "alias", "autoload", "bg", "bind", "break", "builtin", "caller",
    "case", "cd", "chdir", "command", "compgen", "complete", "compopt", "continue", "coproc", "declare", "dirs", "disown", "do", "done",
    "echo", "elif", "else", "enable", "enum", "esac", "eval", "exec", "exit", "export", "false", "fc", "fg", "fi", "float", "for",
    "function", "functions", "getopts", "global", "hash", "help", "hist", "history", "if", "in", "integer", "jobs", "kill", "let", "local",
    "logout", "mapfile", "nameref", "popd", "print", "printf", "pushd", "pwd", "r", "read", "readarray", "readonly", "realpath", "redirect",
    "rename", "return", "select", "set", "shift", "shopt", "source", "stop", "suspend", "test", "then", "time", "times", "trap", "true",
    "type", "typeset", "ulimit", "umask", "unalias", "unlimit", "unset", "until", "wait", "whence", "while"};
/* Shells whose -c does the same with such a line as executing it, unless they are told to read a file first. */
static const char *const plain_shells[] = {"sh", "bash", "dash", "ash", "ksh", "mksh"};

static bool is_among(const char *word, const char *const *names, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (strcmp(word, names[i]) == 0)
            return true;
    return false;
}

static bool environment_has_functions(void)
{
    for (char **entry = environ; *entry; entry++)
        if (strncmp(*entry, "BASH_FUNC_", 10) == 0)
            return true;
    return false;
}

void run_shell_find(struct run_shell *shell)
{
    const char *own = getenv("PARALLEL_SHELL"), *path = own && *own ? own : getenv("SHELL");
    shell->path = path && *path ? path : "/bin/sh";
    const char *slash = strrchr(shell->path, '/');
    const char *name = slash ? slash + 1 : shell->path;
    shell->may_go_direct = is_among(name, plain_shells, sizeof plain_shells / sizeof *plain_shells) && !getenv("BASH_ENV") &&
                           !getenv("SHELLOPTS") && getenv("PATH") && !environment_has_functions();
}

static bool is_plain(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || (c && strchr("_-./+:,@%=", c));
}

/* Takes a quoted stretch at `at` into `text`. Returns what follows it; NULL where it is not closed or the shell would see more in it. */
static const char *take_quoted(const char *at, struct text *text)
{
    const char *end = strchr(at + 1, *at);
    if (!end)
        return NULL;
    size_t length = (size_t)(end - at - 1);
    if (*at == '"' && strcspn(at + 1, "$`\\!") < length)
        return NULL;
    text_add(text, at + 1, length);
    return end + 1;
}

/* Takes the word at `at`, with a zero, into `text`. Returns what follows it; NULL where it is more than a word. */
static const char *take_word(const char *at, struct text *text)
{
    while (*at && *at != ' ' && *at != '\t') {
        if (*at == '\'' || *at == '"') {
            at = take_quoted(at, text);
            if (!at)
                return NULL;
        } else if (is_plain(*at)) {
            text_add_char(text, *at++);
        } else {
            return NULL;
        }
    }
    text_add_char(text, '\0');
    return at;
}

static void words_list(struct run_words *words)
{
    if (words->room < words->count + 1) {
        words->room = words->count + 16;
        words->argv = memory_resize(words->argv, words->room * sizeof *words->argv);
    }
    const char *at = words->text.at;
    for (size_t i = 0; i < words->count; i++) {
        words->argv[i] = at;
        at += strlen(at) + 1;
    }
    words->argv[words->count] = NULL;
}

static void words_clear(struct run_words *words)
{
    text_clear(&words->text);
    words->count = 0;
}

/* A first word as it was written that makes the shell do more than look for a program: an assignment, or a name of its own. */
static bool first_is_shells(const char *line, const struct text *text)
{
    const char *word = text_string(text);
    return line[strcspn(line, "= \t")] == '=' || *word == '\0' || is_among(word, shell_names, sizeof shell_names / sizeof *shell_names);
}

bool run_shell_split(const struct run_shell *shell, const char *line, struct run_words *words)
{
    if (!shell->may_go_direct)
        return false;
    words_clear(words);
    line += strspn(line, " \t");
    for (const char *at = line; *at; at += strspn(at, " \t")) {
        at = take_word(at, &words->text);
        if (!at || (words->count == 0 && first_is_shells(line, &words->text)))
            return false;
        words->count++;
    }
    if (words->count == 0)
        return false;
    words_list(words);
    return true;
}

void run_shell_wrap(const struct run_shell *shell, const char *line, struct run_words *words)
{
    words_clear(words);
    text_add(&words->text, shell->path, strlen(shell->path) + 1);
    text_add(&words->text, "-c", sizeof "-c");
    text_add(&words->text, line, strlen(line) + 1);
    words->count = 3;
    words_list(words);
}

static bool file_is_plain(const char *path)
{
    char head[4] = {0};
    struct stat status;
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    bool plain = fd >= 0 && fstat(fd, &status) == 0 && S_ISREG(status.st_mode) && read(fd, head, sizeof head) == sizeof head &&
                 (memcmp(head, "#!", 2) == 0 || memcmp(head, "\177ELF", 4) == 0);
    if (fd >= 0)
        close(fd);
    return plain;
}

/* Looks along PATH for the file that would be executed, as a shell does. */
static bool path_finds_plain(const char *path, const char *name)
{
    struct text file = {0};
    bool found = false;
    for (const char *at = path; at && !found; at = *at ? at + 1 : NULL) {
        size_t length = strcspn(at, ":");
        text_clear(&file);
        text_add(&file, at, length);
        text_add_string(&file, length ? "/" : "./");
        text_add_string(&file, name);
        found = access(file.at, X_OK) == 0;
        at += length;
    }
    bool plain = found && file_is_plain(file.at);
    text_free(&file);
    return plain;
}

bool run_program_is_plain(struct run_program *program, const char *name)
{
    if (program->name.length && strcmp(program->name.at, name) == 0)
        return program->plain;
    const char *path = getenv("PATH");
    program->plain = strchr(name, '/') ? file_is_plain(name) : path && path_finds_plain(path, name);
    text_clear(&program->name);
    text_add_string(&program->name, name);
    return program->plain;
}

void run_words_free(struct run_words *words)
{
    text_free(&words->text);
    free(words->argv);
    *words = (struct run_words){0};
}
