// The state file's text to a struct host. What the file does not say, or says as null, this board does not have.
#include <fnmatch.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "json.h"
#include "keys.h"
#include "sim.h"

#define CALL(name) #name,
static const char *const CALL_NAME[] = {EVERY_CALL};
#undef CALL

static const char *const CURVES[] = {"", "constant", "sine", "ramp", "grow", "steps", "burst", NULL};
static const char *const ERRORS[] = {"", "UNINITIALIZED", "INVALID_ARGUMENT", "NOT_SUPPORTED", "NO_PERMISSION", "",
    "NOT_FOUND", "INSUFFICIENT_SIZE", "INSUFFICIENT_POWER", "DRIVER_NOT_LOADED", "TIMEOUT", "IRQ_ISSUE", "LIBRARY_NOT_FOUND",
    "FUNCTION_NOT_FOUND", "CORRUPTED_INFOROM", "GPU_IS_LOST", "RESET_REQUIRED", "OPERATING_SYSTEM", "LIB_RM_VERSION_MISMATCH",
    "IN_USE", "MEMORY", "NO_DATA", "", "INSUFFICIENT_RESOURCES", "", "ARGUMENT_VERSION_MISMATCH", "", "NOT_READY",
    "GPU_NOT_FOUND", "INVALID_STATE", NULL};

static void copy(char *out, size_t size, const char *text) {
    snprintf(out, size, "%s", text ? text : "");
}

// A count, an id or a code; what a person may have written is brought into its range.
static u64 count_of(const struct json *node, const char *path, u64 otherwise, double most) {
    double value = json_number(node, path, -1);
    return !(value >= 0) ? otherwise : value > most ? (u64)most : (u64)value;
}

static int word_index(const char *const *words, const char *text) {
    for (int i = 0; words && words[i]; i++)
        if (*words[i] && strcmp(words[i], text) == 0) return i;
    return -1;
}

struct block {
    struct block *next;
    max_align_t content[];
};

// Zeroed memory that lives as long as the host; NULL for nothing.
static void *room(struct host *host, size_t count, size_t size) {
    if (!count) return NULL;
    struct block *block = calloc(1, sizeof *block + count * size);
    if (!block) return NULL;
    block->next = host->blocks;
    host->blocks = block;
    return block->content;
}

// A file being read: the host it fills, and the moment that curves without their own count from.
struct load {
    struct host *host;
    double since;
};

static void load_steps(struct load *load, struct number *n, const struct json *list) {
    double *step = room(load->host, list ? 2 * (size_t)list->children : 0, sizeof *step);
    for (const struct json *pair = step ? list->child : NULL; pair; pair = pair->next) {
        if (pair->type != JSON_LIST || pair->children != 2) continue;
        step[2 * n->steps] = pair->child->number;
        step[2 * n->steps++ + 1] = pair->child->next->number;
    }
    n->step = step;
    if (n->steps == 0) n->kind = KIND_NONE;
}

static void load_curve(struct load *load, struct number *n, const struct json *node) {
    static const char *const A[] = {"", "value", "low", "from", "from", "", "low"};
    static const char *const B[] = {"", "", "high", "to", "per_second", "", "high"};
    static const char *const C[] = {"", "", "period", "seconds", "", "repeat", "every"};
    static const char *const D[] = {"", "", "phase", "", "", "", "for"};
    const char *curve = json_text(node, "curve");
    int kind = word_index(CURVES, curve ? curve : "constant");
    n->kind = kind > 0 ? (enum kind)kind : KIND_NONE;
    n->since = json_number(node, "since", load->since);
    n->base = json_number(node, "base", 0);
    n->noise = json_number(node, "noise", 0);
    n->a = json_number(node, A[n->kind], 0);
    n->b = json_number(node, B[n->kind], 0);
    n->c = json_number(node, C[n->kind], 0);
    n->d = json_number(node, D[n->kind], 0);
    if (n->kind == KIND_STEPS)
        load_steps(load, n, json_find(node, "steps"));
    else if (n->c <= 0)
        n->c = 1;
}

