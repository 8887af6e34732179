import { readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { until } from './support/daemon.js';
import { FETCH_UNIT, Machine, NODE } from './support/machine.js';

const DATA = 'kind = "data"\n';
const MIB = 1024 * 1024;
const QUICK = '[watch]\nsettle_seconds = 1\npoll_seconds = 1\n';

let machine: Machine;
beforeAll(async () => {
  machine = await Machine.boot({ dropIn: 'WatchdogSec=6\nRestartSec=1', toml: QUICK });
});
afterAll(() => machine?.destroy());

/** As a user does: copied under a name that is no drop, then renamed. Its compression takes long. */
function dropSlow(name: string, mebibytes: number): void {
  const target = join(machine.spool, 'incoming', name);
  const noise = Buffer.alloc(
    64 * MIB,
    Buffer.from(Array.from({ length: 65_521 }, (_, index) => (index * index) % 251)),
  );
  writeFileSync(`${target}.raw.part`, '');
  for (let written = 0; written < mebibytes; written += 64)
    writeFileSync(`${target}.raw.part`, noise, { flag: 'a' });
  writeFileSync(`${target}.job.toml`, `${DATA}[convert]\ncompression = "zlib"\n`);
  renameSync(`${target}.raw.part`, `${target}.raw`);
}

function results(kind: 'archive' | 'failed'): string[] {
  const directory = join(machine.spool, kind);
  return readdirSync(directory).flatMap((date) => readdirSync(join(directory, date)));
}

async function statusMatches(pattern: RegExp, seconds: number): Promise<void> {
  let seen = '';
  await until(
    `a status like ${pattern}`,
    seconds,
    async () => {
      seen = await machine.property('StatusText');
      return pattern.test(seen);
    },
    () => seen,
  );
}

describe('hyper2kvm.service under systemd', () => {
  it('is active only after the daemon was ready, and runs as its own user', async () => {
    const ready = (await machine.journal()).find(({ MESSAGE }) => MESSAGE.includes('daemon ready'));
    const { stdout } = await machine.inside(
      ...['systemctl', 'show', '--timestamp=us+utc', '--value', '-p', 'ActiveEnterTimestamp', 'hyper2kvm'],
    );
    // `Sun 2026-11-22 22:20:12.123456 UTC`. With Type=simple it would be the time of the fork, most of a
    // second earlier.
    const [, day, time] = stdout.trim().split(' ');
    const saidReady = Date.parse(JSON.parse(ready!.MESSAGE).time);
    expect(Date.parse(`${day}T${time}Z`)).toBeGreaterThanOrEqual(saidReady);
    const uid = (await machine.inside('id', '-u', 'hyper2kvm')).stdout.trim();
    expect(uid).not.toBe('0');
    expect(ready?._UID).toBe(uid);
    expect(await machine.property('StatusText')).toBe('idle | 0 queued, 0 waiting, 0 failed');
  });

  it('shows job, stage and percent in its status, stops in seconds during a conversion, and resumes at the next start', async () => {
    dropSlow('slow', 1024);
    await statusMatches(/^slow convert [1-9]\d*% \| /, 60);
    const started = performance.now();
    await machine.inside('systemctl', 'stop', 'hyper2kvm');
    expect(performance.now() - started).toBeLessThan(10_000);
    expect(await machine.property('ActiveState')).toBe('inactive');
    expect(await machine.property('Result')).toBe('success');
    expect((await machine.inside('pgrep', 'qemu-img')).stdout).toBe('');
    expect(results('archive')).toEqual([]);

    const before = (await machine.journal()).length;
    await machine.inside('systemctl', 'start', 'hyper2kvm');
    await until('the job to be archived', 120, async () => results('archive').length === 1);
    const since = (await machine.journal()).slice(before).map(({ MESSAGE }) => MESSAGE);
    const stages = since
      .filter((line) => line.includes('stage started'))
      .map((line) => JSON.parse(line).stage);
    expect(stages.filter((stage) => stage !== 'validate')).toEqual(['convert']);
    expect(readdirSync(join(machine.spool, 'work'))).toEqual([]);
  });

  it('gives each line its priority, so that `journalctl -p warning` shows what went wrong and nothing else', async () => {
    writeFileSync(
      join(machine.spool, 'incoming', 'letter.vmdk'),
      'Dear administrator, this is no disk.\n'.repeat(40),
    );
    await until('the drop to fail', 60, async () => results('failed').length === 1);
    const expected: Record<string, string> = { debug: '7', info: '6', warn: '4', error: '3' };
    const own = (await machine.journal()).filter(({ MESSAGE }) => MESSAGE.startsWith('{'));
    for (const { MESSAGE, PRIORITY } of own)
      expect([MESSAGE, PRIORITY]).toEqual([MESSAGE, expected[JSON.parse(MESSAGE).level]]);
    const warnings = (await machine.journal('-p', 'warning')).filter(({ MESSAGE }) =>
      MESSAGE.startsWith('{'),
    );
    const failure = warnings
      .map(({ MESSAGE }) => JSON.parse(MESSAGE))
      .find(({ msg }) => msg === 'job failed');
    expect(failure).toMatchObject({ level: 'error', vm: 'letter', code: expect.stringMatching(/^fetch\./) });
    expect(failure.job).toMatch(/^[0-9a-z]{13}$/);
    expect(own.length).toBeGreaterThan(warnings.length);
  });

  it('reloads its configuration without leaving the active state', async () => {
    machine.configure(`${QUICK}[log]\nlevel = "debug"\n`);
    await machine.inside('systemctl', 'reload', 'hyper2kvm');
    await until('the reload', 20, async () =>
      (await machine.journal()).some(({ MESSAGE }) => MESSAGE.includes('"applied":["log.level"]')),
    );
    expect(await machine.property('ActiveState')).toBe('active');
  });

  it('has no network until a drop-in gives it, as docs/operations says; then it tells a webhook and shows its metrics', async () => {
    const told = '/tmp/told.json';
    const receiver = `require('http').createServer((q, a) => q.on('end', () => a.end()).pipe(require('fs').createWriteStream('${told}'))).listen(9181, '127.0.0.1')`;
    await machine.inside('systemd-run', '--unit=receiver', NODE, '-e', receiver);
    const ask = "fetch('http://127.0.0.1:9180/metrics').then((r) => r.text()).then(console.log, console.log)";
    const metrics = async () => (await machine.inside(NODE, '-e', ask)).stdout;
    const webhook = '[[notify.webhooks]]\nname = "chat"\nurl = "http://127.0.0.1:9181/"\n';
    machine.configure(
      `${QUICK}[metrics]\nlisten = "127.0.0.1:9180"\n[notify]\nbackoff_seconds = 0.5\n${webhook}`,
    );
    await machine.inside('systemctl', 'restart', 'hyper2kvm');
    expect(await machine.property('ActiveState')).toBe('active');
    expect(await metrics()).toMatch(/ECONNREFUSED|fetch failed/);

    writeFileSync(
      join(machine.dropIns, 'network.conf'),
      '[Service]\nPrivateNetwork=no\nIPAddressAllow=localhost\n',
    );
    await machine.inside('systemctl', 'daemon-reload');
    await machine.inside('systemctl', 'restart', 'hyper2kvm');
    expect(await metrics()).toContain('hyper2kvm_build_info{version="');
    writeFileSync(join(machine.spool, 'incoming', 'memo.vmdk'), 'This is no disk either.\n'.repeat(40));
    let body = '';
    await until('the webhook', 60, async () => {
      body = (await machine.inside('cat', told)).stdout;
      return body.endsWith('}');
    });
    expect(JSON.parse(body)).toMatchObject({ event: 'failed', job: { vm: 'memo' } });
  });

  it('fetches by the unit that has the network, which ends and starts with the daemon', async () => {
    rmSync(join(machine.dropIns, 'network.conf'), { force: true });
    const web = `require('http').createServer((q, a) => {
      const bytes = Buffer.alloc(3 << 20, 7), [, s, e] = /=(\\d+)-(\\d+)/.exec(q.headers.range);
      const end = Math.min(+e + 1, bytes.length), allowed = q.headers.authorization === 'Bearer canary';
      a.writeHead(allowed ? 206 : 401, { etag: '"x"', 'content-length': end - s, 'content-range': 'bytes ' + s + '-' + (end - 1) + '/' + bytes.length });
      a.end(bytes.subarray(+s, end));
    }).listen(9182, '127.0.0.1')`;
    await machine.inside('systemd-run', '--unit=web', NODE, '-e', web);
    // Each unit tries, in its own confinement, to reach that server.
    const probe = `#!${NODE}\nrequire('net').connect(9182, '127.0.0.1').on('connect', () => { console.log('probe: connected'); process.exit(); }).on('error', ({ code }) => console.log('probe: ' + code));\n`;
    machine.program('usr/local/bin/h2k-probe', probe);
    for (const unit of ['hyper2kvm.service', FETCH_UNIT])
      machine.dropIn('probe.conf', 'ExecStartPost=/usr/local/bin/h2k-probe', unit);
    machine.credential('web', 'Authorization: Bearer canary\n');
    const connection =
      '[[remote.connections]]\nname = "web"\ntype = "http"\nurl = "http://127.0.0.1:9182/"\nsecret = "web"\n';
    machine.configure(`${QUICK}[convert]\nformat = "raw"\n${connection}`);
    await machine.inside('systemctl', 'daemon-reload');
    await machine.inside('systemctl', 'restart', 'hyper2kvm');
    expect((await machine.inside('systemctl', 'enable', '--now', FETCH_UNIT)).code).toBe(0);
    expect(await machine.property('ActiveState', FETCH_UNIT)).toBe('active');
    const probed = async (unit: string) =>
      (await machine.journalOf(unit))
        .map(({ MESSAGE }) => MESSAGE)
        .filter((line) => line.startsWith('probe: '));
    expect(await probed(FETCH_UNIT)).toEqual(['probe: connected']);
    expect(await probed('hyper2kvm')).toEqual([
      expect.stringMatching(/^probe: (ECONNREFUSED|EPERM|EACCES|ENETUNREACH|ETIMEDOUT)$/),
    ]);

    const before = results('archive').length;
    const order = join(machine.spool, 'incoming', 'remote01.job.toml');
    writeFileSync(`${order}.part`, `${DATA}[source]\nconnection = "web"\nvm = "/remote01.raw"\n`);
    renameSync(`${order}.part`, order);
    await until('the fetched VM', 120, async () => results('archive').length > before);
    const [day] = readdirSync(join(machine.spool, 'archive'));
    const name = results('archive').find((one) => one.startsWith('remote01'))!;
    const disk = readFileSync(join(machine.spool, 'archive', day!, name, 'remote01-disk0.raw'));
    expect(disk.equals(Buffer.alloc(3 * MIB, 7))).toBe(true);

    // One unit's end is the other's, and its socket survives the other's restart.
    await machine.inside('systemctl', 'restart', 'hyper2kvm');
    await until('the unit', 30, async () => (await machine.property('ActiveState', FETCH_UNIT)) === 'active');
    expect((await machine.inside('test', '-S', '/run/hyper2kvm/fetch.sock')).code).toBe(0);
    await machine.inside('systemctl', 'stop', 'hyper2kvm');
    expect(await machine.property('ActiveState', FETCH_UNIT)).toBe('inactive');
    // The other tests are of the daemon alone.
    await machine.inside('systemctl', 'disable', FETCH_UNIT);
    rmSync(join(machine.dropIns, 'probe.conf'));
    await machine.inside('systemctl', 'daemon-reload');
    await machine.inside('systemctl', 'start', 'hyper2kvm');
  });

  it.each([
    // As docs/security.md says.
    ['hyper2kvm-fetch', 1.4],
    ['hyper2kvm', 3.1],
  ])('confines %s to an exposure of at most %d', async (unit, most) => {
    const { stdout } = await machine.inside('systemd-analyze', 'security', '--no-pager', `${unit}.service`);
    const exposure = /Overall exposure level for \S+: ([\d.]+)/.exec(stdout)?.[1];
    expect(Number(exposure)).toBeLessThanOrEqual(most);
  });

  it('is restarted by the watchdog when it hangs', async () => {
    const pid = await machine.property('MainPID');
    await machine.inside('kill', '-STOP', pid);
    await until(
      'the restart',
      60,
      async () =>
        (await machine.property('MainPID')) !== pid && (await machine.property('ActiveState')) === 'active',
    );
    expect(Number(await machine.property('NRestarts'))).toBe(1);
    expect((await machine.journal()).some(({ MESSAGE }) => MESSAGE.includes('Watchdog timeout'))).toBe(true);
  });

  it('does not start with a wrong configuration, is not tried again, and says why at priority err', async () => {
    machine.configure('[watch]\nsetle_seconds = 1\n');
    await machine.inside('systemctl', 'restart', 'hyper2kvm');
    expect(await machine.property('ActiveState')).toBe('failed');
    // A start by hand begins to count anew.
    expect(await machine.property('NRestarts')).toBe('0');
    const errors = (await machine.journal('-p', 'err')).map(({ MESSAGE }) => MESSAGE);
    expect(errors.some((line) => line.includes('did you mean watch.settle_seconds?'))).toBe(true);
  });
});
