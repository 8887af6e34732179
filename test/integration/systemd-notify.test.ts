import { existsSync, readdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { until } from './support/daemon.js';
import { Machine } from './support/machine.js';

const QUICK = '[watch]\nsettle_seconds = 1\npoll_seconds = 1\n';
const IDLE = /^idle \| 0 queued/;
/** What a program tries that a guest has taken over: it shows what it sees, and speaks for the service. */
const TAKEN_OVER = `#!/bin/sh
[ "$1" != --version ] || exec "$0.real" "$@"
facts="taken over: variable=$NOTIFY_SOCKET socket=$(ls -d /run/systemd/notify 2>/dev/null)"
for directory in /var/spool/hyper2kvm/work/*; do
  [ ! -w "$directory" ] || echo "$facts" >"$directory/taken-over"
done
export NOTIFY_SOCKET=/run/systemd/notify
for try in 1 2 3 4 5; do
  systemd-notify --status="taken over by $0" 2>/dev/null
  sleep 0.5
done
echo "$facts" >&2
exit 1
`;
const NOTHING_SEEN = 'taken over: variable= socket=';

let machine: Machine;
beforeAll(async () => {
  machine = await Machine.boot({ dropIn: 'RestartSec=1', toml: QUICK });
});
afterAll(() => machine?.destroy());

const systemctl = (...words: string[]) => machine.inside('systemctl', ...words);
const status = () => machine.property('StatusText');

function drop(name: string, file: string, content: Buffer, toml: string): void {
  const incoming = join(machine.spool, 'incoming');
  writeFileSync(join(incoming, `${name}.job.toml`), toml);
  writeFileSync(join(incoming, `${file}.part`), content);
  renameSync(join(incoming, `${file}.part`), join(incoming, file));
}

/** What the program left in the job's directory, the only place that it may write to. */
async function leftBehind(): Promise<string> {
  let text = '';
  const work = join(machine.spool, 'work');
  await until('the program to be started', 120, async () => {
    const [job] = readdirSync(work);
    const file = join(work, job ?? '', 'taken-over');
    if (existsSync(file)) text = readFileSync(file, 'utf8').trim();
    return text !== '';
  });
  return text;
}

async function failureOf(name: string): Promise<string> {
  const failed = join(machine.spool, 'failed');
  let reason = '';
  await until('the job to fail', 120, async () => {
    const directories = readdirSync(failed).flatMap((day) =>
      readdirSync(join(failed, day)).map((job) => join(failed, day, job)),
    );
    const file = join(directories.find((directory) => directory.includes(`/${name}-`)) ?? '', 'reason.json');
    if (existsSync(file)) reason = readFileSync(file, 'utf8');
    return reason !== '';
  });
  return reason;
}

/** A disk with one Linux partition, which has nothing in it. */
function partitioned(bytes: number): Buffer {
  const disk = Buffer.alloc(bytes);
  disk.writeUInt8(0x83, 450);
  disk.writeUInt32LE(1, 454);
  disk.writeUInt32LE(bytes / 512 - 1, 458);
  disk.writeUInt16LE(0xaa55, 510);
  return disk;
}

it('the tools of the service run under bubblewrap', async () => {
  const lines = (await machine.journal()).filter(({ MESSAGE }) =>
    MESSAGE.includes('sandbox of the tools found'),
  );
  expect(lines.map(({ MESSAGE }) => JSON.parse(MESSAGE).sandbox)).toEqual(['bubblewrap']);
});

describe('systemd hears of the service', () => {
  it('by systemd-notify, which needs NotifyAccess=all: with less, the service does not become ready', async () => {
    expect(await machine.property('NotifyAccess')).toBe('all');
    expect(await status()).toMatch(IDLE);
    const refusals = async () =>
      (await machine.journal()).filter(({ MESSAGE }) => MESSAGE.includes('reception only permitted for'))
        .length;
    for (const access of ['main', 'exec']) {
      const before = await refusals();
      machine.dropIn('access.conf', `NotifyAccess=${access}\nTimeoutStartSec=6\nRestart=no`);
      await systemctl('daemon-reload');
      await systemctl('restart', 'hyper2kvm');
      expect([access, await machine.property('Result')]).toEqual([access, 'timeout']);
      expect((await refusals()) > before).toBe(true);
    }
    machine.dropIn('access.conf', '');
    await systemctl('daemon-reload');
    await systemctl('restart', 'hyper2kvm');
    expect(await machine.property('ActiveState')).toBe('active');
  });

  it('from the service’s other programs too: one of the operator’s can', async () => {
    const command = `[[notify.commands]]\nname = "operator"\nevents = ["failed"]\ncommand = ["/opt/taken-over"]\n`;
    machine.program('/opt/taken-over', TAKEN_OVER);
    machine.configure(`${QUICK}${command}`);
    await systemctl('restart', 'hyper2kvm');
    drop('letter', 'letter.vmdk', Buffer.from('This is no disk.\n'.repeat(100)), 'kind = "data"\n');
    await until('the status', 60, async () => (await status()) === 'taken over by /opt/taken-over');
    machine.configure(QUICK);
    await systemctl('restart', 'hyper2kvm');
  });

  const disk = partitioned(1024 * 1024);
  it.each([
    ['qemu-img', 'image.raw', disk, 'kind = "data"\n'],
    ['gzip', 'packed.raw.gz', gzipSync(disk), 'kind = "data"\n'],
    ['qemu-system-x86_64', 'guest.raw', disk, ''],
  ])('but not from %s, which reads a guest', async (program, file, content, toml) => {
    const restore = machine.program(`/usr/bin/${program}`, TAKEN_OVER);
    const seen: string[] = [];
    const watch = setInterval(() => void status().then((text) => seen.push(text)), 200);
    try {
      const name = file.split('.')[0]!;
      drop(name, file, content, toml);
      // Programs that unpack may write nowhere: what they print is in the error.
      const facts = program === 'gzip' ? await failureOf(name) : await leftBehind();
      expect(facts).toContain(NOTHING_SEEN);
      await failureOf(name);
    } finally {
      clearInterval(watch);
      restore();
    }
    expect(seen.length).toBeGreaterThan(3);
    expect(seen.filter((text) => text.includes('taken over'))).toEqual([]);
  });
});
