/* SPDX-License-Identifier: MIT */
/*
 * `weft fetch`: many pages at once, by libcurl's blocking calls in patched coroutines of one thread. A program of its own, weft-fetch,
 * which `weft fetch` becomes: so no other command loads libcurl.
 *
 * Each coroutine takes the next address, fetches it, tells what came of it, until there are none. What they share needs no lock: they are
 * one thread's, and none of them waits while it changes that. But the list of files that are being written is another thread's, too, which
 * removes them when a signal is to end the program: that thread of the coroutines may be held up, by whoever reads what it prints.
 */
#include <ctype.h>
#include <errno.h>
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <unistd.h>

#include <curl/curl.h>
#include <weft.h>

#include "complain.h"
#include "descriptors.h"
#include "run_json.h"
#include "text.h"

enum { FETCHERS = 32, FETCHERS_MOST = 10000, NAME_MOST = 150, STACK = 256 * 1024 };

struct fetch_options {
    long jobs, retries;
    double timeout; /* seconds; 0: none */
    const char *output;
    bool json;
};

/* Links found so far: "<a" and a space, and before the next ">" the word href. */
struct links {
    size_t count;
    unsigned matched; /* octets of the word that is looked for */
    bool inside;      /* in such a tag: the word is href */
};

/* One address being fetched. */
struct page {
    const char *url;
    size_t number; /* in the order in which they were given, from 1 */
    long status;
    long long octets;
    struct links links;
    double seconds;
    unsigned tries;
    FILE *file; /* NULL: not kept; else the page is in the list */
    struct page *previous, *next;
    char reason[CURL_ERROR_SIZE + 64]; /* why it failed; "": it did not */
};

static struct fetch_options options = {.jobs = FETCHERS};
static char **urls;
static size_t urls_count, urls_room, urls_next, urls_done, urls_failed;
static bool bar_wanted;
static struct page *files; /* pages with a file that is not whole yet; the lock is held while a file comes, or gets its name */
static weft_lock files_lock;

static void url_add(const char *url)
{
    if (urls_count == urls_room) {
        urls_room = urls_room ? urls_room * 2 : 64;
        urls = memory_resize(urls, urls_room * sizeof(*urls));
    }
    urls[urls_count] = memory_get(strlen(url) + 1);
    strcpy(urls[urls_count++], url);
}

/* The address in a line of a file, if there is one. */
static void line_take(char *line, size_t length)
{
    while (length > 0 && isspace((unsigned char)line[length - 1]))
        line[--length] = 0;
    while (isspace((unsigned char)*line))
        line++;
    if (*line && *line != '#')
        url_add(line);
}

static int urls_read(const char *name)
{
    bool standard = strcmp(name, "-") == 0;
    FILE *file = standard ? stdin : fopen(name, "re");
    char *line = NULL;
    size_t room = 0;
    if (!file)
        return -1;
    for (ssize_t length; (length = getline(&line, &room, file)) >= 0;)
        line_take(line, (size_t)length);
    int failed = ferror(file) ? -1 : 0, error = errno;
    free(line);
    if (!standard)
        fclose(file);
    errno = error;
    return failed;
}

/* One octet more of the page. */
static void links_see(struct links *links, char octet)
{
    static const char open[] = "<a", href[] = "href";
    const char *word = links->inside ? href : open;
    unsigned length = links->inside ? 4 : 2;
    if (links->inside && octet == '>') {
        *links = (struct links){.count = links->count};
    } else if (links->matched == length) { /* what follows the word tells */
        links->matched = 0;
        if (links->inside && (octet == '=' || isspace((unsigned char)octet)))
            *links = (struct links){.count = links->count + 1};
        else
            links->inside = links->inside || isspace((unsigned char)octet);
    } else if (tolower((unsigned char)octet) == word[links->matched]) {
        links->matched++;
    } else {
        links->matched = octet == word[0];
    }
}

static size_t page_take(char *octets, size_t one, size_t count, void *data)
{
    struct page *page = data;
    size_t size = one * count;
    for (size_t i = 0; i < size; i++)
        links_see(&page->links, octets[i]);
    page->octets += (long long)size;
    return page->file && fwrite(octets, 1, size, page->file) != size ? 0 : size;
}

