import type { FirstBootAction, FirstBootStep } from './step.js';

/** The first line, with the version of the format. */
const HEADER = 'hyper2kvm-firstboot\t1';

/**
 * Returns plan.tsv, which the first-boot program reads: a line for each step with its name, its limit in
 * seconds, its verb, and arguments as `name=value`. `state` is the folder for what has happened. Pure. docs/windows-first-boot.md describes the format.
 */
export function planFile(steps: readonly FirstBootStep[], state: string): string {
  const line = ({ id, seconds, action }: FirstBootStep): string =>
    [id, seconds, action.verb, ...argumentsOf(action)].join('\t');
  const first = steps.filter(({ last }) => !last);
  const last = steps.filter((step) => step.last);
  return [`${HEADER}\t${state}`, ...first.map(line), 'end', ...last.map(line), ''].join('\n');
}

function argumentsOf(action: FirstBootAction): string[] {
  switch (action.verb) {
    case 'run':
      return [
        ...(action.good.length === 0 ? [] : [`good=${action.good.join(',')}`]),
        ...(action.again === null ? [] : [`times=${action.again.times}`, `pause=${action.again.pause}`]),
        `command=${action.command}`,
      ];
    case 'disks':
      return [...each('mbr', action.mbr), ...each('gpt', action.gpt)];
    case 'rescan':
      return [];
    case 'network':
      return [
        `mac=${action.mac}`,
        ...optional('name', action.name),
        ...optional('ghost', action.ghost),
        ...action.addresses.map(({ address, prefix }) => `address=${address}/${prefix}`),
        ...action.gateways.map(
          ({ address, metric }) => `gateway=${address}${metric === null ? '' : `/${metric}`}`,
        ),
        ...each('dns', action.dns),
        ...optional('suffix', action.suffix),
      ];
    case 'registry':
      return [
        `key=${action.key}`,
        ...optional('name', action.name),
        ...(action.value === null ? [] : [`type=${action.value.type}`, `data=${action.value.data}`]),
      ];
    case 'report':
      return [`port=${action.port}`];
  }
}

const each = (name: string, values: readonly string[]): string[] => values.map((value) => `${name}=${value}`);
const optional = (name: string, value: string | null): string[] =>
  value === null ? [] : [`${name}=${value}`];
