import { setTimeout as sleep } from 'node:timers/promises';
import { type Command, Option } from 'commander';
import type { JobFilter } from '../api/client.js';
import { JOB_STATES, type JobState, type JobSummary } from '../api/protocol.js';
import { DAY_SECONDS, WEEK_SECONDS } from '../host/durations.js';
import { type CommonOptions, daemonOf, newCommand, printJson, usageError } from './command.js';
import type { Io } from './io.js';
import { jobTable } from './job-table.js';

interface ListOptions extends CommonOptions {
  watch?: boolean;
  state?: JobState;
  name?: string;
  since?: string;
}

const REFRESH_MILLISECONDS = 1_000;
const CLEAR_SCREEN = '\u001b[H\u001b[2J';
const UNIT_SECONDS: Record<string, number> = { s: 1, m: 60, h: 3_600, d: DAY_SECONDS, w: WEEK_SECONDS };

export function listCommand(io: Io): Command {
  return newCommand(io, {
    usage: 'list',
    summary: 'list jobs and waiting drops',
    description:
      'Lists waiting drops and jobs, newest last. A drop that is not a job yet has no id; the last column shows what it is waiting for.',
    examples: [
      'hyper2kvm list -w',
      'hyper2kvm list --state failed --since 24h',
      "hyper2kvm list --json | jq -r '.[].vm'",
    ],
  })
    .option('-w, --watch', 'keep updating the list until interrupted')
    .addOption(new Option('--state <state>', 'only jobs in this state').choices(JOB_STATES))
    .option('--name <text>', 'only VMs whose name contains this')
    .option('--since <time>', 'only jobs changed since then: 30m, 12h, 7d, or an ISO 8601 date', sinceTime)
    .action(async (_local, command: Command) => {
      const options = command.optsWithGlobals<ListOptions>();
      const client = daemonOf(io, options);
      const filter: JobFilter = { state: options.state, name: options.name, since: options.since };
      if (!options.watch) return print(io, options, await client.jobs(filter));
      await watch(io, options, () => client.jobs(filter));
    });
}

function print(io: Io, options: ListOptions, jobs: readonly JobSummary[]): void {
  if (options.json) printJson(io, jobs);
  else io.out(jobs.length === 0 ? 'No jobs.\n' : jobTable(io, jobs));
}

/** Redraws the screen each second on a terminal; elsewhere prints a further copy when something changed. */
async function watch(io: Io, options: ListOptions, ask: () => Promise<JobSummary[]>): Promise<void> {
  const signal = io.interruption();
  let last = '';
  while (!signal.aborted) {
    const jobs = await ask();
    const text = JSON.stringify(jobs);
    if (options.json) {
      if (text !== last) io.out(`${text}\n`);
    } else if (io.outIsTerminal) {
      io.out(CLEAR_SCREEN);
      print(io, options, jobs);
    } else if (text !== last) print(io, options, jobs);
    last = text;
    // An interruption ends the wait and the command.
    await sleep(REFRESH_MILLISECONDS, undefined, { signal }).catch(() => undefined);
  }
}

/** `90m` ago or a date → ISO 8601. Throws `usage.invalid`. */
export function sinceTime(text: string, _previous?: unknown, now = Date.now()): string {
  const [, count, unit] = /^(\d+)([smhdw])$/.exec(text) ?? [];
  const time = count === undefined ? Date.parse(text) : now - Number(count) * UNIT_SECONDS[unit!]! * 1000;
  const date = new Date(time);
  if (Number.isNaN(date.getTime()))
    throw usageError(
      `--since ${text} is not a valid time`,
      'For example: --since 30m, 12h, 7d, or 2026-01-31T12:00Z',
    );
  return date.toISOString();
}
