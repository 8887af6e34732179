import { createHash } from 'node:crypto';
import { readBootStore } from '../../../src/guest/bcd.js';
import { readDriverInf } from '../../../src/guest/inf/package.js';
import { isJournalClean, isVolumeDirty } from '../../../src/guest/ntfs.js';
import { catalogHas, readCatalog } from '../../../src/guest/pe/catalog.js';
import { fileSignatures } from '../../../src/guest/pe/signature.js';
import { fileVersion } from '../../../src/guest/pe/version.js';
import { openHive } from '../../../src/guest/registry/hive.js';
import { printKey } from '../../../src/guest/registry/print.js';
import { recoverHive } from '../../../src/guest/registry/recover.js';
import { logFile, masterFileTable } from './make-ntfs.js';
import { makeCatalog, makeIdentity, signProgram } from './pe/sign.js';
import { makePe } from './pe.js';
import { binary, dword, type MadeKey, makeHive, multiSz, sealBaseBlock, sz } from './registry/make-hive.js';
import { dirtyPagesLog, entriesLog, sealEntry } from './registry/make-log.js';

/** One parser to be fuzzed. */
export interface FuzzSubject {
  /** A file that it accepts. */
  seed: Buffer;
  /** Places where changes go. */
  hot(bytes: Buffer): number[];
  /** Makes checksums right again, so that a change is not only seen as damage. */
  repair?(bytes: Buffer): void;
  parse(bytes: Buffer): unknown;
}

const everywhere = (bytes: Buffer) => Array.from(bytes.keys());
const nonZero = (bytes: Buffer) => everywhere(bytes).filter((at) => bytes[at] !== 0);

export function makeFuzzSubjects(): Record<string, FuzzSubject> {
  return { ...registrySubjects(), ...volumeSubjects(), ...textSubjects(), ...signatureSubjects() };
}

function tree(count: number): MadeKey {
  const values = [dword('count', count), sz('text', 'value'), multiSz('list', ['a', 'b'])];
  const keys = Array.from({ length: 12 }, (_, index) => ({ name: `key${index}`, values }));
  const big = { name: 'big', type: 3, data: Buffer.alloc(20_000, count) };
  return { name: 'r', className: 'class', values: [big], keys: [{ name: 'a', values, keys }, ...keys] };
}

function volumeSubjects(): Record<string, FuzzSubject> {
  return {
    'master file table': { seed: masterFileTable({ flags: 1 }), hot: nonZero, parse: isVolumeDirty },
    'ntfs journal': {
      seed: logFile([{ lsn: 1n, client: 0, flags: 0 }]),
      hot: nonZero,
      parse: isJournalClean,
    },
  };
}

function registrySubjects(): Record<string, FuzzSubject> {
  const [before, after] = [makeHive(tree(0), { leafKeys: 3 }), makeHive(tree(1), { leafKeys: 3 })];
  const dirty = Buffer.from(before);
  dirty.writeUInt32LE(2, 4);
  sealBaseBlock(dirty);
  const walk = (bytes: Buffer) => printKey(openHive(bytes).root, 'SYSTEM', 10_000);
  const recover = (log: Buffer) => walk(recoverHive(dirty, [log]).bytes);
  const seal = (bytes: Buffer) => {
    if (bytes.length >= 512) sealBaseBlock(bytes);
  };
  const sealLog = (bytes: Buffer) => {
    seal(bytes);
    if (bytes.length < 1024) return;
    const size = bytes.readUInt32LE(516);
    if (size >= 512 && 512 + size <= bytes.length) sealEntry(bytes.subarray(512, 512 + size));
  };
  const head = (length: number) => (bytes: Buffer) => everywhere(bytes).slice(0, length);
  return {
    hive: { seed: before, hot: nonZero, repair: seal, parse: walk },
    'log entries': {
      seed: entriesLog([before, after], { sequence: 1 }),
      hot: head(1024),
      repair: sealLog,
      parse: recover,
    },
    'dirty pages': {
      seed: dirtyPagesLog(before, after, { sequence: 1 }),
      hot: head(1024),
      repair: seal,
      parse: recover,
    },
    'boot store': {
      seed: bootStore(),
      hot: nonZero,
      repair: seal,
      parse: (bytes) => readBootStore(openHive(bytes)),
    },
  };
}

function bootStore(): Buffer {
  const element = (name: string, value: object) => ({
    name,
    values: [{ ...sz('', ''), ...value, name: 'Element' }],
  });
  const object = (name: string, elements: MadeKey[]) => ({
    name,
    keys: [{ name: 'Elements', keys: elements }],
  });
  const device = binary(
    '',
    `${'00'.repeat(16)}0600000000000000480000000000000000001000${'00'.repeat(16)}${'01000000'.repeat(9)}`,
  );
  const [manager, loader] = [
    '{9dea862c-5cdd-4e70-acc1-f32b344d4795}',
    '{733b62e5-f608-11eb-825c-c112f60133ab}',
  ];
  const objects = [
    object(manager, [element('23000003', sz('', loader)), element('24000001', multiSz('', [loader]))]),
    object(loader, [
      element('11000001', device),
      element('12000002', sz('', '\\Windows\\system32\\winload.exe')),
      element('14000006', multiSz('', [manager, loader])),
      element('16000049', binary('', '01')),
      element('21000001', device),
      element('25000080', binary('', '0100000000000000')),
    ]),
  ];
  return makeHive({ name: 'NewStoreRoot', keys: [{ name: 'Objects', keys: objects }] });
}

function textSubjects(): Record<string, FuzzSubject> {
  const inf =
    '[Version]\nClass=Net\nDriverVer=01/02/2023,1.2.3.4\n[Manufacturer]\n%v%=M,NTamd64.10.0...14393\n' +
    '[M.NTamd64.10.0...14393]\n%d%=i,PCI\\VEN_1AF4&DEV_1000\n[i.NT]\nCopyFiles=f,@a.dll\nNeeds=i.NT,n\nAddReg=r\n' +
    '[f]\na.sys,b.sys,,2\n[n]\nAddReg=r\n[i.NT.Services]\nAddService=s,2,svc\n[svc]\nServiceType=1\nStartType=0\n' +
    'ServiceBinary=%12%\\a.sys\nAddReg=r\n[r]\nHKR,"k","n",0x00010001,1\nHKR,,l,0x10000,a,"b, ""c"""\n' +
    '[SourceDisksFiles]\na.sys=1\n[SourceDisksNames]\n1=d,,,p\n[DestinationDirs]\nf=12,sub\n[Strings]\nv="V"\nd="D"\n';
  const target = { architecture: 'amd64', version: [10, 0], build: 19045, product: 'server' } as const;
  return { inf: { seed: Buffer.from(inf), hot: everywhere, parse: (bytes) => readDriverInf(bytes, target) } };
}

function signatureSubjects(): Record<string, FuzzSubject> {
  const signer = makeIdentity('Lab', { isCa: true });
  const file = Buffer.from('file');
  const members = [{ algorithm: 'sha256' as const, digest: createHash('sha256').update(file).digest() }];
  const plain = makePe([{ name: '.text', address: 0x1000, content: Buffer.from('driver') }]);
  return {
    program: {
      seed: signProgram(plain, signer),
      hot: nonZero,
      parse: (bytes) => [fileSignatures(bytes), fileVersion(bytes)],
    },
    catalogue: {
      seed: makeCatalog(members, signer),
      hot: everywhere,
      parse: (bytes) => catalogHas(readCatalog(bytes), file),
    },
  };
}
