import { expect, test } from 'vitest';
import { decodeText } from '../../../../src/disk/base/text.js';

const DECLARATION = /^encoding="([^"]+)"/m;
const GBK = Buffer.from([0xd0, 0xe9, 0xc4, 0xe2, 0xbb, 0xfa]);

test.each<[string, Buffer, string]>([
  ['UTF-8', Buffer.from('Büro'), 'Büro'],
  ['UTF-8 with a mark', Buffer.from('\ufeffBüro'), 'Büro'],
  ['UTF-16 with a mark', Buffer.from('\ufeffBüro', 'utf16le'), 'Büro'],
  ['UTF-16, big-endian, with a mark', Buffer.from('\ufeffBüro', 'utf16le').swap16(), 'Büro'],
  ['UTF-16 without a mark', Buffer.from('Büro', 'utf16le'), 'Büro'],
  ['UTF-16, big-endian, without a mark', Buffer.from('Büro', 'utf16le').swap16(), 'Büro'],
  [
    'what it declares',
    Buffer.from('encoding="windows-1252"\nBüro', 'latin1'),
    'encoding="windows-1252"\nBüro',
  ],
  ['GBK', Buffer.concat([Buffer.from('encoding="GBK"\n'), GBK]), 'encoding="GBK"\n虚拟机'],
  [
    'GBK by Windows’ number',
    Buffer.concat([Buffer.from('encoding="windows-936"\n'), GBK]),
    'encoding="windows-936"\n虚拟机',
  ],
  ['an encoding that is none', Buffer.from('encoding="klingon"\nBüro'), 'encoding="klingon"\nBüro'],
  ['bytes that are not UTF-8 and say nothing', Buffer.from('Büro', 'latin1'), 'Büro'],
  ['nothing', Buffer.alloc(0), ''],
  ['one byte', Buffer.from('x'), 'x'],
])('%s', (_what, bytes, text) => {
  expect(decodeText(bytes, DECLARATION)).toBe(text);
});
