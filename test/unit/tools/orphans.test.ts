import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { describe, expect, it, onTestFinished } from 'vitest';
import { endOrphans, ownerEnvironment } from '../../../src/tools/orphans.js';
import { run } from '../../../src/tools/run.js';

function sleeper(env: Record<string, string>): ChildProcess {
  const child = spawn('sleep', ['60'], { env: { ...process.env, ...env }, stdio: 'ignore' });
  onTestFinished(() => void child.kill('SIGKILL'));
  return child;
}

describe('endOrphans', () => {
  it('kills a program whose starter is gone, also where its pid is in use again, and no other', async () => {
    const [here] = ownerEnvironment().HYPER2KVM_OWNER!.split(':');
    const gone = sleeper({ HYPER2KVM_OWNER: `${here}:4194305:1` });
    const reused = sleeper({ HYPER2KVM_OWNER: `${here}:${process.pid}:1` });
    const ours = sleeper(ownerEnvironment());
    const ended = [once(gone, 'exit'), once(reused, 'exit')];
    const pids = (await endOrphans()).map(({ pid }) => pid);
    expect(pids).toEqual(expect.arrayContaining([gone.pid, reused.pid]));
    expect(pids).not.toContain(ours.pid);
    await Promise.all(ended);
    expect(ours.signalCode).toBeNull();
  });

  it('leaves alone what a daemon in a container started: its pids mean nothing here', async () => {
    const theirs = sleeper({ HYPER2KVM_OWNER: '1:4194305:1' });
    expect((await endOrphans()).map(({ pid }) => pid)).not.toContain(theirs.pid);
    expect(theirs.signalCode).toBeNull();
  });

  it('knows every program that run() starts', async () => {
    const { stdout } = await run('env', []);
    expect(stdout.toString()).toContain(`HYPER2KVM_OWNER=${ownerEnvironment().HYPER2KVM_OWNER}`);
  });
});
