/* A gateway that does what it must not, for the red twins of the power rig; loaded
 * before libc. HOOKFAN_SYNC=skip: fdatasync says yes and does nothing. HOOKFAN_SYNC=retry:
 * a failed fdatasync is tried again and its second answer believed. */

#define _GNU_SOURCE
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

int fdatasync(int fd) {
    const char *how = getenv("HOOKFAN_SYNC");
    if (how != NULL && strcmp(how, "skip") == 0) {
        return 0;
    }
    long answer = syscall(SYS_fdatasync, fd);
    if (answer != 0 && how != NULL && strcmp(how, "retry") == 0) {
        answer = syscall(SYS_fdatasync, fd);
    }
    return (int)answer;
}
