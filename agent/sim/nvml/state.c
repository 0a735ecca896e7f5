// The state file and the board beside it: read again as soon as either says that something has changed.
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>
#include "board.h"
#include "sim.h"

enum { LARGEST = 16 << 20 };
static const double LOOK_EVERY_S = 0.002;  // for a change made by hand; one made by the agent rings the bell

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static struct host *host;
static struct board *board;
static struct stat seen;
static u64 rung, generation;
static double looked;
static int clients;
static char library[80];

void lock_state(void) { pthread_mutex_lock(&mutex); }
void unlock_state(void) { pthread_mutex_unlock(&mutex); }

static double seconds(clockid_t clock) {
    struct timespec t;
    clock_gettime(clock, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

double wall(void) { return seconds(CLOCK_REALTIME); }

void pause_for(double left) {
    if (!(left > 0)) return;
    if (left > 1e9) left = 1e9;
    struct timespec t = {(time_t)left, (long)((left - (double)(time_t)left) * 1e9)};
    while (nanosleep(&t, &t) != 0) continue;
}

// The file we were loaded from says which version we are: libnvidia-ml.so.580.95.05. An upgrade on disk does not change it.
__attribute__((constructor)) static void know_thyself(void) {
    static const char NAME[] = "/libnvidia-ml.so.";
    char real[PATH_MAX];
    Dl_info about;
    if (!dladdr((void *)library, &about) || !about.dli_fname || !realpath(about.dli_fname, real)) return;
    const char *found = strstr(real, NAME);
    if (found && strchr(found + sizeof NAME - 1, '.')) snprintf(library, sizeof library, "%.79s", found + sizeof NAME - 1);
}

// The board is created by whoever comes first. A client that may not write counts for itself alone.
static void *map_board(const char *path) {
    char name[4096 + 8];
    snprintf(name, sizeof name, "%s.board", path);
    int fd = open(name, O_RDWR | O_CREAT | O_CLOEXEC, 0644);
    if (fd >= 0 && ftruncate(fd, sizeof *board) != 0) {
        close(fd);
        fd = -1;
    }
    int flags = fd >= 0 ? MAP_SHARED : MAP_PRIVATE | MAP_ANONYMOUS;
    void *map = mmap(NULL, sizeof *board, PROT_READ | PROT_WRITE, flags, fd, 0);
    if (fd >= 0) close(fd);
    return map == MAP_FAILED ? NULL : map;
}

static char *read_all(int fd, size_t size) {
    char *text = malloc(size + 1);
    size_t got = 0;
    ssize_t part;
    while (text && got < size && (part = read(fd, text + got, size - got)) > 0) got += (size_t)part;
    if (text && got < size) {
        free(text);
        return NULL;
    }
    return text;
}

static int same(const struct stat *a, const struct stat *b) {
    return a->st_ino == b->st_ino && a->st_dev == b->st_dev && a->st_size == b->st_size &&
           a->st_mtim.tv_sec == b->st_mtim.tv_sec && a->st_mtim.tv_nsec == b->st_mtim.tv_nsec;
}

// A file that cannot be read or is no JSON leaves the last good state in force.
static void load(const char *path) {
    struct stat now;
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) return;
    if (fstat(fd, &now) == 0 && S_ISREG(now.st_mode) && now.st_size <= LARGEST) {
        char *text = read_all(fd, (size_t)now.st_size);
        struct host *fresh = text ? load_host(text, (size_t)now.st_size) : NULL;
        free(text);
        if (fresh) {
            free_host(host);
            host = fresh;
            generation++;
        }
        seen = now;
    }
    close(fd);
}

static int stale(const char *path) {
    u64 bell = board ? __atomic_load_n(&board->generation, __ATOMIC_ACQUIRE) : 0;
    double now = seconds(CLOCK_MONOTONIC);
    struct stat current;
    if (host && bell == rung && now - looked < LOOK_EVERY_S) return 0;
    int answer = bell != rung || !host || (stat(path, &current) == 0 && !same(&current, &seen));
    rung = bell;
    looked = now;
    return answer;
}

// The state of this moment, or NULL where there is none. Call it locked.
struct host *host_now(u64 *number) {
    static char path[4096];
    if (!*path) snprintf(path, sizeof path, "%s", getenv("ANFL_SIM_GPU") ? getenv("ANFL_SIM_GPU") : "");
    if (!*path) return NULL;
    if (!board) board = map_board(path);
    if (stale(path)) load(path);
    if (host && !*library) snprintf(library, sizeof library, "%s", host->library);
    if (number) *number = generation;
    return host;
}

int begin_client(void) { return ++clients; }
int end_client(void) { return clients > 0 ? --clients : 0; }
int client_ready(void) { return clients > 0; }
// By the file's name, else as the state said when this process first read it.
const char *client_library(void) { return library; }

void count_call(enum call call) {
    if (!board) return;
    __atomic_add_fetch(&board->calls, 1, __ATOMIC_RELAXED);
    __atomic_add_fetch(&board->call[call], 1, __ATOMIC_RELAXED);
}

// The place of a fault's hits on the board, made if there is none; NULL if the board is full.
static u64 *hits_of(u64 key) {
    for (unsigned i = 0; i < BOARD_FAULTS; i++)
        if (__atomic_load_n(&board->fault[i].key, __ATOMIC_ACQUIRE) == key) return &board->fault[i].hits;
    for (unsigned i = 0; i < BOARD_FAULTS; i++) {
        u64 found = 0;
        if (__atomic_compare_exchange_n(&board->fault[i].key, &found, key, 0, __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE) || found == key)
            return &board->fault[i].hits;
    }
    return NULL;
}

// How often this fault has been met, this time included; every process counts together.
u64 count_hit(const struct fault *fault) {
    u64 *hits = board ? hits_of(fault->key) : NULL;
    return hits ? __atomic_add_fetch(hits, 1, __ATOMIC_ACQ_REL) : 1;
}
