import { setTimeout as sleep } from 'node:timers/promises';
import { answerThread, askParent } from '../../../src/host/thread.js';

/** Asks `questions` at once and works for `seconds`; gives the answers, errors by their code and causes. */
await answerThread(async ({ questions, seconds }: { questions: unknown[]; seconds: number }) => {
  const answers = await Promise.all(
    questions.map((question) =>
      askParent(question).then(
        (answer) => (Buffer.isBuffer(answer) ? answer.toString('utf8') : answer),
        ({ code, cause }: { code?: string; cause?: Error }) => ({ code, cause: cause?.message }),
      ),
    ),
  );
  await sleep(seconds * 1000);
  return answers;
});
