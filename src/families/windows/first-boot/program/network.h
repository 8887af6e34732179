/* What the parts of the verb `network` share. */
#ifndef H2KFIRST_NETWORK_H
#define H2KFIRST_NETWORK_H

#include <winsock2.h>
#include <ws2tcpip.h>

#include "h2kfirst.h"

#include <iphlpapi.h>

struct adapter {
    wchar_t guid[48]; /* With braces. */
    wchar_t name[256]; /* The connection's. */
    DWORD index, index6; /* 0 without IPv4 or IPv6. */
};

/* adapters.c */
/* Finds the adapter with a MAC address. */
BOOL find_adapter(const wchar_t *mac, struct adapter *adapter);
/* Returns whether the adapter has every static address of the step. */
BOOL has_addresses(const struct step *step);

/* netsh.c: lets Windows set what the step lists, by the adapter's index. */
void set_by_netsh(const struct step *step, const struct adapter *adapter);
BOOL rename_by_netsh(const struct adapter *adapter, const wchar_t *name);

/* interface-key.c: writes the adapter's part of the registry, which counts from the next start. */
DWORD write_interface(const struct step *step, const struct adapter *adapter);
DWORD write_suffix(const struct adapter *adapter, const wchar_t *suffix);

/* addresses.c: reads `10.0.0.5/24` and the like. */
#define ADDRESS (MAX_ADDRESS + 1)
/* Splits at `/`: returns the number after it, or `otherwise`. */
unsigned long split_address(const wchar_t *text, wchar_t address[ADDRESS], unsigned long otherwise);
void mask_of(unsigned long prefix, wchar_t mask[16]);
BOOL is_ipv6(const wchar_t *address);
BOOL read_ipv4(const wchar_t *text, BYTE bytes[4]);
BOOL read_ipv6(const wchar_t *text, BYTE bytes[16]);

#endif
