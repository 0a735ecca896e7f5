#include "json.h"
#include <ctype.h>
#include <stdlib.h>
#include <string.h>

enum { DEPTH = 32 };

// Nodes and texts are cut from one block: a node needs at least one byte of the document, a text never grows.
struct reader {
    const char *at, *end;
    struct json *node;
    char *text;
};

static struct json *value(struct reader *r, int depth);

static void skip(struct reader *r) {
    while (r->at < r->end && isspace((unsigned char)*r->at)) r->at++;
}

static int take(struct reader *r, char wanted) {
    skip(r);
    if (r->at >= r->end || *r->at != wanted) return 0;
    r->at++;
    return 1;
}

static int hex4(struct reader *r, unsigned *code) {
    if (r->end - r->at < 4) return 0;
    char digits[5] = {r->at[0], r->at[1], r->at[2], r->at[3], 0}, *stop;
    *code = (unsigned)strtoul(digits, &stop, 16);
    r->at += 4;
    return *stop == 0;
}

// Code points below U+10000 as UTF-8; half of a surrogate pair becomes '?'.
static void put_code(char **out, unsigned code) {
    if (code < 0x80) {
        *(*out)++ = (char)code;
    } else if (code < 0x800) {
        *(*out)++ = (char)(0xC0 | (code >> 6));
        *(*out)++ = (char)(0x80 | (code & 0x3F));
    } else if (code >= 0xD800 && code < 0xE000) {
        *(*out)++ = '?';
    } else {
        *(*out)++ = (char)(0xE0 | (code >> 12));
        *(*out)++ = (char)(0x80 | ((code >> 6) & 0x3F));
        *(*out)++ = (char)(0x80 | (code & 0x3F));
    }
}

static int escape(struct reader *r) {
    static const char from[] = "\"\\/bfnrt", to[] = "\"\\/\b\f\n\r\t";
    unsigned code;
    if (r->at >= r->end) return 0;
    char c = *r->at++;
    if (c == 'u') {
        if (!hex4(r, &code)) return 0;
        put_code(&r->text, code);
        return 1;
    }
    const char *found = strchr(from, c);
    if (!found || !c) return 0;
    *r->text++ = to[found - from];
    return 1;
}

static const char *string(struct reader *r) {
    if (!take(r, '"')) return NULL;
    const char *start = r->text;
    while (r->at < r->end && *r->at != '"') {
        char c = *r->at++;
        if (c != '\\')
            *r->text++ = c;
        else if (!escape(r))
            return NULL;
    }
    if (r->at >= r->end) return NULL;
    r->at++;
    *r->text++ = 0;
    return start;
}

static int items(struct reader *r, struct json *node, char close, int depth) {
    struct json **last = &node->child;
    if (take(r, close)) return 1;
    do {
        const char *key = NULL;
        if (node->type == JSON_MAP && (!(key = string(r)) || !take(r, ':'))) return 0;
        struct json *item = value(r, depth + 1);
        if (!item) return 0;
        item->key = key;
        *last = item;
        last = &item->next;
        node->children++;
    } while (take(r, ','));
    return take(r, close);
}

static int word(struct reader *r, const char *wanted) {
    size_t length = strlen(wanted);
    if ((size_t)(r->end - r->at) < length || memcmp(r->at, wanted, length) != 0) return 0;
    r->at += length;
    return 1;
}

static int number(struct reader *r, struct json *node) {
    char digits[64], *stop;
    size_t length = 0;
    size_t most = (size_t)(r->end - r->at) < sizeof digits ? (size_t)(r->end - r->at) : sizeof digits - 1;
    while (length < most && r->at[length] && strchr("+-.eE0123456789", r->at[length])) length++;
    memcpy(digits, r->at, length);
    digits[length] = 0;
    node->number = strtod(digits, &stop);
    r->at += length;
    return length > 0 && *stop == 0;
}

static struct json *value(struct reader *r, int depth) {
    skip(r);
    if (r->at >= r->end || depth > DEPTH) return NULL;
    struct json *node = r->node++;
    int ok;
    memset(node, 0, sizeof *node);
    switch (*r->at) {
    case '{': node->type = JSON_MAP; r->at++; ok = items(r, node, '}', depth); break;
    case '[': node->type = JSON_LIST; r->at++; ok = items(r, node, ']', depth); break;
    case '"': node->type = JSON_TEXT; ok = (node->text = string(r)) != NULL; break;
    case 't': node->type = JSON_BOOL; node->number = 1; ok = word(r, "true"); break;
    case 'f': node->type = JSON_BOOL; ok = word(r, "false"); break;
    case 'n': ok = word(r, "null"); break;
    default: node->type = JSON_NUMBER; ok = number(r, node);
    }
    return ok ? node : NULL;
}

// How many values the document can hold at most: each begins after one of these, or is the first.
static size_t most_nodes(const char *text, size_t length) {
    size_t count = 1;
    for (size_t i = 0; i < length; i++) count += strchr(",[{:", text[i]) && text[i];
    return count;
}

struct json *json_read(const char *text, size_t length, void **block) {
    size_t nodes = most_nodes(text, length) * sizeof(struct json);
    *block = malloc(nodes + length + 1);
    if (!*block) return NULL;
    struct reader r = {text, text + length, *block, (char *)*block + nodes};
    struct json *document = value(&r, 0);
    skip(&r);
    return document && r.at == r.end ? document : NULL;
}

const struct json *json_find(const struct json *node, const char *path) {
    while (node && *path) {
        size_t length = strcspn(path, ".");
        const struct json *child = node->type == JSON_MAP ? node->child : NULL;
        while (child && !(strlen(child->key) == length && memcmp(child->key, path, length) == 0)) child = child->next;
        node = child;
        path += path[length] ? length + 1 : length;
    }
    return node && node->type != JSON_NULL ? node : NULL;
}

const char *json_text(const struct json *node, const char *path) {
    const struct json *found = json_find(node, path);
    return found && found->type == JSON_TEXT ? found->text : NULL;
}

double json_number(const struct json *node, const char *path, double otherwise) {
    const struct json *found = json_find(node, path);
    return found && (found->type == JSON_NUMBER || found->type == JSON_BOOL) ? found->number : otherwise;
}
