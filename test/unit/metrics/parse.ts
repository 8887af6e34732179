/**
 * A strict reader of Prometheus' text exposition format 0.0.4
 * (prometheus.io/docs/instrumenting/exposition_formats). Samples by their name and labels as written. Throws
 * at what the specification does not allow.
 */
export function parseExposition(text: string): Map<string, number> {
  if (!text.endsWith('\n')) throw new Error('the last line must end with a line feed');
  const samples = new Map<string, number>();
  const types = new Map<string, string>();
  let family = '';
  for (const line of text.slice(0, -1).split('\n')) {
    const comment = /^# (HELP|TYPE) ([a-zA-Z_:][a-zA-Z0-9_:]*) (.+)$/.exec(line);
    if (comment !== null) {
      const [, kind, name = '', rest = ''] = comment;
      if (kind === 'HELP') {
        if (!/^(?:[^\\]|\\[\\n])*$/.test(rest)) throw new Error(`escape in ${line}`);
        family = name;
        continue;
      }
      if (name !== family || types.has(name)) throw new Error(`TYPE out of place or twice: ${line}`);
      if (!/^(counter|gauge)$/.test(rest)) throw new Error(`type: ${line}`);
      if ((rest === 'counter') !== name.endsWith('_total')) throw new Error(`name of a ${rest}: ${name}`);
      types.set(name, rest);
      continue;
    }
    const label = '[a-zA-Z_][a-zA-Z0-9_]*="(?:[^"\\\\]|\\\\[\\\\n"])*"';
    const sample = new RegExp(
      `^([a-zA-Z_:][a-zA-Z0-9_:]*)((?:\\{${label}(?:,${label})*\\})?) (-?\\d+(?:\\.\\d+)?(?:e[+-]\\d+)?)$`,
    ).exec(line);
    if (sample === null) throw new Error(`neither comment nor sample: ${line}`);
    const [, name, labels = '', value] = sample;
    // All lines of a metric are one group, after its TYPE.
    if (name !== family || !types.has(family)) throw new Error(`outside of its group: ${line}`);
    if (samples.has(name + labels)) throw new Error(`twice: ${line}`);
    samples.set(name + labels, Number(value));
  }
  return samples;
}
