import { open, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { exists } from '../files/exists.js';
import type { Boot } from '../model/boot.js';
import { withoutEscapes } from '../text/terminal-escapes.js';

import type { Screenshot } from './html-boot.js';

const TAIL_BYTES = 64 * 1024;
const TAIL_LINES = 120;

/** Returns the screenshots that boot.json names, with their images. */
export async function readScreens(directory: string, boot: Boot | null): Promise<Screenshot[]> {
  const screens = boot?.screens ?? [];
  return Promise.all(
    screens.map(async (screen) => ({ ...screen, png: await readFile(join(directory, screen.file)) })),
  );
}

/** Returns the end of a serial log as text for people; empty without a log. */
export async function readSerialTail(file: string): Promise<string> {
  if (!(await exists(file))) return '';
  const log = await open(file, 'r');
  try {
    const { size } = await log.stat();
    const start = Math.max(0, size - TAIL_BYTES);
    const { buffer, bytesRead } = await log.read(Buffer.alloc(size - start), 0, size - start, start);
    return serialTail(buffer.toString('utf8', 0, bytesRead));
  } finally {
    await log.close();
  }
}

/** Removes control sequences, normalises line ends, squeezes empty lines and keeps the last lines. Pure. */
export function serialTail(text: string): string {
  const lines = withoutEscapes(text)
    .replace(/\r+\n/g, '\n')
    .replace(/\r/g, '\n')
    .split('\n')
    .map((line) => line.trimEnd());
  return lines
    .filter((line, index) => line !== '' || lines[index - 1] !== '')
    .slice(-TAIL_LINES)
    .join('\n')
    .trim();
}
