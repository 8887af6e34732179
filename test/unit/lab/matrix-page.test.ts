import { expect, it } from 'vitest';
import { keepOldRows } from '../../lab/matrix-page.ts';

const HEAD = [
  ...['guest', 'disks', 'storage', 'loader', 'initramfs', 'network', 'as it is', 'hyper2kvm'],
  ...['s', 'boot s', 'planned again', 'twice', 'seen with', 'virt-v2v', 's'],
];
const line = (...cells: string[]) => `| ${cells.join(' | ')} |`;
const row = (name: string, verdict: string, seenWith: string, peer: string) =>
  line(name, '1', 'ext4', 'grub', 'dracut', 'netplan', '', verdict, '', '', '', '', seenWith, peer, '');
const table = (...rows: string[]) => [line(...HEAD), line(...HEAD.map(() => '---')), ...rows].join('\n');

it('keeps rows, and what is said of them, of guests that were not run', () => {
  const page = `Commit 1.

${table(row('a', 'booted', '1', 'gives up'), row('b', 'booted', '1', 'gives up'), row('gone', 'booted', '1', 'booted'))}

Messages of virt-v2v:

- a: “x”
- b: “y”
- gone: “z”`;
  const fresh = `Commit 2.

${table(row('a', 'not run', '', 'not run'), row('b', 'booted, login', '2', 'not run'), row('c', 'not run', '', 'not run'))}

Wrong:

- b: swap
`;
  expect(keepOldRows(fresh, page)).toBe(`Commit 2.

${table(
  row('a', 'booted', '1, code has changed since', 'gives up'),
  row('b', 'booted, login', '2', 'gives up'),
  row('c', 'not run', '', 'not run'),
)}

Wrong:

- b: swap

Messages of virt-v2v:

- a: “x”
- b: “y”
`);
});