/* The file that a page is kept in: its number, and what of its address can be in a name. */
static void page_name(const struct page *page, const char *suffix, char *name, size_t room)
{
    char part[NAME_MOST + 1];
    const char *from = strstr(page->url, "://");
    size_t length = 0;
    for (from = from ? from + 3 : page->url; *from && length < NAME_MOST; from++)
        part[length++] = isalnum((unsigned char)*from) || strchr(".-", *from) ? *from : '_';
    part[length] = 0;
    snprintf(name, room, "%s/%05zu-%s%s", options.output, page->number, part, suffix);
}

static void page_link(struct page *page)
{
    page->previous = NULL;
    page->next = files;
    if (files)
        files->previous = page;
    files = page;
}

static void page_unlink(struct page *page)
{
    *(page->previous ? &page->previous->next : &files) = page->next;
    if (page->next)
        page->next->previous = page->previous;
}

static bool page_file_open(struct page *page)
{
    char name[4096];
    if (!options.output)
        return true;
    page_name(page, ".part", name, sizeof(name));
    weft_with (&files_lock)
        if ((page->file = fopen(name, "we")))
            page_link(page);
    if (!page->file)
        snprintf(page->reason, sizeof(page->reason), "cannot write %.100s: %s", name, strerror(errno));
    return page->file != NULL;
}

/* Gives the file its name, if all is well so far, or removes it. */
static void page_file_end(struct page *page, const char *part, const char *name)
{
    bool whole = fclose(page->file) == 0;
    page->file = NULL;
    page_unlink(page);
    if (!page->reason[0] && (!whole || rename(part, name) != 0))
        snprintf(page->reason, sizeof(page->reason), "cannot write %.100s: %s", name, strerror(errno));
    if (page->reason[0])
        unlink(part);
}

/* Keeps the file, under its name, or not. */
static void page_file_close(struct page *page)
{
    char part[4096], name[4096];
    if (!page->file)
        return;
    page_name(page, ".part", part, sizeof(part));
    page_name(page, "", name, sizeof(name));
    weft_with (&files_lock)
        page_file_end(page, part, name);
}

/* A thread: waits for the signal that ends the program, and leaves nothing behind that is half there. */
static weft_value interrupted(weft_value pointer)
{
    char part[4096];
    struct weft_signal caught;
    weft_signals *signals = weft_as_ptr(pointer);
    if (weft_signals_wait(signals, &caught, WEFT_FOREVER) != 0 || weft_lock_acquire(&files_lock, WEFT_FOREVER) < 0)
        return weft_none;
    for (struct page *page = files; page; page = page->next) { /* there will be no other: the lock is not given back */
        page_name(page, ".part", part, sizeof(part));
        unlink(part);
    }
    weft_signals_free(signals);
    raise(caught.number); /* and does what it always does */
    return weft_none;
}

/* Those of the signals that end a program which end this one: who started it may have them ignored (nohup). */
static size_t interruptions_find(int *numbers)
{
    static const int all[] = {SIGINT, SIGTERM, SIGHUP, SIGPIPE};
    struct sigaction now;
    size_t count = 0;
    for (size_t i = 0; i < sizeof(all) / sizeof(*all); i++)
        if (sigaction(all[i], NULL, &now) == 0 && now.sa_handler != SIG_IGN)
            numbers[count++] = all[i];
    return count;
}

/* Before there are other threads, which are to leave the signals to that one. */
static void interruptions_begin(void)
{
    int numbers[4];
    size_t count = interruptions_find(numbers);
    if (count == 0)
        return;
    weft_signals *signals = weft_signals_new_with(numbers, count);
    weft_task *task = signals ? weft_spawn(WEFT_THREAD, interrupted, weft_ptr(signals), .name = "Interrupted", .daemon = true) : NULL;
    if (!task)
        give_up("cannot wait for signals: %s", strerror(errno));
    weft_task_free(task);
}

/* One try. True: another may do better. */
static bool page_try(struct page *page, CURL *easy)
{
    char said[CURL_ERROR_SIZE] = "";
    page->octets = 0;
    page->status = 0;
    page->links = (struct links){0};
    page->reason[0] = 0;
    page->tries++;
    if (!page_file_open(page))
        return false;
    curl_easy_setopt(easy, CURLOPT_URL, page->url);
    curl_easy_setopt(easy, CURLOPT_WRITEDATA, page);
    curl_easy_setopt(easy, CURLOPT_ERRORBUFFER, said);
    CURLcode code = curl_easy_perform(easy);
    curl_easy_setopt(easy, CURLOPT_ERRORBUFFER, NULL);
    curl_easy_getinfo(easy, CURLINFO_RESPONSE_CODE, &page->status);
    if (code != CURLE_OK)
        snprintf(page->reason, sizeof(page->reason), "%s", said[0] ? said : curl_easy_strerror(code));
    else if (page->status >= 400)
        snprintf(page->reason, sizeof(page->reason), "the server answered %ld", page->status);
    page_file_close(page);
    bool hopeless = code == CURLE_UNSUPPORTED_PROTOCOL || code == CURLE_URL_MALFORMAT || code == CURLE_WRITE_ERROR;
    return (code != CURLE_OK && !hopeless) || page->status >= 500 || page->status == 429;
}

