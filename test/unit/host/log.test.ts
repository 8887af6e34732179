import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { createLog, logForm, stdoutWriter } from '../../../src/host/log.js';

describe('logForm', () => {
  const pipe = { journalStream: undefined, stdout: { dev: 1, ino: 2 }, terminal: false };
  it('is the journal only when stdout is the very socket that systemd names', () => {
    expect(logForm('auto', { ...pipe, journalStream: '1:2' })).toBe('journal');
    expect(logForm('auto', { ...pipe, journalStream: '1:3' })).toBe('json');
    expect(logForm('auto', { ...pipe, terminal: true })).toBe('terminal');
    expect(logForm('journal', pipe)).toBe('journal');
  });
});

describe('createLog', () => {
  it('begins each journal line with its priority, with job and stage as fields', () => {
    const lines: string[] = [];
    const log = createLog({ level: 'debug', writer: stdoutWriter('journal', (text) => lines.push(text)) });
    const logger = log.logger.child({ job: 'j1', stage: 'fix' });
    logger.debug('a');
    logger.info('b');
    logger.warn('c');
    logger.error({ err: new Error('boom') }, 'd');
    expect(lines.map((line) => line.slice(0, 3))).toEqual(['<7>', '<6>', '<4>', '<3>']);
    expect(JSON.parse(lines[1]!.slice(3))).toMatchObject({
      level: 'info',
      job: 'j1',
      stage: 'fix',
      msg: 'b',
    });
    expect(JSON.parse(lines[3]!.slice(3)).err.message).toBe('boom');
  });

  it('applies a new level to loggers made before, and keeps debug lines in the job log', () => {
    const directory = mkdtempSync(join(tmpdir(), 'h2k-log-'));
    const lines: string[] = [];
    const log = createLog({ level: 'warn', writer: (line) => lines.push(line) });
    const job = log.jobLogger(join(directory, 'job.log'), { job: 'j1' });
    job.logger.info('first');
    log.setLevel('info');
    job.logger.child({ stage: 'fix' }).info('second');
    job.logger.debug('third');
    job.close();
    job.logger.info('after the end');
    const kept = readFileSync(join(directory, 'job.log'), 'utf8').trim().split('\n');
    rmSync(directory, { recursive: true });
    expect(lines.map((line) => JSON.parse(line).msg)).toEqual(['second', 'after the end']);
    expect(kept.map((line) => JSON.parse(line).msg)).toEqual(['first', 'second', 'third']);
  });
});