static struct number number_of(struct load *load, const struct json *node, const char *const *words) {
    struct number n = {.since = load->since};
    if (node && node->type == JSON_TEXT && word_index(words, node->text) >= 0) {
        n.kind = KIND_CONSTANT;
        n.a = word_index(words, node->text);
    } else if (node && (node->type == JSON_NUMBER || node->type == JSON_BOOL)) {
        n.kind = KIND_CONSTANT;
        n.a = node->number;
    } else if (node && node->type == JSON_MAP) {
        load_curve(load, &n, node);
    }
    return n;
}

static void fill(struct load *load, void *target, const struct key *keys, const struct json *node) {
    for (; keys->path; keys++) {
        char *at = (char *)target + keys->offset;
        if (keys->size)
            copy(at, keys->size, json_text(node, keys->path));
        else
            *(struct number *)at = number_of(load, json_find(node, keys->path), keys->words);
    }
}

static void *list(struct load *load, const struct json *node, size_t size, const struct key *keys, unsigned *count) {
    char *made = node && node->type == JSON_LIST ? room(load->host, node->children, size) : NULL;
    for (const struct json *item = made ? node->child : NULL; item; item = item->next)
        fill(load, made + size * (*count)++, keys, item);
    return made;
}

static void mark(u64 *bits, unsigned bit) {
    bits[bit / 64] |= 1ull << (bit % 64);
}

// "nvmlDeviceGetName", "GetName", "*Clock*"; without its "_v2" a name stands for every version.
int call_matches(const char *pattern, enum call call) {
    static const char *const before[] = {"", "nvml", "nvmlDevice", "nvmlSystem", "nvmlEventSet"};
    char full[96], plain[96];
    snprintf(full, sizeof full, "nvml%s", CALL_NAME[call]);
    snprintf(plain, sizeof plain, "%s", full);
    char *tail = strrchr(plain, '_');
    if (tail && tail[1] == 'v') *tail = 0;
    for (size_t i = 0; i < sizeof before / sizeof *before; i++) {
        char wanted[160];
        snprintf(wanted, sizeof wanted, "%s%s", before[i], pattern);
        if (fnmatch(wanted, full, 0) == 0 || fnmatch(wanted, plain, 0) == 0) return 1;
    }
    return 0;
}

static void mark_calls(u64 *bits, const struct json *node) {
    const struct json *item = node && node->type == JSON_LIST ? node->child : node;
    for (; item; item = node->type == JSON_LIST ? item->next : NULL)
        for (unsigned call = 0; item->text && call < CALLS; call++)
            if (call_matches(item->text, (enum call)call)) mark(bits, call);
}

static void load_unsupported(struct gpu *gpu, const struct json *node) {
    mark_calls(gpu->unsupported, node);
    for (const struct json *item = node ? node->child : NULL; item; item = item->next) {
        unsigned field;
        if (item->text && sscanf(item->text, "field:%u", &field) == 1 && field < 512) mark(gpu->unsupported_field, field);
    }
}

static void load_gpu(struct load *load, struct gpu *gpu, const struct json *node) {
    fill(load, gpu, GPU_KEYS, node);
    sscanf(gpu->pci, "%x:%x:%x", &gpu->domain, &gpu->bus, &gpu->device);
    gpu->instance = list(load, json_find(node, "mig.instances"), sizeof *gpu->instance, INSTANCE_KEYS, &gpu->instances);
    gpu->process = list(load, json_find(node, "processes"), sizeof *gpu->process, PROCESS_KEYS, &gpu->processes);
    gpu->link = list(load, json_find(node, "nvlink.links"), sizeof *gpu->link, LINK_KEYS, &gpu->links);
    load_unsupported(gpu, json_find(node, "unsupported"));
}

static u64 hash(const char *text, u64 h) {
    for (; *text; text++) h = (h ^ (unsigned char)*text) * 0x100000001B3ull;
    return h;
}

