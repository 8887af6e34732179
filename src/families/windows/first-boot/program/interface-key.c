#include "network.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define KEY L"SYSTEM\\CurrentControlSet\\Services\\Tcpip\\Parameters\\Interfaces\\%ls"

/* Texts one after the other, each with its end, and an empty one: REG_MULTI_SZ. */
struct list {
    wchar_t *text;
    size_t length, room;
};

/* Returns a list with room for what the step lists; its text is NULL without memory. */
static struct list new_list(const struct step *step)
{
    struct list list = { .room = (size_t)step->count * ADDRESS + 1 };
    list.text = calloc(list.room, sizeof *list.text);
    return list;
}

static void add(struct list *list, const wchar_t *text)
{
    size_t length = wcslen(text) + 1;
    if (list->length + length >= list->room) return;
    wcscpy(list->text + list->length, text);
    list->length += length;
    list->text[list->length] = L'\0';
}

static LSTATUS put_list(HKEY key, const wchar_t *name, const struct list *list)
{
    return RegSetValueExW(key, name, 0, REG_MULTI_SZ, (const BYTE *)list->text, (list->length + 1) * sizeof(wchar_t));
}

static LSTATUS put_text(HKEY key, const wchar_t *name, const wchar_t *text)
{
    return RegSetValueExW(key, name, 0, REG_SZ, (const BYTE *)text, (wcslen(text) + 1) * sizeof(wchar_t));
}

static LSTATUS open_key(const struct adapter *adapter, HKEY *key)
{
    wchar_t path[256];
    _snwprintf(path, 256, KEY, adapter->guid);
    return RegCreateKeyExW(HKEY_LOCAL_MACHINE, path, 0, NULL, 0, KEY_SET_VALUE, NULL, key, NULL);
}

static LSTATUS write_addresses(HKEY key, const struct list *addresses, const struct list *masks)
{
    DWORD dhcp = 0;
    if (addresses->length == 0) return ERROR_SUCCESS;
    LSTATUS result = put_list(key, L"IPAddress", addresses);
    if (result == ERROR_SUCCESS) result = put_list(key, L"SubnetMask", masks);
    if (result == ERROR_SUCCESS) result = RegSetValueExW(key, L"EnableDHCP", 0, REG_DWORD, (BYTE *)&dhcp, sizeof dhcp);
    return result;
}

static LSTATUS write_gateways(HKEY key, const struct list *gateways, const struct list *metrics)
{
    if (gateways->length == 0) return ERROR_SUCCESS;
    LSTATUS result = put_list(key, L"DefaultGateway", gateways);
    return result == ERROR_SUCCESS ? put_list(key, L"DefaultGatewayMetric", metrics) : result;
}

static LSTATUS put_addresses(HKEY key, const struct step *step)
{
    struct list addresses = new_list(step), masks = new_list(step);
    LSTATUS result = ERROR_NOT_ENOUGH_MEMORY;
    const wchar_t *text;
    if (addresses.text != NULL && masks.text != NULL) {
        for (int from = 0; (text = next_argument(step, L"address", &from)) != NULL;) {
            wchar_t address[ADDRESS], mask[16];
            mask_of(split_address(text, address, 32), mask);
            if (is_ipv6(address)) continue;
            add(&addresses, address);
            add(&masks, mask);
        }
        result = write_addresses(key, &addresses, &masks);
    }
    free(addresses.text);
    free(masks.text);
    return result;
}

static LSTATUS put_gateways(HKEY key, const struct step *step)
{
    struct list gateways = new_list(step), metrics = new_list(step);
    LSTATUS result = ERROR_NOT_ENOUGH_MEMORY;
    const wchar_t *text;
    if (gateways.text != NULL && metrics.text != NULL) {
        for (int from = 0; (text = next_argument(step, L"gateway", &from)) != NULL;) {
            wchar_t address[ADDRESS], metric[16];
            _snwprintf(metric, 16, L"%lu", split_address(text, address, 0));
            if (is_ipv6(address)) continue;
            add(&gateways, address);
            add(&metrics, metric);
        }
        result = write_gateways(key, &gateways, &metrics);
    }
    free(gateways.text);
    free(metrics.text);
    return result;
}

/* A text with commas, not a list. */
static LSTATUS put_dns_servers(HKEY key, const struct step *step)
{
    struct list servers = new_list(step);
    LSTATUS result = servers.text == NULL ? ERROR_NOT_ENOUGH_MEMORY : ERROR_SUCCESS;
    const wchar_t *text;
    for (int from = 0; result == ERROR_SUCCESS && (text = next_argument(step, L"dns", &from)) != NULL;) {
        if (is_ipv6(text)) continue;
        if (servers.length > 0) servers.text[servers.length - 1] = L',';
        add(&servers, text);
    }
    if (servers.length > 0) result = put_text(key, L"NameServer", servers.text);
    free(servers.text);
    return result;
}

DWORD write_interface(const struct step *step, const struct adapter *adapter)
{
    HKEY key;
    LSTATUS result = open_key(adapter, &key);
    if (result != ERROR_SUCCESS) return result;
    result = put_addresses(key, step);
    if (result == ERROR_SUCCESS) result = put_gateways(key, step);
    if (result == ERROR_SUCCESS) result = put_dns_servers(key, step);
    RegFlushKey(key);
    RegCloseKey(key);
    return result;
}

DWORD write_suffix(const struct adapter *adapter, const wchar_t *suffix)
{
    HKEY key;
    LSTATUS result = open_key(adapter, &key);
    if (result != ERROR_SUCCESS) return result;
    result = put_text(key, L"Domain", suffix);
    RegCloseKey(key);
    return result;
}
