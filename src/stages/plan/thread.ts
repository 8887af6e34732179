import { answerThread } from '../../host/thread.js';
import { planRequested } from './plan-requested.js';

/** `make-plan.ts` starts this. */
await answerThread(planRequested);
