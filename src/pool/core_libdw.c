/* SPDX-License-Identifier: MIT */
/*
 * The stack in a core, by libdw of elfutils, which finds the program and its libraries by the core's list of what was mapped, and unwinds
 * by the tables that all code has. It is loaded when the first backtrace is asked for, like others (base/library.h): no program that asks
 * for none has it in memory.
 *
 * libdw was made for tools with one thread, so one reads at a time. fork: a child is let in whoever was at it.
 */
#include <elf.h>
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <elfutils/libdwfl.h>
#include <libelf.h>
#include <weft/lock.h>

#include "base/library.h"
#include "base/memory.h"
#include "base/opening.h"
#include "pool/core.h"

enum { FRAMES_MOST = 100, FRAME_SIZE = 256 };

/* What is used of it; its library of ELF files comes with it. */
static struct {
    __typeof__(&elf_version) version;
    __typeof__(&elf_begin) begin;
    __typeof__(&elf_end) end;
    __typeof__(&dwfl_begin) session_begin;
    __typeof__(&dwfl_end) session_end;
    __typeof__(&dwfl_core_file_report) report;
    __typeof__(&dwfl_report_end) report_end;
    __typeof__(&dwfl_core_file_attach) attach;
    __typeof__(&dwfl_getthread_frames) frames;
    __typeof__(&dwfl_frame_pc) frame_pc;
    __typeof__(&dwfl_addrmodule) module_at;
    __typeof__(&dwfl_module_addrinfo) symbol_at;
    __typeof__(&dwfl_module_info) module_info;
    Dwfl_Callbacks callbacks;
    bool there;
} libdw; /* written under the lock */

static weft_lock libdw_lock;

static bool libdw_load(void)
{
    void *library = libdw.there || wefti_fails_with(ENOTSUP) ? NULL : wefti_library_load("libdw.so.1");
    if (!library)
        return libdw.there;
    libdw.there = wefti_library_find(library, "elf_version", &libdw.version) && wefti_library_find(library, "elf_begin", &libdw.begin) &&
                  wefti_library_find(library, "elf_end", &libdw.end) && wefti_library_find(library, "dwfl_begin", &libdw.session_begin) &&
                  wefti_library_find(library, "dwfl_end", &libdw.session_end) &&
                  wefti_library_find(library, "dwfl_core_file_report", &libdw.report) &&
                  wefti_library_find(library, "dwfl_report_end", &libdw.report_end) &&
                  wefti_library_find(library, "dwfl_core_file_attach", &libdw.attach) &&
                  wefti_library_find(library, "dwfl_getthread_frames", &libdw.frames) &&
                  wefti_library_find(library, "dwfl_frame_pc", &libdw.frame_pc) &&
                  wefti_library_find(library, "dwfl_addrmodule", &libdw.module_at) &&
                  wefti_library_find(library, "dwfl_module_addrinfo", &libdw.symbol_at) &&
                  wefti_library_find(library, "dwfl_module_info", &libdw.module_info) &&
                  wefti_library_find(library, "dwfl_build_id_find_elf", &libdw.callbacks.find_elf) &&
                  wefti_library_find(library, "dwfl_standard_find_debuginfo", &libdw.callbacks.find_debuginfo);
    return libdw.there;
}

/* Whether all that the core says it has is there. */
static bool core_whole(int core)
{
    Elf64_Ehdr header;
    Elf64_Phdr part;
    struct stat status;
    if (fstat(core, &status) != 0 || pread(core, &header, sizeof(header), 0) != sizeof(header))
        return false;
    for (int i = 0; i < header.e_phnum; i++)
        if (pread(core, &part, sizeof(part), (off_t)header.e_phoff + i * (off_t)sizeof(part)) != sizeof(part) ||
            part.p_offset > (Elf64_Off)status.st_size || part.p_filesz > (Elf64_Xword)status.st_size - part.p_offset)
            return false;
    return true;
}

/* A text that grows by a line each frame. */
struct stack {
    Dwfl *session;
    char *text;
    size_t length;
    unsigned frames;
};

static const char *name_last(const char *path)
{
    const char *slash = path ? strrchr(path, '/') : NULL;
    return slash ? slash + 1 : path ? path : "?";
}

static int stack_add(Dwfl_Frame *frame, void *data)
{
    struct stack *stack = data;
    Dwarf_Addr at;
    bool exact; /* else it is where a call comes back to, which may be another function already */
    if (stack->frames == FRAMES_MOST || !libdw.frame_pc(frame, &at, &exact))
        return DWARF_CB_ABORT;
    Dwarf_Addr inside = exact ? at : at - 1;
    GElf_Off offset = 0;
    GElf_Sym symbol;
    Dwfl_Module *module = libdw.module_at(stack->session, inside);
    const char *name = module ? libdw.symbol_at(module, inside, &offset, &symbol, NULL, NULL, NULL) : NULL;
    const char *file = module ? libdw.module_info(module, NULL, NULL, NULL, NULL, NULL, NULL, NULL) : NULL;
    char where[FRAME_SIZE];
    snprintf(where, sizeof(where), "%.150s+0x%llx", name ? name : "?", (unsigned long long)offset);
    int length = snprintf(stack->text + stack->length, FRAME_SIZE, "#%-2u 0x%012llx %s (%.60s)\n", stack->frames++, (unsigned long long)at,
        name ? where : "?", name_last(file));
    stack->length += (size_t)length;
    return DWARF_CB_OK;
}

/* What libdw finds in the session's modules and threads. */
static void stack_read(struct stack *stack, Elf *elf, pid_t thread)
{
    if (libdw.report(stack->session, elf, NULL) < 0 || libdw.report_end(stack->session, NULL, NULL) != 0 ||
        libdw.attach(stack->session, elf) < 0)
        return;
    libdw.frames(stack->session, thread, stack_add, stack);
}

static char *stack_of(int core, pid_t thread)
{
    struct stack stack = {.text = wefti_alloc(FRAMES_MOST * FRAME_SIZE + 1)};
    if (!stack.text)
        return NULL;
    libdw.version(EV_CURRENT);
    Elf *elf = libdw.begin(core, ELF_C_READ, NULL); /* not mapped: somebody may cut it short meanwhile */
    if (elf && (stack.session = libdw.session_begin(&libdw.callbacks))) {
        stack_read(&stack, elf, thread);
        libdw.session_end(stack.session);
    }
    libdw.end(elf);
    if (stack.frames)
        return stack.text;
    wefti_release(stack.text);
    errno = EBADMSG;
    return NULL;
}

char *wefti_core_backtrace(int core, pid_t thread)
{
    if (!core_whole(core)) {
        errno = EBADMSG;
        return NULL;
    }
    char *text = NULL;
    weft_lock_acquire(&libdw_lock, WEFT_FOREVER);
    if (libdw_load())
        text = stack_of(core, thread);
    else
        errno = ENOTSUP;
    int error = errno;
    weft_lock_release(&libdw_lock);
    errno = error;
    return text;
}

static WEFTI_FORKED void libdw_forked(void)
{
    libdw_lock = (weft_lock){0};
}

WEFTI_OPENING_POOL static void libdw_open(void)
{
    pthread_atfork(NULL, NULL, libdw_forked);
}