static void page_fetch(struct page *page, CURL *easy)
{
    weft_time begin = weft_clock();
    double pause = 0.1;
    while (page_try(page, easy) && page->tries <= options.retries) {
        weft_sleep(pause);
        pause = pause < 5 ? pause * 2 : pause;
    }
    page->seconds = (double)(weft_clock() - begin) / 1e9;
}

static void bar_clear(void)
{
    if (bar_wanted)
        fputs("\r\033[K", stderr);
}

static void bar_draw(void)
{
    char line[41];
    size_t filled = urls_done * 40 / urls_count;
    if (!bar_wanted)
        return;
    memset(line, '.', 40);
    memset(line, '#', filled);
    line[40] = 0;
    fprintf(stderr, "\r[%s] %zu of %zu, %zu failed", line, urls_done, urls_count, urls_failed);
}

static void page_tell_json(const struct page *page)
{
    struct text out = {0};
    text_add_string(&out, "{\"url\": ");
    run_json_add_string(&out, span_of(page->url));
    text_format(&out, ", \"status\": %ld, \"bytes\": %lld, \"links\": %zu, \"seconds\": %.3f, \"tries\": %u, \"error\": ", page->status,
        page->octets, page->links.count, page->seconds, page->tries);
    if (page->reason[0])
        run_json_add_string(&out, span_of(page->reason));
    else
        text_add_string(&out, "null");
    text_add_char(&out, '}');
    puts(text_string(&out));
    text_free(&out);
}

static void page_tell(const struct page *page)
{
    urls_done++;
    urls_failed += page->reason[0] != 0;
    bar_clear();
    errno = 0;
    if (options.json)
        page_tell_json(page);
    else if (page->reason[0])
        printf("%s\tfailed: %s\n", page->url, page->reason);
    else
        printf("%s\t%ld\t%lld bytes\t%zu links\t%.3f s\n", page->url, page->status, page->octets, page->links.count, page->seconds);
    if (errno == EPIPE && ferror(stdout))
        kill(getpid(), SIGPIPE); /* nobody reads it any more: see interrupted, who waits for the process's signals, not for this thread's */
    bar_draw();
}

static CURL *easy_new(void)
{
    CURL *easy = curl_easy_init();
    if (!easy)
        return NULL;
    curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, page_take);
    curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(easy, CURLOPT_FOLLOWLOCATION, 1L);
    curl_easy_setopt(easy, CURLOPT_MAXREDIRS, 10L);
    curl_easy_setopt(easy, CURLOPT_ACCEPT_ENCODING, "");
    curl_easy_setopt(easy, CURLOPT_PROTOCOLS_STR, "http,https");
    curl_easy_setopt(easy, CURLOPT_USERAGENT, "weft/" WEFT_VERSION);
    curl_easy_setopt(easy, CURLOPT_TIMEOUT_MS, (long)(options.timeout * 1000));
    return easy;
}

static weft_value fetcher_main(weft_value none)
{
    CURL *easy = easy_new();
    while (easy && urls_next < urls_count) {
        struct page page = {.url = urls[urls_next], .number = urls_next + 1};
        urls_next++;
        page_fetch(&page, easy);
        page_tell(&page);
    }
    curl_easy_cleanup(easy);
    return none;
}

static int fetch_all(void)
{
    size_t count = (size_t)options.jobs < urls_count ? (size_t)options.jobs : urls_count, started = 0;
    weft_task **fetchers = memory_get((count + 1) * sizeof(weft_task *));
    while (started < count && (fetchers[started] = weft_spawn(WEFT_COROUTINE, fetcher_main, weft_none, .stack_size = STACK)))
        started++;
    if (started == 0)
        give_up("no coroutine could be started: %s", strerror(errno));
    bar_draw();
    for (size_t i = 0; i < started; i++) {
        weft_task_join(fetchers[i], WEFT_FOREVER);
        weft_task_free(fetchers[i]);
    }
    free(fetchers);
    bar_clear();
    if (urls_done < urls_count)
        give_up("%zu were not fetched, for want of memory", urls_count - urls_done);
    return urls_failed ? EXIT_FAILURE : EXIT_SUCCESS;
}

