/* SPDX-License-Identifier: MIT */
/*
 * Functions that cross. A module is known by its build-id, which the linker puts into a note; where there is none, by its name and its
 * program headers, which are the same in every process that has the same file.
 *
 * The program itself and Weft's own module, which nobody unloads, are noted when the library is loaded: a function there is found without a
 * look at anything else. What has been found out of others is kept in a table of entries that are written once and never change: an entry
 * is claimed (EMPTY to FILLING), written, and published (FULL, release; pairs with the acquire of who looks). So nobody needs a latch, and
 * a child that was forked in the middle has at worst an entry that is never used. An entry holds while no module has been unloaded since
 * (the loader counts that), because another may lie at its address by now. When there is no place, or an entry holds no longer, the modules
 * are walked again: a microsecond, never a wrong answer.
 */

#include "task/function.h"

#include <elf.h>
#include <errno.h>
#include <link.h>
#include <stdbool.h>
#include <stddef.h>
#include <string.h>

#include "base/large.h"
#include "base/opening.h"

enum entry_state { EMPTY, FILLING, FULL };

/* A module that nobody unloads; constant once the library is loaded. */
struct module {
    uint64_t hash;
    uintptr_t bias, text; /* what it was moved by; where its code begins */
    size_t size;          /* of that; 0: there is none */
    char name[sizeof(((struct wefti_function *)0)->name)];
};

static struct module lasting[2];

struct entry {
    uint32_t state;
    uint64_t unloadings; /* how many there had been */
    weft_function *function;
    struct wefti_function packed;
};

#ifdef WEFTI_SMALL
enum { ENTRY_BITS = 2, PROBES = 2 };
#else
enum { ENTRY_BITS = 8, PROBES = 4 };
#endif

static WEFTI_LARGE struct entry entries[1 << ENTRY_BITS];

/* What a walk over the modules looks for, and what it found. */
struct search {
    const struct wefti_function *wanted; /* NULL: the module that has `address` */
    uintptr_t address;
    bool first;          /* the next module is the program itself */
    uint64_t unloadings; /* out, as the next */
    struct wefti_function packed;
};

static uint64_t hash_octets(uint64_t hash, const void *octets, size_t length)
{
    const unsigned char *at = octets;
    for (size_t i = 0; i < length; i++)
        hash = (hash ^ at[i]) * UINT64_C(0x100000001b3); /* FNV-1a */
    return hash;
}

static const uint64_t HASH_SEED = UINT64_C(0xcbf29ce484222325);

static const char *name_last(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash ? slash + 1 : path;
}

static size_t note_padded(size_t length)
{
    return (length + 3) & ~(size_t)3;
}

/* The hash of the build-id among these notes; 0: there is none. */
static uint64_t notes_search(const char *notes, size_t size)
{
    const ElfW(Nhdr) * note;
    for (size_t at = 0; at + sizeof(*note) <= size; at += sizeof(*note) + note_padded(note->n_namesz) + note_padded(note->n_descsz)) {
        note = (const void *)(notes + at);
        const char *name = notes + at + sizeof(*note), *id = name + note_padded(note->n_namesz);
        if (note->n_type == NT_GNU_BUILD_ID && note->n_namesz == 4 && memcmp(name, "GNU", 4) == 0)
            return hash_octets(HASH_SEED, id, note->n_descsz) | 1;
    }
    return 0;
}

/* What the module is known by. */
static uint64_t module_hash(const struct dl_phdr_info *info)
{
    uint64_t hash = 0;
    for (unsigned i = 0; i < info->dlpi_phnum && hash == 0; i++)
        if (info->dlpi_phdr[i].p_type == PT_NOTE)
            hash = notes_search((const char *)(info->dlpi_addr + info->dlpi_phdr[i].p_vaddr), info->dlpi_phdr[i].p_memsz); /* NOLINT */
    if (hash != 0)
        return hash;
    const char *name = name_last(info->dlpi_name);
    hash = hash_octets(HASH_SEED, name, strlen(name));
    return hash_octets(hash, info->dlpi_phdr, info->dlpi_phnum * sizeof(info->dlpi_phdr[0])) | 1;
}

/* Whether code of the module has this address. */
static bool module_has(const struct dl_phdr_info *info, uintptr_t address)
{
    for (unsigned i = 0; i < info->dlpi_phnum; i++) {
        const ElfW(Phdr) *part = &info->dlpi_phdr[i];
        if (part->p_type == PT_LOAD && (part->p_flags & PF_X) && address - info->dlpi_addr - part->p_vaddr < part->p_memsz)
            return true;
    }
    return false;
}

static void module_name(const struct dl_phdr_info *info, bool program, char name[sizeof(lasting->name)])
{
    const char *last = name_last(program ? program_invocation_name : info->dlpi_name);
    size_t length = strnlen(last, sizeof(lasting->name) - 1);
    memcpy(name, last, length);
    name[length] = 0;
}

static void module_found(struct search *search, const struct dl_phdr_info *info, uint64_t hash, uint64_t offset, bool program)
{
    search->unloadings = info->dlpi_subs;
    search->packed = (struct wefti_function){.address = info->dlpi_addr + offset, .module = hash, .offset = offset};
    module_name(info, program, search->packed.name);
}

/* Of dl_iterate_phdr: the program itself comes first. Stops at the module that is looked for. */
static int module_visit(struct dl_phdr_info *info, size_t size, void *data)
{
    struct search *search = data;
    bool program = search->first;
    (void)size;
    search->first = false;
    if (!search->wanted && !module_has(info, search->address))
        return 0;
    uint64_t hash = module_hash(info);
    if (search->wanted && (hash != search->wanted->module || !module_has(info, info->dlpi_addr + search->wanted->offset)))
        return 0;
    module_found(search, info, hash, search->wanted ? search->wanted->offset : search->address - info->dlpi_addr, program);
    return 1;
}

