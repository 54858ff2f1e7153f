/* SPDX-License-Identifier: MIT */
/*
 * The key, and the proof that a peer knows it. Who accepted challenges first, then who dialled; each challenge is answered by a keyed
 * digest of it.
 *
 * Our challenges name SHA-256. Python before 3.12 answers any with a bare HMAC-MD5 and knows no other, and challenges with 20 octets, to
 * which that is the answer; both are refused with `sha256_only`. An answer's length is looked at before its first octet: a bare digest may
 * begin with anything. Copies of the key are wiped. Nothing here says or writes what a key is.
 */

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

#include "base/memory.h"
#include "connection/connection.h"
#include "connection/digest.h"

enum { KEY_MOST = 1 << 16, MESSAGE_MOST = 256, RANDOM = 40, OLD_CHALLENGE = 20, BARE_MD5 = 16 };

static const char challenge_word[] = "#CHALLENGE#", welcome_word[] = "#WELCOME#", failure_word[] = "#FAILURE#";
static const char ours[] = "{sha256}";
static const char *const digest_names[WEFTI_DIGESTS] = {"{md5}", "{sha256}", "{sha384}", "{sha3_256}", "{sha3_384}"};

static int key_copy(struct wefti_key *key, const void *octets, size_t length)
{
    if (length > KEY_MOST) {
        errno = EFBIG;
        return -1;
    }
    key->octets = wefti_alloc(length + 1);
    key->length = length;
    if (!key->octets)
        return -1;
    if (length)
        memcpy(key->octets, octets, length);
    return 0;
}

static int key_read(struct wefti_key *key, const char *path)
{
    char *room = wefti_alloc_raw(KEY_MOST + 2);
    int file = room ? open(path, O_RDONLY | O_CLOEXEC) : -1;
    size_t length = 0;
    ssize_t got = file < 0 ? -1 : 1;
    while (got > 0 && length < KEY_MOST + 2) {
        got = read(file, room + length, KEY_MOST + 2 - length);
        length += got > 0 ? (size_t)got : 0;
    }
    int result = got < 0 ? -1 : key_copy(key, room, length && room[length - 1] == '\n' ? length - 1 : length);
    int error = errno;
    if (file >= 0)
        close(file);
    if (room)
        explicit_bzero(room, KEY_MOST + 2);
    wefti_release(room);
    errno = error;
    return result;
}

int wefti_key_take(struct wefti_key *key, const struct weft_connection_options *options)
{
    int given = (options->key != NULL) + (options->key_file != NULL) + (options->key_variable != NULL);
    *key = (struct wefti_key){.sha256_only = options->sha256_only};
    if (given > 1) {
        errno = EINVAL;
        return -1;
    }
    if (given == 0)
        return 0;
    if (!wefti_digest_offered())
        return -1;
    if (options->key_file)
        return key_read(key, options->key_file);
    const char *variable = options->key_variable ? getenv(options->key_variable) : NULL;
    if (options->key_variable && !variable) {
        errno = ENODATA;
        return -1;
    }
    return variable ? key_copy(key, variable, strlen(variable)) : key_copy(key, options->key, options->key_length);
}

void wefti_key_wipe(struct wefti_key *key)
{
    if (key->octets)
        explicit_bzero(key->octets, key->length);
    wefti_release(key->octets);
    key->octets = NULL;
}

static int refuse(void)
{
    errno = EACCES;
    return -1;
}

/* Which digest's name a text begins with; WEFTI_DIGESTS: none's. */
static enum wefti_digest digest_named(const void *text, size_t length)
{
    enum wefti_digest digest = WEFTI_MD5;
    while (digest < WEFTI_DIGESTS &&
           (length < strlen(digest_names[digest]) || memcmp(text, digest_names[digest], strlen(digest_names[digest])) != 0))
        digest++;
    return digest;
}

static bool message_is(const struct weft_connection *connection, const char *word)
{
    return connection->body.length == strlen(word) && memcmp(connection->body.octets, word, strlen(word)) == 0;
}

/* What proves to whoever sent this challenge that we know the key: how many octets; 0: there is no such answer. */
size_t wefti_key_answer(const struct wefti_key *key, const char *challenge, size_t length, unsigned char answer[WEFTI_PROOF_MOST])
{
    enum wefti_digest digest = length == OLD_CHALLENGE ? WEFTI_MD5 : digest_named(challenge, length);
    if (digest == WEFTI_DIGESTS || (digest == WEFTI_MD5 && key->sha256_only))
        return 0;
    size_t named = length == OLD_CHALLENGE ? 0 : strlen(digest_names[digest]);
    memcpy(answer, digest_names[digest], named);
    size_t mac = wefti_digest_mac(digest, key->octets, key->length, challenge, length, answer + named);
    return mac ? named + mac : 0;
}

static int answer(struct weft_connection *connection, const struct wefti_key *key, weft_time deadline)
{
    size_t word = strlen(challenge_word);
    unsigned char made[WEFTI_PROOF_MOST];
    if (wefti_frame_receive(connection, MESSAGE_MOST, deadline) != 0)
        return -1;
    if (connection->body.length < word || memcmp(connection->body.octets, challenge_word, word) != 0)
        return refuse();
    size_t length = wefti_key_answer(key, connection->body.octets + word, connection->body.length - word, made);
    if (length == 0)
        return refuse();
    if (wefti_frame_send(connection, made, length, deadline) != 0 || wefti_frame_receive(connection, MESSAGE_MOST, deadline) != 0)
        return -1;
    return message_is(connection, welcome_word) ? 0 : refuse();
}

bool wefti_key_holds(const struct wefti_key *key, const char *challenge, size_t length, const char *given, size_t given_length)
{
    unsigned char mac[WEFTI_DIGEST_MOST];
    bool bare = given_length == BARE_MD5 || given_length == OLD_CHALLENGE;
    enum wefti_digest digest = bare ? WEFTI_MD5 : digest_named(given, given_length);
    if (digest == WEFTI_DIGESTS || (digest == WEFTI_MD5 && key->sha256_only))
        return false;
    size_t named = bare ? 0 : strlen(digest_names[digest]);
    size_t mac_length = wefti_digest_mac(digest, key->octets, key->length, challenge, length, mac);
    return mac_length > 0 && given_length - named == mac_length && wefti_digest_same(given + named, mac, mac_length);
}

static int challenge(struct weft_connection *connection, const struct wefti_key *key, weft_time deadline)
{
    char message[sizeof(challenge_word) + sizeof(ours) + RANDOM];
    size_t word = strlen(challenge_word), length = word + strlen(ours) + RANDOM;
    memcpy(message, challenge_word, word);
    memcpy(message + word, ours, strlen(ours));
    if (getrandom(message + word + strlen(ours), RANDOM, 0) != RANDOM)
        return -1;
    if (wefti_frame_send(connection, message, length, deadline) != 0 || wefti_frame_receive(connection, MESSAGE_MOST, deadline) != 0)
        return -1;
    if (wefti_key_holds(key, message + word, length - word, connection->body.octets, connection->body.length))
        return wefti_frame_send(connection, welcome_word, strlen(welcome_word), deadline);
    wefti_frame_send(connection, failure_word, strlen(failure_word), deadline);
    return refuse();
}

int wefti_key_prove(struct weft_connection *connection, const struct wefti_key *key, bool accepted, weft_time deadline)
{
    if (!key->octets)
        return 0;
    if (accepted)
        return challenge(connection, key, deadline) == 0 ? answer(connection, key, deadline) : -1;
    return answer(connection, key, deadline) == 0 ? challenge(connection, key, deadline) : -1;
}
