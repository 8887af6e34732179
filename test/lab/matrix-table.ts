import { filesystemsOf } from './layout.ts';
import { type MatrixResult, type PeerResult, stateFaults, type Twice } from './matrix-judge.ts';
import type { GuestRecipe } from './recipes.ts';

/** All that is known of one guest. Null: not run. */
export interface MatrixRow {
  recipe: GuestRecipe;
  result: MatrixResult | null;
  twice: Twice | null;
  peer: PeerResult | null;
  /** Where virt-inspector says otherwise than INSPECT; null when it was not asked. */
  inspector: readonly string[] | null;
  /** `4dced96, 2026-11-23`; where the code has changed since, it says so. */
  seenWith: string;
}

const HEAD = [
  ...['guest', 'disks', 'storage', 'loader', 'initramfs', 'network', 'as it is, on virtio'],
  ...['hyper2kvm', 's', 'boot s', 'planned again', 'twice', 'seen with', 'virt-v2v', 's'],
] as const;

/** A Markdown table, one line a guest; what is wrong, and virt-v2v's own words, below it. Pure. */
export function matrixTable(rows: readonly MatrixRow[]): string {
  const line = (cells: readonly string[]) => `| ${cells.join(' | ')} |\n`;
  const faults = rows.flatMap(({ recipe, result, twice }) => [
    ...(result?.faults ?? []).map((fault) => `- ${recipe.name}: ${fault}\n`),
    ...(twice?.differences ?? []).map((difference) => `- ${recipe.name}, two runs: ${difference}\n`),
  ]);
  const peers = rows.flatMap(({ recipe, peer }) =>
    peer === null ? [] : peerFaults(recipe, peer).map((fault) => `- ${recipe.name}: ${fault}\n`),
  );
  const asked = rows.filter(({ inspector }) => inspector !== null);
  const inspectors = asked.flatMap(({ recipe, inspector }) =>
    (inspector ?? []).map((difference) => `- ${recipe.name}: ${difference}\n`),
  );
  return [
    line(HEAD),
    line(HEAD.map(() => '---')),
    ...rows.map((row) => line(cells(row))),
    ...(faults.length === 0 ? [] : ['\nWrong:\n\n', ...faults]),
    ...(peers.length === 0 ? [] : ['\nMessages of virt-v2v, or how far its result booted:\n\n', ...peers]),
    ...(asked.length === 0
      ? []
      : [
          '\nWhere virt-inspector was run and differs from INSPECT:\n\n',
          ...(inspectors.length === 0 ? ['- nowhere\n'] : inspectors),
        ]),
  ].join('');
}

function cells({ recipe, result, twice, peer, seenWith }: MatrixRow): string[] {
  const ours =
    result === null
      ? ['not run', '', '', '']
      : [
          result.faults.length === 0 ? result.verdict : `${result.verdict}, **wrong**`,
          seconds(result.convertSeconds),
          seconds(result.bootSeconds),
          result.plannedAgain,
        ];
  return [
    ...[recipe.name, String(recipe.disks.length), storageText(recipe), recipe.loader ?? 'grub'],
    ...[recipe.initramfs.tool, networkText(recipe), result?.asItIs ?? ''],
    ...ours,
    twice === null ? '' : isSame(twice) ? 'the same' : '**differs**',
    seenWith,
    ...(peer === null ? ['not run', ''] : [peerText(recipe, peer), seconds(peer.seconds)]),
  ];
}

/** Two runs gave the same plan, the same tree and the same bytes. */
export const isSame = ({ differences, samePlan, sameBytes }: Twice) =>
  differences.length === 0 && samePlan && sameBytes;

const seconds = (value: number | null) => value?.toFixed(0) ?? '';

function peerText(recipe: GuestRecipe, peer: PeerResult): string {
  if (peer.error !== null) return 'gives up';
  if (peer.state === null) return 'does not boot';
  return stateFaults(recipe, peer.state).length === 0 ? 'booted' : 'booted, **not as before**';
}

function peerFaults(recipe: GuestRecipe, peer: PeerResult): string[] {
  if (peer.error !== null) return [`“${peer.error}”`];
  if (peer.state === null) return [`its result stopped: ${peer.stopped}`];
  return stateFaults(recipe, peer.state);
}

function storageText(recipe: GuestRecipe): string {
  const filesystems = filesystemsOf(recipe).flatMap(({ filesystem }) =>
    ['swap', 'vfat'].includes(filesystem) ? [] : [filesystem],
  );
  const volumes = (recipe.volumes ?? []).map(({ kind }) => kind);
  return [...volumes, ...new Set(filesystems)].join(' ');
}

const networkText = ({ network }: GuestRecipe) =>
  `${network.backend}${network.static === undefined ? '' : ', static'}`;
