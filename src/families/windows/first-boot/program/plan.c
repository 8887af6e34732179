#include "h2kfirst.h"

#include <stdlib.h>
#include <string.h>

#define HEADER L"hyper2kvm-firstboot\t1\t"
#define NAME_CHARACTERS L"abcdefghijklmnopqrstuvwxyz0123456789-"

/* Returns the whole of plan.tsv as text; NULL if it cannot be read. */
static wchar_t *read_text(void)
{
    wchar_t path[MAX_PATH];
    if (!path_here(path, L"plan.tsv")) return NULL;
    HANDLE file = CreateFileW(path, GENERIC_READ, FILE_SHARE_READ, NULL, OPEN_EXISTING, FILE_ATTRIBUTE_NORMAL, NULL);
    if (file == INVALID_HANDLE_VALUE) return NULL;
    DWORD size = GetFileSize(file, NULL), got = 0;
    char *bytes = size > MAX_PLAN_BYTES ? NULL : malloc(size + 1);
    wchar_t *text = bytes == NULL ? NULL : calloc(size + 1, sizeof *text);
    BOOL whole = text != NULL && ReadFile(file, bytes, size, &got, NULL) && got == size;
    CloseHandle(file);
    if (whole && (size == 0 || MultiByteToWideChar(CP_UTF8, MB_ERR_INVALID_CHARS, bytes, size, text, size) > 0)) {
        free(bytes);
        return text;
    }
    free(bytes);
    free(text);
    return NULL;
}

/* Cuts `*rest` at the next `separator` and returns what is before it; NULL at the end. */
static wchar_t *cut(wchar_t **rest, wchar_t separator)
{
    wchar_t *start = *rest;
    if (start == NULL) return NULL;
    wchar_t *end = wcschr(start, separator);
    *rest = end == NULL ? NULL : end + 1;
    if (end != NULL) *end = L'\0';
    return start;
}

/* Such a text can be part of a file's name. */
static BOOL is_name(const wchar_t *text)
{
    size_t length = wcslen(text);
    return length > 0 && length <= MAX_NAME && wcsspn(text, NAME_CHARACTERS) == length;
}

/* Returns how many parts `cut` makes of a text: the plan bounds them by its size alone. */
static int count_parts(const wchar_t *text, wchar_t separator)
{
    int count = 1;
    while ((text = wcschr(text, separator)) != NULL) text++, count++;
    return count;
}

static BOOL read_step(wchar_t *line, struct step *step)
{
    int count = count_parts(line, L'\t');
    const wchar_t *id = cut(&line, L'\t'), *seconds = cut(&line, L'\t'), *verb = cut(&line, L'\t');
    if (count < 3 || !is_name(id)) return FALSE;
    step->id = id;
    step->seconds = wcstoul(seconds, NULL, 10);
    if (step->seconds == 0 || step->seconds > MAX_SECONDS) return FALSE;
    step->verb = verb;
    step->arguments = calloc(count, sizeof *step->arguments);
    if (step->arguments == NULL) return FALSE;
    for (wchar_t *field; (field = cut(&line, L'\t')) != NULL;) step->arguments[step->count++] = field;
    return TRUE;
}

BOOL read_plan(struct plan *plan)
{
    wchar_t *rest = read_text();
    int lines = rest == NULL ? 0 : count_parts(rest, L'\n');
    wchar_t *line = cut(&rest, L'\n');
    BOOL last = FALSE;
    plan->count = 0;
    plan->steps = calloc(lines + 1, sizeof *plan->steps);
    if (plan->steps == NULL || line == NULL || wcsncmp(line, HEADER, wcslen(HEADER)) != 0) return FALSE;
    if (!is_name(line + wcslen(HEADER))) return FALSE;
    use_state(line + wcslen(HEADER));
    while ((line = cut(&rest, L'\n')) != NULL) {
        if (line[0] == L'\0') continue;
        if (wcscmp(line, L"end") == 0) {
            last = TRUE;
            continue;
        }
        if (!read_step(line, &plan->steps[plan->count])) return FALSE;
        plan->steps[plan->count++].last = last;
    }
    return TRUE;
}

const wchar_t *next_argument(const struct step *step, const wchar_t *name, int *from)
{
    size_t length = wcslen(name);
    while (*from < step->count) {
        const wchar_t *text = step->arguments[(*from)++];
        if (wcsncmp(text, name, length) == 0 && text[length] == L'=') return text + length + 1;
    }
    return NULL;
}

const wchar_t *argument(const struct step *step, const wchar_t *name)
{
    int from = 0;
    return next_argument(step, name, &from);
}
