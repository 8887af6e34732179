import { z } from 'zod';
import { Hyper2kvmError } from '../errors/error.js';
import type { Control } from './control.js';
import { METRICS_CONTENT_TYPE } from './protocol.js';

interface RouteRequest {
  /** The job in the path, decoded; empty if the path has none. */
  id: string;
  query: URLSearchParams;
  body: unknown;
  /** Aborts when the client disconnects or the server stops. */
  signal: AbortSignal;
}

/** A plain value is sent as JSON, an async iterable as lines. */
export interface Route {
  method: 'GET' | 'POST';
  /** Its only group is the job. */
  path: RegExp;
  /** Set for an answer that is text and not JSON. */
  contentType?: string;
  handle(request: RouteRequest): unknown;
}

const retryBody = z.strictObject({
  from: z.string().optional(),
  set: z.record(z.string(), z.string()).optional(),
});
const priorityBody = z.strictObject({ priority: z.int() });

/** Returns the routes of the table in protocol.ts. */
export function controlRoutes(operations: Control, metrics: () => Promise<string>): Route[] {
  return [
    { method: 'GET', path: /^\/v1\/metrics$/, contentType: METRICS_CONTENT_TYPE, handle: metrics },
    { method: 'GET', path: /^\/v1\/status$/, handle: () => operations.status() },
    { method: 'GET', path: /^\/v1\/events$/, handle: ({ signal }) => jsonLines(operations.events(signal)) },
    {
      method: 'GET',
      path: /^\/v1\/jobs$/,
      handle: ({ query }) =>
        operations.list({
          state: query.get('state') ?? undefined,
          name: query.get('name') ?? undefined,
          since: query.get('since') ?? undefined,
        }),
    },
    {
      method: 'GET',
      path: /^\/v1\/jobs\/([^/]+)\/logs$/,
      handle: ({ id, query, signal }) => operations.logs(id, query.get('follow') === '1', signal),
    },
    { method: 'GET', path: /^\/v1\/jobs\/([^/]+)$/, handle: ({ id }) => operations.show(id) },
    {
      method: 'POST',
      path: /^\/v1\/jobs\/([^/]+)\/retry$/,
      handle: ({ id, body }) => operations.retry(id, parse(retryBody, body)),
    },
    { method: 'POST', path: /^\/v1\/jobs\/([^/]+)\/cutover$/, handle: ({ id }) => operations.cutOver(id) },
    { method: 'POST', path: /^\/v1\/jobs\/([^/]+)\/cancel$/, handle: ({ id }) => operations.cancel(id) },
    {
      method: 'POST',
      path: /^\/v1\/jobs\/([^/]+)\/priority$/,
      handle: ({ id, body }) => operations.priority(id, parse(priorityBody, body).priority),
    },
    { method: 'POST', path: /^\/v1\/pause$/, handle: () => operations.pause() },
    { method: 'POST', path: /^\/v1\/resume$/, handle: () => operations.resume() },
    { method: 'POST', path: /^\/v1\/drain$/, handle: () => operations.drain() },
  ];
}

async function* jsonLines(values: AsyncIterable<unknown>): AsyncGenerator<Uint8Array> {
  for await (const value of values) yield Buffer.from(`${JSON.stringify(value)}\n`);
}

function parse<T>(schema: z.ZodType<T>, body: unknown): T {
  const parsed = schema.safeParse(body);
  if (parsed.success) return parsed.data;
  throw new Hyper2kvmError('api.bad-request', `invalid request: ${z.prettifyError(parsed.error)}`);
}
