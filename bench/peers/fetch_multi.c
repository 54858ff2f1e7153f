/* SPDX-License-Identifier: MIT */
/*
 * fetch_multi N: fetches the addresses that its standard input has, N at once, by libcurl's multi interface in its fastest form: one
 * thread, one loop of curl_multi_poll. Prints a line for each.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <curl/curl.h>

static size_t take(char *octets, size_t one, size_t count, void *data)
{
    (void)octets;
    *(size_t *)data += one * count;
    return one * count;
}

/* Has the handle fetch the next address; false: there are no more. */
static int fetch_next(CURLM *multi, CURL *easy)
{
    char line[4096], *octets = NULL;
    if (!fgets(line, sizeof(line), stdin))
        return 0;
    line[strcspn(line, "\n")] = 0;
    curl_easy_getinfo(easy, CURLINFO_PRIVATE, &octets);
    *(size_t *)(void *)octets = 0;
    curl_easy_setopt(easy, CURLOPT_URL, line);
    curl_multi_add_handle(multi, easy);
    return 1;
}

static void fetch_done(CURLM *multi, CURL *easy, CURLcode result)
{
    char *url = NULL, *octets = NULL;
    long status = 0;
    curl_easy_getinfo(easy, CURLINFO_EFFECTIVE_URL, &url);
    curl_easy_getinfo(easy, CURLINFO_RESPONSE_CODE, &status);
    curl_easy_getinfo(easy, CURLINFO_PRIVATE, &octets);
    if (result == CURLE_OK)
        printf("%s\t%ld\t%zu bytes\n", url, status, *(size_t *)(void *)octets);
    else
        printf("%s\t%s\n", url, curl_easy_strerror(result));
    curl_multi_remove_handle(multi, easy);
}

int main(int argc, char **argv)
{
    int together = argc > 1 ? atoi(argv[1]) : 1, running = 0, left;
    curl_global_init(CURL_GLOBAL_DEFAULT);
    CURLM *multi = curl_multi_init();
    CURL **handles = calloc((size_t)together, sizeof(*handles));
    size_t *octets = calloc((size_t)together, sizeof(*octets));
    curl_multi_setopt(multi, CURLMOPT_MAXCONNECTS, (long)together);
    for (int i = 0; i < together; i++) {
        handles[i] = curl_easy_init();
        curl_easy_setopt(handles[i], CURLOPT_WRITEFUNCTION, take);
        curl_easy_setopt(handles[i], CURLOPT_WRITEDATA, &octets[i]);
        curl_easy_setopt(handles[i], CURLOPT_PRIVATE, &octets[i]);
        curl_easy_setopt(handles[i], CURLOPT_NOSIGNAL, 1L);
        running += fetch_next(multi, handles[i]);
    }
    while (running > 0) {
        CURLMsg *message;
        int still;
        curl_multi_perform(multi, &still);
        while ((message = curl_multi_info_read(multi, &left))) {
            CURL *easy = message->easy_handle;
            fetch_done(multi, easy, message->data.result);
            running -= !fetch_next(multi, easy);
        }
        if (running > 0)
            curl_multi_poll(multi, NULL, 0, 1000, NULL);
    }
    for (int i = 0; i < together; i++)
        curl_easy_cleanup(handles[i]);
    curl_multi_cleanup(multi);
    free(handles);
    free(octets);
    return 0;
}
