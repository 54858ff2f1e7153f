/* SPDX-License-Identifier: MIT */
/* A thread of the library's own begins with all signals blocked: they are inherited, so its starter has them blocked meanwhile. */

#include "base/servant.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>

#include "base/memory.h"

int wefti_servant_start(void *(*main)(void *data), void *data)
{
    pthread_t thread;
    pthread_attr_t attributes;
    sigset_t all, old;
    if (wefti_fails())
        return EAGAIN;
    pthread_attr_init(&attributes);
    pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &old);
    int error = pthread_create(&thread, &attributes, main, data);
    pthread_sigmask(SIG_SETMASK, &old, NULL);
    pthread_attr_destroy(&attributes);
    return error;
}
