// A small JSON reader: the document as a tree of nodes in one block of memory.
#ifndef ANFL_SIM_JSON_H
#define ANFL_SIM_JSON_H

#include <stddef.h>

enum json_type { JSON_NULL, JSON_BOOL, JSON_NUMBER, JSON_TEXT, JSON_LIST, JSON_MAP };
struct json {
    enum json_type type;
    const char *key, *text;     // the key inside a map; the text
    double number;              // numbers, and 0 or 1 for a truth value
    struct json *child, *next;
    unsigned children;
};

// The document, or NULL. Everything lives in *block, which the caller frees.
struct json *json_read(const char *text, size_t length, void **block);
// The node under a path such as "memory.total", or NULL; null counts as absent.
const struct json *json_find(const struct json *node, const char *path);
const char *json_text(const struct json *node, const char *path);
double json_number(const struct json *node, const char *path, double otherwise);

#endif
