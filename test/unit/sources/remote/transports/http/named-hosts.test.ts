import { describe, expect, it } from 'vitest';
import { isAmong, namedHost } from '../../../../../../src/sources/remote/transports/http/named-hosts.js';

describe('isAmong', () => {
  it.each([
    ['cdn.example.com', 'https://cdn.example.com/a', true],
    ['cdn.example.com', 'https://cdn.example.com:8443/a', true],
    ['cdn.example.com:443', 'https://cdn.example.com/a', true],
    ['cdn.example.com:443', 'https://cdn.example.com:443/a', true],
    ['cdn.example.com:80', 'http://cdn.example.com/a', true],
    ['cdn.example.com:443', 'http://cdn.example.com/a', false],
    ['cdn.example.com:443', 'https://cdn.example.com:8443/a', false],
    ['cdn.example.com:8443', 'https://cdn.example.com/a', false],
    ['CDN.Example.com:8443', 'https://cdn.example.com:8443/a', true],
    ['[2001:DB8::1]:443', 'https://[2001:db8::1]/a', true],
    ['[2001:db8::1]', 'https://[2001:db8::1]/a', true],
    ['bücher.example', 'https://xn--bcher-kva.example/a', true],
    ['example.com', 'https://cdn.example.com/a', false],
    ['cdn.example.com', 'https://cdn.example.com.evil.example/a', false],
  ])('%s names %s: %s', (named, url, isNamed) => {
    expect(isAmong(new URL(url), [namedHost(named)])).toBe(isNamed);
  });
});
