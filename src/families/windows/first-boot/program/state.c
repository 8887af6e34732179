#include "h2kfirst.h"

#include <stdio.h>

static const wchar_t *folder = L"state";

void use_state(const wchar_t *name)
{
    folder = name;
}

/* A name is there or not, so a power cut leaves nothing half written. */
static BOOL state_path(wchar_t path[MAX_PATH], const wchar_t *id, const wchar_t *what)
{
    wchar_t name[MAX_PATH];
    if (_snwprintf(name, MAX_PATH, L"%ls\\%ls.%ls", folder, id, what) < 0) return FALSE;
    name[MAX_PATH - 1] = L'\0';
    return path_here(path, name);
}

BOOL has_state(const wchar_t *id, const wchar_t *what)
{
    wchar_t path[MAX_PATH];
    return state_path(path, id, what) && GetFileAttributesW(path) != INVALID_FILE_ATTRIBUTES;
}

BOOL set_state(const wchar_t *id, const wchar_t *what)
{
    wchar_t path[MAX_PATH];
    if (!path_here(path, folder)) return FALSE;
    CreateDirectoryW(path, NULL);
    if (!state_path(path, id, what)) return FALSE;
    HANDLE file = CreateFileW(path, GENERIC_WRITE, 0, NULL, OPEN_ALWAYS, FILE_ATTRIBUTE_NORMAL, NULL);
    if (file == INVALID_HANDLE_VALUE) return FALSE;
    /* Brings NTFS's own log to the disk, and with it the name. */
    BOOL flushed = FlushFileBuffers(file);
    CloseHandle(file);
    return flushed;
}
