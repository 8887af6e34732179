import type { ApplianceSession } from '../../appliance/session.js';
import { answerThread, askParent } from '../../host/thread.js';
import { type InspectQuestion, type InspectRequest, inspectGuest } from './index.js';

const ask = (question: InspectQuestion) => askParent(question);

/** The appliance is the daemon's main thread's: each call is asked for there. INSPECT needs nothing but calls. */
const session = { call: (call, ...args) => ask({ call, args }) } as ApplianceSession;

await answerThread((request: InspectRequest) =>
  inspectGuest(request, session, (progress) => ask({ progress })),
);