static void load_fault(struct fault *f, const struct json *node, unsigned place) {
    const char *id = json_text(node, "id"), *error = json_text(node, "error"), *hang = json_text(node, "hang");
    char key[32];
    snprintf(key, sizeof key, "%u", place);
    f->key = hash(id ? id : key, 0xCBF29CE484222325ull) | 1;
    mark_calls(f->calls, json_find(node, "call"));
    if (!json_find(node, "call")) memset(f->calls, 0xFF, sizeof f->calls);
    copy(f->gpu, sizeof f->gpu, json_text(node, "gpu"));
    f->index = json_find(node, "gpu") && !*f->gpu ? (int)count_of(node, "gpu", 0, 1000) : -1;
    f->rc = error ? word_index(ERRORS, error) : (int)count_of(node, "error", 0, 9999);
    if (f->rc < 0) f->rc = NVML_UNKNOWN;
    f->delay = json_number(node, "delay", 0);
    f->hang = json_number(node, "hang", 0);
    f->forever = hang && strcmp(hang, "forever") == 0;
    f->from = json_number(node, "from", 0);
    f->until = json_number(node, "until", 0);
    f->garbage = json_find(node, "garbage") != NULL;
    f->value = json_number(node, "garbage", 0);
    f->after = count_of(node, "after", 0, 1e15);
    f->count = count_of(node, "count", 0, 1e15);
}

static void load_event(struct event *e, const struct json *node, u64 place) {
    static const struct {
        const char *name;
        u64 bit;
    } TYPES[] = {{"single-bit-ecc", 1}, {"double-bit-ecc", 2}, {"pstate", 4}, {"xid", 8}, {"clock", 16}, {"power-source", 128},
        {"mig-change", 256}, {"ecc-storm", 512}, {"dram-retired", 1024}, {"dram-retirement-failed", 2048}, {"poison", 4096},
        {"fatal-poison", 8192}, {"unavailable", 16384}, {"recovery-action", 32768}};
    const char *type = json_text(node, "type");
    e->type = count_of(node, "type", 8, 1e15);
    for (size_t i = 0; type && i < sizeof TYPES / sizeof *TYPES; i++)
        if (strcmp(type, TYPES[i].name) == 0) e->type = TYPES[i].bit;
    e->seq = count_of(node, "seq", place, 1e15);
    e->data = count_of(node, "data", 0, 1e15);
    copy(e->uuid, sizeof e->uuid, json_text(node, "gpu"));
    e->gpu_instance = (unsigned)count_of(node, "gpu_instance", 0xFFFFFFFF, 0xFFFFFFFF);
    e->compute_instance = (unsigned)count_of(node, "compute_instance", 0xFFFFFFFF, 0xFFFFFFFF);
}

static void load_lists(struct load *load, const struct json *document) {
    struct host *host = load->host;
    const struct json *gpus = json_find(document, "gpus"), *faults = json_find(document, "faults");
    const struct json *events = json_find(document, "events");
    for (const struct json *n = gpus ? gpus->child : NULL; n && host->gpus < MAX_GPUS; n = n->next)
        load_gpu(load, &host->gpu[host->gpus++], n);
    for (const struct json *n = faults ? faults->child : NULL; n && host->faults < MAX_FAULTS; n = n->next, host->faults++)
        load_fault(&host->fault[host->faults], n, host->faults);
    host->event = events ? room(host, events->children, sizeof *host->event) : NULL;
    for (const struct json *n = host->event ? events->child : NULL; n; n = n->next, host->events++)
        load_event(&host->event[host->events], n, host->events + 1);
}

struct host *load_host(const char *text, size_t length) {
    void *block = NULL;
    struct json *document = json_read(text, length, &block);
    struct load load = {document && document->type == JSON_MAP ? calloc(1, sizeof *load.host) : NULL, 0};
    if (load.host) {
        load.since = json_number(document, "since", 0);
        fill(&load, load.host, HOST_KEYS, document);
        load_lists(&load, document);
    }
    free(block);
    return load.host;
}

void free_host(struct host *host) {
    struct block *block = host ? host->blocks : NULL;
    while (block) {
        struct block *next = block->next;
        free(block);
        block = next;
    }
    free(host);
}
