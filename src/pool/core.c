/* SPDX-License-Identifier: MIT */
/*
 * Where the kernel has put a core. /proc/sys/kernel/core_pattern says how cores are called; what of a name is not known any more when
 * somebody asks (the time, the name that the thread had) is looked for in the folder. So any file may come up that is called like that, and
 * is taken only if it is the dead one's: a core, by its notes of a process of that number that died of that signal, written while it lived
 * or just after, of this process's user or root's. A core that was overwritten by a later one is that one's.
 *
 * A core with no folder in its name lies where the process was: taken to be where the pool's maker is, from whom workers have their
 * directory.
 */

#include "pool/core.h"

#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <glob.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/procfs.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/memory.h"

enum { NAME_MOST = 2 * PATH_MAX, NOTES_LOOK = 4096, HEADERS_LOOK = 16, SLACK = 2 /* s: between the clocks of files and of processes */ };

/* What of a setting stands in /proc/sys/kernel: true. */
static bool setting_read(const char *path, char *text, int size)
{
    FILE *file = wefti_fails_with(EMFILE) ? NULL : fopen(path, "re");
    bool read = file && fgets(text, size, file);
    if (file)
        fclose(file);
    if (read)
        text[strcspn(text, "\n")] = 0;
    return read;
}

/* A name that glob(3) looks for, as far as it has come. */
struct sought {
    char text[NAME_MOST];
    size_t length;
};

static void sought_add(struct sought *sought, const char *text)
{
    size_t length = strlen(text), room = sizeof(sought->text) - 1 - sought->length;
    length = length < room ? length : room;
    memcpy(sought->text + sought->length, text, length);
    sought->length += length;
    sought->text[sought->length] = 0;
}

/* As it is, whatever it means to glob. */
static void sought_add_plain(struct sought *sought, char octet)
{
    char text[3] = {octet, 0, 0};
    if (strchr("*?[\\", octet))
        memcpy(text, (char[]){'\\', octet, 0}, sizeof(text));
    sought_add(sought, text);
}

static void sought_add_number(struct sought *sought, const char *format, int number)
{
    char text[32];
    snprintf(text, sizeof(text), format, number);
    sought_add(sought, text);
}

/* What stands for `letter` in the name; a letter that the kernel does not know stands for nothing. */
static void sought_add_letter(struct sought *sought, char letter, const struct wefti_core_dead *dead)
{
    if (letter == '%')
        sought_add_plain(sought, letter);
    else if (letter == 'p')
        sought_add_number(sought, "%d", dead->pid);
    else if (letter == 's')
        sought_add_number(sought, "%d", dead->signal);
    else if (letter && strchr("PiIugdtheEfcC", letter))
        sought_add(sought, "*");
}

/* False: the kernel gives cores to a program. */
static bool sought_make(struct sought *sought, const struct wefti_core_dead *dead)
{
    char pattern[256], with_number[16] = "0", folder[PATH_MAX], link[64];
    if (!setting_read("/proc/sys/kernel/core_pattern", pattern, sizeof(pattern)) || strchr("|@", pattern[0]))
        return false; /* strchr finds the end, too: an empty pattern is none */
    snprintf(link, sizeof(link), "/proc/%d/cwd", dead->neighbour);
    ssize_t length = pattern[0] == '/' ? 0 : readlink(link, folder, sizeof(folder) - 1);
    for (ssize_t i = 0; i < length; i++)
        sought_add_plain(sought, folder[i]);
    if (pattern[0] != '/')
        sought_add(sought, "/");
    bool numbered =
        strstr(pattern, "%p") || !setting_read("/proc/sys/kernel/core_uses_pid", with_number, sizeof(with_number)) || with_number[0] == '0';
    for (const char *at = pattern; *at; at++) {
        if (*at != '%')
            sought_add_plain(sought, *at);
        else if (*++at)
            sought_add_letter(sought, *at, dead);
        else
            break;
    }
    if (!numbered)
        sought_add_number(sought, ".%d", dead->pid);
    return length >= 0;
}

