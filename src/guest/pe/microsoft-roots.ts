import { createPublicKey, type KeyObject } from 'node:crypto';

export type RootKind = 'product' | 'cross-signed' | 'standard';

/** A key that chains of certificates may lead to. */
export interface Root {
  kind: RootKind;
  key(): KeyObject;
}

function root(kind: RootKind, spki: string): Root {
  let key: KeyObject | null = null;
  return {
    kind,
    key: () => {
      key ??= createPublicKey({ key: Buffer.from(spki, 'base64'), type: 'spki', format: 'der' });
      return key;
    },
  };
}

/**
 * Public keys of the roots that Windows' code integrity knows, each with the SHA-1 of its certificate. Those
 * of the first four are from Microsoft's list of trusted roots. The Code Verification Root is in no list: its
 * key was computed from the cross-certificates that it signed for VeriSign and DigiCert. It verifies both,
 * and has the identifier that they name.
 */
export const MICROSOFT_ROOTS: readonly Root[] = [
  // Microsoft Root Certificate Authority: cdd4eeae6000ac7f40c3802c171e30148030c072
  root(
    'product',
    'MIICIjANBgkqhkiG9w0BAQEFAAOCAg8AMIICCgKCAgEA8136gGfUWqepDCyQINA1CDx1hM23B4mcidrezsNg+pFoWp6UcSkY' +
      'dnzC4MgldpQOWPoENDbm36/3gLrpWAsrk+WdBeN3IpH3NGQ8IpEdXuEJkLwU/vx1WBnhebcHkqOuiFkI2J8HygNY/GgpbTLX' +
      '0qjLS/zhC0gyT+bruK1P5FxvE5SZ25XVdduoGreUkbR3W/VIDI9qeX0UcAR9ba+Q9dpw2Ee3v5svbOcFt+ERYKx5kRR8xdam' +
      '5OF+1cN+5ZLSPAC1NoLeeeFt87Vu+J8zyctSfXOYNtuLoWuilZebo97CTSb/BpZnJQbI56zk7hIzlTGZyDUITjTKeVPVtb5j' +
      'MllANsClTgRNPdtbBzPkWL/vP1Nk2EJZNVf9D0V8JARNntY4dBGXIpDOaER0km/VS2+whuPHNkKg0PzBwFr5o2G5MEdxlgoW' +
      'sJHAQpXvEH8oauMqH7HkzQM/d3EExyD8SQ8dRYik18t+iK2OLexF28RRBMkq/OyGnpoRl1vezlOI5uK3/ayVwihA2+8EkN+B' +
      'MznZskWlI4cGpVWJMbsGLWAOQRh9Hy61l8sR6xXVJKWU7xUUif1Lc/oyW/zRMwD5WWJwBzLqLqtALXvK3SFnGzCZjxaqI6hB' +
      '0bBuEZs2xN5AdJzhWGXBYB56WzjIj7sEJnzUFkDltmtsqob9AL/OwTUCAwEAAQ==',
  ),
  // Microsoft Root Authority: a43489159a520f0d93d032ccaf37e7fe20a8b419
  root(
    'product',
    'MIIBIjANBgkqhkiG9w0BAQEFAAOCAQ8AMIIBCgKCAQEAqQK9wXDmO/JOGyifl3heMOqiqY0lX/j+lUyjt/6doiA+fFGim6KP' +
      'YDJr0UJkee6sdslU2vLrnIYcj5+EZrPFa3piI9YdPN4PAZLolsS/LWaammgmmdA6LL8MtVgmwUbnCj44liypKDmo7EmDQuOE' +
      'D7uabFVhrIJ8oWAtd0zpmbRkO5pQHDEIJBSfqeeRKxjmPZhjFGBYBWWfHTdSh/en75QCxhvTv1VFs4mAvzrsVJROrv2nem10' +
      'Tq8YzJYJKCEAV5BgaTe7SxIHPFb/W/ukZgoIptKBVlfvtjteFoF3BNr2vq6Alf6wzX/WpxpyXDzKvPAIoyIwswaFybMgdxOF' +
      '3wIDAQAB',
  ),
  // Microsoft Root Certificate Authority 2010: 3b1efd3a66ea28b16697394703a72ca340a05bd5
  root(
    'product',
    'MIICIjANBgkqhkiG9w0BAQEFAAOCAg8AMIICCgKCAgEAuQieKOTk7AZOUGizQcV76662jq+BuiJEH2U0aUy+cEAX8hZ74nn9' +
      'hu0NOfQbqK2SkB7LPXaPWtm1kRAuPAWNim0kVOcf7Vatg7RQnBWlF3SIWSD8CMWEdtNo1G8oeM5cuPNQkET/42NfvqGaLJYV' +
      'BNYH/h6EIeBCMRHEKDaUz1CkYp7J1qtxALJbDOaW1AoklvX/xtW3G9fLtyFirxLcoV034xr7GkaYwJvA52MfKgiTAn4eao7y' +
      'nxiJ5CKForGEV0D/9Q7Yb5zt4kUxAc0X6X+wgUXjqiFAJqFyqqdPPAEFfu6DWLFeBmOZYpF4grcNkwwkarQb2yfsX5UEP5NK' +
      'MPWXGLOn+RmnkzMdAcjbIlJc1yXJRvmi+4dZQ76bYrGNLYZEGkaseGF+MAn6ronEQSoiZgOROUWcx4sMqMoNL/tS6gz3YzMj' +
      'nf6wH61n1qdQA8YEcGO1LLGGWkO3+675biluISFBJgaMycPusMKFk6G5hdnmMmxLTD/WXaPltZ13w5zAVbd0AOO4OKuDl1Dh' +
      'mkIkHcbAozDRGlrIUjT3c/HHGB8zrXrsy0Fg8yOUIMJIRaxcUcYugMLidxW9hYftNp2Wke4AtaNw7J/jjYBog3a6r11wUiIW' +
      '4mb7urPFwvc+L3emyt7BpsZITMM3USPTJ9e4TnCW8KFEdq94z5rhZhMCAwEAAQ==',
  ),
  // Microsoft Root Certificate Authority 2011: 8f43288ad272f3103b6fb1428485ea3014c0bcfe
  root(
    'standard',
    'MIICIjANBgkqhkiG9w0BAQEFAAOCAg8AMIICCgKCAgEAsoBBqjU4TRNyMmgiTbiy8f/VUrxsx/XSSow27tHCXH6Miq6vEyhv' +
      'wHPjOs7QJahaOm3vqLhZqxMjaM0MKYfRb4Bcj0R/XZABUlisUcVfKofc3NgKHcEDuXuwVuij3mRhwp7483y57A21VP5MtmVP' +
      'iPCcSJkMQgsJfDFZF3kGeCiNiTpMAyW+cWpcC+eEYKSZIuPSr4Skp/vRmO0Mqd6UieEOoNzAzpk96ghSu1Z55B+Euh64tMRJ' +
      'XE8xS4fd3QVnJpmA4HERo7ilQeKkU7n3MimDDBO/Nl4Es0tDRy9r4pEe05hP3UIHyOgdEvyZqWs+kn7I1mk6/GS9tgmdyv0M' +
      'C6Kbd2BLA5SkMGkS1kItwUFMytyq/Y9bg0aa2fyx0eOzyX9Ies0k8EGPXHTQrLAQIAZJt8ctIchX49CG8wNo+9DOccGJmUpk' +
      'AWz97DCRz0E8ksfluoYdYYTHX4M5Yq60ki9H8wv4VeugH1nQu3SbHtB25vLpBtcQ6Ppk3mnGNZaIAvBGuD8nmW/LcYkpNfdI' +
      'FgI1j9V5fE0Cz1/rioNPRXGI+akNTnLpwpwHz0kbTgQOY1GMXtgAwVUstsbgwmVOyTQ59ZyzxH7oYW4TXxXEX9l+7R3O7kTs' +
      'yy6Gsew49nDtq1wTwdkPDceAslXtNPesm+TD2udHPKa1jzHfxUuv6/ECAwEAAQ==',
  ), // Microsoft Code Verification Root: 8fbe4d070ef8ab1bccaf2a9d5ccae7282a2c66b3
  root(
    'cross-signed',
    'MIICIjANBgkqhkiG9w0BAQEFAAOCAg8AMIICCgKCAgEAvXfJHH8VeDjFB0MhWvvkzDvGVTH8IYmxvOcBnPuQviARVXanTQLn' +
      'svQuje+yh0ZWykfOyMNj4wgDS5YGuXAiROZLe0Q/dbe4piuRCEHvSwdZ1qQZnfbLpLuOAmVNyt4PtJAi8bVrXCL2yvk4qigL' +
      'Bi08GY23NV+D7d1lc4RGkp9E4olKjNWYp2096BnLRK0YC+pcX3wLw5qTaETztr+XmTByPyhZ0HDIBVd49UqCNAokwXqwZKU6' +
      'bhLVA2E4uw4t/YWc1kh1ahyyouiR+rfk9Txf/clArMegQvV02Lnb1/5zdxrgxLcJsQWabeNegDh1eFK2EtN5rkP3ZafRFmRp' +
      'hY94OriUv0USYlpNh0jW+Bm8WQEG9RrbYCmfAT9uc/n9gEXOldeK9pIMwXNALG2qMqbxfzD4kPGuRSe5tA4wAr3GDuw8jFu2' +
      'NIXPFAsMUA2p4lmRLqgBOfQsFWMEgLhA32L3/rdME6gsqWYTOGL8QHBie3V31SuOG6WZ5bm3x63qAaAle1hGUlZUosmSK1gd' +
      'SFHAH/43ANHiqxDCqVnpQpluj7UeR2Z0Hph2V1cEXr0vhZPVDgufLnsmZKeGEglQY+fRx45+DjsH57vkzRpA1Hq6BVlK1tDu' +
      '3JZeIkonHEXj3tqy6dND/elvwMl9H/2fkJyGIAjMdNxApymzq1hla7ECAwEAAQ==',
  ),
];