static void fetch_help(void)
{
    printf("Usage: weft fetch [OPTION]... [URL]...\n"
           "Fetches pages, many at once, and prints a line for each when it is there: its address, the status, how many bytes it has and\n"
           "how many links, and how long it took; or why it failed.\n\n"
           "  -j, --jobs N       so many at once (%d)\n"
           "  -a, --arg-file F   also the addresses in this file, one a line; - is standard input\n"
           "      --output DIR   keeps the pages there\n"
           "      --retries N    tries again so often what failed (0)\n"
           "      --timeout S    a try takes at most so many seconds (any time, but 300 for the connection)\n"
           "      --json         a line of JSON for each\n"
           "  -h, --help         this\n",
        FETCHERS);
}

static double number_read(const char *option, const char *word, double least, double most)
{
    char *after;
    double number = strtod(word, &after);
    if (after == word || *after || !(number >= least && number <= most))
        give_up("--%s wants a number from %g to %g, and not '%s'", option, least, most, word);
    return number;
}

static long count_read(const char *option, const char *word, double least, double most)
{
    double number = number_read(option, word, least, most);
    if (number > (double)(long)number)
        give_up("--%s wants a whole number, and not '%s'", option, word);
    return (long)number;
}

static void folder_make(const char *folder)
{
    struct stat about;
    if (mkdir(folder, 0777) != 0 && errno != EEXIST)
        give_up("cannot make the folder %s: %s", folder, strerror(errno));
    if (stat(folder, &about) == 0 && !S_ISDIR(about.st_mode))
        give_up("%s is no folder", folder);
    if (access(folder, W_OK | X_OK) != 0)
        give_up("cannot write into the folder %s: %s", folder, strerror(errno));
    options.output = folder;
}

enum { OPTION_OUTPUT = 256, OPTION_RETRIES, OPTION_TIMEOUT, OPTION_JSON };

static void option_take(int code, char **argv)
{
    switch (code) {
    case 'j':
        options.jobs = count_read("jobs", optarg, 1, FETCHERS_MOST);
        break;
    case 'a':
        if (urls_read(optarg) != 0)
            give_up("cannot read %s: %s", optarg, strerror(errno));
        break;
    case OPTION_OUTPUT:
        folder_make(optarg);
        break;
    case OPTION_RETRIES:
        options.retries = count_read("retries", optarg, 0, 1000);
        break;
    case OPTION_TIMEOUT:
        options.timeout = number_read("timeout", optarg, 0.001, 1e6);
        break;
    case OPTION_JSON:
        options.json = true;
        break;
    case 'h':
        fetch_help();
        exit(EXIT_SUCCESS);
    default:
        give_up("%s %s; weft fetch --help lists them", code == ':' ? "no value for" : "unknown option", argv[optind - 1]);
    }
}

int main(int argc, char **argv)
{
    static const struct option rows[] = {{"jobs", required_argument, NULL, 'j'}, {"arg-file", required_argument, NULL, 'a'},
        {"output", required_argument, NULL, OPTION_OUTPUT}, {"retries", required_argument, NULL, OPTION_RETRIES},
        {"timeout", required_argument, NULL, OPTION_TIMEOUT}, {"json", no_argument, NULL, OPTION_JSON}, {"help", no_argument, NULL, 'h'},
        {0}};
    complain_as("weft fetch");
    opterr = 0;
    for (int code; (code = getopt_long(argc, argv, ":j:a:h", rows, NULL)) != -1;)
        option_take(code, argv);
    for (int i = optind; i < argc; i++)
        url_add(argv[i]);
    if (urls_count == 0)
        give_up("no addresses; weft fetch --help says how to give them");
    bar_wanted = isatty(STDERR_FILENO);
    setvbuf(stdout, NULL, _IOLBF, 0); /* who reads it hears of each page when it is there */
    descriptors_allow();
    if (options.output)
        interruptions_begin();
    curl_global_init(CURL_GLOBAL_DEFAULT);
    weft_patch();
    int status = fetch_all();
    curl_global_cleanup();
    return fflush(stdout) == 0 && !ferror(stdout) ? status : EXIT_FAILURE;
}