/* What the notes say of who died. */
struct told {
    pid_t process, thread;
    int signal;
};

/* Reads the first notes, among which are those of the process and of the thread that died first. */
static void notes_read(const char *notes, size_t size, struct told *told)
{
    struct elf_prstatus thread;
    struct elf_prpsinfo process;
    Elf64_Nhdr note;
    for (size_t at = 0; at + sizeof(note) <= size;) {
        memcpy(&note, notes + at, sizeof(note));
        size_t body = at + sizeof(note) + ((size_t)note.n_namesz + 3) / 4 * 4;
        size_t next = body + ((size_t)note.n_descsz + 3) / 4 * 4;
        if (next > size || next < body)
            return;
        if (note.n_type == NT_PRSTATUS && note.n_descsz == sizeof(thread) && !told->thread) {
            memcpy(&thread, notes + body, sizeof(thread));
            told->thread = thread.pr_pid;
            told->signal = thread.pr_cursig;
        }
        if (note.n_type == NT_PRPSINFO && note.n_descsz == sizeof(process)) {
            memcpy(&process, notes + body, sizeof(process));
            told->process = process.pr_pid;
        }
        at = next;
    }
}

static bool core_read(int core, struct told *told)
{
    Elf64_Ehdr header;
    Elf64_Phdr part;
    char notes[NOTES_LOOK];
    if (pread(core, &header, sizeof(header), 0) != sizeof(header) || memcmp(header.e_ident, ELFMAG, SELFMAG) != 0 ||
        header.e_ident[EI_CLASS] != ELFCLASS64 || header.e_type != ET_CORE || header.e_phentsize != sizeof(part))
        return false;
    for (int i = 0; i < header.e_phnum && i < HEADERS_LOOK && !told->process; i++) {
        off_t at = (off_t)header.e_phoff + i * (off_t)sizeof(part);
        if (pread(core, &part, sizeof(part), at) != sizeof(part) || part.p_type != PT_NOTE)
            continue;
        ssize_t length = pread(core, notes, part.p_filesz < sizeof(notes) ? part.p_filesz : sizeof(notes), (off_t)part.p_offset);
        if (length > 0)
            notes_read(notes, (size_t)length, told);
    }
    return told->process > 0;
}

/* Opens the file if it is the core of this one. -1. */
static int core_try(const char *path, const struct wefti_core_dead *dead, pid_t *thread)
{
    struct stat status;
    struct told told = {0};
    int core = wefti_fails_with(EMFILE) ? -1 : open(path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC | O_NOCTTY);
    if (core < 0)
        return -1;
    bool ours = fstat(core, &status) == 0 && S_ISREG(status.st_mode) && (status.st_uid == geteuid() || status.st_uid == 0) &&
                status.st_mtime >= dead->since - SLACK && status.st_mtime <= dead->died + SLACK;
    if (ours && core_read(core, &told) && told.process == dead->pid && told.signal == dead->signal) {
        *thread = told.thread;
        return core;
    }
    close(core);
    return -1;
}

int wefti_core_open(const struct wefti_core_dead *dead, char **path, pid_t *thread)
{
    int core = -1;
    glob_t found;
    struct sought *sought = wefti_alloc(sizeof(*sought));
    if (!sought)
        return -1;
    if (sought_make(sought, dead) && glob(sought->text, GLOB_NOSORT | GLOB_PERIOD, NULL, &found) == 0) {
        for (size_t i = 0; i < found.gl_pathc && core < 0; i++)
            if ((core = core_try(found.gl_pathv[i], dead, thread)) >= 0)
                snprintf(sought->text, sizeof(sought->text), "%s", found.gl_pathv[i]);
        globfree(&found);
    }
    if (core < 0) {
        wefti_release(sought);
        errno = ENOENT;
        return -1;
    }
    *path = sought->text; /* the first of it: released as the whole */
    return core;
}
