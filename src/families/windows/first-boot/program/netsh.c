#include "network.h"

#include <string.h>

#define SECONDS 60

static void set_ipv4_addresses(const struct step *step, DWORD index)
{
    const wchar_t *text, *verb = L"set";
    for (int from = 0; (text = next_argument(step, L"address", &from)) != NULL;) {
        wchar_t address[ADDRESS], mask[16];
        unsigned long prefix = split_address(text, address, 32);
        if (is_ipv6(address)) continue;
        mask_of(prefix, mask);
        /* `set` takes away what the adapter had before. */
        run_system_program(SECONDS, L"netsh.exe interface ipv4 %ls address name=%lu %lsaddress=%ls mask=%ls", verb,
                           index, wcscmp(verb, L"set") == 0 ? L"source=static " : L"", address, mask);
        verb = L"add";
    }
}

static void add_ipv6_addresses(const struct step *step, DWORD index)
{
    const wchar_t *text;
    for (int from = 0; (text = next_argument(step, L"address", &from)) != NULL;) {
        wchar_t address[ADDRESS];
        unsigned long prefix = split_address(text, address, 64);
        if (is_ipv6(address))
            run_system_program(SECONDS, L"netsh.exe interface ipv6 add address interface=%lu address=%ls/%lu store=persistent",
                               index, address, prefix);
    }
}

static void add_gateways(const struct step *step, const struct adapter *adapter)
{
    const wchar_t *text;
    for (int from = 0; (text = next_argument(step, L"gateway", &from)) != NULL;) {
        wchar_t address[ADDRESS];
        /* 0 is Windows' own choice. */
        unsigned long metric = split_address(text, address, 0);
        if (!is_ipv6(address))
            run_system_program(SECONDS, L"netsh.exe interface ipv4 add address name=%lu gateway=%ls gwmetric=%lu",
                               adapter->index, address, metric);
        else
            run_system_program(SECONDS, L"netsh.exe interface ipv6 add route prefix=::/0 interface=%lu nexthop=%ls metric=%lu store=persistent",
                               adapter->index6, address, metric);
    }
}

static void set_dns_servers(const struct step *step, const struct adapter *adapter, BOOL ipv6)
{
    const wchar_t *address, *family = ipv6 ? L"ipv6" : L"ipv4";
    DWORD index = ipv6 ? adapter->index6 : adapter->index;
    int number = 0;
    for (int from = 0; (address = next_argument(step, L"dns", &from)) != NULL;) {
        if (is_ipv6(address) != ipv6) continue;
        /* Not asked whether they answer: the network may not be there yet. */
        if (++number == 1)
            run_system_program(SECONDS, L"netsh.exe interface %ls set dnsservers name=%lu source=static address=%ls register=primary validate=no",
                               family, index, address);
        else
            run_system_program(SECONDS, L"netsh.exe interface %ls add dnsservers name=%lu address=%ls index=%d validate=no",
                               family, index, address, number);
    }
}

void set_by_netsh(const struct step *step, const struct adapter *adapter)
{
    if (adapter->index != 0) set_ipv4_addresses(step, adapter->index);
    if (adapter->index6 != 0) add_ipv6_addresses(step, adapter->index6);
    add_gateways(step, adapter);
    if (adapter->index != 0) set_dns_servers(step, adapter, FALSE);
    if (adapter->index6 != 0) set_dns_servers(step, adapter, TRUE);
}

BOOL rename_by_netsh(const struct adapter *adapter, const wchar_t *name)
{
    return run_system_program(SECONDS, L"netsh.exe interface set interface name=\"%ls\" newname=\"%ls\"", adapter->name,
                              name) == ERROR_SUCCESS;
}
