#include "network.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

unsigned long split_address(const wchar_t *text, wchar_t address[ADDRESS], unsigned long otherwise)
{
    size_t length = wcscspn(text, L"/");
    if (length >= ADDRESS) length = ADDRESS - 1;
    wcsncpy(address, text, length);
    address[length] = L'\0';
    return text[length] == L'/' ? wcstoul(text + length + 1, NULL, 10) : otherwise;
}

void mask_of(unsigned long prefix, wchar_t mask[16])
{
    DWORD bits = prefix == 0 ? 0 : 0xffffffffUL << (32 - (prefix > 32 ? 32 : prefix));
    _snwprintf(mask, 16, L"%lu.%lu.%lu.%lu", bits >> 24, bits >> 16 & 255, bits >> 8 & 255, bits & 255);
    mask[15] = L'\0';
}

BOOL is_ipv6(const wchar_t *address)
{
    return wcschr(address, L':') != NULL;
}

BOOL read_ipv4(const wchar_t *text, BYTE bytes[4])
{
    for (int index = 0; index < 4; index++) {
        wchar_t *end;
        unsigned long value = wcstoul(text, &end, 10);
        if (end == text || value > 255 || *end != (index < 3 ? L'.' : L'\0')) return FALSE;
        bytes[index] = (BYTE)value;
        text = end + 1;
    }
    return TRUE;
}

/* Without the form that ends like an IPv4 address, which plans do not have. */
BOOL read_ipv6(const wchar_t *text, BYTE bytes[16])
{
    int count = 0, gap = -1;
    BYTE groups[16] = { 0 };
    if (text[0] == L':' && text[1] == L':') gap = 0, text += 2;
    while (*text != L'\0') {
        wchar_t *end;
        unsigned long value = wcstoul(text, &end, 16);
        if (end == text || value > 0xffff || count == 16) return FALSE;
        groups[count++] = (BYTE)(value >> 8);
        groups[count++] = (BYTE)value;
        text = end;
        if (*text == L'\0') break;
        if (*text++ != L':') return FALSE;
        if (*text == L':') {
            if (gap >= 0) return FALSE;
            gap = count, text++;
        }
    }
    if (gap < 0 ? count != 16 : count == 16) return FALSE;
    if (gap < 0) gap = count;
    memset(bytes, 0, 16);
    memcpy(bytes, groups, gap);
    memcpy(bytes + 16 - (count - gap), groups + gap, count - gap);
    return TRUE;
}
