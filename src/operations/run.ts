import { z } from 'zod';
import { causeFields, type OperationKind } from './operation.js';

/** Runs a program of the guest, whose effects the plan cannot know. */
const schema = z.object({ op: z.literal('run'), ...causeFields, command: z.array(z.string()) });
export type Run = z.infer<typeof schema>;

export const run: OperationKind<Run> = {
  op: 'run',
  whileRunning: false,
  schema,
  subject: ({ command }) => command.join(' '),
  title: ({ command }) => ({ verb: 'run', object: command.join(' ') }),
  diff: ({ command }) => ({ text: null, remarks: [`run ${command.join(' ')}`] }),
  applyTo() {},
  async execute(guest, { command }) {
    await guest.run(command);
    return [];
  },
};
