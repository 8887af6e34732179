#include "network.h"

#include <stdio.h>
#include <stdlib.h>

/* Returns all adapters, to be freed; NULL if Windows does not tell. */
static IP_ADAPTER_ADDRESSES *list_adapters(void)
{
    ULONG size = 65536;
    for (int time = 0; time < 3; time++) {
        IP_ADAPTER_ADDRESSES *list = malloc(size);
        if (list == NULL) return NULL;
        ULONG result = GetAdaptersAddresses(AF_UNSPEC, GAA_FLAG_SKIP_ANYCAST | GAA_FLAG_SKIP_MULTICAST, NULL, list, &size);
        if (result == ERROR_SUCCESS) return list;
        free(list);
        if (result != ERROR_BUFFER_OVERFLOW) return NULL;
    }
    return NULL;
}

static IP_ADAPTER_ADDRESSES *with_mac(IP_ADAPTER_ADDRESSES *list, const wchar_t *mac)
{
    for (; list != NULL; list = list->Next) {
        const BYTE *byte = list->PhysicalAddress;
        wchar_t own[18];
        if (list->PhysicalAddressLength != 6) continue;
        _snwprintf(own, 18, L"%02x:%02x:%02x:%02x:%02x:%02x", byte[0], byte[1], byte[2], byte[3], byte[4], byte[5]);
        if (_wcsicmp(own, mac) == 0) return list;
    }
    return NULL;
}

BOOL find_adapter(const wchar_t *mac, struct adapter *adapter)
{
    IP_ADAPTER_ADDRESSES *list = list_adapters(), *found = with_mac(list, mac);
    if (found != NULL) {
        _snwprintf(adapter->guid, 48, L"%hs", found->AdapterName);
        adapter->guid[47] = L'\0';
        wcsncpy(adapter->name, found->FriendlyName, 255);
        adapter->name[255] = L'\0';
        adapter->index = found->IfIndex;
        adapter->index6 = found->Ipv6IfIndex;
    }
    free(list);
    return found != NULL;
}

/* Compares bytes: an IPv6 address has many spellings. */
static BOOL is_same(const SOCKADDR *own, const wchar_t *wanted)
{
    BYTE bytes[16];
    if (own->sa_family == AF_INET)
        return read_ipv4(wanted, bytes) && memcmp(bytes, &((const SOCKADDR_IN *)own)->sin_addr, 4) == 0;
    if (own->sa_family == AF_INET6)
        return read_ipv6(wanted, bytes) && memcmp(bytes, &((const SOCKADDR_IN6 *)own)->sin6_addr, 16) == 0;
    return FALSE;
}

static BOOL has_address(const IP_ADAPTER_ADDRESSES *adapter, const wchar_t *wanted)
{
    const IP_ADAPTER_UNICAST_ADDRESS *own = adapter->FirstUnicastAddress;
    for (; own != NULL; own = own->Next)
        if (is_same(own->Address.lpSockaddr, wanted)) return TRUE;
    return FALSE;
}

BOOL has_addresses(const struct step *step)
{
    IP_ADAPTER_ADDRESSES *list = list_adapters(), *adapter = with_mac(list, argument(step, L"mac"));
    BOOL all = adapter != NULL;
    const wchar_t *wanted;
    for (int from = 0; all && (wanted = next_argument(step, L"address", &from)) != NULL;) {
        wchar_t address[ADDRESS];
        split_address(wanted, address, 0);
        all = has_address(adapter, address);
    }
    free(list);
    return all;
}
