/* SPDX-License-Identifier: MIT */
/* Gives a fuzzer's function each file of the folders that are named, once: the corpus as an ordinary test, with any compiler. */
#include <dirent.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *octets, size_t length);

static int replay_file(const char *folder, const char *name)
{
    char path[4096];
    static uint8_t room[1 << 20];
    snprintf(path, sizeof(path), "%s/%s", folder, name);
    FILE *file = fopen(path, "rb");
    if (!file)
        return 0;
    size_t length = fread(room, 1, sizeof(room), file);
    fclose(file);
    uint8_t *exact = malloc(length ? length : 1);
    for (size_t i = 0; i < length; i++)
        exact[i] = room[i];
    LLVMFuzzerTestOneInput(exact, length);
    free(exact);
    return 1;
}

int main(int count, char **folders)
{
    int files = 0;
    for (int i = 1; i < count; i++) {
        DIR *folder = opendir(folders[i]);
        for (struct dirent *entry; folder && (entry = readdir(folder));)
            if (entry->d_name[0] != '.')
                files += replay_file(folders[i], entry->d_name);
        if (folder)
            closedir(folder);
    }
    printf("%d files\n", files);
    return files == 0;
}
