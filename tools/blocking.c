/* SPDX-License-Identifier: MIT */
/*
 * `weft blocking`: which calls that may block a program or library makes, by the names that it wants of others (ELF's dynamic symbols), and
 * which of these libweft-patch covers.
 *
 * The file is read as it lies there, with every offset and count checked against its size: it may be anybody's.
 */
#include "blocking.h"

#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "complain.h"

static const char *const covered[] = {"read", "write", "readv", "writev", "recv", "recvfrom", "recvmsg", "recvmmsg", "send", "sendto",
    "sendmsg", "sendmmsg", "accept", "accept4", "connect", "close", "dup2", "dup3", "close_range", "closefrom", "poll", "ppoll", "select",
    "pselect", "epoll_wait", "epoll_pwait", "epoll_pwait2", "sleep", "usleep", "nanosleep", "clock_nanosleep", "getaddrinfo", "wait",
    "waitpid", "pthread_join", "pthread_mutex_lock", "pthread_mutex_trylock", "pthread_mutex_timedlock", "pthread_mutex_clocklock",
    "pthread_mutex_unlock", "pthread_cond_wait", "pthread_cond_timedwait", "pthread_cond_clockwait", "pthread_cond_signal",
    "pthread_cond_broadcast", "__read_chk", "__recv_chk", "__recvfrom_chk", "__poll_chk", "__ppoll_chk"};

static const struct uncovered {
    const char *name, *why;
} uncovered[] = {
    {"fread", "stdio"},
    {"fgets", "stdio"},
    {"fgetc", "stdio"},
    {"getc", "stdio"},
    {"getchar", "stdio"},
    {"getline", "stdio"},
    {"getdelim", "stdio"},
    {"fscanf", "stdio"},
    {"scanf", "stdio"},
    {"__isoc99_fscanf", "stdio"},
    {"__isoc99_scanf", "stdio"},
    {"fwrite", "stdio"},
    {"fputs", "stdio"},
    {"fputc", "stdio"},
    {"puts", "stdio"},
    {"printf", "stdio"},
    {"fprintf", "stdio"},
    {"vfprintf", "stdio"},
    {"fflush", "stdio"},
    {"__fgets_chk", "stdio"},
    {"__fread_chk", "stdio"},
    {"__printf_chk", "stdio"},
    {"__fprintf_chk", "stdio"},
    {"popen", "popen"},
    {"pclose", "popen"},
    {"system", "popen"},
    {"pread", "files"},
    {"pread64", "files"},
    {"pwrite", "files"},
    {"pwrite64", "files"},
    {"preadv", "files"},
    {"pwritev", "files"},
    {"sendfile", "files"},
    {"sendfile64", "files"},
    {"splice", "files"},
    {"fsync", "files"},
    {"fdatasync", "files"},
    {"flock", "file locks"},
    {"lockf", "file locks"},
    {"wait3", "children"},
    {"wait4", "children"},
    {"waitid", "children"},
    {"gethostbyname", "names"},
    {"gethostbyname_r", "names"},
    {"gethostbyname2_r", "names"},
    {"gethostbyaddr", "names"},
    {"gethostbyaddr_r", "names"},
    {"getnameinfo", "names"},
    {"res_query", "names"},
    {"__res_query", "names"},
    {"res_search", "names"},
    {"sem_wait", "semaphores"},
    {"sem_timedwait", "semaphores"},
    {"sem_clockwait", "semaphores"},
    {"semop", "semaphores"},
    {"semtimedop", "semaphores"},
    {"pthread_rwlock_rdlock", "rwlocks"},
    {"pthread_rwlock_wrlock", "rwlocks"},
    {"pthread_barrier_wait", "barriers"},
    {"pthread_once", "once"},
    {"pthread_spin_lock", "spin locks"},
    {"pthread_timedjoin_np", "threads"},
    {"pthread_clockjoin_np", "threads"},
    {"mq_receive", "message queues"},
    {"mq_send", "message queues"},
    {"msgrcv", "message queues"},
    {"msgsnd", "message queues"},
    {"pause", "signals"},
    {"sigsuspend", "signals"},
    {"sigwait", "signals"},
    {"sigwaitinfo", "signals"},
    {"sigtimedwait", "signals"},
    {"syscall", "system calls made directly"},
};

/* The file, in memory. */
struct image {
    const unsigned char *at;
    size_t size;
};

static const void *image_part(const struct image *image, uint64_t offset, uint64_t size)
{
    return offset <= image->size && size <= image->size - offset ? image->at + offset : NULL;
}

static bool image_is_ours(const struct image *image)
{
    const unsigned char *ident = image_part(image, 0, sizeof(Elf64_Ehdr));
    return ident && memcmp(ident, ELFMAG, SELFMAG) == 0 && ident[EI_CLASS] == ELFCLASS64 &&
           ident[EI_DATA] == (__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__ ? ELFDATA2LSB : ELFDATA2MSB);
}

