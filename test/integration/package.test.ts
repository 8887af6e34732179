import { createHash } from 'node:crypto';
import { mkdtempSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { run } from '../../src/tools/run.js';
import { until } from './support/daemon.js';
import { CleanDebian } from './support/debian.js';

const PACKAGER = fileURLToPath(new URL('../../dist/packaging/deb.js', import.meta.url));
const CONFIG = '/etc/hyper2kvm/config.toml';
const MIB = 1024 * 1024;

const scratch = mkdtempSync(join(tmpdir(), 'h2k-package-'));
let machine: CleanDebian;

async function build(directory: string): Promise<string> {
  const { stdout } = await run(process.execPath, [PACKAGER, join(scratch, directory)], {
    env: { SOURCE_DATE_EPOCH: '1790000000' },
  });
  return stdout.toString().split('  ')[0]!;
}

let deb = '';
beforeAll(async () => {
  deb = await build('first');
  machine = await CleanDebian.boot(deb);
});
afterAll(async () => {
  await machine?.destroy();
  rmSync(scratch, { recursive: true, force: true });
});

const ok = async (script: string): Promise<string> => {
  const { stdout, stderr, code } = await machine.inside(script);
  expect([script, code, code === 0 ? '' : stdout + stderr]).toEqual([script, 0, '']);
  return stdout;
};
const apt = (words: string) => ok(`DEBIAN_FRONTEND=noninteractive apt-get -q -y ${words}`);

/** A data disk under its final name by rename; compressing it takes a second for each 25 MiB. */
function dropData(name: string, mebibytes: number): void {
  const target = join(machine.spool, 'incoming', name);
  const noise = Buffer.alloc(MIB, Buffer.from(Array.from({ length: 65_521 }, (_, i) => (i * i) % 251)));
  writeFileSync(`${target}.raw.part`, '');
  for (let written = 0; written < mebibytes; written += 1)
    writeFileSync(`${target}.raw.part`, noise, { flag: 'a' });
  writeFileSync(`${target}.job.toml`, 'kind = "data"\n[convert]\ncompression = "zlib"\n');
  renameSync(`${target}.raw.part`, `${target}.raw`);
}

function archived(name: string): string[] {
  const archive = join(machine.spool, 'archive');
  return readdirSync(archive)
    .flatMap((date) => readdirSync(join(archive, date)).map((bundle) => join(archive, date, bundle)))
    .filter((bundle) => bundle.includes(`/${name}-`));
}

const messages = async (): Promise<Record<string, unknown>[]> =>
  (await ok('journalctl -u hyper2kvm -o cat --no-pager'))
    .split('\n')
    .filter((line) => line.startsWith('{'))
    .map((line) => JSON.parse(line) as Record<string, unknown>);

describe('the Debian package on a clean Debian 12', () => {
  it('is the same file when it is built again', async () => {
    const digest = (file: string) => createHash('sha256').update(readFileSync(file)).digest('hex');
    expect(digest(await build('again'))).toBe(digest(deb));
  });

  it('is without an error or a warning of lintian, and no override is there for nothing', async () => {
    const { stdout } = await run(
      'lintian',
      ['--allow-root', '--display-info', '--show-overrides', '--tag-display-limit', '0', deb],
      // It leaves a directory of its own there.
      { okCodes: [0, 2], env: { TMPDIR: scratch } },
    );
    const tags = stdout.toString().split('\n');
    expect(tags).toContain('O: hyper2kvm: embedded-library zlib [usr/lib/hyper2kvm/node]');
    expect(tags.filter((line) => /^[EW]:|unused-override/.test(line))).toEqual([]);
  });

  it('has of programs and modules only what this architecture runs', async () => {
    const root = join(scratch, 'content');
    await run('dpkg-deb', ['--extract', deb, root]);
    const files = readdirSync(join(root, 'usr/lib/hyper2kvm'), { recursive: true, withFileTypes: true })
      .filter((entry) => entry.isFile())
      .map((entry) => join(entry.parentPath, entry.name));
    const isElf = (file: string) => readFileSync(file).subarray(0, 4).toString('latin1') === '\x7fELF';
    const programs = files.filter(isElf);
    expect(programs.length).toBe(3);
    const { stdout } = await run('readelf', ['--file-header', ...programs]);
    expect(stdout.toString().match(/Machine: .*/g)).toEqual(
      programs.map(() => expect.stringMatching(/ Advanced Micro Devices X86-64$/)),
    );
    const others = files.filter((file) => !isElf(file) && !/\.([cm]?js|json)$/.test(file));
    // The program for the first boot of Windows guests: it runs in them.
    const ofGuests = ['i686', 'x86_64'].map((name) =>
      join(root, `usr/lib/hyper2kvm/dist/first-boot/${name}/h2kfirst.exe`),
    );
    expect(others.sort()).toEqual(ofGuests);
  });

  it('installs with apt, and the service is enabled and runs as its own user', async () => {
    expect((await machine.inside('command -v node')).stdout).toBe('');
    // As libvirt's package makes it.
    await ok('useradd --system --no-create-home libvirt-qemu');
    await apt(`install --no-install-recommends ${machine.deb}`);
    expect((await ok('systemctl is-enabled hyper2kvm')).trim()).toBe('enabled');
    expect((await ok('systemctl is-active hyper2kvm')).trim()).toBe('active');
    const pid = (await ok('systemctl show --value -p MainPID hyper2kvm')).trim();
    expect((await ok(`stat -c %U /proc/${pid}`)).trim()).toBe('hyper2kvm');
    expect(await ok('systemctl show --value -p Slice hyper2kvm')).toBe('hyper2kvm.slice');
    expect(await ok('hyper2kvm status')).toContain('running, version ');
    expect(await ok('dpkg --verify hyper2kvm')).toBe('');
    expect(await ok('zcat /usr/share/man/man1/hyper2kvm.1.gz')).toContain('.SS "hyper2kvm show <job>"');
    await ok('bash -n /usr/share/bash-completion/completions/hyper2kvm');
    const acl = await ok('getfacl --absolute-names /var/spool/hyper2kvm/archive');
    for (const entry of ['user:libvirt-qemu:--x', 'default:user:libvirt-qemu:--x'])
      expect(acl.split('\n')).toContain(entry);
  });

  it('has every module that the program may load', async () => {
    const sources = await ok(
      `grep -rhoE "(from|import) '[^.'][^']*'|import\\('[^.'][^']*'\\)" /usr/lib/hyper2kvm/dist`,
    );
    const names = new Set([...sources.matchAll(/'(.+)'/g)].map(([, name]) => name!));
    expect(names).toContain('koffi');
    const imports = [...names].map((name) => `await import('${name}');`).join('\n');
    const script = `cd /usr/lib/hyper2kvm && ./node --input-type=module <<'END'\n${imports}\nEND`;
    expect(await ok(script)).toBe('');
  });

  it('converts a drop, and says so in `systemctl status` and the journal', async () => {
    await ok(`sed -i 's/^#settle_seconds = .*/settle_seconds = 1/' ${CONFIG}`);
    await ok('systemctl reload hyper2kvm');
    dropData('small', 8);
    await until('the bundle', 60, async () => archived('small').length === 1);
    await ok(`cd /var/spool/hyper2kvm/archive/*/small-* && sha256sum --quiet -c SHA256SUMS`);
    // From within the unit's confinement: libvirt's QEMU passes through to the disk, and sees nothing of the
    // bundle.
    const bundle = archived('small')[0]!.replace(machine.spool, '/var/spool/hyper2kvm');
    const asQemu = 'setpriv --reuid=libvirt-qemu --regid=libvirt-qemu --clear-groups';
    await ok(`${asQemu} test -x ${bundle} && ${asQemu} test -e ${bundle}/small-disk0.qcow2`);
    expect((await machine.inside(`${asQemu} ls ${bundle}`)).stderr).toContain('Permission denied');
    await until('the status', 10, async () =>
      (await ok('systemctl status hyper2kvm')).includes('Status: "idle | 0 queued, 0 waiting, 0 failed"'),
    );
    const said = (await messages()).filter(({ vm }) => vm === 'small').map(({ msg }) => msg);
    expect(said).toEqual(expect.arrayContaining(['drop claimed', 'job started']));
    const [start, end] = (await messages()).filter(({ stage }) => stage === 'convert');
    expect(start).toMatchObject({ msg: 'stage started', job: expect.any(String) });
    expect(end).toMatchObject({
      msg: 'stage finished',
      seconds: expect.any(Number),
      bytes_read: expect.any(Number),
      bytes_written: expect.any(Number),
    });
  });

  it('stops and starts', async () => {
    await ok('systemctl stop hyper2kvm');
    const asked = await machine.inside('hyper2kvm list');
    expect([asked.code, asked.stderr]).toEqual([1, expect.stringContaining('systemctl start hyper2kvm')]);
    await ok('systemctl start hyper2kvm');
    expect(await ok('hyper2kvm list')).toMatch(/ small +converted/);
  });

  it('is upgraded over itself while a job runs: the job goes on after its last finished stage, once', async () => {
    dropData('large', 512);
    await until('the conversion', 60, async () =>
      / large +running +convert/.test(await ok('hyper2kvm list')),
    );
    const before = (await messages()).length;
    await apt(`install --reinstall --no-install-recommends ${machine.deb}`);
    expect(await ok(`grep ^settle_seconds ${CONFIG}`)).toBe('settle_seconds = 1');
    await until('the bundle', 120, async () => archived('large').length === 1);
    const stages = (await messages())
      .slice(before)
      .filter(({ msg }) => msg === 'stage started')
      .map(({ stage }) => stage);
    expect(stages).toEqual(['convert', 'validate']);
    await ok(`cd /var/spool/hyper2kvm/archive/*/large-* && sha256sum --quiet -c SHA256SUMS`);
    expect(readdirSync(join(machine.spool, 'work'))).toEqual([]);
  });

  it('leaves nothing behind when it is purged but the VMs of users and the user that owns them', async () => {
    await apt('remove hyper2kvm');
    expect((await machine.inside('systemctl is-active hyper2kvm')).stdout.trim()).toBe('inactive');
    expect(archived('large')).toHaveLength(1);
    const purge = await apt('purge hyper2kvm 2>&1');
    expect(purge).toContain('VMs of users are left in /var/spool/hyper2kvm');
    expect(readdirSync(machine.spool)).toEqual(['archive']);
    expect(archived('small')).toHaveLength(1);
    await ok('getent passwd hyper2kvm');
    await ok('rm -r /var/spool/hyper2kvm');
    await apt(`install --no-install-recommends ${machine.deb}`);
    expect((await ok('systemctl is-active hyper2kvm')).trim()).toBe('active');
    await apt('purge hyper2kvm');
    const left = await ok(
      'find / -xdev -name "*hyper2kvm*" -not -path "/proc/*" -not -path "/root/*" -not -path "/sys/*" -not -path "/var/log/*"',
    );
    expect(left).toBe('');
    expect((await machine.inside('getent passwd hyper2kvm; getent group hyper2kvm')).stdout).toBe('');
    expect((await machine.inside('systemctl --failed --no-legend')).stdout).not.toContain('hyper2kvm');
  });
});
