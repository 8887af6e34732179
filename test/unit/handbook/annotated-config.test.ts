import { readFileSync, writeFileSync } from 'node:fs';
import { parse } from 'smol-toml';
import { describe, expect, it } from 'vitest';
import { configSchema } from '../../../src/config/schema.js';
import { annotatedDefaults } from '../../../src/handbook/annotated-config.js';

describe('annotatedDefaults', () => {
  it('is what config/hyper2kvm.toml holds (UPDATE_DOCS=1 rewrites it)', () => {
    const file = new URL('../../../config/hyper2kvm.toml', import.meta.url);
    if (process.env.UPDATE_DOCS === '1') writeFileSync(file, annotatedDefaults());
    expect(readFileSync(file, 'utf8')).toBe(annotatedDefaults());
  });

  it('is the built-in configuration when every option is uncommented', () => {
    const text = annotatedDefaults().replaceAll(/^#(?=[a-z_]+ = )/gm, '');
    expect(parse(text)).toEqual(configSchema.parse({}));
  });
});