/* The section of that type; false: none, or none that lies in the file. */
static bool section_find(const struct image *image, uint32_t type, Elf64_Shdr *found, Elf64_Shdr *linked)
{
    Elf64_Ehdr header;
    memcpy(&header, image->at, sizeof(header));
    const unsigned char *sections = image_part(image, header.e_shoff, (uint64_t)header.e_shnum * sizeof(Elf64_Shdr));
    if (header.e_shentsize != sizeof(Elf64_Shdr) || !sections)
        return false;
    for (unsigned i = 0; i < header.e_shnum; i++) {
        memcpy(found, sections + i * sizeof(Elf64_Shdr), sizeof(*found));
        if (found->sh_type != type || found->sh_link >= header.e_shnum)
            continue;
        memcpy(linked, sections + found->sh_link * sizeof(Elf64_Shdr), sizeof(*linked));
        return image_part(image, found->sh_offset, found->sh_size) && image_part(image, linked->sh_offset, linked->sh_size);
    }
    return false;
}

static bool name_is_covered(const char *name)
{
    for (size_t i = 0; i < sizeof(covered) / sizeof(*covered); i++)
        if (strcmp(name, covered[i]) == 0)
            return true;
    return false;
}

static const char *name_uncovered(const char *name)
{
    for (size_t i = 0; i < sizeof(uncovered) / sizeof(*uncovered); i++)
        if (strcmp(name, uncovered[i].name) == 0)
            return uncovered[i].why;
    return NULL;
}

/* Calls see() with each name that the file wants of others. False: it has no dynamic symbols. */
static bool names_wanted(const struct image *image, void (*see)(const char *name, void *data), void *data)
{
    Elf64_Shdr symbols, strings;
    if (!section_find(image, SHT_DYNSYM, &symbols, &strings))
        return false;
    const unsigned char *table = image->at + symbols.sh_offset;
    const char *text = (const char *)image->at + strings.sh_offset;
    if (strings.sh_size == 0 || text[strings.sh_size - 1] != 0)
        return false;
    for (uint64_t at = 0; at + sizeof(Elf64_Sym) <= symbols.sh_size; at += sizeof(Elf64_Sym)) {
        Elf64_Sym symbol;
        memcpy(&symbol, table + at, sizeof(symbol));
        if (symbol.st_shndx == SHN_UNDEF && symbol.st_name > 0 && symbol.st_name < strings.sh_size)
            see(text + symbol.st_name, data);
    }
    return true;
}

struct counts {
    size_t covered, uncovered;
};

static void covered_print(const char *name, void *data)
{
    struct counts *counts = data;
    if (!name_is_covered(name))
        return;
    printf("  %-28s covered\n", name);
    counts->covered++;
}

static void uncovered_print(const char *name, void *data)
{
    struct counts *counts = data;
    const char *why = name_uncovered(name);
    if (!why)
        return;
    printf("  %-28s not covered: %s\n", name, why);
    counts->uncovered++;
}

static int image_tell(const char *path, const struct image *image)
{
    struct counts counts = {0};
    if (!image_is_ours(image)) {
        complain("%s is no program or library of this machine", path);
        return EXIT_FAILURE;
    }
    printf("%s\n", path);
    if (!names_wanted(image, covered_print, &counts)) {
        printf("  linked statically: nothing of it can be covered\n");
        return EXIT_SUCCESS;
    }
    names_wanted(image, uncovered_print, &counts);
    printf("  %zu covered, %zu not; what it calls inside other libraries is theirs\n", counts.covered, counts.uncovered);
    return EXIT_SUCCESS;
}

static int file_tell(const char *path)
{
    struct stat file;
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0 || fstat(fd, &file) != 0 || !S_ISREG(file.st_mode)) {
        complain("cannot read %s: %s", path, fd < 0 ? strerror(errno) : "it is no file");
        if (fd >= 0)
            close(fd);
        return EXIT_FAILURE;
    }
    size_t size = (size_t)file.st_size;
    void *memory = size ? mmap(NULL, size, PROT_READ, MAP_PRIVATE, fd, 0) : NULL;
    close(fd);
    if (memory == MAP_FAILED) {
        complain("cannot read %s: %s", path, strerror(errno));
        return EXIT_FAILURE;
    }
    int status = image_tell(path, &(struct image){memory, size});
    if (memory)
        munmap(memory, size);
    return status;
}

int blocking_main(int argc, char **argv)
{
    int status = EXIT_SUCCESS;
    complain_as("weft blocking");
    if (argc == 2 && (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0)) {
        printf(
            "Usage: weft blocking FILE...\n"
            "Lists the calls by which a program or library may block its thread, and which of them libweft-patch lets wait as coroutines do.\n"
            "stdio, popen and what is linked statically are not covered.\n");
        return EXIT_SUCCESS;
    }
    if (argc < 2 || argv[1][0] == '-') {
        complain("it wants programs or libraries; weft blocking --help says more");
        return EXIT_USAGE;
    }
    for (int i = 1; i < argc; i++)
        status = file_tell(argv[i]) == EXIT_SUCCESS ? status : EXIT_FAILURE;
    return status;
}
