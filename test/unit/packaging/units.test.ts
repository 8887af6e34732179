import { readFileSync } from 'node:fs';
import { expect, it } from 'vitest';

function settings(unit: string): Map<string, string> {
  const text = readFileSync(new URL(`../../../systemd/${unit}.service`, import.meta.url), 'utf8');
  return new Map([...text.matchAll(/^(\w+)=(.*)$/gm)].map(([, name, value]) => [name!, value!]));
}

it('the two units share a runtime directory, which neither removes under the other', () => {
  const [daemon, fetcher] = [settings('hyper2kvm'), settings('hyper2kvm-fetch')];
  for (const name of ['User', 'RuntimeDirectory', 'RuntimeDirectoryMode'])
    expect(fetcher.get(name)).toBe(daemon.get(name));
  // A daemon that was killed comes back by itself, and the fetching unit still listens on its socket.
  expect(daemon.get('RuntimeDirectoryPreserve')).toBe('restart');
  expect(fetcher.get('RuntimeDirectoryPreserve')).toBe('yes');
});
