#include "h2kfirst.h"

BOOL path_here(wchar_t path[MAX_PATH], const wchar_t *name)
{
    DWORD length = GetModuleFileNameW(NULL, path, MAX_PATH);
    if (length == 0 || length >= MAX_PATH) return FALSE;
    while (length > 0 && path[length - 1] != L'\\') length--;
    if (length + wcslen(name) >= MAX_PATH) return FALSE;
    wcscpy(path + length, name);
    return TRUE;
}