static int unloadings_read(struct dl_phdr_info *info, size_t size, void *data)
{
    (void)size;
    *(uint64_t *)data = info->dlpi_subs;
    return 1;
}

/* The table. */

static struct entry *entry_at(uint64_t address, unsigned probe)
{
    uint64_t hash = address * UINT64_C(0x9e3779b97f4a7c15); /* 2^64 / golden ratio */
    return &entries[((hash >> (64 - ENTRY_BITS)) + probe) % (1 << ENTRY_BITS)];
}

static bool entry_holds(const struct entry *entry)
{
    uint64_t unloadings = 0;
    dl_iterate_phdr(unloadings_read, &unloadings);
    return unloadings == entry->unloadings;
}

/* The entry of a function that was packed at this address, as long as `packed` (NULL: of this process) and it are one; or NULL. */
static const struct entry *entry_find(uint64_t address, const struct wefti_function *packed)
{
    for (unsigned i = 0; i < PROBES; i++) {
        const struct entry *entry = entry_at(address, i);
        if (__atomic_load_n(&entry->state, __ATOMIC_ACQUIRE) != FULL || entry->packed.address != address)
            continue;
        bool same = packed ? packed->module == entry->packed.module && packed->offset == entry->packed.offset
                           : (uintptr_t)entry->function == address;
        if (same && entry_holds(entry))
            return entry;
    }
    return NULL;
}

static void entry_add(const struct search *search, weft_function *function, const struct wefti_function *packed)
{
    for (unsigned i = 0; i < PROBES; i++) {
        struct entry *entry = entry_at(packed->address, i);
        uint32_t empty = EMPTY;
        if (!__atomic_compare_exchange_n(&entry->state, &empty, FILLING, false, __ATOMIC_RELAXED, __ATOMIC_RELAXED))
            continue;
        entry->unloadings = search->unloadings;
        entry->function = function;
        entry->packed = *packed;
        __atomic_store_n(&entry->state, FULL, __ATOMIC_RELEASE); /* pairs with the acquire in entry_find */
        return;
    }
}

/* The modules that last. */

static const struct module *lasting_has(uintptr_t address)
{
    for (size_t i = 0; i < sizeof(lasting) / sizeof(*lasting); i++)
        if (address - lasting[i].text < lasting[i].size)
            return &lasting[i];
    return NULL;
}

static void lasting_note(struct module *module, const struct dl_phdr_info *info, bool program)
{
    *module = (struct module){.hash = module_hash(info), .bias = info->dlpi_addr};
    module_name(info, program, module->name);
    for (unsigned i = 0; i < info->dlpi_phnum && module->size == 0; i++) {
        const ElfW(Phdr) *part = &info->dlpi_phdr[i];
        if (part->p_type == PT_LOAD && part->p_flags & PF_X) {
            module->text = info->dlpi_addr + part->p_vaddr;
            module->size = part->p_memsz;
        }
    }
}

/* Of dl_iterate_phdr. */
static int lasting_visit(struct dl_phdr_info *info, size_t size, void *data)
{
    bool *first = data, program = *first;
    (void)size;
    *first = false;
    if (program)
        lasting_note(&lasting[0], info, true);
    else if (module_has(info, (uintptr_t)&wefti_function_pack))
        lasting_note(&lasting[1], info, false);
    return 0;
}

int wefti_function_pack(weft_function *function, struct wefti_function *packed)
{
    const struct module *module = lasting_has((uintptr_t)function);
    if (module) {
        *packed =
            (struct wefti_function){.address = (uintptr_t)function, .module = module->hash, .offset = (uintptr_t)function - module->bias};
        memcpy(packed->name, module->name, sizeof(module->name));
        return 0;
    }
    const struct entry *entry = entry_find((uintptr_t)function, NULL);
    if (entry) {
        *packed = entry->packed;
        return 0;
    }
    struct search search = {.address = (uintptr_t)function, .first = true};
    if (!dl_iterate_phdr(module_visit, &search)) {
        errno = EFAULT;
        return -1;
    }
    entry_add(&search, function, &search.packed);
    *packed = search.packed;
    return 0;
}

bool wefti_function_lasts(weft_function *function)
{
    return lasting_has((uintptr_t)function) != NULL;
}

/* The same of what a packed function says; 0: it is in none of them. */
static uintptr_t lasting_find(const struct wefti_function *packed)
{
    for (size_t i = 0; i < sizeof(lasting) / sizeof(*lasting); i++)
        if (packed->module == lasting[i].hash && lasting[i].bias + packed->offset - lasting[i].text < lasting[i].size)
            return lasting[i].bias + packed->offset;
    return 0;
}

int wefti_function_find(const struct wefti_function *packed, weft_function **function)
{
    uintptr_t address = lasting_find(packed);
    const struct entry *entry = address ? NULL : entry_find(packed->address, packed);
    if (address || entry) {
        *function = entry ? entry->function : (weft_function *)address; /* NOLINT: it was a pointer before */
        return 0;
    }
    struct search search = {.wanted = packed, .first = true};
    if (!dl_iterate_phdr(module_visit, &search)) {
        errno = ENOEXEC;
        return -1;
    }
    *function = (weft_function *)(uintptr_t)search.packed.address; /* NOLINT: it was a pointer before */
    entry_add(&search, *function, packed);
    return 0;
}

WEFTI_OPENING_TASK static void functions_open(void)
{
    bool first = true;
    dl_iterate_phdr(lasting_visit, &first);
}
